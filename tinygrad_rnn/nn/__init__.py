"""Neural network modules: parameters under names, layers, initialisers."""

from tinygrad_rnn.nn import init
from tinygrad_rnn.nn.embedding import Embedding
from tinygrad_rnn.nn.linear import Linear
from tinygrad_rnn.nn.module import Module
from tinygrad_rnn.nn.parameter import Parameter

__all__ = ["Embedding", "Linear", "Module", "Parameter", "init"]
