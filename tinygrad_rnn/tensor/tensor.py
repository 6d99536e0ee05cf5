"""Tensor: an array, whether it wants a gradient, and the node of the graph that made it.

Arithmetic and the other operations are bound by ``tinygrad_rnn.ops``; ``operators.py``
declares them for type checkers.
"""

import weakref
from collections.abc import Callable
from typing import Any, SupportsIndex

import numpy as np

from tinygrad_rnn import modes
from tinygrad_rnn.arguments import TYPES, function_of, shortened
from tinygrad_rnn.device import Array, array_module, on_gpu, there, to_device, to_host
from tinygrad_rnn.errors import (
    DeviceError,
    DTypeError,
    GradientError,
    ShapeError,
    TinygradError,
)
from tinygrad_rnn.tensor.protocols import Protocols
from tinygrad_rnn.tensor.version import Version, tick

__all__ = ["FLOATS", "HookHandle", "Tensor", "as_array", "as_operand", "as_tensor", "constant"]

FLOATS: frozenset[np.dtype[Any]] = frozenset(map(np.dtype, ("float16", "float32", "float64")))

# Which numbers hold which others without loss of a fraction, a sign or an imaginary part.
_KINDS = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}


class HookHandle:
    """Takes a hook back: with ``remove()``, or at the end of a with block."""

    __slots__ = ("_hooks", "_key")

    def __init__(self, hooks: dict[int, Any], hook: Callable[..., Any]) -> None:
        self._hooks = hooks
        self._key = tick()  # dictionaries keep the order in which things were put in
        hooks[self._key] = hook

    def remove(self) -> None:
        """Take the hook back; doing so again does nothing."""
        self._hooks.pop(self._key, None)

    def __enter__(self) -> "HookHandle":
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


Hook = Callable[["Tensor"], "Tensor | None"]


