"""Whether operations are recorded: ``no_grad``, ``enable_grad``, ``inference_mode``.

The mode lives in ContextVars, so threads and async tasks do not leak into each other. Its
value is True (record), False (do not), or a debug session (see ``debug.py``), whose truth
value says the same: operations test for the two plain values first, and only a session
costs more.
"""

import functools
from collections.abc import AsyncIterator, Callable, Generator
from contextvars import ContextVar
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR
from types import TracebackType
from typing import Any, Literal, Protocol, Self, TypeVar

__all__ = [
    "Watch", "enable_grad", "inference_mode", "is_grad_enabled", "no_grad", "recorded",
    "set_grad_enabled", "watched",
]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])


class Session(Protocol):
    """A mode that also watches every operation."""

    def __bool__(self) -> bool: ...

    def switched(self, recording: bool) -> "Session":
        """The same session with recording on or off."""

    def observe(self, op: Any, results: Any, inputs: Any, attrs: Any, node: Any) -> None:
        """See one operation that has just run, and the node it left, if it was recorded."""


recording: ContextVar[bool | Session] = ContextVar("recording", default=True)
_inference: ContextVar[bool] = ContextVar("inference", default=False)

# The modes that have been entered and not left, innermost first: the mode, the recording mode
# and the inference flag to go back to, and the rest. A plain tuple is made in no time.
_Entered = tuple[object, "bool | Session", bool, Any]
_entered: ContextVar[_Entered | None] = ContextVar("entered", default=None)


def _set(mode: "bool | Session", inference: bool, entered: "_Entered | None") -> None:
    recording.set(mode)
    _inference.set(inference)
    _entered.set(entered)


def watched() -> bool:
    """Whether a debug session watches: only then do checks wait for what a GPU computes."""
    return not isinstance(recording.get(), bool)


def is_grad_enabled() -> bool:
    """Whether operations are being recorded in this thread or task."""
    return bool(recording.get())


class Mode:
    """A context manager that is also a decorator.

    An object keeps nothing of where it was entered: it may be entered again, inside itself,
    and by several threads and tasks at once.
    """

    def change(self, current: "bool | Session", inference: bool) -> "tuple[bool | Session, bool]":
        """The recording mode and whether only inference is allowed, inside."""
        raise NotImplementedError

    def __enter__(self) -> None:
        before, inferring, outer = recording.get(), _inference.get(), _entered.get()
        inside, inference = self.change(before, inferring)
        try:
            _set(inside, inference, (self, before, inferring, outer))
        except BaseException:  # an interrupt: nobody would leave what was not entered
            _set(before, inferring, outer)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> Literal[False]:
        try:
            self._leave()
        except BaseException:  # an interrupt: what is left already is not left again
            self._leave()
            raise
        return False

    def _leave(self) -> None:
        above: list[_Entered] = []
        entered = _entered.get()
        while entered is not None and entered[0] is not self:
            above.append(entered)
            entered = entered[3]
        if entered is None:
            return  # entered in another context, where a generator began: none of ours
        _, before, inferring, outer = entered
        if not above:
            _set(before, inferring, outer)
            return
        # Left out of order, as generators may: the next one in goes back to our outside.
        rest: _Entered = (above[-1][0], before, inferring, outer)
        for mode, before, inferring, _ in reversed(above[:-1]):
            rest = (mode, before, inferring, rest)
        _entered.set(rest)

    def __call__(self, function: F) -> F:
        """The function with every part of it run in this mode; async and generators, too."""
        wrapped: F = _wrapped(self, function)
        return wrapped


def _wrapped(mode: Mode, function: Any) -> Any:
    flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
    if flags & CO_ASYNC_GENERATOR:

        @functools.wraps(function)
        async def streamed(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            source = function(*args, **kwargs)
            sent = None
            try:
                while True:
                    with mode:
                        item = await source.asend(sent)
                    sent = yield item
            except StopAsyncIteration:
                return
            finally:
                with mode:
                    await source.aclose()

        return streamed
    if flags & CO_COROUTINE:

        @functools.wraps(function)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            with mode:
                return await function(*args, **kwargs)

        return awaited
    if flags & CO_GENERATOR:  # its caller must not be left in our mode between two items

        @functools.wraps(function)
        def iterated(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            source = function(*args, **kwargs)
            step, sent = source.send, None
            while True:
                try:
                    with mode:
                        item = step(sent)
                except StopIteration as end:
                    return end.value
                step = source.send
                try:
                    sent = yield item
                except GeneratorExit:
                    with mode:
                        source.close()
                    raise
                except BaseException as error:
                    step, sent = source.throw, error

        return iterated

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        with mode:
            return function(*args, **kwargs)

    return called


class _Switch(Mode):
    """A mode that turns recording on or off."""

    def __init__(self, record: bool) -> None:
        self._record = record

    def change(self, current: "bool | Session", inference: bool) -> "tuple[bool | Session, bool]":
        record = self._record and not inference
        return record if isinstance(current, bool) else current.switched(record), inference


class no_grad(_Switch):
    """Operations inside are not recorded."""

    def __init__(self) -> None:
        super().__init__(False)


class enable_grad(_Switch):
    """Operations inside are recorded, also within ``no_grad``; not within ``inference_mode``."""

    def __init__(self) -> None:
        super().__init__(True)


class set_grad_enabled(_Switch):
    """Operations inside are recorded if ``enabled``."""

    def __init__(self, enabled: bool) -> None:
        super().__init__(bool(enabled))


class inference_mode(_Switch):
    """Nothing inside is recorded, not even under ``enable_grad``."""

    def __init__(self) -> None:
        super().__init__(False)

    def change(self, current: "bool | Session", inference: bool) -> "tuple[bool | Session, bool]":
        """Nothing is recorded from here on."""
        return super().change(current, inference)[0], True


class Watch(Mode):
    """A mode in which no operation is recorded, and each is seen: a subclass says by whom."""

    def change(self, current: "bool | Session", inference: bool) -> "tuple[bool | Session, bool]":
        """Nothing is recorded inside, and everything seen."""
        return self, inference

    def __bool__(self) -> bool:
        return False

    def switched(self, recording: bool) -> Self:
        """The same: nothing is ever recorded."""
        return self

    def observe(self, op: Any, results: Any, inputs: Any, attrs: Any, node: Any) -> None:
        """See one operation that has just run."""
        raise NotImplementedError


class recorded(_Switch):
    """Operations inside are recorded whatever the mode: a derivative that needs a graph."""

    def __init__(self) -> None:
        super().__init__(True)

    def change(self, current: "bool | Session", inference: bool) -> "tuple[bool | Session, bool]":
        """Everything is recorded from here on."""
        return super().change(current, False)[0], False
