"""Whether operations are recorded: ``no_grad``, ``enable_grad``, ``inference_mode``.

The mode lives in a ContextVar, so threads and async tasks do not leak into each other.
Its value is True (record), False (do not), or a debug session (see ``debug.py``), whose
truth value says the same: operations test for the two plain values first, and only a
session costs more.
"""

import functools
from collections.abc import Callable
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Literal, Protocol, TypeVar

__all__ = ["enable_grad", "inference_mode", "is_grad_enabled", "no_grad", "set_grad_enabled"]

F = TypeVar("F", bound=Callable[..., Any])


class Session(Protocol):
    """A mode that also watches every operation."""

    recording: bool

    def __bool__(self) -> bool: ...

    def switched(self, recording: bool) -> "Session":
        """The same session with recording on or off."""

    def observe(self, op: str, out: Any, inputs: tuple[Any, ...], node: Any) -> None:
        """See one operation that has just run."""


recording: ContextVar[bool | Session] = ContextVar("recording", default=True)
_inference: ContextVar[bool] = ContextVar("inference", default=False)


def is_grad_enabled() -> bool:
    """Whether operations are being recorded in this thread or task."""
    return bool(recording.get())


class _Mode:
    """A context manager that is also a decorator; one object may be entered again."""

    _record = True
    _infer = False

    def __init__(self) -> None:
        self._tokens: list[tuple[Token[bool | Session], Token[bool]]] = []

    def __enter__(self) -> None:
        inference = _inference.get() or self._infer
        record = self._record and not inference
        current = recording.get()
        mode = record if isinstance(current, bool) else current.switched(record)
        self._tokens.append((recording.set(mode), _inference.set(inference)))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> Literal[False]:
        mode, inference = self._tokens.pop()
        recording.reset(mode)
        _inference.reset(inference)
        return False

    def __call__(self, function: F) -> F:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            # A fresh object per call: a shared one would mix the tokens of two threads.
            with self._fresh():
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]

    def _fresh(self) -> "_Mode":
        return type(self)()


class no_grad(_Mode):
    """Operations inside are not recorded."""

    _record = False


class enable_grad(_Mode):
    """Operations inside are recorded, also within ``no_grad``; not within ``inference_mode``."""


class inference_mode(_Mode):
    """Nothing inside is recorded, not even under ``enable_grad``."""

    _record = False
    _infer = True


class set_grad_enabled(_Mode):
    """Operations inside are recorded if ``enabled``."""

    def __init__(self, enabled: bool) -> None:
        super().__init__()
        self._record = bool(enabled)

    def _fresh(self) -> "_Mode":
        return set_grad_enabled(self._record)
