"""A rate that falls when nothing gets better."""

import math
from typing import Any

from tinygrad_rnn.arguments import bounded, choice, number, whole
from tinygrad_rnn.errors import ArgumentError, StateDictError
from tinygrad_rnn.optim.optimizer import Optimizer
from tinygrad_rnn.optim.options import measured
from tinygrad_rnn.optim.schedules.schedule import Schedule, optimizer_of

__all__ = ["ReduceLROnPlateau"]


class ReduceLROnPlateau(Schedule):
    """lr ← max(lr · factor, min_lr) after ``patience`` evaluations without a better one.

        schedule.step(validation_loss)

    Args:
        mode: "min" where less is better, "max" where more is.
        threshold: What counts as better: by this share of the best so far,
        threshold_mode: "rel"; or "abs": by this much.
        cooldown: After a reduction, for how many evaluations nothing is counted.
        eps: A change of the rate that is not larger than this is not made.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float = 0.0,
        eps: float = 1e-8,
    ) -> None:
        where = "ReduceLROnPlateau"
        choice(where, "mode", mode, ("min", "max"))
        choice(where, "threshold_mode", threshold_mode, ("rel", "abs"))
        self.optimizer = optimizer_of(where, optimizer)
        self.sign = 1.0 if mode == "min" else -1.0
        self.factor = bounded(where, "factor", factor, least=0, below=1)
        self.min_lr, self.eps = number(where, "min_lr", min_lr), number(where, "eps", eps)
        self.patience = whole(where, "patience", patience, 0, ArgumentError)
        self.cooldown = whole(where, "cooldown", cooldown, 0, ArgumentError)
        self.threshold = number(where, "threshold", threshold)
        self.relative = threshold_mode == "rel"
        self.t = self.bad = self.waiting = 0
        self.best = math.inf  # of what is to be small: the metric, or minus it

    def step(self, metric: Any = None) -> None:
        """Take note of an evaluation, and reduce the rate if it is time."""
        if metric is None:
            raise ArgumentError(
                "ReduceLROnPlateau.step: no metric was given, expected the number that should get "
                "better: step(validation_loss)."
            )
        value = self.sign * measured("ReduceLROnPlateau.step", "metric", metric)
        self.t += 1
        margin = abs(self.best) * self.threshold if self.relative else self.threshold
        if (self.best == math.inf and value < math.inf) or value < self.best - margin:
            self.best, self.bad = value, 0
        else:
            self.bad += 1
        if self.waiting > 0:
            self.waiting, self.bad = self.waiting - 1, 0
        if self.bad > self.patience:
            self._reduce()
            self.waiting, self.bad = self.cooldown, 0

    def _reduce(self) -> None:
        for group in self.optimizer.param_groups:
            lr = max(group["lr"] * self.factor, self.min_lr)
            if group["lr"] - lr > self.eps:
                group["lr"] = lr

    def state_dict(self) -> dict[str, Any]:
        """What is remembered of the evaluations; the rates are in the optimiser's."""
        return {name: getattr(self, name) for name in ("t", "best", "bad", "waiting")}

    def load_state_dict(self, state_dict: Any) -> None:
        """Go on from there."""
        try:
            best = measured("", "best", state_dict["best"])
            counts = {
                name: whole("", name, state_dict[name], 0) for name in ("t", "bad", "waiting")
            }
        except (TypeError, KeyError, ValueError):
            raise StateDictError(
                "ReduceLROnPlateau.load_state_dict: expected what state_dict() returned, a dict "
                f"with {', '.join(self.state_dict())}."
            ) from None
        vars(self).update(counts, best=best)
