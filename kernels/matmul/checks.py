"""What every twin refuses: factors that do not fit together, and starts that make no sense."""

from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.kernels._twin import Array

__all__ = ["check_product"]


def check_product(
    a: Array, b: Array, out: Array | None, bias: Array | None, accumulate: bool
) -> None:
    """Raise unless it is clear what is multiplied, and where the sums start."""
    if a.ndim < 2 or len(b.shape) < 2 or a.shape[-1] != b.shape[-2]:
        raise ShapeError(
            f"matmul: a has shape {a.shape} and b {b.shape}; expected (..., M, K) and (..., K, N)."
        )
    if accumulate and out is None:
        raise ValueError("matmul: accumulate=True adds to what out holds, but out was not given.")
    if accumulate and bias is not None:
        raise ValueError("matmul: given a bias and accumulate=True, expected one of them at most.")
