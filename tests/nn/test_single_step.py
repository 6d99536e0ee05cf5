"""A cell called for one step: states, rows without a batch, and what does not fit."""

import copy

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.nn.cell_list import H, I, blocks, draw, make
from tinygrad_rnn import nn
from tinygrad_rnn.errors import DTypeError, ShapeError
from tinygrad_rnn.kernels._twin import use_reference


def test_states_default_to_zeros_and_rows_may_be_missing():
    with use_reference():
        cell = nn.LSTMCell(I, H)
        x = tg.randn(5, I)
        h, c = cell(x)
        h_0, c_0 = cell(x, (tg.zeros(5, H), tg.zeros(5, H)))
        np.testing.assert_array_equal(h, h_0)
        np.testing.assert_array_equal(c, c_0)
        alone, _ = cell(x[2])
        assert alone.shape == (H,)
        np.testing.assert_allclose(alone, h[2], atol=1e-6)
        gru = nn.GRUCell(I, H)
        assert gru(x).shape == gru(x, tg.zeros(5, H)).shape == (5, H)
        clock = nn.AutonomousCell(H)
        assert clock().shape == clock(tg.ones(H)).shape == (H,)
        assert clock(tg.ones(2, H)).shape == (2, H)
        assert cell(tg.zeros(0, I))[0].shape == (0, H)


def test_another_batch_compiles_nothing():
    from tinygrad_rnn.kernels._jit import BUILDS

    cell = make("lstm")
    counts = []
    for B in (3, 3, 1, 70):  # the second call packs weights, which it meets again
        h, c = cell(np.ones((B, I)))
        (h + c).sum().backward()
        counts.append(len(BUILDS))
    assert counts[1] == counts[2] == counts[3]


def test_gates_of_the_other_sign_are_turned():
    """h = (1 - u) h + u n, with u = sigmoid(a), is the cell with z = sigmoid(-a)."""
    for name in ("gru", "gru_before"):
        cell = make(name)
        other = copy.deepcopy(cell)
        other.flip_update_gate_()
        x, (h,) = draw(cell, 1, 5)
        with use_reference():
            kept, turned = cell(x[0], h).numpy(), other(x[0], h).numpy()
        p = blocks(cell)
        u = 1 / (1 + np.exp(-(x[0] @ p("w_x", 1) + h @ p("w_h", 1) + p("b", 1))))
        n = (kept - u * h) / (1 - u)
        np.testing.assert_allclose(turned, (1 - u) * h + u * n, atol=1e-12)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "x is missing"),
        ((np.ones((2, 5), np.float32),), r"x has shape \(2, 5\), expected \(B, 3\) or \(3,\)"),
        ((np.ones((4, 2, 3), np.float32),), "one step; for sequences there is nn.Recurrent"),
        ((np.ones((2, 3), np.float32), tg.ones(2, 4)), "given 1 states, expected 2: h, c"),
        ((np.ones((2, 3), np.float32), (tg.ones(2, 5), tg.ones(2, 4))), r"h has shape \(2, 5\)"),
        ((np.ones((2, 3), np.float32), (tg.ones(2, 4), tg.ones(3, 4))), r"c has shape \(3, 4\)"),
        ((np.ones(3, np.float32), (tg.ones(2, 4), tg.ones(2, 4))), r"expected \(4,\)"),
    ],
)
def test_wrong_steps_say_what_is_wrong(args, message):
    with pytest.raises(ShapeError, match=message):
        nn.LSTMCell(I, H)(*args)


def test_element_types_are_not_mixed():
    with pytest.raises(DTypeError, match="GRUCell: x holds float64, but the weights float32"):
        nn.GRUCell(I, H)(np.ones((2, I)))


class Chained(nn.Cell):
    """Whose old state is used beside its product, before any other."""

    state, params, input = ("a", "b"), {"w": "H H", "v": "H H"}, None

    def step(self, a, b, p):
        return ((b @ p.w).tanh() @ p.v).tanh(), b.tanh()


class Crossed(nn.Cell):
    """With products of states in two rounds, of which one reads what the other has made."""

    state, params, input = ("a", "b"), {"w": "H H", "v": "H H"}, None

    def step(self, a, b, p):
        c = (b @ p.w).tanh()
        return (a @ p.v * c + (c * b) @ p.v).tanh(), c


@pytest.mark.parametrize("kind", [Chained, Crossed, nn.AutonomousCell])
@pytest.mark.parametrize("rows", [1, 3])
def test_gradients_have_the_same_bits_from_the_first_call_on(kind, rows):
    tg.seed(3)
    layer = nn.Recurrent(kind(8))
    states = [tg.randn(1, rows, 8, requires_grad=True) for _ in layer.cells()[0].state_sizes]
    given = tuple(states) if len(states) > 1 else states[0]
    found = []
    for _ in range(4):  # weights are packed from the second time on, calls written down
        y, last = layer(steps=1, state=given)
        goal = y.sum() + sum(s.sum() for s in (last if isinstance(last, tuple) else (last,)))
        found.append([g.numpy() for g in tg.grad(goal, states)])
    for later in found[1:]:
        np.testing.assert_array_equal(later, found[0])
