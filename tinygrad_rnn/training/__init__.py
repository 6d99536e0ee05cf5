"""Training: models as files, as descriptions, as graphs."""

from tinygrad_rnn.training.describing import describe
from tinygrad_rnn.training.description import build
from tinygrad_rnn.training.functional import Model
from tinygrad_rnn.training.graph import Input, Node, apply, item
from tinygrad_rnn.training.saving import load_model, save_model

__all__ = [
    "Input", "Model", "Node", "apply", "build", "describe", "item", "load_model", "save_model",
]  # fmt: skip
