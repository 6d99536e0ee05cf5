"""The same recurrence by PyTorch."""

import numpy as np
import torch
from sides.arguments import arguments, draw_lengths
from sides.options_torch import make
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


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


def run(layer, x, lengths):
    """The outputs of a batch, of sequences with these lengths if there are any."""
    if lengths is None:
        return layer(x)[0]
    packed = pack_padded_sequence(x, torch.from_numpy(lengths), enforce_sorted=False)
    return pad_packed_sequence(layer(packed)[0], total_length=x.shape[0])[0]


def case(name):
    what, kind, sizes, last_only, options = arguments(name)
    torch.manual_seed(0)
    if what == "step":
        return step(kind, *sizes)
    T, B, H = sizes
    lengths = draw_lengths(options, T, B)
    layer = make(kind, H, options)
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.standard_normal((T, B, H)).astype(np.float32))
    if what == "infer":

        def work():
            with torch.no_grad():
                run(layer, x, next(lengths))

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
        run(layer, x, next(lengths)).backward(dy)

    return work
