"""How the inputs of an operation lie along an axis of its output.

Rows of a batch that stand along an axis are kept apart by an operation that computes place for
place there: what arrives at one place of an input is the gradient of that row. An input that
has no such axis is shared by all places, as a weight is; its gradient is the sum of what each
place says. An operation that declares this lets ``per_sample_grads`` take the sum row by row.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

__all__ = ["Along", "AlongRule", "RowWise", "first_axis", "place_for_place"]

Shape = tuple[int, ...]


class Along(NamedTuple):
    """The axis of each input along an axis of the output; None for one that is shared.

    attrs  the same for attributes that are arrays
    """

    inputs: tuple[int | None, ...]
    attrs: Mapping[str, int] = MappingProxyType({})


# (axis of the output, its shape, the shapes of the inputs, attrs) -> Along, or None where the
# operation does not go place for place along that axis.
AlongRule = Callable[[int, Shape, Sequence[Shape], Mapping[str, Any]], Along | None]


class RowWise(NamedTuple):
    """What a fused operation that keeps rows apart offers.

    axes(inputs, **attrs)  the axis of the rows in every output, and in every input (None: shared)
    backward               as its own, but what is shared has a gradient for each row: (n, *shape)
    """

    axes: Callable[..., tuple[Sequence[int], Sequence[int | None]]]
    backward: Callable[..., Any]


def place_for_place(
    axis: int, out: Shape, shapes: Sequence[Shape], _attrs: Mapping[str, Any]
) -> Along:
    """Inputs that broadcast against each other: shared is what is repeated along the axis."""
    places = [axis - len(out) + len(shape) for shape in shapes]
    return Along(
        tuple(
            place if place >= 0 and shape[place] == out[axis] else None
            for place, shape in zip(places, shapes, strict=True)
        )
    )


def first_axis(
    axis: int, out: Shape, shapes: Sequence[Shape], _attrs: Mapping[str, Any]
) -> Along | None:
    """Rows of the first of several matrices, which all others are shared by."""
    if axis or len(out) != 2:
        return None
    return Along((0, *[None] * (len(shapes) - 1)))
