"""The same recurrence by PyTorch."""

import numpy as np
import torch
from sides.arguments import arguments
from torch import nn


def step(kind, B, H):
    cell = getattr(nn, kind)(H, H)
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((B, H)).astype(np.float32))
    with torch.no_grad():
        state = cell(x)

    def work():
        nonlocal state
        with torch.no_grad():
            state = cell(x, state)

    return work


def case(name):
    what, kind, sizes, last_only, options = arguments(name)
    torch.manual_seed(0)
    if what == "step":
        return step(kind, *sizes)
    T, B, H = sizes
    layer = getattr(nn, kind)(H, H, **options)
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.standard_normal((T, B, H)).astype(np.float32))
    if what == "infer":

        def work():
            with torch.no_grad():
                layer(x)

        return work
    x.requires_grad_()
    parameters = list(layer.parameters())
    y, _ = layer(x)
    dy = torch.from_numpy(rng.standard_normal(y.shape).astype(np.float32))
    if last_only:
        dy[:-1] = 0

    def backward():
        for tensor in (x, *parameters):
            tensor.grad = None
        y.backward(dy, retain_graph=True)

    if what == "backward":
        return backward

    def work():
        x.grad = None
        for parameter in parameters:
            parameter.grad = None
        y, _ = layer(x)
        y.backward(dy)

    return work
