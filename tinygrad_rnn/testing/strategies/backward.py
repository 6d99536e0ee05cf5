"""What a backward pass starts from, and what it is asked for."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tinygrad_rnn.arguments import shortened, whole
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.testing.arrays import LAYOUTS
from tinygrad_rnn.testing.strategies.given import check_names
from tinygrad_rnn.testing.strategies.values import arrays, layouts

__all__ = ["cotangents", "needs_grad"]

Array = np.ndarray[Any, Any]


def cotangents(
    outputs: Sequence[Any],
    *,
    undefined: bool = True,
    layout: str | st.SearchStrategy[str] | None = None,
) -> st.SearchStrategy[list[Array | None]]:
    """A float64 array for every output, each drawn on its own: what backward starts from.

    Every output, final states included: a path that no cotangent enters is not tested.
    Shrinks to zeros for all of them.

    Args:
        outputs: Tensors, arrays or shapes.
        undefined: Whether some may be None, as for outputs that nobody uses; never all.
        layout: One of ``LAYOUTS``, or a strategy for it; None for any, most often "C".
    """
    if isinstance(outputs, np.ndarray | Tensor) or not len(outputs):
        given = "empty" if isinstance(outputs, Sequence) else f"one {type(outputs).__name__}"
        raise ValueError(f"cotangents: outputs is {given}, expected a list with one or more.")
    shapes = [_shape_of(number, output) for number, output in enumerate(outputs)]
    if isinstance(layout, str):
        check_names("cotangents", "layout", [layout], LAYOUTS)
    where = st.one_of(st.just("C"), layouts()) if layout is None else layout
    every = st.tuples(*(arrays(shape, layout=where) for shape in shapes))
    if not undefined:
        return every.map(list)
    return st.tuples(needs_grad(len(shapes)), every).map(
        lambda drawn: [w if used else None for used, w in zip(*drawn, strict=True)]
    )


def _shape_of(number: int, output: Any) -> tuple[int, ...]:
    if isinstance(output, np.ndarray | np.generic | Tensor):
        return output.shape
    if not isinstance(output, tuple) or not all(isinstance(n, int | np.integer) for n in output):
        raise ValueError(
            f"cotangents: output {number} is {shortened(output)}, expected a Tensor, an array or "
            "a shape; give nested outputs as one flat list."
        )
    return tuple(whole("cotangents", f"a size of output {number}", n, 0) for n in output)


def needs_grad(n: int) -> st.SearchStrategy[tuple[bool, ...]]:
    """Which of ``n`` inputs need a gradient: booleans, not all False; shrinks to all True."""
    return _needs_grad(whole("needs_grad", "n", n, least=1))


@st.composite
def _needs_grad(draw: st.DrawFn, n: int) -> tuple[bool, ...]:
    flags = draw(st.lists(st.sampled_from([True, False]), min_size=n, max_size=n))
    if not any(flags):
        flags[draw(st.integers(0, n - 1))] = True
    return tuple(flags)