class Tensor(Protocols):
    """An array with a derivative.

    ``data`` is a read-only view of the array; ``assign_`` (or setting ``data``) writes it.
    ``grad`` is None until a ``backward`` reaches this tensor.
    """

    __slots__ = ("__weakref__", "_data", "_grad", "_hooks", "_node", "_requires_grad", "_version")

    _version: Version | None  # made when somebody first asks for it
    _hooks: "dict[int, Hook] | None"  # of a leaf; those of a result are on its node
    _grad: "Tensor | None"

    __hash__ = object.__hash__  # == compares elements; dictionaries go by identity

    _trained = False  # whether a module trains it: then a name must never be bound anew

    def __init__(self, data: Any, *, requires_grad: bool = False) -> None:
        self._data = as_operand(data)
        self._node = None
        self._requires_grad = False
        # Two tensors on one array share its version, or a change through one would go unseen.
        self._version = data.shared_version() if isinstance(data, Tensor) else Version()
        self._hooks = self._grad = None
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
                    f"requires_grad: the tensor is the result of {self._node.op.name!r}, expected "
                    "a leaf: a result is what it was computed from. Use detach() to get it "
                    "without its graph."
                )
            return
        if flag and self._data.dtype not in FLOATS:
            raise DTypeError(
                f"requires_grad: the tensor holds {self.dtype}, expected floating-point numbers: "
                "only they have derivatives. Convert it first, with .astype(tg.float32), or write "
                "1.0 for 1."
            )
        self._requires_grad = bool(flag)

    def requires_grad_(self, flag: bool = True) -> "Tensor":
        """Set ``requires_grad`` and return the tensor itself."""
        self.requires_grad = flag
        return self

    # ----- its gradient -----

    @property
    def grad(self) -> "Tensor | None":
        """What ``backward`` has added up for this tensor; set it to None to begin anew."""
        return self._grad

    @grad.setter
    def grad(self, value: "Tensor | None") -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(f"grad: got {type(value).__name__}, expected a Tensor or None.")
            mine, theirs = (f"{t.dtype}{list(t.shape)} on {t.device}" for t in (self, value))
            if mine != theirs:
                kind: type[TinygradError] = DTypeError
                if value.shape != self.shape:
                    kind = ShapeError
                elif value.dtype == self.dtype:
                    kind = DeviceError
                raise kind(f"grad: got {theirs}, expected {mine}, as the tensor is.")
        self._grad = value

    def register_hook(self, hook: "Hook") -> HookHandle:
        """Call ``hook`` with the gradient of this tensor, once in every backward pass.

        The gradient is the whole one, the sum over everything that used the tensor. What
        the hook returns takes its place, unless it is None. Hooks run in the order of
        their registration.
        """
        function_of("register_hook", "hook", hook)
        if not self._requires_grad:
            raise GradientError(
                f"register_hook: the tensor ({self.dtype}{list(self.shape)}) does not require a "
                "gradient, so a hook would never be called; expected one with requires_grad=True "
                "or the result of recorded operations."
            )
        if self._node is not None:
            return HookHandle(self._node.noted().hooks, hook)
        if self._hooks is None:
            self._hooks = {}
        return HookHandle(self._hooks, hook)

    def retain_grad(self) -> "Tensor":
        """Let ``backward`` leave a gradient here too, though this is the result of an operation."""
        if not self._requires_grad:
            raise GradientError(
                f"retain_grad: the tensor ({self.dtype}{list(self.shape)}) does not require a "
                "gradient; expected the result of recorded operations."
            )
        if self._node is not None:  # a leaf gets its gradient anyway
            # Weak: a node that held its own result would never die.
            self._node.noted().keeper = weakref.ref(self)
        return self

    # ----- leaving and changing -----

    def detach(self) -> "Tensor":
        """The same memory without the graph."""
        result = Tensor.__new__(Tensor)
        result._data = self._data
        result._node = result._hooks = result._grad = None
        result._requires_grad = False
        result._version = self.shared_version()
        return result

    def assign_(self, value: Any) -> "Tensor":
        """Write new numbers of the same shape and type into the array, in place."""
        if self._node is not None:
            raise GradientError(
                f"assign_: the tensor is the result of {self._node.op.name!r}, expected a leaf: "
                "derivatives may need the numbers of a result as they are. Assign to a leaf, or to "
                "a copy, detach().clone()."
            )
        new = self._to_be_written(value)
        if new.shape != self._data.shape or new.dtype != self._data.dtype:
            kind = ShapeError if new.shape != self._data.shape else DTypeError
            raise kind(
                f"assign_: got {new.dtype}{list(new.shape)}, expected "
                f"{self.dtype}{list(self.shape)}: only the numbers of a tensor can change."
            )
        if isinstance(self._data, np.ndarray) and not self._data.flags.writeable:
            raise ValueError(
                "assign_: the tensor stands on a read-only array, expected one that can be "
                "written. Was it made from another tensor's .data or .numpy(), or by "
                "broadcasting? Copy it first, with tg.tensor()."
            )
        new = to_device(new, self.device)
        version = self.shared_version()
        version.bump()
        try:
            with there(self._data):
                self._data[...] = new
        finally:
            # Again: what another thread has made of the numbers meanwhile, such as a packed
            # copy, may hold old ones, and must not pass for what stands here now.
            version.bump()
        return self

    def _to_be_written(self, value: Any) -> Array:
        """The array of a new value; plain numbers and lists have no type and take this one's."""
        if isinstance(value, np.float64 | np.complex128):
            value = value.item()  # they are Python's numbers, too
        array = as_array(value, "assign_")
        if hasattr(value, "dtype") or _KINDS[array.dtype.kind] > _KINDS[self._data.dtype.kind]:
            return array
        return np.asarray(value, self._data.dtype)

    def refuse_update(self, symbol: str) -> None:
        """Raise where ``x -= step`` is meant to change ``x``: it only gives the name a new tensor.

        That is what a function may want, and what ``loss += x`` does. But a Parameter, or a
        leaf that holds a gradient, is about to be trained, and would silently stay as it is.
        """
        if self._node is None and (
            self._trained or (self._requires_grad and self._grad is not None)
        ):
            kind = type(self).__name__
            raise TypeError(
                f"p {symbol}= y: p is a {kind} ({self.dtype}{list(self.shape)}) that is trained, "
                "expected a call that writes its numbers: operators give new tensors, so the name "
                f"would stand for another one and the {kind} stay as it is. Write "
                f"`with tg.no_grad(): p.assign_(p {symbol} y)`, such as p.assign_(p - lr * "
                f"p.grad); or, for a new tensor, `q = p {symbol} y`."
            )

    def shared_version(self) -> Version:
        """The version cell of the array, to be given to whatever views the same memory."""
        version = self._version
        if version is None:
            node = self._node
            if node is None:
                version = Version()
            else:  # another Tensor may stand for the same node
                version = node.version = node.version or Version()
            self._version = version
        return version

    # ----- copies -----

    def __copy__(self) -> "Tensor":
        self._refuse_result("copy")
        result = self._copy_state(type(self).__new__(type(self)), self._data)
        result._version = self.shared_version()
        return result

    def __deepcopy__(self, memo: dict[int, Any]) -> "Tensor":
        self._refuse_result("deepcopy")
        with there(self._data):
            return self._copy_state(type(self).__new__(type(self)), self._data.copy())

    def _copy_state(self, copy: "Tensor", data: Array) -> "Tensor":
        copy._data = data
        copy._node = copy._hooks = None
        copy._version = Version()
        copy._requires_grad = self._requires_grad
        copy._grad = None if self._grad is None else Tensor(self._grad._data.copy())
        return copy

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        self._refuse_result("pickle")
        return _restore, (type(self), to_host(self._data), self._requires_grad)

    def _refuse_result(self, where: str) -> None:
        if self._node is not None:
            raise GradientError(
                f"{where}: the tensor is the result of {self._node.op.name!r}, expected a leaf: a "
                "graph is neither copied nor stored. Use detach() for its numbers alone, or "
                "clone() for a copy inside the graph."
            )


