"""The spec of ``tinygrad_rnn.ops.recurrence``: a cell over a sequence, under any mask.

One small cell that has everything the kernel cuts apart: products of the input and of the
state, gates, a state that is carried beside the output.
"""

from types import SimpleNamespace

import numpy as np
from hypothesis import strategies as st

from tests.ops.specs_activation import sigmoid
from tinygrad_rnn import ops
from tinygrad_rnn.kernels.recurrence.reference import HOLD, NUMPY, RESET, STEP, sequence
from tinygrad_rnn.kernels.recurrence.tracing import trace
from tinygrad_rnn.testing import strategies as gs
from tinygrad_rnn.testing.opspec import Case, OpSpec
from tinygrad_rnn.testing.samples import DENSE, largest, shapes, unit


class Gated:
    state = ("h", "c")
    params = {"w_x": "I 2H", "w_h": "H 2H", "b": "2H"}

    def step(self, x, h, c, p):
        f, g = (x @ p.w_x + h @ p.w_h + p.b).chunk(2)
        c = f.sigmoid() * c + g.tanh()
        return f.sigmoid() * c.tanh(), c


PROGRAM = trace(Gated())
# The interpreter's own sigmoid, 0.5 (1 + tanh(x / 2)), is 0 from -38 on, and 0 * inf is NaN.
EXACT = SimpleNamespace(**(vars(NUMPY) | {"sigmoid": sigmoid}))
NAMES = [name for name, _ in PROGRAM.params]


@st.composite
def _sequence(draw, side):
    T, B, I = draw(shapes(3, 3, side))
    H = draw(st.integers(1, 3))
    sizes = [(T, B, I), *[(B, H)] * 4, (I, 2 * H), (H, 2 * H), (2 * H,)]
    rng = np.random.default_rng(draw(gs.seeds()))
    codes = [HOLD, STEP, RESET, STEP | RESET]
    mask = rng.choice(codes, (T, B)).astype(np.uint8) if draw(st.booleans()) else None
    # Weights that do not saturate all gates: slopes would be rounding of 1 - 1, and nothing else.
    highest = [1, *[2] * 4, *[0.5] * 3]
    inputs = tuple(
        draw(gs.arrays(shape, styles=DENSE, low=-high, high=high))
        for shape, high in zip(sizes, highest, strict=True)
    )
    how = {"mask": mask, "reverse": draw(st.booleans())}
    return Case(inputs, how | {"recompute": draw(st.sampled_from([False, True, 2]))})


def _recurrence(x, h, c, h_again, c_again, *weights, **how):
    params = dict(zip(NAMES, weights, strict=True))
    restart = [h_again, c_again]
    y, finals = ops.recurrence(PROGRAM, x, [h, c], params, restart=restart, **how)
    return (y, *finals)


def _reference(x, h, c, h_again, c_again, *weights, recompute, **how):
    params = dict(zip(NAMES, weights, strict=True))
    how |= {"steps": x.shape[0], "restart": [h_again, c_again]}
    if not x.shape[0]:
        return (np.zeros((0, *h.shape), x.dtype), h, c)
    y, finals = sequence(PROGRAM, EXACT, x, [h, c], params, **how)
    return (y, *finals)


def _terms(x, h, *rest, **attrs):
    return max(x.shape[0] * (x.shape[2] + h.shape[1]), 1)


def _steepest(*inputs, **attrs):
    """Saturated slopes are differences of numbers of order 1, times an input or a weight."""
    return max(1.0, largest(*inputs))


SPECS = [
    OpSpec(
        "recurrence",
        _recurrence,
        _reference,
        _sequence,
        terms=_terms,
        scale=unit,
        slope_scale=_steepest,
    ),
]
