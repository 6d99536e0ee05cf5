"""Functions of functions: derivatives, checkpoints, gradients of every row."""

from tinygrad_rnn.transforms.checkpoint import checkpoint
from tinygrad_rnn.transforms.functional import hvp, jacobian, jvp, vjp
from tinygrad_rnn.transforms.samples import per_sample_grads

__all__ = ["checkpoint", "hvp", "jacobian", "jvp", "per_sample_grads", "vjp"]
