"""One call of ``fit``: epochs, steps, callbacks, and what is done where something fails."""

import math
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from tinygrad_rnn.arguments import whole
from tinygrad_rnn.data.epochs import place_of
from tinygrad_rnn.errors import ArgumentError, NotFiniteError
from tinygrad_rnn.training import checkpoints
from tinygrad_rnn.training.callback import Callbacks
from tinygrad_rnn.training.history import History, Means
from tinygrad_rnn.training.interrupt import Interrupt
from tinygrad_rnn.training.progress import Bar
from tinygrad_rnn.training.run_state import stateful_layers

if TYPE_CHECKING:
    from tinygrad_rnn.training.trainer import Trainer

__all__ = ["Fit"]


class Fit:
    """The loop, and the places in the data."""

    def __init__(
        self,
        trainer: "Trainer",
        batches: Iterable[Any],
        validation: Iterable[Any] | None,
        callbacks: Iterable[Any],
        epochs: int | None,
        steps: int | None,
        progress: bool,
    ) -> None:
        for name, given in (("batches", batches), ("validation", validation)):
            if given is not None and not hasattr(given, "__iter__"):
                raise ArgumentError(
                    f"fit: {name} is a {type(given).__name__}, expected something to loop over "
                    "once an epoch, such as data.Batches."
                )
        for name, count in (("epochs", epochs), ("steps", steps)):
            if count is not None:
                whole("fit", name, count, 0, ArgumentError)
        self.trainer = trainer
        self.batches, self.validation = batches, validation
        self.callbacks = Callbacks(callbacks)
        self.epochs: float = 1 if epochs is None and steps is None else _or_endless(epochs)
        self.steps: float = _or_endless(steps)
        self.progress = progress and trainer.rank == 0
        self.interrupt = Interrupt()
        self._since = time.perf_counter()
        self._saves = bool(self.callbacks.having("on_error"))
        self._before_reading: Any = None  # the place in the data, while something is read

    # ----- the run -----

    def run(self, resume: bool) -> History:
        """All of it."""
        trainer, history = self.trainer, self.trainer.history
        history.interrupted, history.stopped = False, None
        trainer.began = trainer.epoch, trainer.step
        if resume:
            self._resume()
        self._take_places()
        with self.interrupt:
            self.callbacks.call("on_fit_begin", trainer)
            while not self._over():
                self._epoch()
            history.interrupted = self.interrupt.asked or (
                trainer.ends and history.stopped is None  # another process was
            )
            self._safely("on_fit_end")
        return history

    def _resume(self) -> None:
        keepers = self.callbacks.having("newest")
        if not keepers:
            raise ArgumentError(
                "fit: resume=True, but there is no training.Checkpoints among the callbacks, whose "
                "folder would be looked into."
            )
        checkpoints.resume(self.trainer, keepers)

    def _over(self) -> bool:
        trainer = self.trainer
        trainer.ends = trainer.together.any(self.wants_end())
        epoch, step = trainer.began
        # A run that ended in the validation after its last step still owes the epoch's end.
        owes = trainer.batch > 0 and trainer.step > step
        steps_done = trainer.step >= step + self.steps and not owes
        return trainer.epoch >= epoch + self.epochs or steps_done or self._to_stop()

    def _to_stop(self) -> bool:
        """Processes end after the same step, whichever of them wants it."""
        return self.wants_end() if self.trainer.together.size == 1 else self.trainer.ends

    def wants_end(self) -> bool:
        """Whether this process would end the run."""
        return self.interrupt.asked or self.trainer.history.stopped is not None

    def _epoch(self) -> None:
        """One epoch, or what is left of it."""
        trainer = self.trainer
        self._since = time.perf_counter() - trainer.seconds
        trainer.model.train()
        trainer._stateful = stateful_layers(trainer.model)  # layers may have come or gone
        if not trainer.batch:
            self._safely("on_epoch_begin")
        bar = Bar(self.progress, self._title(), self.batches, trainer.batch)
        try:
            reader = iter(self.batches)
            if not hasattr(self.batches, "load_state_dict"):
                reader = islice(reader, trainer.batch, None)  # those that are done already
            elif not trainer.batch:
                reader = _whole_epoch(self.batches)
            limit = trainer.began[1] + self.steps
            while not (trainer.read or trainer.step >= limit or self._to_stop()):
                self._step(reader, bar)
            self._look()
            trainer.seconds = self.seconds()
            if trainer.read or trainer.step >= limit:
                self._end_epoch(bar)
        finally:
            bar.close()

    def _step(self, reader: Iterator[Any], bar: Bar) -> None:
        trainer = self.trainer
        self._before_reading = self._places() if self._saves else None
        group = self._group(reader)
        trainer.read = len(group) < trainer.accumulate
        if group:
            batch, step = trainer.batch, trainer.step
            try:
                trainer.train_step(group)
            except NotFiniteError as error:
                self._forgive(error)
                trainer.batch = batch + len(group)  # also where no step was made
            if trainer.step > step:
                self._before_reading = None
                if self.callbacks.due(trainer.step):
                    self._look()
                if self.callbacks.all:
                    self._safely("on_step")
            if bar.shown:
                bar.advance(len(group), self._values_so_far)
        elif not trainer.batch:
            raise ArgumentError(
                f"fit: batches gave none in epoch {trainer.epoch}. Is it an iterator that has been "
                "used up, and not something that can be looped over again in each epoch?"
            )
        self._before_reading = None

    def _look(self) -> None:
        try:
            self.trainer.look()
        except NotFiniteError as error:
            self._forgive(error)

    def _forgive(self, error: NotFiniteError) -> None:
        if not self.callbacks.forgive(self.trainer, error):
            raise error

    def _group(self, reader: Iterator[Any]) -> list[Any]:
        """The batches of one step; fewer, or none, where the epoch ends."""
        group: list[Any] = []
        trainer = self.trainer
        try:
            group.extend(islice(reader, trainer.accumulate))  # keeps those before an error
        except Exception as error:
            error.add_note(
                f"fit: raised while batch {trainer.batch + len(group)} of epoch {trainer.epoch} "
                f"was read, after step {trainer.step}."
            )
            self._save_after(error)
            raise
        return group

    def _end_epoch(self, bar: Bar) -> None:
        """Validation, the record, and everybody who waits for it."""
        trainer = self.trainer
        values = self._values()
        if values is None:
            return  # interrupted: the epoch ends when the run goes on
        rate = trainer.optimizer.param_groups[0]["lr"]  # that of this epoch, not of the next
        if trainer.schedule is not None and trainer.schedule_each == "epoch":
            trainer.schedule.step()
        trainer.epoch += 1
        logs = {
            "epoch": trainer.epoch,
            "step": trainer.step,
            **values,
            "lr": rate,
            "seconds": round(self.seconds(), 3),
        }
        if trainer.read:
            trainer.carried = None
        trainer.batch, trainer.read, trainer.seconds, trainer.means = 0, False, 0.0, Means()
        self._since = time.perf_counter()
        trainer.history.epochs.append(logs)
        bar.end(logs)
        self._safely("on_epoch_end", logs)

    def _values(self) -> dict[str, float] | None:
        """Those of the epoch and its validation; None if that was interrupted."""
        trainer = self.trainer
        try:
            values = trainer.logs_of(trainer.means)
            found = {} if self.validation is None else self._validated(self.validation)
        except Exception as error:
            error.add_note(
                f"fit: raised by the validation or the metrics of epoch {trainer.epoch}, after "
                f"step {trainer.step}."
            )
            self._save_after(error)
            raise
        if found is None:
            return None
        return values | {f"val_{name}": value for name, value in found.items()}

    def _values_so_far(self) -> dict[str, float]:
        """Means, and metrics where they can be had of part of an epoch."""
        try:
            return self.trainer.logs_of(self.trainer.means)
        except Exception:
            return self.trainer.means.values()

    def _validated(self, batches: Iterable[Any]) -> dict[str, float] | None:
        place = place_of(batches)
        done = False
        try:
            found = self.trainer._evaluate(batches, lambda: self.interrupt.asked)
            done = found is not None
            return found
        finally:
            if not done and place is not None:
                batches.load_state_dict(place)  # type: ignore[attr-defined]

    # ----- where something fails -----

    def _safely(self, event: str, *more: Any) -> None:
        """Call callbacks; if one raises, those that save do so first: the state is whole."""
        try:
            self.callbacks.call(event, self.trainer, *more)
        except Exception as error:
            self._save_after(error)
            raise

    def _save_after(self, error: Exception) -> None:
        for callback in self.callbacks.having("on_error"):
            with suppress(Exception):  # what went wrong first is what has to be told
                callback.on_error(self.trainer, error)

    # ----- where it stands -----

    def seconds(self) -> float:
        """How long the epoch has taken so far."""
        return time.perf_counter() - self._since

    def state_dict(self) -> dict[str, Any]:
        """The places in the data after the last step, and what callbacks remember."""
        places = self._before_reading or self._places()
        return {**places, "callbacks": self.callbacks.state_dict()}

    def _places(self) -> dict[str, Any]:
        return {"batches": place_of(self.batches), "validation": place_of(self.validation)}

    def _take_places(self) -> None:
        """Go where a loaded state says that the run stood."""
        left, self.trainer._left = self.trainer._left, None
        sources: dict[str, Any] = {"batches": self.batches, "validation": self.validation}
        for name, source in sources.items():
            place = (left or {}).get(name)
            if place is not None and hasattr(source, "load_state_dict"):
                source.load_state_dict(place)
        if left:
            self.callbacks.load_state_dict(left.get("callbacks", {}))

    def _title(self) -> str:
        number = self.trainer.epoch + 1
        last = self.trainer.began[0] + self.epochs
        return f"epoch {number}" if last == math.inf else f"epoch {number}/{last}"


def _whole_epoch(batches: Iterable[Any]) -> Iterator[Any]:
    """A loop with batches: a place behind the last one, where steps ended, has a loop without."""
    empty = True
    for batch in batches:
        empty = False
        yield batch
    if empty:
        yield from batches


def _or_endless(count: int | None) -> float:
    return math.inf if count is None else count
