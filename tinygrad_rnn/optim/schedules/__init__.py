"""Schedules: how the learning rate changes from step to step, each a formula of the step.

    schedule = schedules.CosineAnnealingLR(optimizer, T_max=1000)
    ...
    optimizer.step()
    schedule.step()

The names are PyTorch's, where it has them. A rate is computed from the number of the step
alone, not from the rate before it, so a resumed run has the same bits.
"""

from tinygrad_rnn.optim.schedules.cycles import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    OneCycleLR,
)
from tinygrad_rnn.optim.schedules.decay import (
    ExponentialLR,
    InverseSquareRootLR,
    LinearLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from tinygrad_rnn.optim.schedules.plateau import ReduceLROnPlateau
from tinygrad_rnn.optim.schedules.schedule import LambdaLR, Schedule, SequentialLR

__all__ = [
    "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "ExponentialLR", "InverseSquareRootLR",
    "LambdaLR", "LinearLR", "MultiStepLR", "OneCycleLR", "PolynomialLR", "ReduceLROnPlateau",
    "Schedule", "SequentialLR", "StepLR",
]  # fmt: skip
