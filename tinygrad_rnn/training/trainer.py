"""Trainer: a model, what trains it, and where its run stands."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tinygrad_rnn import optim, random
from tinygrad_rnn.arguments import bounded, choice, flag, function_of, shortened, whole
from tinygrad_rnn.errors import ArgumentError, GradientError, NotFiniteError, StateDictError
from tinygrad_rnn.nn import Module
from tinygrad_rnn.optim.gradients import clipped
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.training.checkpoints import newest_of
from tinygrad_rnn.training.fitting import Fit
from tinygrad_rnn.training.history import History, Means
from tinygrad_rnn.training.not_finite import bad_gradients, first_bad
from tinygrad_rnn.training.run_state import (
    at_home,
    carried_by,
    detached,
    in_use,
    load_carried,
    stateful_layers,
)

__all__ = ["Trainer"]


class Trainer:
    """Everything that a run depends on: model, optimiser, schedule, and where it stands.

        def loss(model, batch):
            x, y = batch
            scores = model(x)
            return losses.cross_entropy(scores, y), {"accuracy": (scores.argmax(-1) == y).mean()}

        trainer = training.Trainer(model, optim.Adam(model.parameters()), loss)
        history = trainer.fit(data.Batches((x, y), 32, shuffle=True), epochs=10)

    Args:
        loss: A function of (model, batch) that returns the loss, and if wanted a dict of other
            values to be averaged. With ``carry_state`` a function of (model, batch, state) that
            returns (loss, state), or (loss, state, values).
        metrics: Functions of the means of an epoch, such as
            ``{"perplexity": lambda means: math.exp(means["loss"])}``.
        schedule: One of ``optim.schedules``; goes on with each step, or with each epoch
            (``schedule_each="epoch"``).
        clip_norm: At most how long all gradients together are.
        clip_value: At most how large each number of a gradient is.
        accumulate: How many batches make a step; their gradients are averaged.
        carry_state: Whether the state of a batch is where the next one begins, without the graph
            that made it: truncated backpropagation through time. A state ends where a batch says
            that it is the ``first``, and with the epoch.
        weight: A function of a batch that says how much it counts in means of an epoch, such as
            its rows; None: each as much as any other.
    """

    def __init__(
        self,
        model: Module,
        optimizer: optim.Optimizer,
        loss: Callable[..., Any],
        *,
        metrics: Mapping[str, Callable[[dict[str, float]], float]] | None = None,
        schedule: optim.schedules.Schedule | None = None,
        schedule_each: str = "step",
        clip_norm: float | None = None,
        clip_value: float | None = None,
        accumulate: int = 1,
        carry_state: bool = False,
        weight: Callable[[Any], float] | None = None,
    ) -> None:
        self.model = _instance("model", model, Module)
        self.optimizer = _instance("optimizer", optimizer, optim.Optimizer)
        self.loss = function_of("Trainer", "loss", loss)
        self.metrics = _metrics({} if metrics is None else metrics)
        self.schedule = schedule and _schedule(schedule)
        self.schedule_each = choice("Trainer", "schedule_each", schedule_each, ("step", "epoch"))
        self.clip_norm = _above_0("clip_norm", clip_norm)
        self.clip_value = _above_0("clip_value", clip_value)
        self.accumulate = whole("Trainer", "accumulate", accumulate, 1, ArgumentError)
        self.carry_state = flag("Trainer", "carry_state", carry_state)
        self.weight = weight and function_of("Trainer", "weight", weight)
        # Where the run stands.
        self.step = 0  # of the optimiser, in all
        self.epoch = 0  # that are over
        self.batch = 0  # that were read in this epoch
        self.read = False  # all batches of the epoch are read, but it is not over yet
        self.seconds = 0.0  # that this epoch has taken so far
        self.began = (0, 0)  # epoch and step at which the fit that goes on was called
        self.carried: Any = None
        self.means = Means()
        self.history = History()
        # What the last step was like.
        self.values: dict[str, float] = {}
        self.norm: float | None = None  # of all gradients, where they are clipped by it
        self._stateful = stateful_layers(model)
        self._fit: Fit | None = None
        self._left: dict[str, Any] | None = None  # for a fit to come: data, callbacks

    # ----- a run -----

    def fit(
        self,
        batches: Iterable[Any],
        epochs: int | None = None,
        *,
        steps: int | None = None,
        validation: Iterable[Any] | None = None,
        callbacks: Iterable[Any] = (),
        progress: bool = True,
        resume: bool = False,
    ) -> History:
        """Train for some epochs, or steps, whichever end first; one epoch if nothing is said.

        Ctrl-C finishes the step, lets callbacks save, and returns with
        ``history.interrupted``; a second one raises.

        Args:
            batches: What can be looped over once an epoch: ``data.Batches``, a list, ...
            steps: Of the optimiser. The last epoch ends with them.
            validation: Batches for ``evaluate`` after each epoch; its values are "val_...".
            callbacks: Objects as ``training.Callback`` describes, or functions of
                (trainer, logs), which are called after each epoch.
            progress: Show a bar, if standard error is a terminal.
            resume: Go on from the newest whole checkpoint in the folder of ``Checkpoints``,
                which has to be among the callbacks; begin where there is none. Epochs and steps
                count from where the run began that made it.
        """
        if self._fit is not None:
            raise ArgumentError(
                "fit: this trainer is in a fit already, expected a call after it, not within one "
                "of its callbacks."
            )
        self._fit = Fit(self, batches, validation, callbacks, epochs, steps, progress)
        try:
            return self._fit.run(resume)
        finally:
            self._fit = None

    def stop(self, reason: str) -> None:
        """End the run after this step, for a reason that the history tells."""
        self.history.stopped = reason

    def roll_back(self) -> bool:
        """Take model and optimiser of the newest checkpoint of this ``fit``; False without one.

        The place in the data and the numbers of steps stay.
        """
        found = newest_of(self._fit.callbacks.having("newest")) if self._fit else None
        if found is None:
            return False
        state = found[1]
        self.model.load_state_dict(state["model"])
        load_carried(self.model, state["carried_by_model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.carried = None
        return True

    def evaluate(self, batches: Iterable[Any]) -> dict[str, float]:
        """The means of the loss and its values over batches; nothing is changed by it."""
        found = self._evaluate(batches, lambda: False)
        assert found is not None
        return found

    def _evaluate(
        self, batches: Iterable[Any], stopped: Callable[[], bool]
    ) -> dict[str, float] | None:
        """None if it was stopped."""
        means, state, count = Means(), None, 0
        with in_use(self.model):
            for batch in batches:
                if stopped():
                    return None
                if getattr(batch, "first", False):
                    state = None
                _, state, values = self._outcome(batch, state)
                means.add(values, self._weight_of(batch))
                count += 1
        if not count:
            raise ArgumentError(
                "evaluate: there was no batch. Is it an iterator that has been used up?"
            )
        return self.logs_of(means)

    def logs_of(self, means: Means) -> dict[str, float]:
        """Means, and the metrics made of them."""
        values = means.values()
        return values | {name: float(f(dict(values))) for name, f in self.metrics.items()}

    # ----- a step -----

    def train_step(self, batches: Sequence[Any]) -> None:
        """One step of the optimiser with the mean gradient of some batches.

        Where a loss is no number, or a gradient that is clipped by its norm, nothing is changed
        and the error is a NotFiniteError that names the first bad layer.
        """
        self.optimizer.zero_grad()
        passing = [(layer, layer.passing_state()) for layer in self._stateful]
        try:
            state, outcomes = self._backward(batches)
            self._clip(batches)
        except NotFiniteError:
            for layer, before in passing:
                layer.load_passing_state(before)
            raise
        self.optimizer.step()
        if self.schedule is not None and self.schedule_each == "step":
            self.schedule.step()
        self.step += 1
        self.batch += len(batches)
        self.carried = state
        for values, weight in outcomes:
            self.means.add(values, weight)
        self.values = values

    def _backward(self, batches: Sequence[Any]) -> tuple[Any, list[tuple[dict[str, float], float]]]:
        """Gradients of some batches; the state after them, the values and the weight of each."""
        state, outcomes = self.carried, []
        for batch in batches:
            if getattr(batch, "first", False):
                state = None
            place = random.mark()
            loss, after, values = self._outcome(batch, state)
            if not math.isfinite(values["loss"]):
                reason = first_bad(self, batch, state, place.state())
                raise self._not_finite(f"the loss, {values['loss']},", reason)
            (loss if len(batches) == 1 else loss * (1 / len(batches))).backward()
            state = detached(after)
            outcomes.append((values, self._weight_of(batch)))
        return state, outcomes

    def _outcome(self, batch: Any, state: Any) -> tuple[Tensor, Any, dict[str, float]]:
        """The loss, the state after it, and all values as numbers."""
        result = self.loss(self.model, batch, *([state] if self.carry_state else []))
        parts = list(result) if isinstance(result, tuple) else [result]
        after = parts.pop(1) if self.carry_state and len(parts) > 1 else None
        loss, *more = parts
        if (
            not isinstance(loss, Tensor)
            or loss.size != 1
            or len(more) > 1
            or (more and not isinstance(more[0], Mapping))
            or (self.carry_state and not isinstance(result, tuple))
        ):
            expected = "(loss, state), or (loss, state, values)" if self.carry_state else (
                "the loss, or (loss, values)"
            )  # fmt: skip
            raise ArgumentError(
                f"Trainer: loss returned {_kinds(result)}, expected {expected}: the loss as a "
                "Tensor of one number, values as a dict."
            )
        values = {"loss": float(loss.item())}
        for name, value in (more[0] if more else {}).items():
            values[name] = float(value.item() if hasattr(value, "item") else value)
        return loss, after, values

    def _weight_of(self, batch: Any) -> float:
        return 1.0 if self.weight is None else float(self.weight(batch))

    def _clip(self, batches: Sequence[Any]) -> None:
        if self.clip_value:
            optim.clip_grad_value(self.optimizer.names, self.clip_value)
        if self.clip_norm:
            try:  # the optimiser has checked its parameters once, not in each step
                parameters = list(self.optimizer.names)
                self.norm = clipped(parameters, self.clip_norm, error_if_nonfinite=True)
            except GradientError as error:
                raise self._not_finite("a gradient", bad_gradients(self.model, batches)) from error

    def _not_finite(self, what: str, reason: str) -> NotFiniteError:
        return NotFiniteError(
            f"fit: {what} is not finite in step {self.step + 1} (batch {self.batch} of epoch "
            f"{self.epoch}): {reason}. The step was not made."
        )

    # ----- where it stands -----

    def __getstate__(self) -> dict[str, Any]:
        """What copy and pickle take along: a copy stands where this is, but is in no ``fit``."""
        left = self._fit.state_dict() if self._fit else self._left
        return vars(self) | {"_fit": None, "_left": left}

    def state_dict(self) -> dict[str, Any]:
        """All that a run depends on, in dicts, lists, numbers and arrays: copies.

        Within ``fit``, also the place in the data and what callbacks remember.
        """
        left = self._fit.state_dict() if self._fit else (self._left or {})
        return {
            "kinds": self._kinds(),
            "model": self.model.state_dict(),
            "carried_by_model": carried_by(self.model),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule and self.schedule.state_dict(),
            "random": random.get_state(),
            "step": self.step,
            "epoch": self.epoch,
            "batch": self.batch,
            "read": self.read,
            "seconds": self._fit.seconds() if self._fit else self.seconds,
            "began": self.began,
            "carried": self.carried,
            "sums": {name: list(pair) for name, pair in self.means.sums.items()},
            "history": [dict(logs) for logs in self.history.epochs],
            "left": left,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go where another run of the same make stood; unless all fits, nothing changes.

        The place in the data is taken by the next ``fit``, in the middle of an epoch if it was
        there.
        """
        missing = set(self.state_dict()) - set(state_dict)
        if missing:
            raise StateDictError(
                "Trainer.load_state_dict: expected what the state_dict() of a trainer returned; "
                f"there is no {', '.join(sorted(missing))}."
            )
        theirs, mine = state_dict["kinds"], self._kinds()
        others = [
            f"{k} is {mine[k]} here, and was {theirs[k]}" for k in mine if mine[k] != theirs[k]
        ]
        if others:
            raise StateDictError(
                f"Trainer.load_state_dict: this is another run: {'; '.join(others)}. Nothing was "
                "changed."
            )
        before, left = self.state_dict(), self._left
        try:
            self._load(state_dict)
        except Exception:
            self._load(before)
            self._left = left
            raise

    def _load(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        load_carried(self.model, state["carried_by_model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.schedule is not None:
            self.schedule.load_state_dict(state["schedule"])
        random.set_state(state["random"])
        for name in ("step", "epoch", "batch", "read", "seconds", "began"):
            setattr(self, name, state[name])
        self.carried = at_home(state["carried"], self.model)
        self.means.sums = {name: list(pair) for name, pair in state["sums"].items()}
        self.history.epochs = [dict(logs) for logs in state["history"]]
        self._left = state["left"]

    def _kinds(self) -> dict[str, str]:
        parts = {"optimizer": self.optimizer, "schedule": self.schedule}
        return {name: type(part).__name__ for name, part in parts.items()}


def _above_0(name: str, value: float | None) -> float | None:
    return None if value is None else bounded("Trainer", name, value, above=0)


def _instance(name: str, value: Any, kind: type[Any]) -> Any:
    if not isinstance(value, kind):
        raise ArgumentError(
            f"Trainer: {name} is a {type(value).__name__}, expected a {kind.__name__}."
        )
    return value


def _metrics(given: Any) -> dict[str, Callable[[dict[str, float]], float]]:
    if not isinstance(given, Mapping):
        raise ArgumentError(
            f"Trainer: metrics is {shortened(given)}, expected a dict from names to functions of "
            "an epoch's means; what is measured batch by batch is returned by loss, beside it."
        )
    return {name: function_of("Trainer", f"metrics[{name!r}]", f) for name, f in given.items()}


def _schedule(value: Any) -> Any:
    found = _instance("schedule", value, optim.schedules.Schedule)
    if isinstance(found, optim.schedules.ReduceLROnPlateau):
        raise ArgumentError(
            "Trainer: schedule is a ReduceLROnPlateau, which wants to be told a loss; expected "
            "the callback training.ReduceOnPlateau(...) in its place."
        )
    return found


def _kinds(result: Any) -> str:
    parts = result if isinstance(result, tuple) else (result,)
    names = [
        f"a Tensor of shape {part.shape}" if isinstance(part, Tensor) else type(part).__name__
        for part in parts
    ]
    return f"({', '.join(names)})" if isinstance(result, tuple) else names[0]
