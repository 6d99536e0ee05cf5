"""Numbers: element types, arrays in every style and layout, and Tensors of them."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.device import normalize_device, to_device
from tinygrad_rnn.tensor import FLOATS, Tensor
from tinygrad_rnn.testing.arrays import LAYOUTS, STYLES, filled, folded, relayout
from tinygrad_rnn.testing.strategies.extents import shapes
from tinygrad_rnn.testing.strategies.given import check_names, check_shape

__all__ = ["arrays", "dtypes", "layouts", "seeds", "tensors"]

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]

_CONSTANT = ("zeros", "ones", "one_hot")  # good to shrink to, but half as likely as the others
EXPLICIT = 64  # drawing more elements than this one by one is slow, and shrinks badly


def seeds() -> st.SearchStrategy[int]:
    """Seeds of generators."""
    return st.integers(0, 2**32 - 1)


def arrays(
    shape: Shape | st.SearchStrategy[Shape],
    dtype: Any = np.float64,
    *,
    styles: Sequence[str] = STYLES,
    low: float = -math.inf,
    high: float = math.inf,
    kinks: Sequence[float] = (0.0,),
    layout: str | st.SearchStrategy[str] = "C",
) -> st.SearchStrategy[Array]:
    """Dense floating-point arrays of any size, which still shrink to readable ones.

    Args:
        styles: Which of ``STYLES`` to draw from; shrinks to the left.
        low, high: Where the elements have to lie; wilder ones are reflected into it.
        kinks: Where the style "near_kink" puts its elements.
        layout: One of ``LAYOUTS``, or a strategy for it such as ``layouts()``.
    """
    check_names("arrays", "styles", styles, STYLES)
    if isinstance(layout, str):
        check_names("arrays", "layout", [layout], LAYOUTS)
    if not low <= high:
        raise ValueError(f"arrays: low is {low} and high {high}, expected low <= high.")
    return _arrays(check_shape("arrays", shape), dtype, styles, (low, high), kinks, layout)


@st.composite
def _arrays(
    draw: st.DrawFn,
    shape: Shape | st.SearchStrategy[Shape],
    dtype: Any,
    styles: Sequence[str],
    bounds: tuple[float, float],
    kinks: Sequence[float],
    layout: str | st.SearchStrategy[str],
) -> Array:
    low, high = bounds
    shape = shape if isinstance(shape, tuple) else draw(shape)
    style = draw(st.sampled_from([*styles, *(s for s in styles if s not in _CONSTANT)]))
    size = math.prod(shape)
    if style == "explicit" and size <= EXPLICIT:
        numbers = st.floats(max(low, -8.0), min(high, 8.0), allow_subnormal=False)
        array = np.array(draw(st.lists(numbers, min_size=size, max_size=size))).reshape(shape)
    else:
        dense = "gaussian" if style == "explicit" else style
        array = folded(filled(shape, dense, draw(seeds()), kinks=kinks), low, high)
    where = layout if isinstance(layout, str) else draw(layout)
    return relayout(array.astype(dtype), where)


def tensors(
    shape: Shape | st.SearchStrategy[Shape] | None = None,
    dtype: Any = np.float64,
    *,
    device: str = "cpu",
    requires_grad: bool = True,
    **options: Any,
) -> st.SearchStrategy[Tensor]:
    """Leaf Tensors.

    Args:
        shape: A shape or a strategy for it; any of ``shapes()`` unless given.
        device: Where the numbers are put.
        options: Those of ``arrays``.
    """
    place = normalize_device(device)

    def leaf(array: Array) -> Tensor:
        return Tensor(to_device(array, place), requires_grad=requires_grad)

    return arrays(shapes() if shape is None else shape, dtype, **options).map(leaf)


def dtypes(sizes: Sequence[int] = (64, 32, 16)) -> st.SearchStrategy[np.dtype[Any]]:
    """The floating-point types that a Tensor has derivatives in.

    Args:
        sizes: How many bits they may have; shrinks to the first.
    """
    known = {8 * dtype.itemsize: dtype for dtype in FLOATS}
    unknown = [size for size in sizes if size not in known]
    if unknown or not len(sizes):
        raise ValueError(
            f"dtypes: sizes is {shortened(sizes)}, expected some of "
            f"{', '.join(map(str, sorted(known)))}."
        )
    return st.sampled_from([known[size] for size in sizes])


def layouts() -> st.SearchStrategy[str]:
    """Every way in which an array can lie in memory."""
    return st.sampled_from(LAYOUTS)
