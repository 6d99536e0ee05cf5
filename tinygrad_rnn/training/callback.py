"""Callback: what happens beside the steps of a run."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from tinygrad_rnn.arguments import shortened, whole
from tinygrad_rnn.errors import ArgumentError

if TYPE_CHECKING:
    from tinygrad_rnn.training.trainer import Trainer

__all__ = ["Callback", "Callbacks", "Recurring"]

_EVENTS = ("on_fit_begin", "on_epoch_begin", "on_step", "on_epoch_end", "on_fit_end")


class Callback:
    """The base of callbacks; each method may be defined or not.

    ``trainer.stop("why")`` ends the run after the step. What a callback has to remember across
    a resume goes into ``state_dict``. ``on_error`` is called where a reader or a callback has
    raised, ``on_not_finite`` where a loss is no number: it returns True to go on all the same.
    """

    after_others = False  # called when all others have been: it saves what they have made

    def on_fit_begin(self, trainer: "Trainer") -> None:
        """Before the first step."""

    def on_epoch_begin(self, trainer: "Trainer") -> None:
        """Before the first step of an epoch."""

    def on_step(self, trainer: "Trainer") -> None:
        """After a step; ``trainer.values`` are those of its batch."""

    def on_epoch_end(self, trainer: "Trainer", logs: dict[str, Any]) -> None:
        """After an epoch and its validation; ``logs`` is the record of it."""

    def on_fit_end(self, trainer: "Trainer") -> None:
        """After the last step, also when the run was stopped or interrupted."""

    def on_error(self, trainer: "Trainer", error: BaseException) -> None:
        """A reader or a callback has raised; the trainer stands where the last step left it."""

    def on_not_finite(self, trainer: "Trainer", error: Exception) -> bool:
        """A loss is NaN or infinite; True to leave the batch out and go on."""
        return False

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run has to know: numbers, texts, arrays."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""


class Recurring(Callback):
    """What is done again and again: every so many steps, or, where that is None, each epoch."""

    def __init__(self, every: int | None) -> None:
        where = type(self).__name__
        self.every = None if every is None else whole(where, "every", every, 1, ArgumentError)

    def on_step(self, trainer: "Trainer") -> None:
        """Do it, if it is time."""
        if self.every is not None and trainer.step % self.every == 0:
            self.do(trainer, None)

    def on_epoch_end(self, trainer: "Trainer", logs: dict[str, Any]) -> None:
        """Do it, unless it goes by steps."""
        if self.every is None:
            self.do(trainer, logs)

    def do(self, trainer: "Trainer", logs: dict[str, Any] | None) -> None:
        """It; ``logs`` is the record of the epoch that has ended."""
        raise NotImplementedError


class _AfterEpochs(Callback):
    """A function that is called after each epoch."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def on_epoch_end(self, trainer: "Trainer", logs: dict[str, Any]) -> None:
        self.function(trainer, logs)


class Callbacks:
    """All callbacks of a run."""

    def __init__(self, given: Iterable[Any]) -> None:
        if not isinstance(given, Iterable):
            raise ArgumentError(f"fit: callbacks is {shortened(given)}, expected a list of them.")
        found = [self._of(callback) for callback in given]
        self.all: list[Any] = sorted(found, key=lambda c: bool(getattr(c, "after_others", False)))

    @staticmethod
    def _of(given: Any) -> Any:
        if not isinstance(given, type) and any(hasattr(given, event) for event in _EVENTS):
            return given
        if callable(given) and not isinstance(given, type):
            return _AfterEpochs(given)
        raise ArgumentError(
            f"fit: callbacks holds {given!r}, expected objects with a method such as on_step, or "
            "functions of (trainer, logs)."
        )

    def call(self, event: str, trainer: "Trainer", *more: Any) -> None:
        """Call all that have this method, then raise what the first of them has raised."""
        first: Exception | None = None
        for callback in self.all:
            method = getattr(callback, event, None)
            if method is None:
                continue
            try:
                method(trainer, *more)
            except Exception as error:
                error.add_note(
                    f"fit: raised by the callback {_name(callback)} in {event}, after step "
                    f"{trainer.step} in epoch {trainer.epoch}."
                )
                first = first or error
        if first is not None:
            raise first

    def forgive(self, trainer: "Trainer", error: Exception) -> bool:
        """Whether one of them says that the run goes on without the batch."""
        answers = [c.on_not_finite(trainer, error) for c in self.having("on_not_finite")]
        return any(answers)

    def due(self, step: int) -> bool:
        """Whether one does something after this step that shows values."""
        every = [callback.every for callback in self.all if isinstance(callback, Recurring)]
        return any(number is not None and step % number == 0 for number in every)

    def having(self, method: str) -> list[Any]:
        """Those that have this method."""
        return [callback for callback in self.all if hasattr(callback, method)]

    def state_dict(self) -> dict[str, Any]:
        """What each wants to remember, by kind and number."""
        return {name: callback.state_dict() for name, callback in self._named()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Give back to each what it remembered; those that are new begin as they are."""
        for name, callback in self._named():
            if name in state:
                callback.load_state_dict(state[name])

    def _named(self) -> list[tuple[str, Any]]:
        counts: dict[str, int] = {}
        named = []
        for callback in self.having("state_dict"):
            kind = type(callback).__name__
            counts[kind] = counts.get(kind, 0) + 1
            named.append((f"{kind} {counts[kind]}", callback))
        return named


def _name(callback: Any) -> str:
    if isinstance(callback, _AfterEpochs):
        return getattr(callback.function, "__name__", repr(callback.function))
    return type(callback).__name__
