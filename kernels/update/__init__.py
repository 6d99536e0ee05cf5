"""Updates of arrays in place, element by element: the step of an optimiser over all parameters.

    def rule(x):                                     the equations, in NumPy
        x.m = 0.9 * x.m + x.g
        x.w = x.w - 0.1 * x.m

    equations = written(rule)                        reads m, g, w; writes m, w
    update([Item(equations, {"w": ..., "g": ..., "m": ...}), ...])

The rule is the definition: over arrays it is what happens. It is also called with symbols in
their place, which write down each operation, and the kernel is made of these lines. Numbers are
arguments of the kernel, whatever they are: another learning rate compiles nothing. What has
only numbers in it is computed by Python, in float64, and rounded when it meets an array.

The arrays of an item have one shape and element type and are C-contiguous; those that the rule
assigns are written, in one pass over memory, without any array between. All items that differ
in numbers only are one dispatch. Each operation is rounded once, so the bits are those that
NumPy gives, and depend neither on threads nor on how arrays are cut.

``places`` restricts an item to some rows of its arrays, such as those that ``touched`` finds in
the gradient of an embedding.

``sum_of_squares(arrays, scale)`` sums (scale x)^2 over blocks of fixed size, and these exactly:
the order of the arrays makes no difference. They may be any views.
"""

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

from tinygrad_rnn.kernels._twin import Array, twin
from tinygrad_rnn.kernels.update.equations import Equations, written

__all__ = ["Equations", "Item", "sum_of_squares", "touched", "update", "written"]


class Item(NamedTuple):
    """Arrays by the names that the equations have for them, and which rows of them; None: all."""

    equations: Equations
    arrays: Mapping[str, Array]
    places: Any = None


def update(items: Sequence[Item]) -> None:
    """Compute the equations of every item, in place."""
    by_twin: dict[ModuleType, list[Item]] = {}
    for item in items:
        module = twin(__name__, next(iter(item.arrays.values())))
        by_twin.setdefault(module, []).append(item)
    for module, some in by_twin.items():
        module.update(some)


def touched(x: Array) -> Array:
    """The rows of x in which not all numbers are zero: their places, ascending."""
    return twin(__name__, x).touched(x)


def sum_of_squares(arrays: Sequence[Array], scale: float = 1.0) -> float:
    """The sum of (scale x)^2 over all elements of all arrays; inf where it is too large."""
    by_twin: dict[ModuleType, list[Array]] = {}
    for array in arrays:
        by_twin.setdefault(twin(__name__, array), []).append(array)
    return float(sum(m.sum_of_squares(some, scale) for m, some in by_twin.items()))
