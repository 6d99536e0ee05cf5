"""What laws share: their type, one recorded call, and comparing arrays."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tinygrad_rnn.modes import enable_grad
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.testing.closeness import worst_place
from tinygrad_rnn.testing.comparison import generic_like, gradients_of
from tinygrad_rnn.testing.faults import LawViolation, Untestable
from tinygrad_rnn.testing.numeric import Array, differentiable
from tinygrad_rnn.testing.strategies import seeds
from tinygrad_rnn.testing.subject import Subject

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = [
    "ROUNDING", "Call", "Draw", "Law", "expect", "expect_close", "expect_same", "random", "record",
    "rounding_of", "title_of",
]  # fmt: skip

Draw = Callable[["SearchStrategy[Any]"], Any]
Law = Callable[[Subject, Draw], None]

# Two ways to sum the same terms in float64, against the largest of them.
ROUNDING = 1e-12


class Call(NamedTuple):
    """One recorded call: its inputs, and the results that can have gradients."""

    leaves: list[Tensor]
    outputs: list[Tensor]

    def values(self) -> list[Array]:
        """The results as arrays."""
        return [out.numpy() for out in self.outputs]

    def cotangents(self, rng: np.random.Generator) -> list[Array]:
        """For every result one to start from, with no element near 0."""
        return [generic_like(rng, out).astype(out.dtype) for out in self.outputs]

    def gradients(self, cotangents: Sequence[Any]) -> list[Array]:
        """The gradient of every input, as an array of its own; zeros for what does not matter."""
        return gradients_of(self.outputs, self.leaves, cotangents)


def record(subject: Subject, leaves: list[Tensor] | None = None) -> Call:
    """Call the subject, at its point unless told otherwise, and record the call."""
    leaves = subject.leaves() if leaves is None else leaves
    with enable_grad():
        returned = subject(*leaves)
    outputs = [out for out in differentiable(returned) if isinstance(out, Tensor)]
    nothing_to_cut = isinstance(returned, tuple | list) and not returned
    if not outputs and not nothing_to_cut:  # every law would hold
        raise Untestable(
            subject.title,
            "returns nothing to differentiate",
            f"it returned {'None' if returned is None else f'a {type(returned).__name__}'}, "
            "expected a Tensor of floating-point numbers or several",
        )
    return Call(leaves, outputs)


def random(draw: Draw) -> np.random.Generator:
    """A generator whose seed is drawn."""
    return np.random.default_rng(draw(seeds()))


def title_of(function: Any) -> str:
    """What messages call a function."""
    function = getattr(function, "func", function)  # of functools.partial
    return str(getattr(function, "__name__", None) or type(function).__name__)


def rounding_of(*arrays: Array) -> float:
    """By how much sums of such numbers may differ: ``ROUNDING`` of the largest, at least of 1."""
    largest = max((float(np.abs(_finite(x)).max(initial=0)) for x in arrays), default=0.0)
    return ROUNDING * max(1.0, largest)


def _finite(x: Array) -> Array:
    numbers: Array = np.nan_to_num(x, nan=0.0, posinf=0.0, neginf=0.0)
    return numbers


# ----- comparing -----


def expect(held: bool, law: str, title: str, found: str, expected: str) -> None:
    """Raise LawViolation unless it holds."""
    if not held:
        raise LawViolation(law, title, found, expected)


def expect_same(law: str, title: str, what: str, found: Array, expected: Array) -> None:
    """Raise LawViolation unless two arrays are of one type and equal to the bit."""
    expect(
        found.dtype == expected.dtype, law, title, f"{what} holds {found.dtype}",
        f"{expected.dtype}",
    )  # fmt: skip
    expect_close(law, title, what, found, expected, 0.0)


def expect_close(
    law: str, title: str, what: str, found: Array, expected: Array, room: float
) -> None:
    """Raise LawViolation where elements are further apart than ``room``; NaN equals NaN."""
    expect(
        found.shape == expected.shape, law, title, f"{what} has shape {found.shape}",
        f"{expected.shape}",
    )  # fmt: skip
    index = worst_place(found, expected, room)
    if index is not None:
        allowed = f" to within {room:.3g}" if room else ""
        raise LawViolation(
            law, title, f"{what}{list(index) if index else ''} is {float(found[index]):.17g}",
            f"{float(expected[index]):.17g}{allowed}",
        )  # fmt: skip
