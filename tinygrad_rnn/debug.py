"""Debugging: what makes a NaN, where it was called, and whether saved arrays were written.

A session is a mode: it watches every operation of its thread or task, and the nodes that
are recorded stay watched until their backward, wherever that happens.
"""

import math
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import Any, Literal

import numpy as np

from tinygrad_rnn.device import host_array, to_host
from tinygrad_rnn.engine import Node, OutputGrad, Walk, resolved
from tinygrad_rnn.engine.faults import forward_line
from tinygrad_rnn.errors import DTypeError, GradientError, ShapeError
from tinygrad_rnn.kernels import _cuda
from tinygrad_rnn.modes import Mode, Session
from tinygrad_rnn.tensor import Tensor

__all__ = ["calling_line", "debug"]

_LIBRARY = str(Path(__file__).parent)
_BACKWARD: CodeType = Walk._visit.__code__


class debug(Mode):
    """Inside, operations are checked, and so is the backward of what they recorded.

        with tg.debug():
            loss = model(x)
            loss.backward()

    Gradients have to have the shape and type of what they belong to, and arrays that were
    saved for backward must not be written, not even through NumPy. Kernels on a GPU are waited
    for, by all threads, so that an error is raised where it was made. Everything takes several
    times as long. Sessions nest, and each thread or task has its own.

    Args:
        nan: Raise where an operation makes a NaN, or an infinity from finite numbers, in
            forward or backward; the message names the operation and its forward call.
        trace: Note the line of every call, to name it in messages.
        poison: Fill memory that the library takes back with NaN, so that a stale view of it
            shows. This holds for the whole process.
    """

    def __init__(self, *, nan: bool = True, trace: bool = True, poison: bool = True) -> None:
        self._session = _Session(nan, trace)
        self._poison = poison

    def change(self, current: "bool | Session", inference: bool) -> "tuple[bool | Session, bool]":
        """The mode inside: this session, which records if operations are recorded outside."""
        return self._session.switched(bool(current)), inference

    def __enter__(self) -> None:
        if self._poison:
            _poison(+1)
        _cuda.watch(+1)
        super().__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> Literal[False]:
        if self._poison:
            _poison(-1)
        _cuda.watch(-1)
        return super().__exit__(kind, error, trace)


_poison_lock = threading.Lock()
_poisoners = 0


def _poison(change: int) -> None:
    """Count the sessions that want memory poisoned; the first and the last switch it."""
    from tinygrad_rnn.kernels import _memory

    global _poisoners
    with _poison_lock:
        _poisoners += change
        _memory.poison(_poisoners > 0)


class _Session:
    """The mode of a thread or task that is being debugged."""

    def __init__(self, nan: bool, trace: bool, recording: bool = True) -> None:
        self.nan = nan
        self.trace = trace
        self.recording = recording

    def __bool__(self) -> bool:
        return self.recording

    def switched(self, recording: bool) -> "_Session":
        """The same session with recording on or off."""
        return _Session(self.nan, self.trace, recording)

    def observe(
        self,
        op: Any,
        results: tuple[Tensor, ...],
        inputs: Sequence[Any],
        attrs: dict[str, Any],
        node: Node | None,
    ) -> None:
        """Check what an operation has made, and begin to watch its node."""
        visited, called_at = calling_line()
        called_at = called_at if self.trace else ""
        if self.nan:
            name = op.name if visited is None else f"{op.name}, in the derivative of {visited!r}"
            for result in results:
                _check_made(name, result, [*inputs, *attrs.values()], called_at)
        if node is not None:
            watch = _Watch(node, [_kind(x) for x in inputs], called_at, self.nan)
            node.noted().watch = watch
            for result in results:
                if result._node is not None and result._node is not node:  # one of several
                    result._node.noted().watch = _Watch(result._node, [None], called_at, self.nan)


def _kind(x: Any) -> tuple[tuple[int, ...], Any] | None:
    return (x.shape, x.dtype) if isinstance(x, Tensor) else None


