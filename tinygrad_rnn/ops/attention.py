"""The two steps of attention that plain operations have no good way for."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from tinygrad_rnn.device import Array, array_module, beside, where_it_is
from tinygrad_rnn.errors import DTypeError, ShapeError
from tinygrad_rnn.kernels import attention as kernel
from tinygrad_rnn.ops.activation import tanh
from tinygrad_rnn.ops.arithmetic import where
from tinygrad_rnn.ops.places import kept
from tinygrad_rnn.primitive import RowWise, binary, fused, unary
from tinygrad_rnn.tensor import Tensor, as_array, as_tensor

__all__ = ["additive_scores", "masked_softmax"]

# ----- weights -----


_masked_softmax = unary(
    "masked_softmax",
    kernel.masked_softmax,
    lambda F, g, out, _x, seen: F.softmax_slope(g, out),
)

# Its derivative as one pass over the arrays instead of four.
_softmax_slope = binary(
    "softmax_slope",
    kernel.softmax_slope,
    lambda F, g, _out, _slope, y: F.softmax_slope(g, y),
    lambda F, g, _out, slope, y: g * (slope - _total(F, slope * y)) - slope * _total(F, g * y),
)


def _total(F: Any, x: Any) -> Any:
    return F.sum(x, axis=(x.ndim - 1,), keepdims=True, shape=x.shape)


@where_it_is
def masked_softmax(x: object, mask: Any) -> Tensor:
    """``exp(x) / sum(exp(x))`` over those entries of the last axis where the mask is true.

    The others are 0; so is all of a row without any true entry, and its gradient: no NaN. Without
    a mask, None, it is over all entries.
    """
    x = as_tensor(x, "masked_softmax")
    if mask is None and x.ndim > 0:
        return _masked_softmax(x, seen=None)
    seen = beside("masked_softmax", as_array(mask, "masked_softmax"), x._data)
    if seen.dtype != np.bool_:
        raise DTypeError(f"masked_softmax: the mask holds {seen.dtype}, expected booleans.")
    try:
        fits = np.broadcast_shapes(x.shape, seen.shape) == x.shape and x.ndim > 0
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(
            f"masked_softmax: the mask has shape {seen.shape}, x {x.shape}, expected a mask that "
            "broadcasts to x, with at least one axis."
        )
    return _masked_softmax(x, seen=seen)


# ----- additive scores -----


def _forward(query: Array, key: Array, vector: Array, seen: Array | None) -> tuple[Array, None]:
    query, key, vector = map(array_module(query).ascontiguousarray, (query, key, vector))
    return kernel.additive_scores(query, key, vector, seen), None


def _backward(
    _residuals: None,
    gs: Sequence[Array],
    _needs: Sequence[bool],
    *arrays: Array,
    seen: Array | None,
    by_rows: bool = False,
    sums: Sequence[Array | None] = (None, None, None),
) -> tuple[Array, Array, Array]:
    g = gs[0] if seen is None else np.where(seen, gs[0], gs[0].dtype.type(0))
    total = sums[1]
    if total is not None and not total.flags.c_contiguous:
        total = None
    g, query, key, vector = map(array_module(g).ascontiguousarray, (g, *arrays))
    d_query, d_key, d_vector = kernel.additive_backward(g, query, key, vector, total)
    return d_query, d_key, d_vector if by_rows else d_vector.sum(axis=0)


def _replay(query: Tensor, key: Tensor, vector: Tensor, seen: Array | None) -> Tensor:
    scores = (tanh(query.unsqueeze(2) + key.unsqueeze(1)) * vector).sum(-1)
    return scores if seen is None else where(seen != 0, scores, 0.0)


_additive_scores = fused(
    "additive_scores", _forward, _backward, _replay, adds=True,
    rows=RowWise(lambda inputs, **attrs: ([0], [0, 0, None]), partial(_backward, by_rows=True)),
)  # fmt: skip


@where_it_is
def additive_scores(query: object, key: object, vector: object, mask: Any = None) -> Tensor:
    """``scores[b, t, s] = sum over h of vector[h] tanh(query[b, t, h] + key[b, s, h])``.

    query (B, T, H), key (B, S, H), vector (H)  ->  scores (B, T, S), without an array of the
    size of all four. Where the mask, booleans that broadcast to the scores, is false, the
    score is 0 and takes no time.
    """
    given = [as_tensor(x, "additive_scores") for x in (query, key, vector)]
    q, k, v = (x.shape for x in given)
    if len(q) != 3 or len(k) != 3 or q[::2] != k[::2] or v != q[2:]:
        raise ShapeError(
            f"additive_scores: query has shape {q}, key {k}, vector {v}; expected (B, T, H), "
            "(B, S, H) and (H)."
        )
    if len({x.dtype for x in given}) > 1:
        names = ", ".join(str(x.dtype) for x in given)
        raise DTypeError(
            f"additive_scores: query, key and vector hold {names}, expected one type: nothing is "
            "converted silently."
        )
    seen = None
    if mask is not None:
        seen = beside("additive_scores", kept(as_array(mask, "additive_scores")), given[0]._data)
        shape = (q[0], q[1], k[1])
        fits = seen.ndim == 3 and all(n in (1, m) for n, m in zip(seen.shape, shape, strict=True))
        if seen.dtype != np.bool_ or not fits:
            raise ShapeError(
                f"additive_scores: the mask holds {seen.dtype} of shape {seen.shape}, expected "
                f"booleans that broadcast to {shape}."
            )
        if seen.shape[::2] != shape[::2]:
            seen = array_module(seen).broadcast_to(seen, shape)
        seen = array_module(seen).ascontiguousarray(seen).view(np.uint8)
    return _additive_scores(*given, seen=seen)  # type: ignore[no-any-return]
