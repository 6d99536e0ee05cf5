"""Which axis of x is the batch: a hint where what is given beside x fits the other one."""

from typing import Any

import numpy as np

from tinygrad_rnn.tensor import Tensor

__all__ = ["batch_hint"]


def batch_hint(batch_first: bool, T: int, B: int | None, state: Any, lengths: Any) -> str:
    """A sentence if lengths and state are for T rows instead of B; else nothing."""
    rows = {len(lengths)} if lengths is not None and np.ndim(lengths) == 1 else set()
    first = state
    while isinstance(first, tuple | list) and first:
        first = first[0]
    if isinstance(first, Tensor | np.ndarray) and first.ndim > 1:
        rows.add(first.shape[-2])
    if B is None or T == B or rows != {T}:
        return ""
    given, other = ("(B, T, I)", "(T, B, I)") if batch_first else ("(T, B, I)", "(B, T, I)")
    return (
        f" They fit the other axis of x, which is read as {given}: for {other} there is "
        f"batch_first={not batch_first}."
    )
