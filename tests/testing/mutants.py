"""Wrong derivative rules, each of a kind that has cost somebody a week.

A mutant replaces one rule of a real primitive; the generic checks of ``tests/ops`` have to
find it. Rules may use only what the right rule has had kept for it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from tinygrad_rnn.engine import TENSORS, resolved
from tinygrad_rnn.primitive import PRIMITIVES


class Mutant(NamedTuple):
    """What is wrong, in which primitive, with which rule, and what stands there instead.

    ``wrong(right, F, g, out, *inputs, **attrs)`` may call the right rule.
    """

    name: str
    primitive: str
    rule: int
    wrong: Callable[..., Any]

    def __str__(self) -> str:
        return f"{self.primitive}-{self.name}".replace(" ", "-")


@contextmanager
def installed(mutant: Mutant) -> Iterator[None]:
    """The primitive with its wrong rule."""
    op = PRIMITIVES[mutant.primitive]
    before = op.rules
    right = before[mutant.rule]

    def rule(F: Any, g: Any, out: Any, *inputs: Any, **attrs: Any) -> Any:
        return mutant.wrong(right, F, g, out, *inputs, **attrs)

    op.rules = (*before[: mutant.rule], rule, *before[mutant.rule + 1 :])
    try:
        yield
    finally:
        op.rules = before


def _detached(x: Any) -> Any:
    return np.asarray(x)


def _only_last_row(right, F, g, out, *inputs, **attrs):
    """Rows of the gradient before the last are forgotten."""
    part = right(F, g, out, *inputs, **attrs)
    if not part.ndim:
        return part
    last = np.arange(part.shape[0]).reshape(-1, *[1] * (part.ndim - 1)) == part.shape[0] - 1
    return part * last


def _once(spread_name):
    """Where an index repeats, the last gradient overwrites the others."""

    def wrong(right, F, g, out, x, **attrs):
        total = resolved(right(F, g, out, x, **attrs))
        index = attrs["index"] if spread_name == "take" else attrs["ids"]
        counts = np.zeros(total.shape)
        np.add.at(counts, index, np.ones(np.broadcast_to(0, total.shape)[index].shape))
        return total / np.maximum(counts, 1)

    return wrong


def _square_only(wrong):
    """Shapes catch a transposed factor, except that of a square matrix."""

    def rule(right, F, g, out, a, b):
        factor = b if b is not None else a
        same = factor.shape[-1] == factor.shape[-2]
        return wrong(F, g, a, b) if same else right(F, g, out, a, b)

    return rule


def _in_graphs(wrong):
    """Right in an ordinary backward, wrong where the backward is recorded."""

    def rule(right, F, g, out, *inputs, **attrs):
        if F is TENSORS:
            return wrong(F, g, out, *inputs, **attrs)
        return right(F, g, out, *inputs, **attrs)

    return rule


def _flipped(x):
    return x.swapaxes(-1, -2)


def _slice(g, axis, start, size):
    return g[(slice(None),) * axis + (slice(start, start + size),)]


def _concat_shifted(right, F, g, out, *inputs, axis, ends):
    """The first part gets the gradient of the elements one further on."""
    if ends[0] == ends[-1]:
        return right(F, g, out, *inputs, axis=axis, ends=ends)
    return _slice(g, axis, 1, ends[0])


def _all_of_it(right, F, g, out, x, axis, keepdims):
    part = right(F, g, out, x, axis=axis, keepdims=keepdims)
    kept = tuple(1 if i in axis else n for i, n in enumerate(x.shape))
    return (part != 0) * F.reshape(g, shape=kept, before=g.shape)


def _pad_shifted(right, F, g, out, x, widths, value):
    inner = tuple(
        slice(low - (low > 0), n - high - (low > 0))
        for (low, high), n in zip(widths, g.shape, strict=True)
    )
    return g[inner]


def _sum_over(right, F, g, out, x, axis, keepdims, shape):
    """The gradient is repeated along the wrong one of two equal axes."""
    part = right(F, g, out, x, axis=axis, keepdims=keepdims, shape=shape)
    if len(shape) > 1 and shape[0] == shape[1]:
        return F.permute(part, axes=(1, 0, *range(2, len(shape))))
    return part


def _same_order(right, F, g, out, x, axes):
    shape = right(F, g, out, x, axes=axes).shape
    return F.reshape(F.permute(g, axes=axes), shape=shape, before=tuple(g.shape[a] for a in axes))


def _mean(F, x, axis):
    return F.mean(x, axis=(axis,), keepdims=True, shape=x.shape)


MUTANTS = [
    # signs and factors
    Mutant("wrong sign", "sub", 1, lambda right, F, g, out, a, b: g),
    Mutant("wrong sign", "sin", 0, lambda right, F, g, out, x: -g * F.cos(x)),
    Mutant("factor 2 is missing", "square", 0, lambda right, F, g, out, x: g * x),
    Mutant("factor is missing", "exp", 0, lambda right, F, g, out, x: g),
    Mutant("divisor is missing", "div", 1, lambda right, F, g, out, a, b: -g * out),
    Mutant("one factor of two", "sigmoid", 0, lambda right, F, g, out, x: g * out),
    Mutant("slope of sigmoid", "tanh", 0, lambda right, F, g, out, x: g * out * (1.0 - out)),
    Mutant("exponent not lowered", "power_of", 0, lambda right, F, g, out, x, exponent:
           g * exponent * F.power_of(x, exponent=exponent)),
    Mutant("logarithm is missing", "power", 1, lambda right, F, g, out, a, b: g * out),
    Mutant("off by one part in 1e8", "mul", 1, lambda right, F, g, out, a, b: g * a * (1 + 1e-8)),
    # operands
    Mutant("own operand instead of the other", "mul", 0, lambda right, F, g, out, a, b: g * a),
    Mutant("input instead of output", "power", 1, lambda right, F, g, out, a, b:
           g * a * F.log(a)),
    Mutant("output instead of input", "logsumexp", 0, lambda right, F, g, out, x, axis:
           g * F.exp(out - x)),
    Mutant("output instead of its exponential", "log_softmax", 0,
           lambda right, F, g, out, x, axis:
           g - out * F.sum(g, axis=(axis,), keepdims=True, shape=out.shape)),
    Mutant("condition swapped", "where", 1, lambda right, F, g, out, condition, a, b:
           F.where(condition, 0.0, g)),
    Mutant("factor not transposed", "matmul", 0,
           _square_only(lambda F, g, a, b: F.matmul(g, b))),
    Mutant("operands swapped", "matmul", 1,
           _square_only(lambda F, g, a, b: F.matmul(_flipped(g), a))),
    # sums, axes
    Mutant("bias from the last row only", "linear", 2, lambda right, F, g, out, x, w, b: g[-1]),
    Mutant("bias averaged", "linear", 2, lambda right, F, g, out, x, w, b:
           g.sum(axis=0) * (1.0 / g.shape[0])),
    Mutant("last row only", "relu", 0, _only_last_row),
    Mutant("not summed where repeated", "broadcast_to", 0,
           lambda right, F, g, out, x, shape, before: right(
               F, g, out, x, shape=shape, before=before) * (np.prod(before) / np.prod(shape))),
    Mutant("divided by everything", "mean", 0, lambda right, F, g, out, x, axis, keepdims, shape:
           right(F, g, out, x, axis=axis, keepdims=keepdims, shape=shape)
           * (np.prod([shape[i] for i in axis]) / np.prod(shape))),
    Mutant("wrong axis", "sum", 0, _sum_over),
    Mutant("order not inverted", "permute", 0, _same_order),
    Mutant("first axis only", "flip", 0, lambda right, F, g, out, x, axis:
           F.flip(g, axis=axis[:1])),
    Mutant("sum is missing", "softmax", 0, lambda right, F, g, out, x, axis: g * out),
    Mutant("mean is missing", "standardize", 0, lambda right, F, g, out, x, eps:
           right(F, g, out, x, eps=eps) + _mean(F, g, x.ndim - 1)),
    # edges
    Mutant("off by one", "concat", 0, _concat_shifted),
    Mutant("off by one", "pad", 0, _pad_shifted),
    Mutant("off by one", "cumsum", 0, lambda right, F, g, out, x, axis:
           right(F, g, out, x, axis=axis) - g),
    Mutant("not reversed", "cumsum", 0, lambda right, F, g, out, x, axis: F.cumsum(g, axis=axis)),
    Mutant("written over is not cut off", "index_update", 0,
           lambda right, F, g, out, x, value, index: g),
    Mutant("wrong where ids repeat", "embedding", 0, _once("embedding")),
    Mutant("wrong where indices repeat", "take", 0, _once("take")),
    # kinks
    Mutant("ties not shared", "max", 0, _all_of_it),
    Mutant("ties not shared", "maximum", 0, lambda right, F, g, out, a, b:
           F.where(a >= b, g, 0.0)),
    Mutant("passes outside", "clip", 0, lambda right, F, g, out, x, low, high: g),
    # higher orders
    Mutant("factor 2 in graphs", "mul", 0, _in_graphs(lambda F, g, out, a, b: g * b * 2.0)),
    Mutant("second order forgotten", "sigmoid", 0,
           _in_graphs(lambda F, g, out, x: g * _detached(out) * (1.0 - _detached(out)))),
    Mutant("second order half forgotten", "tanh", 0,
           _in_graphs(lambda F, g, out, x: g * (1.0 - out * _detached(out)))),
    Mutant("cotangent cut off in graphs", "neg", 0, _in_graphs(lambda F, g, out, x:
           TENSORS.neg(_detached(g)))),
]  # fmt: skip
