"""Tensor: an array, whether it wants a gradient, and the node of the graph that made it.

Arithmetic and the other operations are bound by ``tinygrad_rnn.ops`` and ``backward`` by
``tinygrad_rnn.engine``; ``operators.py`` declares them for type checkers.
"""

from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from tinygrad_rnn.device import Array, device_of, to_device, to_host
from tinygrad_rnn.errors import DTypeError, GradientError, ShapeError
from tinygrad_rnn.operators import Operators

if TYPE_CHECKING:
    from tinygrad_rnn.engine import Node

__all__ = ["Tensor", "Version", "as_array", "as_tensor", "from_numpy", "tensor"]

# One clock for the whole library: nodes are numbered by it as they are made, and a change
# of a tensor's array is stamped by it, so "changed after it was saved" is one comparison.
tick: Callable[[], int] = count(1).__next__

FLOATS = frozenset({np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.float64)})


class Version:
    """When an array was last written; shared by a tensor and everything that views it."""

    __slots__ = ("changed",)

    latest = 0  # the last change of any array: engines skip all checks before it

    def __init__(self) -> None:
        self.changed = 0

    def bump(self) -> None:
        """Note that the array is being changed now."""
        self.changed = Version.latest = tick()


class Tensor(Operators):
    """An array with a derivative.

    ``data`` is a read-only view of the array; ``assign_`` (or setting ``data``) writes it.
    ``grad`` is None until a ``backward`` reaches this tensor.
    """

    __slots__ = ("__weakref__", "_data", "_hooks", "_node", "_requires_grad", "_version", "grad")

    _data: Array
    _node: "Node | None"
    _requires_grad: bool
    _version: Version | None
    _hooks: "dict[int, Callable[[Tensor], Tensor | None]] | None"
    grad: "Tensor | None"

    __array_ufunc__ = None  # ndarray <op> Tensor is left to Tensor's reflected operator
    __array_priority__ = 100.0
    __hash__ = object.__hash__  # == compares elements; dictionaries go by identity

    def __init__(self, data: Any, *, requires_grad: bool = False) -> None:
        self._data = as_array(data)
        self._node = None
        self._requires_grad = False
        self._version = None
        self._hooks = None
        self.grad = None
        if requires_grad:
            self.requires_grad = True

    # ----- what it is -----

    @property
    def data(self) -> Array:
        """The array, read-only (a view, nothing is copied)."""
        view = self._data.view()
        if isinstance(view, np.ndarray):
            view.flags.writeable = False
        return view

    @data.setter
    def data(self, value: Any) -> None:
        self.assign_(value)

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of every axis."""
        return self._data.shape  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._data.ndim  # type: ignore[no-any-return]

    @property
    def size(self) -> int:
        """The number of elements."""
        return self._data.size  # type: ignore[no-any-return]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The element type."""
        return self._data.dtype  # type: ignore[no-any-return]

    @property
    def device(self) -> str:
        """Where the array lives: "cpu" or "gpu:N"."""
        return device_of(self._data)

    @property
    def is_leaf(self) -> bool:
        """Whether it was made by the user rather than by a recorded operation."""
        return self._node is None

    @property
    def requires_grad(self) -> bool:
        """Whether derivatives with respect to it are wanted."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, flag: bool) -> None:
        if self._node is not None:
            if not flag:
                raise GradientError(
                    "requires_grad: this tensor is the result of a recorded operation; "
                    "use detach() to get it without its graph."
                )
            return
        if flag and self._data.dtype not in FLOATS:
            raise DTypeError(
                f"requires_grad: the tensor holds {self.dtype}, but only floating-point numbers "
                "have derivatives; convert it with .astype(tg.float32) first."
            )
        self._requires_grad = bool(flag)

    def requires_grad_(self, flag: bool = True) -> "Tensor":
        """Set ``requires_grad`` and return the tensor itself."""
        self.requires_grad = flag
        return self

    # ----- leaving and changing -----

    def numpy(self) -> np.ndarray[Any, Any]:
        """The numbers as a read-only NumPy array; copied only from a GPU."""
        view = to_host(self._data).view()
        view.flags.writeable = False
        return view

    def item(self) -> Any:
        """The only element, as a Python number."""
        if self._data.size != 1:
            raise ShapeError(f"item(): the tensor has shape {self.shape}, expected one element.")
        return self._data.item()

    def tolist(self) -> Any:
        """The numbers as nested lists."""
        return self._data.tolist()

    def detach(self) -> "Tensor":
        """The same memory without the graph."""
        result = Tensor.__new__(Tensor)
        result._data = self._data
        result._node = result._hooks = result.grad = None
        result._requires_grad = False
        result._version = self.shared_version()
        return result

    def assign_(self, value: Any) -> "Tensor":
        """Write new numbers of the same shape into the array, in place."""
        if self._node is not None:
            raise GradientError(
                f"assign_: this tensor is the result of {self._node.op.name!r}, whose derivative "
                "may need its numbers; change a leaf, or detach() it first."
            )
        new = value._data if isinstance(value, Tensor) else value
        if not isinstance(new, type(self._data)):
            new = to_device(np.asarray(new, self._data.dtype), self.device)
        if new.shape != self._data.shape:
            raise ShapeError(f"assign_: got shape {new.shape}, expected {self.shape}.")
        if new.dtype != self._data.dtype:
            raise DTypeError(f"assign_: got {new.dtype}, expected {self.dtype}.")
        if isinstance(self._data, np.ndarray) and not self._data.flags.writeable:
            raise ValueError("assign_: the tensor stands on a read-only array; copy it first.")
        self.shared_version().bump()
        self._data[...] = new
        return self

    def shared_version(self) -> Version:
        """The version cell of the array, to be given to whatever views the same memory."""
        version = self._version
        if version is None:
            version = self._version = Version()
            if self._node is not None:
                self._node.version = version
        return version

    def to(self, device: str) -> "Tensor":
        """The tensor on another device ("cpu", "gpu", "gpu:1"); differentiable."""
        return self._to(device)

    # ----- Python's protocols -----

    def __len__(self) -> int:
        if not self._data.ndim:
            raise TypeError("len() of a tensor without axes.")
        return len(self._data)

    def __bool__(self) -> bool:
        return bool(self._data)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self._data.dtype.kind not in "iu":
            raise TypeError(f"only an integer tensor can be an index; this one holds {self.dtype}.")
        return int(self.item())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        host = self.numpy()
        if dtype is not None and host.dtype != dtype:
            if copy is False:
                raise ValueError(f"a {self.dtype} tensor cannot become {dtype} without a copy.")
            return host.astype(dtype)
        return host.copy() if copy else host

    def __dlpack__(self, **kwargs: Any) -> Any:
        return self._data.__dlpack__(**kwargs)

    def __dlpack_device__(self) -> Any:
        return self._data.__dlpack_device__()

    def __deepcopy__(self, memo: dict[int, Any]) -> "Tensor":
        if self._node is not None:
            raise GradientError(
                "deepcopy: this tensor is the result of a recorded operation, and a graph cannot "
                "be copied; copy a leaf, or detach() it first."
            )
        return self._copy_state(type(self).__new__(type(self)), self._data.copy())

    def _copy_state(self, copy: "Tensor", data: Array) -> "Tensor":
        copy._data = data
        copy._node = copy._version = copy._hooks = None
        copy._requires_grad = self._requires_grad
        copy.grad = None if self.grad is None else Tensor(self.grad._data.copy())
        return copy

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        if self._node is not None:
            raise GradientError("pickle: detach() a recorded tensor before pickling it.")
        return _restore, (type(self), to_host(self._data), self._requires_grad)

    def __repr__(self) -> str:
        body = np.array2string(to_host(self._data), separator=", ", prefix="tensor(")
        tail = "" if self.dtype in (np.float32, np.int64, np.bool_) else f", dtype={self.dtype}"
        if self.device != "cpu":
            tail += f", device={self.device!r}"
        if self._node is not None:
            tail += f", op={self._node.op.name}"
        elif self._requires_grad:
            tail += ", requires_grad=True"
        return f"{'parameter' if type(self) is not Tensor else 'tensor'}({body}{tail})"


def _restore(kind: type[Tensor], data: Array, requires_grad: bool) -> Tensor:
    result = kind.__new__(kind)
    Tensor.__init__(result, data, requires_grad=requires_grad)
    return result


def as_array(data: Any) -> Array:
    """The array behind anything array-like; Python floats become float32, nothing is copied."""
    if isinstance(data, Tensor):
        return data._data
    if isinstance(data, np.ndarray):
        array = data
    elif hasattr(data, "__cuda_array_interface__"):
        return data
    elif isinstance(data, np.generic):
        array = np.asarray(data)
    else:
        try:
            array = np.asarray(data)
        except ValueError as error:
            raise ShapeError(
                f"tensor: rows of different lengths have no shape ({error})."
            ) from None
        if array.dtype == np.float64 and not hasattr(data, "__array__"):
            array = array.astype(np.float32)
    if array.dtype.kind not in "fiubc":
        raise DTypeError(f"tensor: elements of type {array.dtype}, expected numbers or booleans.")
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def tensor(
    data: Any, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """A new leaf with its own copy of ``data``.

    Python floats become float32; NumPy arrays keep their type.
    """
    array = as_array(data)
    array = array.astype(dtype) if dtype is not None else array.copy()
    if device is not None:
        array = to_device(array, device)
    return Tensor(array, requires_grad=requires_grad)


def from_numpy(array: Array) -> Tensor:
    """A leaf that shares the memory of ``array``."""
    return Tensor(array)


def as_tensor(data: Any) -> Tensor:
    """``data`` itself if it is a tensor, else a constant that shares its memory."""
    return data if isinstance(data, Tensor) else Tensor(data)
