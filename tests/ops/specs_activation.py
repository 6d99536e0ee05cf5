"""Specs of ``tinygrad_rnn.ops.activation`` and ``normalization``."""

import math

import numpy as np
from hypothesis import strategies as st

from tests.ops.compare import close
from tinygrad_rnn import ops
from tinygrad_rnn.primitive import PRIMITIVES
from tinygrad_rnn.testing import strategies as gs
from tinygrad_rnn.testing.opspec import Case, OpSpec
from tinygrad_rnn.testing.samples import (
    DENSE,
    apart,
    keywords,
    largest,
    off,
    one,
    one_with,
    shapes,
    two,
    unit,
)


def sigmoid(x):
    return np.where(x >= 0, 1, np.exp(-np.abs(x))) / (1 + np.exp(-np.abs(x)))


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def gelu(x):
    return x * sigmoid(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))


def logsumexp(x, axis, keepdims=False):
    result = np.expand_dims(np.logaddexp.reduce(x, axis=axis), axis)
    return result if keepdims else result.squeeze(axis)


def softmax(x, axis):
    return np.exp(log_softmax(x, axis))


def log_softmax(x, axis):
    top = x.max(axis=axis, keepdims=True, initial=-np.inf)
    shifted = x - np.where(np.isfinite(top), top, 0)
    return shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))


def standardize(x, eps):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps)


# ----- samples -----


def _axis(shape):
    return gs.axis(len(shape)).map(lambda a: {"axis": a})


def _place(shape):
    return st.sampled_from(range(len(shape))).map(lambda a: {"axis": a})


def _axis_kept(shape):
    return st.fixed_dictionaries({"axis": gs.axis(len(shape)), "keepdims": st.booleans()})


def _filled_axis(side):
    """Shapes with at least one axis, none of them empty: there is no largest of nothing."""
    return shapes(1, 3, max(side, 1))


@st.composite
def _rows(draw, side):
    """Rows to normalise. Two elements come out as +-1 but for eps: it must not be small there."""
    width = draw(st.integers(1, 5))
    shape = (*draw(shapes(0, 2, side)), width)
    eps = draw(st.sampled_from([1e-5, 1e-2, 0.5])) if width > 2 else 0.5
    # Neighbours apart, or eps alone would keep the deviation from being 0.
    x = apart([draw(gs.arrays(shape, styles=DENSE))], 0.1)[0]
    return Case((x,), {"eps": eps})


@st.composite
def _layer(draw, side):
    case = draw(_rows(side))
    width = case.inputs[0].shape[-1:]
    return Case((*case.inputs, draw(gs.arrays(width)), draw(gs.arrays(width))), case.attrs)


def _steepest(x, eps):
    """The slope, but for what it loses to the mean."""
    return 1 / np.sqrt(x.var(-1).min(initial=np.inf) + eps) if x.size else 0.0


def _centred(x, eps):
    """What rounding is proportional to: the mean is taken away from every element."""
    return largest(x) * _steepest(x, eps)


_noise = keywords(rate=st.sampled_from([0.0, 0.3, 0.9]), seed=gs.seeds())


def _dropout(x, rate, seed):
    return ops.dropout(x, rate, generator=np.random.default_rng(seed))


def _dropout_reference(x, rate, seed):
    # float32 and float64 draw from the generator differently, as its own methods do
    drawn = np.random.default_rng(seed).random(x.shape, x.dtype)
    return np.where(drawn >= rate, x * x.dtype.type(1 / (1 - rate)), 0 * x) if rate else x


# ----- laws -----


def _halves_of(function):
    """f(x) - f(-x) = x."""

    def law(x):
        close(function(x).numpy() - function(-x).numpy(), x)

    return law


def _odd(x):
    close(ops.tanh(-x), -ops.tanh(x))


def _complement(x):
    close(ops.sigmoid(-x), 1 - ops.sigmoid(x))


def _sums_to_one(x, axis):
    close(ops.softmax(x, axis).sum(axis), np.ones(np.delete(x.shape, axis)))
    close(ops.softmax(x + 5.0, axis), ops.softmax(x, axis))


