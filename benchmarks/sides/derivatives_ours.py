"""Derivatives beyond one gradient: ``samples LSTM T B H``, ``second GRU T B H fused=False``.

``gradient``  of all weights, backward alone
``samples``   the same of every row's own loss
``second``    gradients of x and all weights, and of their squares; ``penalty`` with forward
"""

import numpy as np
from sides.arguments import arguments
from sides.recurrent_ours import make

import tinygrad_rnn as tg


def case(name):
    what, kind, (T, B, H), _, options = arguments(name)
    tg.seed(0)
    layer = make(kind, H, options)
    parameters = list(layer.parameters())
    x = tg.Tensor(np.random.default_rng(0).standard_normal((T, B, H)).astype(np.float32))
    x.requires_grad = what in ("second", "penalty")

    def rows():
        y, _ = layer(x)
        return (y * y).sum(axis=(0, 2))

    def second(loss):
        first = tg.grad(loss, [x, *parameters], create_graph=True)
        squares = sum(((g * g).sum() for g in first), start=0.0)
        tg.grad(squares, [x, *parameters], retain_graph=True)

    if what == "penalty":
        return lambda: second(rows().sum())
    losses = rows()
    total = losses.sum()
    if what == "second":
        return lambda: second(total)
    if what == "samples":
        return lambda: tg.per_sample_grads(losses, parameters)
    return lambda: tg.grad(total, parameters, retain_graph=True)
