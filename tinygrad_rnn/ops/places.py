"""Which places an index names: as arrays where the numbers are, in range, and added to.

On a GPU, index arrays from the CPU are checked, then sent to where the numbers are. Those that
are there are not looked at, as that would wait, unless ``tg.debug()`` watches: a place out of
range is counted on from the other end, and an embedding of such an id is NaN.
"""

import math
from typing import Any

import numpy as np

from tinygrad_rnn import modes
from tinygrad_rnn.device import Array, array_module, beside, on_gpu, to_host
from tinygrad_rnn.errors import DTypeError, IndexRangeError
from tinygrad_rnn.kernels.rows import add_rows
from tinygrad_rnn.tensor import Tensor, as_array

__all__ = [
    "add_at", "along", "check_held", "check_once", "integers", "is_basic", "kept", "plain", "read",
    "sent", "sent_along", "unfit", "within",
]  # fmt: skip


def is_basic(index: Any) -> bool:
    """Whether an index is of numbers, slices, None and ... alone, so that it gives a view."""
    items = index if isinstance(index, tuple) else (index,)
    return all(
        i is None
        or i is Ellipsis
        or (isinstance(i, int | np.integer | slice) and not isinstance(i, bool))
        for i in items
    )


def kept(array: Array) -> Array:
    """An index or a mask as an operation may keep it: callers use theirs again before the way back.

    No version would tell: most of them are arrays, and these are small beside what they are for.
    """
    return array if modes.recording.get() is False else array.copy()


def plain(index: Any) -> Any:
    """The index with arrays in place of Tensors and lists, all of them such as may be kept."""
    if isinstance(index, tuple):
        return tuple(plain(i) for i in index)
    if isinstance(index, Tensor | list):
        array = _whole_numbers(as_array(index, "getitem"))
        if array.dtype.kind not in "iub":
            raise DTypeError(
                f"getitem: the index holds {array.dtype}, expected integers or booleans."
            )
        return kept(array)
    return kept(index) if isinstance(index, np.ndarray) or on_gpu(index) else index


def _whole_numbers(array: Array) -> Array:
    """An empty list holds no floats, though NumPy makes them of it."""
    return array.astype(np.int64) if not array.size and array.dtype.kind == "f" else array


def integers(name: str, index: Any) -> Array:
    """An array of whole numbers, where it is."""
    array = _whole_numbers(as_array(index, name))
    if array.dtype.kind not in "iu":
        raise DTypeError(f"{name}: the index holds {array.dtype}, expected integers.")
    return kept(array)


# ----- where they are, and whether they are in range -----


def sent(where: str, index: Any, x: Tensor) -> Any:
    """The index with its arrays where ``x`` is; what comes from the CPU is checked before."""
    if index.__class__ is x._data.__class__ is np.ndarray:
        return index  # NumPy checks
    parts = index if isinstance(index, tuple) else (index,)
    arrays = [part for part in parts if hasattr(part, "dtype") and not isinstance(part, np.generic)]
    if all(part.__class__ is np.ndarray for part in (*arrays, x._data)):
        return index
    if modes.watched() or all(isinstance(array, np.ndarray) for array in arrays):
        read(where, x, _mapped(to_host, index))
    return _mapped(lambda array: beside(where, array, x._data), index)


def _mapped(change: Any, index: Any) -> Any:
    """The index with a function applied to its arrays."""
    if isinstance(index, tuple):
        return tuple([_mapped(change, part) for part in index])
    return change(index) if hasattr(index, "dtype") and not isinstance(index, np.generic) else index


def read(where: str, x: Tensor, index: Any) -> Array:
    """What the index reads of an array of the shape of ``x``, for the shape that it has."""
    parts = index if isinstance(index, tuple) else (index,)
    there = any(on_gpu(part) for part in parts)
    shown = array_module(x._data) if there else np
    try:
        return shown.broadcast_to(shown.zeros((), bool), x.shape)[index]
    except IndexError as error:
        raise IndexRangeError(
            f"{where}: got {x.dtype}{list(x.shape)}: {str(error).strip(' .')}."
        ) from error