class _Watch:
    """What is known about a node: shapes and types of its inputs, sums over saved arrays."""

    def __init__(self, node: Node, inputs: Sequence[Any], called_at: str, nan: bool) -> None:
        self.called_at = called_at
        self.inputs = inputs
        self.nan = nan
        self.sums = [_checksum(array) for array in _saved(node)]

    def begin(self, node: Node) -> None:
        """Raise if a saved array was written behind the library's back."""
        for number, array in enumerate(_saved(node)):
            if _checksum(array) != self.sums[number]:
                which = f"input {number}" if number < len(node.saved) else "output"
                raise GradientError(
                    f"backward: the {which} ({array.dtype}{list(array.shape)}) of "
                    f"{node.op.name!r} holds other numbers than in the forward pass, expected the "
                    "same: the derivative is computed from them. The likely cause is a NumPy array "
                    "that a tensor stands on (from_numpy, or an operand) and that was changed in "
                    "place. Change it after backward(), or give a copy."
                    f"{forward_line(self.called_at)}"
                )

    def check(self, node: Node, number: int, g: Any, part: Any) -> None:
        """Raise if the gradient of an input is of another kind than the input, or not finite."""
        if isinstance(part, OutputGrad):
            return
        expected = self.inputs[number] if number < len(self.inputs) else None
        if expected is not None and (tuple(part.shape), part.dtype) != expected:
            kind = ShapeError if tuple(part.shape) != expected[0] else DTypeError
            raise kind(
                f"{node.op.name}: the derivative rule of input {number} gave a gradient of "
                f"{part.dtype}{list(part.shape)}, expected {expected[1]}{list(expected[0])}, like "
                f"the input. The rule is wrong.{forward_line(self.called_at)}"
            )
        if self.nan:
            _check_derived(node, number, g, part, self.called_at)


def _saved(node: Node) -> list[Any]:
    """The arrays that a node keeps, None in the place of anything else."""
    kept = [*node.saved, node.out]
    return [x if isinstance(getattr(x, "dtype", None), np.dtype) else None for x in kept]


def _checksum(array: Any) -> int:
    return 0 if array is None else hash(to_host(array).tobytes())


# ----- numbers that are none -----


def _check_made(name: str, result: Tensor, inputs: Sequence[Any], called_at: str) -> None:
    """Raise if an operation made a NaN, or an infinity out of finite numbers."""
    out = to_host(result._data)
    if _all(np.isfinite, out):
        return
    arrays = [to_host(x._data) if isinstance(x, Tensor) else x for x in inputs]
    if _all(lambda x: ~np.isnan(x), out) and not all(_all(np.isfinite, x) for x in arrays):
        return
    if not all(_all(lambda x: ~np.isnan(x), x) for x in arrays):
        return
    where, value = _first_bad(out)
    given = ", ".join(f"{x.dtype}{list(x.shape)}" for x in inputs if isinstance(x, Tensor))
    raise GradientError(
        f"{name}: made {value} at {where} of operands ({given}) without any, expected finite "
        "numbers: one that is not spoils everything computed from it. The likely cause is a "
        "logarithm or a division of 0, an overflow, or too high a learning rate."
        f"{forward_line(called_at)}"
    )


def _check_derived(node: Node, number: int, g: Any, part: Any, called_at: str) -> None:
    """Raise if a derivative made something that is not finite out of a finite gradient."""
    array = _array(resolved(part))
    if _all(np.isfinite, array):
        return
    gradients = g if isinstance(g, list) else [g]
    if not all(_all(np.isfinite, _array(x)) for x in gradients if x is not None):
        return
    where, value = _first_bad(array)
    raise GradientError(
        f"backward: the gradient of input {number} of {node.op.name!r} is {value} at {where}, "
        "expected finite numbers, as the gradient of its output is finite. The likely cause is a "
        "point at which the function is infinitely steep, as sqrt, log and division are at 0."
        f"{forward_line(called_at)}"
    )


def _array(x: Any) -> Any:
    return host_array(x._data if isinstance(x, Tensor) else x)


def _all(test: Callable[[Any], Any], x: Any) -> bool:
    """Whether a test holds for all floating-point numbers in a value of any kind."""
    if isinstance(x, float):
        return bool(test(x))
    if getattr(getattr(x, "dtype", None), "kind", "") in ("f", "c"):
        return bool(np.all(test(to_host(x))))
    return True


def _first_bad(array: Any) -> tuple[str, float]:
    array = host_array(array)
    index = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
    value = complex(array[index])
    return f"index {list(index)}", value.real if not math.isfinite(value.real) else value.imag


# ----- callers -----


def calling_line() -> tuple[str | None, str]:
    """The line that called the library: "file:line, in function", and its text.

    An operation that backward calls has the line of the forward call that it belongs to,
    and the name of that operation comes first.
    """
    import linecache

    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith(_LIBRARY):
        if frame.f_code is _BACKWARD:
            node = frame.f_locals["node"]
            watch = node.notes and node.notes.watch
            return node.op.name, watch.called_at if watch else ""
        frame = frame.f_back
    if frame is None:
        return None, ""
    file, line = frame.f_code.co_filename, frame.f_lineno
    text = linecache.getline(file, line).strip()
    return None, f"{file}:{line}, in {frame.f_code.co_name}" + (f"\n    {text}" if text else "")
