"""The definition: the rule itself, over arrays."""

from types import SimpleNamespace

import numpy as np

from tinygrad_rnn.kernels.update.norms import clip_by, norm_by


def update(items):
    for equations, arrays, places in items:
        rows = ... if places is None else places
        x = SimpleNamespace(**{name: arrays[name][rows] for name in equations.names})
        with np.errstate(all="ignore"):
            equations.rule(x)
        for name, _ in equations.writes:
            arrays[name][rows] = getattr(x, name)


def touched(x):
    return (x != 0).any(axis=tuple(range(1, x.ndim))).nonzero()[0]


def sum_of_squares(arrays, scale):
    with np.errstate(all="ignore"):
        return sum(float(((scale * x) ** 2).sum(dtype="float64")) for x in arrays)


def norm(arrays):
    return norm_by(sum_of_squares, arrays)


def clip(arrays, most):
    return clip_by(sum_of_squares, update, arrays, most)
