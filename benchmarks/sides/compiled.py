"""Train layers of twenty sizes; print how many functions were made for their programs."""

import json

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import nn
from tinygrad_rnn.kernels._jit import BUILDS

rng = np.random.default_rng(0)
SIZES = [tuple(int(n) for n in rng.integers(1, 90, 4)) for _ in range(20)]


def written():
    return sum("generated" in build.name for build in BUILDS)


def train(kind, dtype, T, B, I, H):
    y, _ = getattr(nn, kind)(I, H).astype(dtype)(tg.randn(T, B, I, dtype=dtype))
    y.sum().backward()


def count(kind, dtype):
    before = written()
    counts = []
    for size in SIZES:
        train(kind, dtype, *size)
        counts.append(written() - before)
    return [kind, dtype, counts[0], counts[-1]]


print(json.dumps([count(k, d) for k in ("LSTM", "GRU", "RNN") for d in ("float32", "float64")]))