def check_once(x: Tensor, index: Any) -> None:
    """Raise if an index names a place twice, where that can be seen without waiting."""
    parts = index if isinstance(index, tuple) else (index,)
    if any(on_gpu(part) for part in parts):
        if not modes.watched():
            return
        index = _mapped(to_host, index)
    places, shape = read("index_update", x, index).shape, x.shape
    if isinstance(index, np.ndarray) and index.dtype.kind in "iu":  # of whole rows
        places, shape = places[: index.ndim], shape[:1]
    counts = np.zeros(shape)
    np.add.at(counts, index, np.ones(places))
    if counts.max(initial=0) > 1:
        raise IndexRangeError(
            "index_update: the index names a place more than once, so which value stays is "
            "undefined; use index_add to add them up."
        )


def check_held(x: Array, value: Any) -> None:
    """Raise where integers are none that the type of ``x`` holds: NumPy keeps their last bits."""
    if x.dtype.kind not in "iu":
        return
    if isinstance(value, int):
        x.dtype.type(value)  # raises
    elif value.dtype != x.dtype and value.dtype.kind in "iu" and value.size:
        limits = np.iinfo(x.dtype)
        if value.min() < limits.min or value.max() > limits.max:
            raise OverflowError(f"{x.dtype} holds {limits.min} to {limits.max}")


def along(index: Array, axis: int, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """The advanced index that reads ``index`` along one axis and counts along the others."""
    xp, count = array_module(index), len(shape)
    grid = [xp.arange(n).reshape((1,) * i + (n,) + (1,) * (count - i - 1))
            for i, n in enumerate(shape)]  # fmt: skip
    grid[axis] = index
    return tuple(grid)


def sent_along(where: str, index: Array, x: Tensor, axis: int) -> Array:
    """As ``_sent``, of an index along one axis."""
    if index.__class__ is x._data.__class__ is np.ndarray:
        return index
    n = x.shape[axis]
    if index.size and (modes.watched() or isinstance(index, np.ndarray)):
        host = to_host(index)
        if not (-n <= host.min() and host.max() < n):
            raise unfit(where, x, host, axis)
    return beside(where, index, x._data)


def unfit(where: str, x: Tensor, index: Array, axis: int) -> IndexRangeError:
    """Why an index along an axis cannot be read or written."""
    n = x.shape[axis]
    if isinstance(index, np.ndarray) and index.size and not (-n <= index.min() <= index.max() < n):
        bad = index.max() if index.max() >= n else index.min()
        reason = f"the index holds {bad}, expected {-n} to {n - 1}, as axis {axis} has size {n}"
    else:
        reason = "expected shapes that agree on every other axis"
    return IndexRangeError(
        f"{where}: index of shape {index.shape} along axis {axis} of {x.shape}: {reason}."
    )


def within(ids: Array, count: int, dtype: Any) -> tuple[Array, Array]:
    """Ids on a GPU, 0 for those that are none of ``count``, and for each 0, or NaN for these.

    So nothing waits, nothing reads past an end, and what is wrong does not pass unseen.
    """
    bad, number = (ids < 0) | (ids >= count), np.dtype(dtype).type
    return np.where(bad, 0, ids), np.where(bad, number(np.nan), number(0))


# ----- adding -----


def add_at(total: Array, index: Any, x: Array) -> None:
    """Add ``x`` to a contiguous array at places that may repeat, in the order of ``x``."""
    if isinstance(total, np.ndarray):
        np.add.at(total, index, x)
        return
    # CuPy adds in any order. Whole rows are added at once where the index names whole rows.
    parts = index if isinstance(index, tuple) else (index,)
    rows = all(hasattr(part, "ndim") for part in parts)
    count = sum(part.ndim if part.dtype == bool else 1 for part in parts) if rows else total.ndim
    lead, width = total.shape[:count], math.prod(total.shape[count:])
    xp = array_module(total)
    places = xp.arange(math.prod(lead)).reshape(lead)[index]
    rows = xp.ascontiguousarray(x.reshape(places.size, width))
    add_rows(total.reshape(math.prod(lead), width), xp.ascontiguousarray(places.reshape(-1)), rows)
