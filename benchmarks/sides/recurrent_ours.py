"""Recurrence: ``train LSTM T B H``, ``infer GRU T B H``, ``backward RNN T B H``, options behind.

A name that ends in Cell, or ``Notebook``, is a cell that ``Recurrent`` runs. ``step LSTMCell B H``
is a decoder's: the cell by itself, its own state carried on. ``return_trace`` goes to the call.
"""

import numpy as np
from sides.arguments import arguments, draw_lengths
from sides.users_cell import Notebook

import tinygrad_rnn as tg
from tinygrad_rnn import nn


def make(kind, H, options):
    options = dict(options)
    if kind != "Notebook" and not kind.endswith("Cell"):
        return getattr(nn, kind)(H, H, **options)
    fused = options.pop("fused", "require")
    cell = Notebook if kind == "Notebook" else getattr(nn, kind)
    return nn.Recurrent(cell(H, H, **options), fused=fused)


def step(kind, B, H):
    cell = getattr(nn, kind)(H, H)
    x = tg.Tensor(np.random.default_rng(0).standard_normal((B, H)).astype(np.float32))
    with tg.no_grad():
        state = cell(x)

    def work():
        nonlocal state
        with tg.no_grad():
            state = cell(x, state)

    return work


def case(name):
    what, kind, sizes, last_only, options = arguments(name)
    tg.seed(0)
    if what == "step":
        return step(kind, *sizes)
    T, B, H = sizes
    lengths = draw_lengths(options, T, B)
    call = {key: options.pop(key) for key in ("return_trace",) if key in options}
    layer = make(kind, H, options)
    rng = np.random.default_rng(0)
    x = tg.Tensor(rng.standard_normal((T, B, H)).astype(np.float32))
    if what == "infer":

        def work():
            with tg.no_grad():
                layer(x, lengths=next(lengths), **call)

        return work
    x.requires_grad = True
    parameters = list(layer.parameters())
    y, *_ = layer(x, **call)
    dy = rng.standard_normal(y.shape).astype(np.float32)
    if last_only:
        dy[:-1] = 0
    changed = [p.shared_version().bump for p in parameters]  # as an optimiser does

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
        for bump in changed:
            bump()
        y, *_ = layer(x, lengths=next(lengths), **call)
        y.backward(dy)

    return work
