"""How long arrays are as one vector, and shortening them, by numbers of the host."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from tinygrad_rnn.kernels.update.equations import written

__all__ = ["clip_by", "norm_by"]

# Powers of two, so that nothing is rounded: squares leave the range of float32 where a number is
# above 2^64 or below 2^-63, and that of float64 above 2^512.
_DOWN, _UP = (2.0**-80, 2.0**-520), 2.0**64


def norm_by(sum_of_squares: Callable[..., Any], arrays: Sequence[Any]) -> float:
    """√(Σ x²), also where the squares are out of range."""
    total = float(sum_of_squares(arrays, 1.0))
    if total < 2.0**-60:
        return math.sqrt(sum_of_squares(arrays, _UP)) / _UP
    if total == math.inf:
        for scale in _DOWN:
            scaled = float(sum_of_squares(arrays, scale))
            if scaled < math.inf:
                return math.sqrt(scaled) / scale
    return math.sqrt(total)


def clip_by(
    sum_of_squares: Callable[..., Any], update: Callable[..., None], arrays: Any, most: float
) -> float:
    """Bring the norm down to ``most`` where it is that or more; return it as it was."""
    norm = norm_by(sum_of_squares, arrays)
    if not norm < most:  # NaN, too
        factor = most / norm

        def rule(x: Any) -> None:
            x.g = factor * x.g

        equations = written(rule)
        update([(equations, {"g": array}, None) for array in arrays])
    return norm
