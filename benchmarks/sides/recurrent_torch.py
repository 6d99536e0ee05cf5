"""Recurrent layers: ``train LSTM T B H``, ``infer GRU T B H``, and variations of them."""

import numpy as np
import torch
from torch import nn


def case(name):
    what, kind, *sizes = name.split()
    T, B, H = map(int, sizes[:3])
    options = dict(option.split("=") for option in sizes[3:])
    last_only = options.pop("loss", "") == "last"
    options = {key: eval(value) for key, value in options.items()}
    torch.manual_seed(0)
    layer = getattr(nn, kind)(H, H, **options)
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.standard_normal((T, B, H)).astype(np.float32))
    width = H * (2 if options.get("bidirectional") else 1)
    dy = rng.standard_normal((T, B, width)).astype(np.float32)
    if last_only:
        dy[:-1] = 0
    dy = torch.from_numpy(dy)
    if what == "infer":

        def work():
            with torch.no_grad():
                layer(x)

        return work
    x.requires_grad_()
    parameters = list(layer.parameters())

    def work():
        x.grad = None
        for parameter in parameters:
            parameter.grad = None
        y, _ = layer(x)
        y.backward(dy)

    return work
