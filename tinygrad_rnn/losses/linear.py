"""A linear layer and the cross-entropy of its scores as one operation, in chunks of rows.

    s = h w + b        h (N, D), w (D, V), b (V)
    A = ∂loss/∂s       dh = A wᵀ,  dw = hᵀ A,  db = Σ_n A[n]

s and A exist for one chunk of rows at a time, A as slopes that stand where the scores were and
a factor for each row, by which rows of h and dh are multiplied instead. Products are chains of
fused multiply-adds whose k ascends, and go on where the chunk before has ended, so that no bit
depends on the size of the chunks.

The gradient of a sum or a mean is one number times something known beforehand. So where a
gradient is wanted, it is computed while the scores are there, and backward multiplies by that
number: three products in all, as many as where the scores are kept.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from tinygrad_rnn import modes, ops
from tinygrad_rnn.arguments import bounded, whole
from tinygrad_rnn.device import Array, array_module, where_it_is
from tinygrad_rnn.errors import DTypeError, ShapeError
from tinygrad_rnn.kernels._room import concatenate
from tinygrad_rnn.kernels.matmul import matmul
from tinygrad_rnn.kernels.softmax import class_losses
from tinygrad_rnn.losses.chunks import Gradients, chunks, gradients_of, part_of
from tinygrad_rnn.losses.classification import composite, factors_of, row_losses
from tinygrad_rnn.losses.labels import beside_weights, check_weights, labels_of
from tinygrad_rnn.losses.layers import gathered, rows_that_count
from tinygrad_rnn.losses.linear_twice import gradient
from tinygrad_rnn.primitive import fused
from tinygrad_rnn.tensor import FLOATS, Tensor, as_tensor

__all__ = ["linear_cross_entropy"]

# Scores of a chunk: 256 rows, for products run at full speed (fewer read w and dw too often);
# more where they are short, up to 32 MiB.
_LEAST_ROWS, _SCORES = 256, 1 << 23


# One list of gradients, if they are there already, or nothing: the first walk back takes it.
_Ready = list[list[Array | None]]


def _forward(
    h: Array, w: Array, b: Array | None, *,
    summed: bool, rows: int, wanted: Any, known: list[Array], **labels: Any,
) -> tuple[Array, _Ready]:  # fmt: skip
    xp = array_module(h)
    parts, found = [], None if wanted is None else Gradients(h, w, wanted)
    for chunk, scores in _scores(h, w, b, rows, known):
        how = part_of(labels, chunk)
        if found is None:
            parts.append(row_losses(scores, **how)[0])
        else:
            losses, factors = class_losses(scores, **how)
            parts.append(losses)
            found.add(chunk, scores, factors)
        del scores  # before the next ones are made
    losses = xp.concatenate(parts)
    ready = [] if found is None else [found.result()]
    return xp.asarray(losses.sum()) if summed else losses, ready


def _scores(
    h: Array, w: Array, b: Array | None, rows: int, known: list[Array]
) -> Iterator[tuple[slice, Array]]:
    """Chunks of rows and their scores, which are computed unless they are known."""
    begin = 0
    if known:
        scores = known.pop()
        begin = len(scores)
        yield slice(begin), scores
        del scores
    for chunk in chunks(len(h), rows, begin):
        yield chunk, matmul(h[chunk], w, bias=b)


def _backward(
    ready: _Ready,
    gs: list[Any],
    needs: tuple[bool, ...],
    h: Array,
    w: Array,
    b: Array | None,
    *,
    summed: bool,
    wanted: Any,
    known: Any,
    **how: Any,
) -> list[Array | None]:
    g = gs[0]
    if not summed:
        return gradients_of(g, h, w, b, needs, **how)
    try:
        found = ready.pop()
    except IndexError:  # with retain_graph=True, the second time
        found = gradients_of(1, h, w, b, needs, **how)
    if array_module(h) is not np or g != 1:  # to look at g, a GPU has to be waited for
        for array in found:
            if array is not None:
                array *= g
    return found


def _reference(
    h: Tensor, w: Tensor, b: Any, *,
    summed: bool, rows: int, wanted: Any, known: Any, **labels: Any,
) -> Tensor:  # fmt: skip
    losses = composite(ops.linear(h, w, b), **labels)
    return losses.sum() if summed else losses


_linear = fused("linear_cross_entropy", _forward, _backward, _reference, gradient=gradient)


@where_it_is
def linear_cross_entropy(
    h: object,
    w: object,
    targets: Any,
    bias: object = None,
    *,
    weights: Any = None,
    ignore_index: int | None = -100,
    label_smoothing: float = 0.0,
    mask: Any = None,
    reduction: str = "mean",
    chunk: int | None = None,
    known: Iterable[Array] = (),
) -> Tensor:
    """``cross_entropy(h @ w + bias, targets)``, without the scores of all rows in memory at once.

    h (..., D), w (D, V), bias (V) or None, targets (...) integers; every other argument is that
    of ``cross_entropy``. For a table of vectors (V, D), as of an ``nn.Embedding``, give its
    ``.T``. Rows that do not count cost nothing. Values and gradients have the same bits
    whatever the chunk and the number of threads. Second derivatives go in chunks, too; third
    ones hold all scores.

    With "sum" and "mean" the gradient is computed with the value, if anything wants one: to
    evaluate, use ``tg.no_grad()``. With "none" backward computes the scores again.

    Args:
        chunk: How many rows at a time; the default suits memory and speed.
        known: The scores of the first rows, where they were needed before, in one array (n, V)
            or more: they are not computed again. What an iterator gives is used up: gradients
            may be written in its place.
    """
    where = "linear_cross_entropy"
    h, w, bias = _operands(where, h, w, bias)
    lead, classes = h.shape[:-1], w.shape[1]
    smoothing = bounded(where, "label_smoothing", label_smoothing, least=0, most=1)
    weights = check_weights(where, weights, classes, h)
    labels = labels_of(
        where, targets, lead, classes, h,
        weights=weights, ignore_index=ignore_index, mask=mask, reduction=reduction,
    )  # fmt: skip
    weights = beside_weights(where, weights, h)
    how = {"ids": labels.ids, **factors_of(labels, smoothing, weights, classes)}
    flat = rows_that_count(h, labels)[0]
    if labels.kept is not None:
        how, known = part_of(how, labels.kept), ()
    summed = reduction != "none"
    inputs = flat, w, bias
    wanted = tuple(x is not None and x.requires_grad for x in inputs)
    losses = _linear(
        *inputs, summed=summed, rows=_rows_at_once(chunk, flat.shape[0], classes),
        wanted=wanted if summed and any(wanted) and modes.is_grad_enabled() else None,
        known=_of_first_rows(known, flat, classes), **how,
    )  # fmt: skip
    return losses if summed else gathered(losses, labels, lead, "none")


def _of_first_rows(known: Iterable[Array], h: Tensor, classes: int) -> list[Array]:
    """The scores that are known, one array to write on in a list: who takes it, takes it out."""
    found = list(known)
    for scores in found:
        if scores.ndim != 2 or scores.shape[1] != classes or scores.dtype != h.dtype:
            raise ShapeError(
                f"linear_cross_entropy: known has {scores.dtype} of shape {scores.shape}, expected "
                f"scores of {classes} classes in {h.dtype}."
            )
    if (count := sum(map(len, found))) > (rows := h.shape[0]):
        raise ShapeError(
            f"linear_cross_entropy: known has scores of {count} rows, expected {rows} at most."
        )
    if not count:
        return []
    flags = found[0].flags
    ours = len(found) == 1 and isinstance(known, Iterator)
    if ours and flags.c_contiguous and getattr(flags, "writeable", True):  # CuPy has no such flag
        return found
    return [concatenate(found)]


def _rows_at_once(chunk: Any, count: int, classes: int) -> int:
    """The size of chunks, all about equally large."""
    if chunk is not None:
        return whole("linear_cross_entropy", "chunk", chunk, least=1)
    pieces = -(-count // max(_LEAST_ROWS, _SCORES // classes))
    return -(-count // max(1, pieces)) or 1


def _operands(where: str, h: object, w: object, b: object) -> tuple[Tensor, Tensor, Tensor | None]:
    """The operands as tensors that fit together."""
    h, w = as_tensor(h, where), as_tensor(w, where)
    bias = None if b is None else as_tensor(b, where)
    fits = w.ndim == 2 and h.ndim and h.shape[-1] == w.shape[0] and w.shape[1]
    if not fits or (bias is not None and bias.shape != w.shape[1:]):
        behind = "" if bias is None else f", bias {bias.shape}"
        raise ShapeError(
            f"{where}: h has shape {h.shape}, w {w.shape}{behind}; expected (..., D), (D, V)"
            f"{' and (V)' if behind else ''}."
        )
    types = {x.dtype for x in (h, w, bias) if x is not None}
    if len(types) > 1 or (h.dtype not in FLOATS and h.dtype.kind != "c"):
        raise DTypeError(
            f"{where}: h and w hold {' and '.join(sorted(map(str, types)))}, expected one type of "
            "floating-point numbers; convert with .astype()."
        )
    return h, w, bias
