"""Batches in epochs, with a place that is saved and gone back to."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from tinygrad_rnn.arguments import shortened, whole
from tinygrad_rnn.errors import StateDictError

__all__ = ["Epochs", "place_of"]


def place_of(batches: Any) -> Any:
    """The place that any batches know; None of those that know none, such as a list."""
    return batches.state_dict() if hasattr(batches, "state_dict") else None


class Epochs(ABC):
    """Batches that know their place: ``batch`` of ``epoch`` is the one that comes next.

    There is one place, as in a file: a loop that was left is gone on with by the next one. A
    loop ends with its epoch.
    """

    _place: tuple[str, ...] = ("epoch", "batch")  # attributes that tell which batch comes next

    def __init__(self) -> None:
        self.epoch = 0
        self.batch = 0
        self._restored = False  # the place was loaded, and nothing was read since

    @abstractmethod
    def __len__(self) -> int:
        """How many batches the epoch has."""

    @abstractmethod
    def _read(self, number: int) -> Any:
        """A batch of the epoch."""

    @abstractmethod
    def _settings(self) -> dict[str, Any]:
        """What makes the batches: in others a place means nothing."""

    def __iter__(self) -> "_Loop":
        return _Loop(self)

    def _move(self, epoch: int, batch: int) -> None:
        self.epoch, self.batch, self._restored = epoch, batch, False

    def _next(self) -> Any:
        """The batch that comes next. One that cannot be read is passed over by the next call."""
        epoch, batch = self.epoch, self.batch
        try:
            found = self._read(batch)
        except Exception as error:
            self._move(epoch, batch + 1)
            error.add_note(f"{type(self).__name__}: in batch {batch} of epoch {epoch}.")
            if isinstance(error, StopIteration):  # would end the loop around, as if all were well
                raise RuntimeError("StopIteration was raised while a batch was read.") from error
            raise
        self._move(epoch, batch + 1)
        return found

    def state_dict(self) -> dict[str, Any]:
        """The place, in numbers that any file can hold."""
        return {name: getattr(self, name) for name in self._place} | self._settings()

    def load_state_dict(self, state_dict: Any) -> None:
        """Go to a place; nothing changes if it is one in other batches than these."""
        where = f"{type(self).__name__}.load_state_dict"
        mine = self.state_dict()
        if not isinstance(state_dict, Mapping) or not mine.keys() <= state_dict.keys():
            raise StateDictError(
                f"{where}: given {shortened(state_dict)}, expected what state_dict() returned, a "
                f"dict with {', '.join(mine)}."
            )
        others = [
            f"{name} is {value!r} here, and was {state_dict[name]!r}"
            for name, value in self._settings().items()
            if state_dict[name] != value
        ]
        if others:
            raise StateDictError(
                f"{where}: this is a place in other batches: {'; '.join(others)}. Nothing was "
                "changed."
            )
        before = vars(self).copy()
        try:
            for name in self._place:
                setattr(self, name, whole(where, name, state_dict[name], 0, StateDictError))
            if self.batch > len(self):
                raise StateDictError(
                    f"{where}: batch is {self.batch}, but epoch {self.epoch} has {len(self)}."
                )
        except Exception:
            vars(self).update(before)
            raise
        self._restored = True


class _Loop:
    """One loop: what is left of an epoch. It begins with its first batch, not before."""

    def __init__(self, batches: Epochs) -> None:
        self._batches = batches
        self._epoch: int | None = None

    def __iter__(self) -> "_Loop":
        return self

    def __next__(self) -> Any:
        batches = self._batches
        over = batches.batch == len(batches)
        if self._epoch is None:
            # The end of an epoch is a place of its own only where it was loaded: there, what
            # follows a loop (validation, a checkpoint) is still to be done, after an empty one.
            if over and not batches._restored:
                batches._move(batches.epoch + 1, 0)
                over = False
            self._epoch = batches.epoch
        if batches.epoch != self._epoch:
            raise StopIteration
        if over:
            batches._move(self._epoch + 1, 0)
            self._epoch = -1  # a loop that has ended has ended, wherever the place goes
            raise StopIteration
        return batches._next()
