"""Every cell and layer keeps the laws of what runs over time: rows, padding, splits, directions.

Step by step, which compiles no kernel for each cell; the last ones over kernels.
"""

from functools import partial

from hypothesis import settings

from tests.nn.cell_list import ALIKE, CELLS, H, I, make
from tinygrad_rnn import nn
from tinygrad_rnn.testing import check_sequence_module

# There are many cases: each takes a few of the examples that a test has.
USUAL = settings.default.max_examples
FEW = settings(max_examples=max(3, USUAL // 7))
SOME = settings(max_examples=max(5, USUAL // 2))

THOUSAND_STEPS = "saturated_gates_keep_the_state"  # takes a kernel


def cell(name):
    """A cell that runs step by step."""
    made = make(name)
    made.fused = False
    return made


def deep(name):
    """Two layers of it, in both directions."""
    return nn.Recurrent(cell(name), num_layers=2, bidirectional=True)


test_cells = check_sequence_module(
    {name: partial(cell, name) for name in CELLS}, without=[THOUSAND_STEPS], settings=FEW
)

test_deep_layers = check_sequence_module(
    {name: partial(deep, name) for name in CELLS if name not in {*ALIKE, "autonomous"}},
    ["reverse", "layer_stack", "mask_equals_truncate", "padding_invariance",
     "padded_outputs_are_zero"],
    settings=FEW,
)  # fmt: skip

OPTIONS = {
    "widths": partial(nn.LSTM, I, [H, 6, 2]),
    "batch first": partial(nn.LSTM, I, H, bidirectional=True, batch_first=True),
    "reverse": partial(nn.GRU, I, H, 2, reverse=True),
    "mean": partial(nn.GRU, I, H, bidirectional=True, merge="mean", batch_first=True),
    "mul": partial(nn.GRU, I, H, bidirectional=True, merge="mul", initial_state="learned"),
    "pair": partial(nn.LSTM, I, H, 2, bidirectional=True, merge="none"),
    "residual": partial(nn.GRU, I, H, 2, connect="residual"),
    "highway": partial(nn.GRU, I, H, 2, connect="highway", bidirectional=True),
    "dense": partial(nn.LSTM, I, H, 2, connect="dense", batch_first=True),
    "learned": partial(nn.LSTM, I, H, 2, initial_state="learned"),
    "stateful": partial(nn.LSTM, I, H, 2, stateful=True),
    "without bias": partial(nn.LSTM, I, H, bias=False),
}

test_options = check_sequence_module(
    {name: partial(layer, fused=False) for name, layer in OPTIONS.items()},
    without=[THOUSAND_STEPS],
    settings=FEW,
)

test_kernels = check_sequence_module(
    {
        "lstm": lambda: nn.LSTM(I, H),
        "gru": lambda: nn.GRU(I, H),
        "both directions": lambda: nn.GRU(I, H, 2, bidirectional=True),
        "backwards": lambda: nn.LSTM(I, H, reverse=True),
    },
    settings=SOME,
)
