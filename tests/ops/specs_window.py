"""Specs of ``tinygrad_rnn.ops.window``."""

import numpy as np
from hypothesis import strategies as st

from tinygrad_rnn import ops
from tinygrad_rnn.primitive import PRIMITIVES
from tinygrad_rnn.testing import strategies as gs
from tinygrad_rnn.testing.opspec import Case, OpSpec


@st.composite
def _slid(draw, side):
    """An array and windows over its last one or two axes, of which there is at least one."""
    axes = draw(st.integers(1, 2))
    how = {
        name: tuple(draw(st.integers(1, 3)) for _ in range(axes))
        for name in ("kernel", "stride", "dilation")
    }
    spans = [(k - 1) * d + 1 for k, d in zip(how["kernel"], how["dilation"], strict=True)]
    leading = tuple(draw(st.lists(st.integers(side, 2), max_size=2)))
    shape = (*leading, *(span + draw(st.integers(0, 3)) for span in spans))
    return Case((draw(gs.arrays(shape)),), how)


@st.composite
def _gathered(draw, side):
    """What windows would read, and the shape that they are added into."""
    case = draw(_slid(side))
    x, how = case.inputs[0], case.attrs
    shape = _windows(x, **how).shape
    return Case((draw(gs.arrays(shape)),), {**how, "before": x.shape})


def _windows(x, kernel, stride, dilation):
    spans = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
    axes = tuple(range(x.ndim - len(kernel), x.ndim))
    view = np.lib.stride_tricks.sliding_window_view(x, spans, axes)
    steps = [slice(None, None, n) for n in (*stride, *dilation)]
    return view[(..., *steps)]


def _from_windows(x, kernel, stride, dilation, before):
    places = _windows(np.arange(np.prod(before)).reshape(before), kernel, stride, dilation)
    total = np.zeros(before, x.dtype)
    np.add.at(total.reshape(-1), places.reshape(-1), x.reshape(-1))
    return total


SPECS = [
    OpSpec("windows", ops.windows, _windows, _slid, exact=True, linear=(0,)),
    OpSpec("from_windows", PRIMITIVES["from_windows"].call, _from_windows, _gathered,
           terms=lambda x, kernel, **how: int(np.prod(kernel)), linear=(0,)),
]  # fmt: skip
