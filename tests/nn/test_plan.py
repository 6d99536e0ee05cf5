"""Fused or step by step: one decision, asked for, explained, and warned about once."""

import numpy as np

from tinygrad_rnn import nn
from tinygrad_rnn.ops.recurrence import obstacle

I, H = 3, 4


def test_one_function_says_why_there_is_no_kernel():
    cell = nn.GRUCell(I, H)
    assert obstacle(cell.program, np.zeros(1, np.float32)) == ""
    reason = obstacle(cell.program, np.zeros(1, np.float16))
    assert reason == "there is no kernel for float16 on cpu"
    assert cell.plan == "fused"
    assert cell.astype(np.float16).plan == "composite"
