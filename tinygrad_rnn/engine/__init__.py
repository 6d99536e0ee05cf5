"""Recording operations and walking back through what was recorded."""

from tinygrad_rnn.engine.derivative import backward, grad
from tinygrad_rnn.engine.early import backward_each
from tinygrad_rnn.engine.namespaces import ARRAYS, TENSORS
from tinygrad_rnn.engine.node import FREED, Node, record, wrap
from tinygrad_rnn.engine.parts import OutputGrad, Part, SliceGrad, resolved, unbroadcast
from tinygrad_rnn.engine.walk import Walk, inputs_as_tensors

__all__ = [
    "ARRAYS",
    "FREED",
    "TENSORS",
    "Node",
    "OutputGrad",
    "Part",
    "SliceGrad",
    "Walk",
    "backward",
    "backward_each",
    "grad",
    "inputs_as_tensors",
    "record",
    "resolved",
    "unbroadcast",
    "wrap",
]  # fmt: skip
