"""A character of text: ``LSTM E`` samples from a model with vectors of E, 2 layers of 512, V 65.

``step LSTM E`` is the model's part of it, without drawing. ``cells`` is of the other side only.
"""

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import decoding, models

V, H, LAYERS = 65, 512, 2


def case(name):
    *what, kind, width = name.removesuffix(" cells").split()
    tg.seed(0)
    model = models.LanguageModel(V, int(width), H, LAYERS, cell=kind)
    model.eval()
    if not what:
        tokens = decoding.stream(model.step, model.start(1), [0], 10**6, seed=0)
        return lambda: next(tokens)
    state, token = model.start(1), np.array([1])

    def work():
        nonlocal state
        _, state = model.step(token, state)

    return work