def _is_the_logarithm(x, axis):
    close(ops.exp(ops.log_softmax(x, axis)), ops.softmax(x, axis))
    close(ops.log_softmax(x, axis) + ops.logsumexp(x, axis, keepdims=True), x)


def _unit_rows(x, weight, bias, eps):
    y = ops.layer_norm(x, eps=eps).numpy()
    close(y.mean(-1), np.zeros(x.shape[:-1]))
    close((y * y).mean(-1) * (x.var(-1) + eps), x.var(-1))


def _keeps_or_drops(x, rate, seed):
    y = _dropout(x, rate, seed).numpy()
    close(np.where(y == 0, 0, x / (1 - rate)), y)


def _slope_size(g, y):
    """What the differences in slopes of gates are made of."""
    size = 1 + largest(y)
    return max(1.0, largest(g)) * size * size


SPECS = [
    OpSpec("sigmoid", ops.sigmoid, sigmoid, one(), slope_scale=unit, laws=(_complement,)),
    # 1 - tanh**2 of a saturated unit has lost digits before any rule sees it.
    OpSpec("tanh", ops.tanh, np.tanh, one(low=-4, high=4), slope_scale=unit, laws=(_odd,)),
    OpSpec("sigmoid_slope", PRIMITIVES["sigmoid_slope"].call, lambda g, y: g * y * (1 - y), two(),
           scale=_slope_size, slope_scale=_slope_size, linear=(0,)),
    OpSpec("tanh_slope", PRIMITIVES["tanh_slope"].call, lambda g, y: g * (1 - y * y), two(),
           scale=_slope_size, slope_scale=_slope_size, linear=(0,)),
    OpSpec("rectify_slope", PRIMITIVES["rectify_slope"].call,
           lambda g, y: np.where(y > 0, g, 0), two(), exact=True, dodge=off(0.0), linear=(0,)),
    OpSpec("relu", ops.relu, lambda x: np.maximum(x, 0), one(), exact=True, dodge=off(0.0),
           laws=(_halves_of(ops.relu),)),
    OpSpec("leaky_relu", ops.leaky_relu, lambda x, slope: np.where(x > 0, x, slope * x),
           one_with(keywords(slope=st.sampled_from([0.01, 0.5, 0.0]))), dodge=off(0.0)),
    OpSpec("elu", ops.elu, lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))),
           one_with(keywords(alpha=st.sampled_from([1.0, 0.5]))), dodge=off(0.0),
           slope_scale=unit),
    OpSpec("softplus", ops.softplus, softplus, one(), laws=(_halves_of(ops.softplus),)),
    OpSpec("silu", ops.silu, lambda x: x * sigmoid(x), one(), laws=(_halves_of(ops.silu),)),
    # Far below 0 a relative error of x comes out x**3 times as large.
    OpSpec("gelu", ops.gelu, gelu, one(low=-3), laws=(_halves_of(ops.gelu),)),
    OpSpec("softmax", ops.softmax, softmax, one_with(_axis, _filled_axis, low=-3, high=3),
           slope_scale=unit, laws=(_sums_to_one,)),
    OpSpec("log_softmax", ops.log_softmax, log_softmax, one_with(_axis, _filled_axis),
           scale=largest, laws=(_is_the_logarithm,)),
    OpSpec("logsumexp", ops.logsumexp, logsumexp, one_with(_axis_kept, _filled_axis),
           scale=largest),
    OpSpec("standardize", PRIMITIVES["standardize"].call, standardize, _rows,
           terms=lambda x, eps: x.shape[-1], scale=_centred, slope_scale=_steepest,
           extremes=False),
    OpSpec("layer_norm", ops.layer_norm,
           lambda x, weight, bias, eps: standardize(x, eps) * weight + bias, _layer,
           terms=lambda x, *rest, eps: x.shape[-1], linear=(1, 2),
           scale=lambda x, weight, bias, eps: _centred(x, eps) * largest(weight) + largest(bias),
           slope_scale=lambda x, weight, bias, eps: _steepest(x, eps) * largest(weight),
           laws=(_unit_rows,), reaches=("standardize",), extremes=False),
    OpSpec("dropout", _dropout, _dropout_reference, one_with(_noise), exact=True, linear=(0,),
           laws=(_keeps_or_drops,), comparable=False),
]  # fmt: skip
