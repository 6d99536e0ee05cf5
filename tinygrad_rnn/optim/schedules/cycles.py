"""Rates that go round: cosines, restarts, one cycle."""

import math
from typing import Any

from tinygrad_rnn.arguments import bounded, choice, number, whole
from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.optim.optimizer import Optimizer
from tinygrad_rnn.optim.schedules.schedule import Schedule

__all__ = ["CosineAnnealingLR", "CosineAnnealingWarmRestarts", "OneCycleLR"]


def _cosine(start: float, end: float, share: float) -> float:
    """From start to end on half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def _line(start: float, end: float, share: float) -> float:
    return start + (end - start) * share


class CosineAnnealingLR(Schedule):
    """eta_min + (base - eta_min) · (1 + cos(π t / T_max)) / 2"""

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        self.T_max = whole("CosineAnnealingLR", "T_max", T_max, 1, ArgumentError)
        self.eta_min = number("CosineAnnealingLR", "eta_min", eta_min)
        super().__init__(optimizer)

    def rate(self, base: float, t: int) -> float:
        """The formula."""
        return _cosine(base, self.eta_min, t / self.T_max)


class CosineAnnealingWarmRestarts(Schedule):
    """eta_min + (base - eta_min) · (1 + cos(π t / T)) / 2, begun anew after T steps.

    T is T_0 at first, then T_0 · T_mult, and so on.
    """

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0
    ) -> None:
        where = "CosineAnnealingWarmRestarts"
        self.T_0 = whole(where, "T_0", T_0, 1, ArgumentError)
        self.T_mult = whole(where, "T_mult", T_mult, 1, ArgumentError)
        self.eta_min = number(where, "eta_min", eta_min)
        super().__init__(optimizer)

    def rate(self, base: float, t: int) -> float:
        """The formula."""
        length = self.T_0
        if self.T_mult == 1:
            t %= length
        while t >= length:
            t -= length
            length *= self.T_mult
        return _cosine(base, self.eta_min, t / length)


class OneCycleLR(Schedule):
    """Up to max_lr, down to almost nothing, and momentum the other way (Smith and Topin 2018).

        max_lr / div_factor  ->  max_lr  ->  max_lr / div_factor / final_div_factor
        from a to b, at the share s of the way:  b + (a - b) · (1 + cos(π s)) / 2,  or a + (b - a) s

    Args:
        total_steps: The length of the cycle: how often ``step`` may be called.
        pct_start: Which share of it goes up.
        anneal_strategy: "cos" or "linear".
        cycle_momentum: Change the momentum, or the first beta, between max_momentum and
            base_momentum; of optimisers that have neither, nothing.
        div_factor: It begins with max_lr / div_factor,
        final_div_factor: and ends with a final_div_factor-th of that.
        three_phase: Down to the beginning as fast as it went up, and only then to the end.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float,
        total_steps: int,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
    ) -> None:
        choice("OneCycleLR", "anneal_strategy", anneal_strategy, ("cos", "linear"))
        max_lr = bounded("OneCycleLR", "max_lr", max_lr, above=0)
        div_factor = bounded("OneCycleLR", "div_factor", div_factor, above=0)
        final_div_factor = bounded("OneCycleLR", "final_div_factor", final_div_factor, above=0)
        self.total_steps = whole("OneCycleLR", "total_steps", total_steps, 2, ArgumentError)
        if not 1 / total_steps < number("OneCycleLR", "pct_start", pct_start) < 1:
            raise ArgumentError(
                f"OneCycleLR: pct_start is {pct_start}, expected a number below 1 that leaves more "
                f"than one of the {total_steps} steps for the way up."
            )
        if three_phase and 2 * (pct_start * total_steps - 1) >= total_steps - 1:
            raise ArgumentError(
                f"OneCycleLR: pct_start is {pct_start} with three_phase=True, expected less than "
                "half: it goes down as long as it went up, and then on."
            )
        self.max_lr = max_lr
        self.anneal = _cosine if anneal_strategy == "cos" else _line
        self.cycle_momentum = cycle_momentum
        start = self.max_lr / div_factor
        up = pct_start * total_steps - 1
        # Where each phase ends, and the rate and momentum there.
        low = number("OneCycleLR", "base_momentum", base_momentum)
        high = number("OneCycleLR", "max_momentum", max_momentum)
        self.phases = [(0.0, start, high), (up, self.max_lr, low)]
        if three_phase:
            self.phases.append((2 * up, start, high))
        self.phases.append((total_steps - 1.0, start / final_div_factor, high))
        super().__init__(optimizer)

    def options(self, group: dict[str, Any], t: int) -> dict[str, Any]:
        """The rate, and the momentum in whatever form the group has it."""
        if t > self.total_steps:
            raise ArgumentError(
                f"OneCycleLR: step {t} of a cycle of total_steps={self.total_steps}."
            )
        t = min(t, self.total_steps - 1)  # a loop calls step once more, behind the last step
        pairs = zip(self.phases, self.phases[1:], strict=False)
        before, after = next(pair for pair in pairs if t <= pair[1][0])
        share = (t - before[0]) / (after[0] - before[0])
        lr, momentum = (self.anneal(before[i], after[i], share) for i in (1, 2))
        if self.cycle_momentum and "betas" in group:
            return {"lr": lr, "betas": (momentum, group["betas"][1])}
        if self.cycle_momentum and "momentum" in group:
            return {"lr": lr, "momentum": momentum}
        return {"lr": lr}
