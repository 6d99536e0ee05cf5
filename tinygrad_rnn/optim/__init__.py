"""Optimisers, what is done to gradients before their step, averages of weights, schedules."""

from tinygrad_rnn.optim import schedules
from tinygrad_rnn.optim.adam import Adam, Adamax, AdamW, NAdam, RAdam
from tinygrad_rnn.optim.adaptive import Adadelta, Adagrad, RMSprop
from tinygrad_rnn.optim.averaging import EMA
from tinygrad_rnn.optim.gradients import (
    Accumulation,
    clip_grad_norm,
    clip_grad_value,
    grad_norm,
)
from tinygrad_rnn.optim.optimizer import Optimizer
from tinygrad_rnn.optim.sgd import ASGD, NTASGD, SGD, Lion

__all__ = [
    "ASGD", "EMA", "NTASGD", "SGD", "Accumulation", "Adadelta", "Adagrad", "Adam", "AdamW",
    "Adamax", "Lion", "NAdam", "Optimizer", "RAdam", "RMSprop", "clip_grad_norm",
    "clip_grad_value", "grad_norm", "schedules",
]  # fmt: skip
