"""Rates that fall, or rise once."""

import math
from bisect import bisect_right
from collections.abc import Sequence

from tinygrad_rnn.arguments import number, whole
from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.optim.optimizer import Optimizer
from tinygrad_rnn.optim.schedules.schedule import Schedule, milestones_of

__all__ = [
    "ExponentialLR", "InverseSquareRootLR", "LinearLR", "MultiStepLR", "PolynomialLR", "StepLR",
]  # fmt: skip


class StepLR(Schedule):
    """base · gamma^⌊t / step_size⌋"""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self.step_size = whole("StepLR", "step_size", step_size, 1, ArgumentError)
        self.gamma = number("StepLR", "gamma", gamma)
        super().__init__(optimizer)

    def rate(self, base: float, t: int) -> float:
        """The formula."""
        return base * self.gamma ** (t // self.step_size)


class MultiStepLR(Schedule):
    """base · gamma^(how many of the milestones t has reached)"""

    def __init__(self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1) -> None:
        self.milestones = milestones_of("MultiStepLR", milestones)
        self.gamma = number("MultiStepLR", "gamma", gamma)
        super().__init__(optimizer)

    def rate(self, base: float, t: int) -> float:
        """The formula."""
        return base * self.gamma ** bisect_right(self.milestones, t)


class ExponentialLR(Schedule):
    """base · gammaᵗ"""

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        self.gamma = number("ExponentialLR", "gamma", gamma)
        super().__init__(optimizer)

    def rate(self, base: float, t: int) -> float:
        """The formula."""
        return base * self.gamma**t


class LinearLR(Schedule):
    """base · (start + (end - start) · min(t / total_iters, 1)): a linear warm-up, as it comes."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
    ) -> None:
        self.start_factor = number("LinearLR", "start_factor", start_factor)
        self.end_factor = number("LinearLR", "end_factor", end_factor)
        self.total_iters = whole("LinearLR", "total_iters", total_iters, 1, ArgumentError)
        super().__init__(optimizer)

    def rate(self, base: float, t: int) -> float:
        """The formula."""
        share = min(t / self.total_iters, 1.0)
        return base * (self.start_factor + (self.end_factor - self.start_factor) * share)


class PolynomialLR(Schedule):
    """base · (1 - min(t / total_iters, 1))^power"""

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0) -> None:
        self.total_iters = whole("PolynomialLR", "total_iters", total_iters, 1, ArgumentError)
        self.power = number("PolynomialLR", "power", power)
        super().__init__(optimizer)

    def rate(self, base: float, t: int) -> float:
        """The formula."""
        return float(base * (1 - min(t / self.total_iters, 1.0)) ** self.power)


class InverseSquareRootLR(Schedule):
    """base · min(n / warmup, √(warmup / n)), n = t + 1: up to base in ``warmup`` steps, then down.

    That of the Transformer ("Noam") for vectors of d numbers has base = (d · warmup)^-½.
    """

    def __init__(self, optimizer: Optimizer, warmup: int) -> None:
        self.warmup = whole("InverseSquareRootLR", "warmup", warmup, 1, ArgumentError)
        super().__init__(optimizer)

    def rate(self, base: float, t: int) -> float:
        """The formula."""
        n = t + 1
        return base * min(n / self.warmup, math.sqrt(self.warmup / n))
