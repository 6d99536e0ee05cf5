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
the order of the arrays makes no difference. They may be any views. ``norm`` is the root of that
sum, whatever the range of the squares, and ``clip`` brings it down in place:

    n = √(Σ x²)        x ← x · most / n  where  n ≥ most

On a GPU n, and the factor, are computed there and stay there: nobody waits for them.
"""

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

from tinygrad_rnn.kernels._twin import Array, twin
from tinygrad_rnn.kernels.update.equations import Equations, written
from tinygrad_rnn.kernels.update.norms import clip_by, norm_by

__all__ = [
    "Equations", "Item", "clip", "norm", "sum_of_squares", "touched", "update", "written",
]  # fmt: skip


class Item(NamedTuple):
    """Arrays by the names that the equations have for them, and which rows of them; None: all.

    ``places`` are whole numbers, none of them twice, or a boolean for each row.
    """

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
    """The rows of x in which not all numbers are zero, as ``places`` of an item.

    On the CPU their places, ascending; on a GPU, where nobody is to wait for how many there are,
    a boolean for each row.
    """
    return twin(__name__, x).touched(x)


def sum_of_squares(arrays: Sequence[Array], scale: float = 1.0) -> float:
    """The sum of (scale x)^2 over all elements of all arrays; inf where it is too large."""
    by_twin = _by_twin(arrays)
    return float(sum(m.sum_of_squares(some, scale) for m, some in by_twin.items()))


def norm(arrays: Sequence[Array]) -> Any:
    """√(Σ x²) over all arrays: a number, or of one GPU's arrays an array without axes there."""
    modules = list(_by_twin(arrays))
    return modules[0].norm(arrays) if len(modules) == 1 else norm_by(sum_of_squares, arrays)


def clip(arrays: Sequence[Array], most: float) -> Any:
    """Bring the norm of all arrays down to ``most``, in place; return it as it was, as ``norm``.

    They are C-contiguous. Nothing is touched where the norm is less; it makes NaN of all where
    it is NaN or infinite.
    """
    modules = list(_by_twin(arrays))
    if len(modules) == 1:
        return modules[0].clip(arrays, most)
    return clip_by(sum_of_squares, lambda items: update([Item(*i) for i in items]), arrays, most)


def _by_twin(arrays: Sequence[Array]) -> dict[ModuleType, list[Array]]:
    by_twin: dict[ModuleType, list[Array]] = {}
    for array in arrays:
        by_twin.setdefault(twin(__name__, array), []).append(array)
    return by_twin
