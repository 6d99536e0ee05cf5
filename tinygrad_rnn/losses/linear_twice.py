"""The gradient of a linear layer with cross-entropy as an operation that has a gradient itself.

    A = g (a p - y),  p = softmax(s),  s = h w + b      g, a: a number for each row
    dh = A wᵀ,  dw = hᵀ A,  db = Σ_n A[n]

For gradients u of dh, v of dw and z of db, and with T = u w + h v + z, how fast the scores
change along (u, v, z), the sum of all products is φ = Σ A T. So

    dφ/dg = Σ_c (a p - y) T
    dφ/ds = B = g a p (T - Σ_c p T)
    dφ/dh = B wᵀ + A vᵀ,  dφ/dw = hᵀ B + uᵀ A,  dφ/db = Σ_n B[n]

again a chunk of rows at a time.
"""

from collections.abc import Sequence
from typing import Any

from tinygrad_rnn import ops
from tinygrad_rnn.device import Array, array_module
from tinygrad_rnn.kernels import softmax as kernel
from tinygrad_rnn.kernels.matmul import matmul
from tinygrad_rnn.losses.chunks import Gradients, chunks, gradients_of, part_of
from tinygrad_rnn.losses.classification import row_slopes
from tinygrad_rnn.primitive import fused
from tinygrad_rnn.tensor import Tensor

__all__ = ["gradient"]


def _forward(
    g: Array, h: Array, w: Array, b: Array | None, *, rows: int, **labels: Any
) -> tuple[tuple[Array, ...], list[Any]]:
    sums = []
    for chunk in chunks(len(h), rows):
        sums.append(kernel.row_sums(matmul(h[chunk], w, bias=b))[:2])
    wanted = (True, True, b is not None)
    found = gradients_of(g if g.ndim else 1, h, w, b, wanted, rows=rows, **labels)
    if not g.ndim:
        found = [None if array is None else array * g for array in found]
    return tuple(array for array in found if array is not None), sums


def _backward(
    sums: list[Any],
    gs: Sequence[Any],
    needs: Sequence[bool],
    g: Array,
    h: Array,
    w: Array,
    b: Array | None,
    *,
    rows: int,
    **labels: Any,
) -> list[Array | None]:
    xp = array_module(h)
    u, v, z = gs if b is not None else (*gs, None)
    dg, along, across = [], Gradients(h, w, needs[1:]), None
    for chunk, stats in zip(chunks(len(h), rows), sums, strict=True):
        how = part_of(labels, chunk)
        scores = matmul(h[chunk], w, bias=b)
        top, total = stats
        p = kernel.row_slopes(scores, top, total, xp.ones(len(scores), scores.dtype))
        unit = row_slopes(1, stats, scores, **how, out=scores)
        moved = _moved(xp, h[chunk], w, None if u is None else u[chunk], v, z, unit)
        dg.append((unit * moved).sum(axis=1))
        own = g[chunk] if g.ndim else g
        share = own * _peak(**how)
        bent = p * (moved - (p * moved).sum(axis=1)[:, None])
        along.add(chunk, bent, share)
        across = unit * (own[:, None] if g.ndim else own)
        if v is not None and along.dh is not None:
            matmul(across, v.T, out=along.dh[chunk], accumulate=True)
        if u is not None and needs[2]:
            along.dw = matmul(u[chunk].T, across, out=along.dw, accumulate=True)
        del scores, unit, p, moved, bent, across
    d_rows = xp.concatenate(dg)
    return [d_rows if g.ndim else xp.asarray(d_rows.sum()), *along.result()]


def _moved(xp: Any, h: Array, w: Array, u: Any, v: Any, z: Any, like: Array) -> Array:
    """T: how fast the scores change along the gradients u, v and z, None for 0."""
    total = xp.zeros_like(like)
    if z is not None:
        total += z
    if u is not None:
        total = matmul(u, w, out=total, accumulate=True)
    return total if v is None else matmul(h, v, out=total, accumulate=True)


def _peak(ids: Array, hard: Array, even: Array | None, weights: Array | None) -> Array:
    """a: how often the slopes of a row's loss hold its probabilities."""
    return hard if even is None or weights is None else hard + even * weights.sum()


def _reference(
    g: Tensor, h: Tensor, w: Tensor, b: Tensor | None, *, rows: int, **labels: Any
) -> tuple[Tensor, ...]:
    p = ops.softmax(ops.linear(h, w, b))
    ids, hard, even, weights = (labels[name] for name in ("ids", "hard", "even", "weights"))
    xp = array_module(ids)
    y = xp.zeros(p.shape, hard.dtype)
    y[xp.arange(len(ids)), ids] = hard
    if even is not None:
        y += even[:, None] * weights
    slopes = (p * _peak(**labels)[:, None] - y) * (g.reshape(-1, 1) if g.ndim else g)
    found = slopes @ w.T, h.T @ slopes, slopes.sum(0)
    return found[: 2 + (b is not None)]


_gradient = fused("linear_cross_entropy_gradient", _forward, _backward, _reference)


def gradient(
    gs: Sequence[Any],
    needs: Sequence[bool],
    h: Tensor,
    w: Tensor,
    b: Tensor | None,
    *,
    summed: bool,
    wanted: Any,
    known: Any,
    **how: Any,
) -> tuple[Any, ...]:
    """The gradients of h, w and b, recorded; g is that of each row's loss, or of their sum."""
    found = _gradient(gs[0], h, w, b, **how)
    return found if b is not None else (*found, None)
