"""Callbacks that end a run, or slow it down: nothing gets better, or nothing is a number."""

import math
import warnings
from typing import TYPE_CHECKING, Any

from tinygrad_rnn.arguments import choice, flag, number, whole
from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.optim import schedules
from tinygrad_rnn.training.callback import Callback

if TYPE_CHECKING:
    from tinygrad_rnn.training.trainer import Trainer

__all__ = ["Best", "EarlyStopping", "ReduceOnPlateau", "StopAtNaN"]


class Best:
    """The best of the values of one name so far."""

    def __init__(self, where: str, name: str | None, mode: str, margin: float = 0.0) -> None:
        choice(where, "mode", mode, ("min", "max"))
        self.where, self.name = where, name
        self.sign = 1.0 if mode == "min" else -1.0
        self.margin = number(where, "min_delta", margin)
        self.value = math.inf

    def value_of(self, logs: dict[str, Any]) -> float:
        """That of the given name; or the loss, of the validation if there is one."""
        name = self.name or ("val_loss" if "val_loss" in logs else "loss")
        if name not in logs:
            raise ArgumentError(
                f"{self.where}: the epoch has no {name!r}, expected one of {', '.join(logs)}."
            )
        return float(logs[name])

    def beaten_by(self, logs: dict[str, Any]) -> bool:
        """Whether these logs are better; then they are the best."""
        value = self.sign * self.value_of(logs)
        better = value < self.value - self.margin
        if better:
            self.value = value
        return better


class EarlyStopping(Callback):
    """Stop when ``patience`` epochs have passed without a better value.

    Args:
        monitor: A name in the logs of an epoch; None for "val_loss", or "loss" where there is
            no validation.
        min_delta: By how much better is better.
        mode: "min" where less is better, "max" where more is.
        restore_best: Give the model the weights of the best epoch in the end.
    """

    def __init__(
        self,
        monitor: str | None = None,
        *,
        patience: int = 5,
        min_delta: float = 0.0,
        mode: str = "min",
        restore_best: bool = False,
    ) -> None:
        self.best = Best("EarlyStopping", monitor, mode, min_delta)
        self.patience = whole("EarlyStopping", "patience", patience, 1, ArgumentError)
        self.restore_best = flag("EarlyStopping", "restore_best", restore_best)
        self.waited = 0
        self.weights: dict[str, Any] | None = None
        self._went_on = False  # from where a run stood, which may have been over

    def on_fit_begin(self, trainer: "Trainer") -> None:
        """A run that was stopped is over."""
        if self._went_on and self.waited >= self.patience:
            self._stop(trainer)
        self._went_on = False

    def on_epoch_end(self, trainer: "Trainer", logs: dict[str, Any]) -> None:
        """Count the epochs since the best."""
        if self.best.beaten_by(logs):
            self.waited = 0
            if self.restore_best:
                self.weights = trainer.model.state_dict()
            return
        self.waited += 1
        if self.waited >= self.patience:
            self._stop(trainer)

    def _stop(self, trainer: "Trainer") -> None:
        trainer.stop(f"EarlyStopping: nothing better for {self.waited} epochs")

    def on_fit_end(self, trainer: "Trainer") -> None:
        """Put the best weights back."""
        if self.weights is not None and trainer.history.stopped is not None:
            trainer.model.load_state_dict(self.weights)

    def state_dict(self) -> dict[str, Any]:
        """The best, and since when nothing was better."""
        return {"best": self.best.value, "waited": self.waited, "weights": self.weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting."""
        self.best.value = state_dict["best"]
        self.waited, self.weights = state_dict["waited"], state_dict["weights"]
        self._went_on = True


class ReduceOnPlateau(Callback):
    """Reduce the learning rate when nothing gets better: ``optim.schedules.ReduceLROnPlateau``.

    Args:
        monitor: A name in the logs of an epoch; None for "val_loss", or "loss".
        options: What the schedule takes: factor, patience, mode, min_lr, ...
    """

    def __init__(self, monitor: str | None = None, **options: Any) -> None:
        self.best = Best("ReduceOnPlateau", monitor, "min")
        self.options = options
        self.schedule: schedules.ReduceLROnPlateau | None = None
        self._remembered: dict[str, Any] | None = None

    def on_fit_begin(self, trainer: "Trainer") -> None:
        """Make the schedule."""
        if trainer.schedule is not None and trainer.schedule_each == "step":
            raise ArgumentError(
                f"ReduceOnPlateau: the trainer's {type(trainer.schedule).__name__} sets the rate "
                "anew in each step, expected one of the two."
            )
        if self.schedule is None:
            self.schedule = schedules.ReduceLROnPlateau(trainer.optimizer, **self.options)
        if self._remembered:
            self.schedule.load_state_dict(self._remembered)

    def on_epoch_end(self, trainer: "Trainer", logs: dict[str, Any]) -> None:
        """Tell it the value."""
        assert self.schedule is not None
        self.schedule.step(self.best.value_of(logs))

    def state_dict(self) -> dict[str, Any]:
        """What the schedule remembers."""
        return self.schedule.state_dict() if self.schedule else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where it was."""
        self._remembered = state_dict


class StopAtNaN(Callback):
    """End the run in peace where a loss is no number, or go back to the last checkpoint.

    Without this callback such a loss is an error. The step is not made in either case.

    Args:
        roll_back: Take weights and optimiser of the newest checkpoint, leave the batch out, and
            go on at a smaller rate.
        factor: What the learning rates are multiplied by then.
        times: How often, before it is an error.
    """

    def __init__(self, roll_back: bool = False, *, factor: float = 0.5, times: int = 3) -> None:
        self.roll_back = flag("StopAtNaN", "roll_back", roll_back)
        self.factor = number("StopAtNaN", "factor", factor)
        self.times = whole("StopAtNaN", "times", times, 1, ArgumentError)
        self.count = 0

    def on_not_finite(self, trainer: "Trainer", error: Exception) -> bool:
        """Stop, or go back."""
        if not self.roll_back:
            trainer.stop(str(error))
            return True
        if self.count >= self.times or not trainer.roll_back():
            return False
        self.count += 1
        for group in trainer.optimizer.param_groups:
            for name in ("lr", "initial_lr"):
                if name in group:
                    group[name] *= self.factor
        warnings.warn(
            f"{error} Went back to the newest checkpoint, with smaller rates.", stacklevel=2
        )
        return True

    def state_dict(self) -> dict[str, Any]:
        """How often it went back."""
        return {"count": self.count}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting."""
        self.count = state_dict["count"]
