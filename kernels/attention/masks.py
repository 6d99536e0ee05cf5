"""Masks that are the same along some axes, without spreading them out."""

from math import prod
from typing import Any

__all__ = ["rows_of"]


def rows_of(xp: Any, seen: Any, shape: tuple[int, ...]) -> tuple[Any, int, int]:
    """The rows (M, S) of a mask that broadcasts to ``shape``, and which of them is whose.

    Of two numbers, period and inner: row r of the whole has the mask r // period * inner +
    r % inner. So it is where the mask has one size for all on some axes side by side, as (B, 1,
    S) and (B, 1, T, S) have; any other is spread out. None stands for one row of ones.
    """
    if seen is None:
        return xp.ones((1, shape[-1]), "uint8"), prod(shape[:-1]), 1
    sizes = (1,) * (len(shape) - seen.ndim) + seen.shape
    axes = [(n == m, m) for n, m in zip(sizes[:-1], shape[:-1], strict=True) if m != 1]
    behind = len(axes)
    while behind and axes[behind - 1][0]:
        behind -= 1
    before = next((i for i, (own, _) in enumerate(axes) if not own), behind)
    if sizes[-1] != shape[-1] or any(own for own, _ in axes[before:behind]):
        seen, before, behind = xp.broadcast_to(seen, shape), 0, 0
    inner = prod(m for _, m in axes[behind:])
    period = inner * prod(m for _, m in axes[before:behind])
    count = inner * prod(m for _, m in axes[:before])
    return xp.ascontiguousarray(seen).reshape(count, shape[-1]).view("uint8"), period, inner