def _restore(kind: type[Tensor], data: Array, requires_grad: bool) -> Tensor:
    result = kind.__new__(kind)
    Tensor.__init__(result, data, requires_grad=requires_grad)
    return result


def as_array(data: Any, where: str = "tensor", *, exact: bool = False) -> Array:
    """The array behind anything array-like; nothing is copied.

    Python floats become float32. ``exact`` keeps their digits, for constants that are brought
    to the type of a tensor afterwards.
    """
    if isinstance(data, Tensor):
        return data._data
    if isinstance(data, np.ndarray):
        array = data
        if data.__class__ is not np.ndarray:  # no matrix, no memmap
            if np.any(getattr(data, "mask", False)):
                raise DTypeError(
                    f"{where}: got a masked array, expected one whose numbers all count: a Tensor "
                    "has no mask. Give what is masked a value, with .filled()."
                )
            array = np.asarray(data)
    elif on_gpu(data):
        return data
    elif isinstance(data, np.generic):
        array = np.asarray(data)
    else:
        try:
            array = np.asarray(data)
        except ValueError as error:
            if isinstance(data, tuple) and isinstance(data[0], Tensor):
                raise ShapeError(
                    f"{where}: got a tuple of {len(data)}, expected a Tensor. Recurrent layers "
                    "give (y, state): take the first."
                ) from None
            raise ShapeError(
                f"{where}: got rows of different lengths, expected equal ones ({error}). Pad them "
                "to one length first."
            ) from None
        if array.dtype == np.float64 and not hasattr(data, "__array__") and not exact:
            array = array.astype(np.float32)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype not in TYPES:
        kind = "" if array.dtype == np.object_ else f" of type {array.dtype}"
        raise DTypeError(
            f"{where}: got {shortened(data)}{kind}, expected booleans or numbers of up to 64 bits."
        )
    return array


def as_operand(data: Any, where: str = "tensor") -> Array:
    """The array of what an operation is given: no list whose gradients would be lost."""
    array = as_array(data, where)
    lost = isinstance(data, list | tuple) and array.dtype.kind == "f" and _wants_gradient(data)
    if lost and modes.recording.get():
        raise GradientError(
            f"{where}: got a {type(data).__name__} that holds tensors which require a gradient, "
            "expected one tensor: gradients do not pass through a list. Join them first, with "
            "tg.ops.stack(), or detach() them."
        )
    return array


def _wants_gradient(data: Any) -> bool:
    if isinstance(data, list | tuple):
        return any(map(_wants_gradient, data))
    return isinstance(data, Tensor) and data._requires_grad


def constant(data: Any, like: Tensor) -> Tensor:
    """Numbers of the host as a constant of the type of a tensor, on its device."""
    with there(like._data):
        return Tensor(array_module(like._data).asarray(data, like.dtype))


def as_tensor(data: Any, where: str = "tensor") -> Tensor:
    """``data`` itself if it is a tensor, else a constant that shares its memory.

    Symbols, which a cell's equations are traced with, pass as they are. ``where`` is the
    call that an error names.
    """
    if isinstance(data, Tensor) or getattr(data, "traced", False):
        return data  # type: ignore[no-any-return]
    return Tensor(as_operand(data, where))
