"""Schedule: a formula of the number of the step."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tinygrad_rnn.arguments import function_of, number, whole
from tinygrad_rnn.errors import ArgumentError, StateDictError
from tinygrad_rnn.optim.optimizer import Optimizer
from tinygrad_rnn.optim.options import checked

__all__ = ["LambdaLR", "Schedule", "SequentialLR", "milestones_of", "optimizer_of"]


def optimizer_of(where: str, given: Any) -> Optimizer:
    """The optimiser whose rate is to change."""
    if not isinstance(given, Optimizer):
        raise ArgumentError(
            f"{where}: optimizer is a {type(given).__name__}, expected one of tinygrad_rnn.optim."
        )
    for group in given.param_groups:
        group.setdefault("initial_lr", group["lr"])
    return given


def milestones_of(where: str, given: Any) -> list[int]:
    """Numbers of steps, ascending."""
    if not isinstance(given, Iterable):
        raise ArgumentError(
            f"{where}: milestones is {given!r}, expected a sequence of whole numbers."
        )
    milestones = [whole(where, "a milestone", n, 0, ArgumentError) for n in given]
    if milestones != sorted(milestones):
        raise ArgumentError(f"{where}: milestones are {milestones}, expected them to ascend.")
    return milestones


class Schedule:
    """The base of all schedules; ``rate`` is the formula of a subclass.

        class Halving(schedules.Schedule):
            def rate(self, base, t):
                return base * 0.5**t

    ``base`` is the rate that a group began with, ``t`` counts the calls of ``step``, from 0.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer_of(type(self).__name__, optimizer)
        self._go_to(0)

    def rate(self, base: float, t: int) -> float:
        """The learning rate after ``t`` steps."""
        raise NotImplementedError(f"{type(self).__name__} has no method rate, its formula.")

    def options(self, group: dict[str, Any], t: int) -> dict[str, Any]:
        """All options of a group that the schedule decides, after ``t`` steps."""
        return {"lr": self.rate(group["initial_lr"], t)}

    def step(self) -> None:
        """Go on to the next step, or epoch: whatever the formula is meant to count."""
        self._go_to(self.t + 1)

    def _go_to(self, t: int) -> None:
        """Give the options of a step to all groups; where one is refused, to none."""
        changes = []
        for group in self.optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
            options = self.options(group, t)
            changes.append({k: checked(type(self).__name__, k, v) for k, v in options.items()})
        for group, change in zip(self.optimizer.param_groups, changes, strict=True):
            group.update(change)
        self.t = t

    def get_last_lr(self) -> list[float]:
        """The rates as they are now, one a group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """The number of the step: all that changes."""
        return {"t": self.t}

    def load_state_dict(self, state_dict: Any) -> None:
        """Go on from there; the rates that groups began with are in the optimiser's state dict."""
        try:
            t = whole("", "t", state_dict["t"], 0)
        except (TypeError, KeyError, ValueError):
            raise StateDictError(
                f"{type(self).__name__}.load_state_dict: expected what state_dict() returned, "
                "a dict with 't', the number of the step."
            ) from None
        self._go_to(t)


class LambdaLR(Schedule):
    """base · factor(t), for any function of the step."""

    def __init__(self, optimizer: Optimizer, lr_lambda: Callable[[int], float]) -> None:
        self.factor = function_of("LambdaLR", "lr_lambda", lr_lambda)
        super().__init__(optimizer)

    def rate(self, base: float, t: int) -> float:
        """The formula."""
        return base * float(number("LambdaLR", "what lr_lambda returned", self.factor(t)))


class SequentialLR(Schedule):
    """One schedule after the other; each counts from where it begins.

        warm_up = schedules.LinearLR(optimizer, 0.1, total_iters=100)
        after = schedules.CosineAnnealingLR(optimizer, T_max=900)
        schedule = schedules.SequentialLR(optimizer, [warm_up, after], milestones=[100])

    Args:
        milestones: The steps at which the second, the third, ... begins.
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[Schedule], milestones: Sequence[int]
    ) -> None:
        where = "SequentialLR"
        if not isinstance(schedulers, Iterable):
            raise ArgumentError(f"{where}: schedulers is {schedulers!r}, expected a sequence.")
        self.schedules = list(schedulers)
        self.milestones = milestones_of("SequentialLR", milestones)
        if len(self.schedules) != len(self.milestones) + 1:
            raise ArgumentError(
                f"SequentialLR: {len(self.schedules)} schedules and {len(self.milestones)} "
                "milestones, expected one milestone between each schedule and the next."
            )
        for schedule in self.schedules:
            if not isinstance(schedule, Schedule) or schedule.optimizer is not optimizer:
                raise ArgumentError(
                    f"{where}: one of schedulers is a {type(schedule).__name__}, expected a "
                    "schedule of the same optimizer."
                )
            if type(schedule).options is Schedule.options and type(schedule).rate is Schedule.rate:
                raise ArgumentError(
                    f"SequentialLR: {type(schedule).__name__} is no formula of the step, expected "
                    "schedules that are."
                )
        super().__init__(optimizer)

    def options(self, group: dict[str, Any], t: int) -> dict[str, Any]:
        """What the schedule whose turn it is says."""
        number = bisect_right(self.milestones, t)
        begin = self.milestones[number - 1] if number else 0
        return self.schedules[number].options(group, t - begin)
