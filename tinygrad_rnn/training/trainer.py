"""Trainer: a model, what trains it, and where its run stands."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tinygrad_rnn import optim, random
from tinygrad_rnn.arguments import choice, flag, function_of, whole
from tinygrad_rnn.errors import ArgumentError, GradientError, NotFiniteError
from tinygrad_rnn.nn import Module
from tinygrad_rnn.optim.gradients import clipped
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.training.checkpoints import newest_of
from tinygrad_rnn.training.fitting import Fit
from tinygrad_rnn.training.history import History, Means
from tinygrad_rnn.training.not_finite import bad_gradients, bad_parameters, first_bad
from tinygrad_rnn.training.outcomes import Outcome, Unread, read, result_of, scalar
from tinygrad_rnn.training.parallel import ProcessGroup
from tinygrad_rnn.training.run_state import detached, in_use, load_carried, stateful_layers
from tinygrad_rnn.training.settings import above_0, instance, metrics_of, schedule_of
from tinygrad_rnn.training.standing import check_kinds, load_state, part_of, state_of
from tinygrad_rnn.training.together import Alone, Together

__all__ = ["Trainer"]

_LOG_EVERY = 50  # steps from look to look, where a look means to wait


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
        log_every: How many steps are made from one look at losses and norms to the next: a look
            waits for a GPU, or for other processes. None: 1 on a CPU, else 50.
        group: Processes that train together, each on its share of the batches
            (``training.parallel``). All make the same calls; ``weight`` says how much of a batch
            its share is. Rank 0 writes what is written.
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
        log_every: int | None = None,
        group: ProcessGroup | None = None,
    ) -> None:
        self.model = instance("model", model, Module)
        self.optimizer = instance("optimizer", optimizer, optim.Optimizer)
        self.loss = function_of("Trainer", "loss", loss)
        self.metrics = metrics_of({} if metrics is None else metrics)
        self.schedule = schedule and schedule_of(schedule)
        self.schedule_each = choice("Trainer", "schedule_each", schedule_each, ("step", "epoch"))
        self.clip_norm = above_0("clip_norm", clip_norm)
        self.clip_value = above_0("clip_value", clip_value)
        self.accumulate = whole("Trainer", "accumulate", accumulate, 1, ArgumentError)
        self.carry_state = flag("Trainer", "carry_state", carry_state)
        self.weight = weight and function_of("Trainer", "weight", weight)
        if log_every is not None:
            log_every = whole("Trainer", "log_every", log_every, 1, ArgumentError)
        self.log_every = log_every
        if group is not None and weight is None:
            raise ArgumentError(
                "Trainer: given a group and no weight, expected a function that says how much of "
                "a batch a share is, such as lambda batch: len(batch[0])."
            )
        self.together = Alone() if group is None else Together(model, group)
        self.rank = self.together.rank
        # Where the run stands.
        self.step = 0  # of the optimiser, in all
        self.epoch = 0  # that are over
        self.batch = 0  # that were read in this epoch
        self.read = False  # all batches of the epoch are read, but it is not over yet
        self.seconds = 0.0  # that this epoch has taken so far
        self.ends = False  # after this step, because a process wants it
        self.began = (0, 0)  # epoch and step at which the fit that goes on was called
        self.carried: Any = None
        self.means = Means()
        self.history = History()
        self.unread = Unread(self.together)  # what steps came to that nobody has looked at
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
        keepers = self._fit.callbacks.having("newest") if self._fit else []
        found = newest_of(keepers, self.together)
        if found is None:
            return False
        state = found[1]
        self.model.load_state_dict(state["model"])
        load_carried(self.model, part_of(self, state)["carried_by_model"])
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
        means, state, outcomes, count = Means(), None, [], 0
        self.together.share_buffers()
        with in_use(self.model):
            for batch in batches:
                if self.together.size == 1 and stopped():
                    return None
                count += 1
                if batch is None:
                    continue
                if getattr(batch, "first", False):
                    state = None
                _, state, values = self._outcome(batch, state)
                outcomes.append(Outcome(0, values, self._weight_of(batch)))
                if len(outcomes) == _LOG_EVERY:
                    means.take(read(outcomes))
                    outcomes.clear()
        if not count:
            raise ArgumentError(
                "evaluate: there was no batch. Is it an iterator that has been used up?"
            )
        means.take(read(outcomes))
        means.sums = self.together.sums(means.sums)
        return self.logs_of(means)

    def logs_of(self, means: Means) -> dict[str, float]:
        """Means, and the metrics made of them."""
        values = means.values()
        return values | {name: float(f(dict(values))) for name, f in self.metrics.items()}

    # ----- a step -----

    def train_step(self, batches: Sequence[Any]) -> None:
        """One step of the optimiser with the mean gradient of some batches.

        Where a loss is no number, or a gradient that is clipped by its norm, nothing is changed
        and the error is a NotFiniteError that names the first bad layer; or it is one of a later
        ``look``, where numbers are left on a GPU until then.
        """
        self.optimizer.zero_grad()
        passing = [(layer, layer.passing_state()) for layer in self._stateful]
        try:
            state, outcomes = self._backward(batches)
            norm = self._clip(batches)
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
        self.unread.add(outcomes, norm)
        if self.together.size == 1 and not self.unread.waits():
            self.unread.read(self.means, self.step)
        elif self.step % (self.log_every or _LOG_EVERY) == 0:
            self.look()

    def _backward(self, batches: Sequence[Any]) -> tuple[Any, list[Outcome]]:
        """Gradients of some batches; the state after them, and what each came to."""
        state, outcomes = self.carried, []
        reason: tuple[str, str] | None = None
        for number, batch in enumerate(batches):
            loss, after, weight = None, None, 0.0
            if batch is not None:  # as the share of a process may be
                state = None if getattr(batch, "first", False) else state
                place = random.mark()
                loss, after, values = self._outcome(batch, state)
                weight = self._weight_of(batch)
                outcome = Outcome(self.step + 1, values, weight)
                outcomes.append(outcome if self.log_every != 1 else read([outcome])[0])
                value = outcomes[-1].values["loss"]
                if isinstance(value, float) and not math.isfinite(value):
                    reason = (
                        f"the loss, {value},",
                        first_bad(self, batch, state, place.state()),
                    )
                loss = loss if len(batches) == 1 else loss * (1 / len(batches))
            if reason and self.together.size == 1:
                raise self._not_finite(*reason)
            flags = self.together.backward(
                loss,
                weight,
                number == len(batches) - 1,
                [reason is not None, (self._fit is not None and self._fit.wants_end())],
            )
            state = detached(after)
        bad, self.ends = flags
        if bad:
            raise self._not_finite(*(reason or ("the loss", "another process says why")))
        return state, outcomes

    # ----- what steps came to -----

    @property
    def values(self) -> dict[str, float]:
        """The loss and what was returned beside it, of the last step.

        Of several processes: of the last one before the last look.
        """
        if self.together.size == 1:
            self.unread.read(self.means, self.step)
        return self.unread.values

    @property
    def norm(self) -> float | None:
        """How long all gradients were, where they are clipped by it; of the same step."""
        if self.together.size == 1:
            self.unread.read(self.means, self.step)
        return self.unread.norm

    def look(self) -> None:
        """Read what the steps since the last look came to; NotFiniteError if it was no number.

        ``fit`` does so every ``log_every`` steps, and where somebody is to see the values.
        """
        self.unread.read(self.means, self.step)
        bad, self.unread.bad = self.unread.bad, None
        if bad is not None:
            weights = bad_parameters(self.model)
            spoilt = f" By now {', '.join(weights[:3])} hold NaN or infinity." if weights else ""
            raise NotFiniteError(
                f"fit: {bad}, as was seen after step {self.step}; with log_every=1 such a step is "
                f"not made.{spoilt}"
            )

    def _outcome(self, batch: Any, state: Any) -> tuple[Tensor, Any, dict[str, Any]]:
        """The loss, the state after it, and all values; those on a GPU stay there."""
        result = self.loss(self.model, batch, *([state] if self.carry_state else []))
        return result_of(result, self.carry_state)

    def _weight_of(self, batch: Any) -> float:
        return 1.0 if self.weight is None else float(self.weight(batch))

    def _clip(self, batches: Sequence[Any]) -> Any:
        """What the trainer was told to do to gradients; their norm, where it asks for it."""
        if self.clip_value:
            optim.clip_grad_value(self.optimizer.names, self.clip_value)
        if not self.clip_norm:
            return None
        # The optimiser has checked its parameters once, not in each step.
        parameters = list(self.optimizer.names)
        at_once = self.log_every == 1 or parameters[0].device == "cpu"
        try:
            norm = clipped(parameters, self.clip_norm, error_if_nonfinite=at_once)
        except GradientError as error:
            raise self._not_finite("a gradient", bad_gradients(self.model, batches)) from error
        return scalar(norm)

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

        Within ``fit``, also the place in the data and what callbacks remember. Of several
        processes all have to call it.
        """
        left = self._fit.state_dict() if self._fit else (self._left or {})
        self.unread.read(self.means, self.step)
        return state_of(self) | {"left": left}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go where another run of the same make stood; unless all fits, nothing changes.

        The place in the data is taken by the next ``fit``, in the middle of an epoch if it was
        there.
        """
        before, left = self.state_dict(), self._left
        check_kinds(state_dict, before)
        try:
            load_state(self, state_dict)
            self._left = state_dict["left"]
        except Exception:
            load_state(self, before)
            self._left = left
            raise
