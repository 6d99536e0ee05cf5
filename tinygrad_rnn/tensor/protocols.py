"""A Tensor as an array and as a Python object: shape, numbers, conversions, text."""

from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_rnn.device import Array, device_of, to_host
from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.operators import Operators
from tinygrad_rnn.tensor.numpy_calls import Override, call_function

if TYPE_CHECKING:
    from tinygrad_rnn.engine import Node

__all__ = ["Protocols"]


class Protocols(Operators):
    """What Python and NumPy ask of an object that holds an array."""

    __slots__ = ()

    __array_ufunc__ = Override()
    __array_priority__ = 100.0

    _data: Array
    _node: "Node | None"  # of a recorded result; None of a leaf
    _requires_grad: bool

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

    def numpy(self) -> np.ndarray[Any, Any]:
        """The numbers as a read-only NumPy array; copied only from a GPU."""
        view = to_host(self._data).view()
        view.flags.writeable = False
        return view

    def item(self) -> Any:
        """The only element, as a Python number."""
        return self._only("item")

    def _only(self, where: str) -> Any:
        if self._data.size != 1:
            raise ShapeError(
                f"{where}(): the tensor has shape {self.shape}, expected a single element. Reduce "
                "it first: with .sum() or .mean(), or for a condition .all() or .any() of .data."
            )
        return self._data.item()

    def tolist(self) -> Any:
        """The numbers as nested lists."""
        return self._data.tolist()

    def __len__(self) -> int:
        if not self._data.ndim:
            raise TypeError("len(): the tensor has no axes, expected at least one.")
        return len(self._data)

    def __contains__(self, value: object) -> bool:
        return bool(np.any(self == value))  # as of an array: is any of the numbers equal?

    def __bool__(self) -> bool:
        return bool(self._only("bool"))

    def __float__(self) -> float:
        return float(self._only("float"))

    def __int__(self) -> int:
        return int(self._only("int"))

    def __index__(self) -> int:
        if self._data.dtype.kind not in "iu":
            raise TypeError(
                f"index: the tensor holds {self.dtype}, expected integers: only they can stand "
                "for a place. Convert it with int()."
            )
        return int(self._only("index"))

    def __format__(self, spec: str) -> str:
        return format(self._only("format"), spec) if spec else str(self)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TypeError(
            "x[index] = value: tensors are not written in part, expected an operation that gives "
            "a new one: x = tg.ops.index_update(x, index, value). All of a leaf is written by "
            "x.assign_(array)."
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        host = self.numpy()
        if dtype is not None and host.dtype != dtype:
            if copy is False:
                raise ValueError(f"a {self.dtype} tensor cannot become {dtype} without a copy.")
            return host.astype(dtype)
        return host.copy() if copy else host

    def __array_function__(self, function: Any, _types: Any, args: Any, kwargs: Any) -> Any:
        return call_function(function, args, kwargs)

    def __dlpack__(self, **options: Any) -> Any:
        if not isinstance(self._data, np.ndarray):
            return self._data.__dlpack__(**options)
        # Read-only, as .data is; a consumer too old to be told so gets a copy.
        told = (options.get("max_version") or (0,))[0] >= 1
        return (self.numpy() if told else self._data.copy()).__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self._data.__dlpack_device__()

    def __repr__(self) -> str:
        kind = type(self).__name__.lower()
        text = np.array2string(to_host(self._data), separator=", ", prefix=f"{kind}(")
        if not self.size:
            text += f", shape={self.shape}"
        if self.dtype not in (np.float32, np.int64, np.bool_):
            text += f", dtype={self.dtype}"
        if self.device != "cpu":
            text += f", device={self.device!r}"
        if self._node is not None:
            text += f", op={self._node.op.name}"
        elif self._requires_grad:
            text += ", requires_grad=True"
        return f"{kind}({text})"
