"""Recurrent layers: ``train LSTM T B H``, ``infer GRU T B H``, and variations of them."""

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import nn


def case(name):
    what, kind, *sizes = name.split()
    T, B, H = map(int, sizes[:3])
    options = dict(option.split("=") for option in sizes[3:])
    last_only = options.pop("loss", "") == "last"
    options = {key: eval(value) for key, value in options.items()}
    tg.seed(0)
    layer = getattr(nn, kind)(H, H, **options)
    rng = np.random.default_rng(0)
    x = tg.Tensor(rng.standard_normal((T, B, H)).astype(np.float32))
    width = H * (2 if options.get("bidirectional") else 1)
    dy = rng.standard_normal((T, B, width)).astype(np.float32)
    if last_only:
        dy[:-1] = 0
    if what == "infer":

        def work():
            with tg.no_grad():
                layer(x)

        return work
    x.requires_grad = True
    parameters = list(layer.parameters())
    changed = [p.shared_version().bump for p in parameters]  # as an optimiser does

    def work():
        x.grad = None
        for parameter in parameters:
            parameter.grad = None
        for bump in changed:
            bump()
        y, _ = layer(x)
        y.backward(dy)

    return work
