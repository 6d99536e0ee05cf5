"""Looking into trained networks: what units do, where gradients come from, how far they reach."""

from tinygrad_rnn.inspect.activations import Activations, Row, activations
from tinygrad_rnn.inspect.cells import FoundCell, find_cells
from tinygrad_rnn.inspect.gates import Memory, Saturation, memory, saturation
from tinygrad_rnn.inspect.gradient_flow import gradient_map
from tinygrad_rnn.inspect.line_chart import line_chart
from tinygrad_rnn.inspect.text_features import text_features
from tinygrad_rnn.inspect.text_page import TextPage, text_page

__all__ = [
    "Activations", "FoundCell", "Memory", "Row", "Saturation", "TextPage", "activations",
    "find_cells", "gradient_map", "line_chart", "memory", "saturation", "text_features",
    "text_page",
]  # fmt: skip
