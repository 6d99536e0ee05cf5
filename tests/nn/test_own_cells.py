"""Cells as users write them: how their weights start, what they may hold, copies and clones."""

import copy
import pickle
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.nn.cell_list import H, I, draw
from tinygrad_rnn import nn, ops
from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.kernels._twin import use_reference
from tinygrad_rnn.kernels.recurrence.reference import NUMPY, sequence
from tinygrad_rnn.nn.composite import step_by_step


def test_a_highway_is_at_least_one_layer_deep():
    with pytest.raises(ShapeError, match="RHNCell: depth is 0, expected"):
        nn.RHNCell(2, 3, depth=0)


def test_weights_start_well():
    cell = nn.LSTMCell(20, 30)
    for gate in np.split(cell.w_h.numpy(), 4, axis=1):
        np.testing.assert_allclose(gate.T @ gate, np.eye(30), atol=1e-5)
    assert np.abs(cell.w_x.numpy()).max() <= np.sqrt(6 / 50)
    np.testing.assert_array_equal(cell.b.numpy(), np.repeat([0.0, 1.0, 0.0, 0.0], 30))
    np.testing.assert_array_equal(
        nn.LSTMVariantCell(2, 3, variant="NOG").b, np.repeat([0, 1, 0], 3)
    )
    np.testing.assert_array_equal(nn.RHNCell(2, 3, depth=4).b_3, np.repeat([0, -2], 3))
    u = nn.IndRNNCell(2, 500).u.numpy()
    assert 0 <= u.min() < 0.1
    assert 0.9 < u.max() <= 1
    assert np.abs(nn.PeepholeLSTMCell(2, 100).p_i.numpy()).max() <= 0.1


class Leaky(nn.Cell):
    state = ("h",)
    params = {"w_x": "I H", "w_h": "H H", "b": "H", "a": ""}
    initializers = {"w_h": nn.init.identity_}

    def step(self, x, h, p):
        new = (x @ p.w_x + h @ p.w_h + p.b).tanh()
        return p.a * h + (1 - p.a) * new


def test_an_own_cell_is_as_good_as_any():
    cell = Leaky(I, H)
    np.testing.assert_array_equal(cell.w_h, np.eye(H))
    assert cell.a.numpy() == 1.0
    assert cell.plan == "fused"
    assert list(cell.state_dict()) == ["w_x", "w_h", "b", "a"]
    assert list(Leaky(I, H, bias=False).state_dict()) == ["w_x", "w_h", "a"]
    matrix = type("Matrix", (nn.Cell,), {"state": ("h",), "params": {"b_x": "I H", "b": "H"}})
    assert list(matrix(I, H, bias=False).state_dict()) == ["b_x"]
    with use_reference():
        np.testing.assert_allclose(cell(tg.ones(2, I), tg.ones(2, H)), np.ones((2, H)))


@pytest.mark.parametrize("fused", [None, False])
def test_a_state_that_is_made_of_weights_alone_has_a_row_for_each_sequence(fused):
    class Remembering(nn.Cell):
        state = ("h", "c")
        params = {"w_x": "I H", "b": "H"}

        def step(self, x, h, c, p):
            return x @ p.w_x + c, p.b.tanh()

    tg.seed(0)
    layer = nn.Recurrent(Remembering(I, H), fused=fused)
    (cell,), x = layer.cells(), tg.ones(4, 2, I)
    cell.b.assign_(np.linspace(0, 1, H, dtype=np.float32))
    y, (_, c) = layer(x, lengths=[4, 2])
    expected = np.tanh(cell.b.numpy())
    np.testing.assert_allclose(c.numpy(), np.broadcast_to(expected, (1, 2, H)), rtol=1e-6)
    np.testing.assert_allclose(y.numpy()[1, 1] - y.numpy()[0, 1], expected, rtol=1e-4)
    (g,) = tg.grad(ops.square(c).sum(), [cell.b], create_graph=True)
    np.testing.assert_allclose(g.numpy(), 4 * expected * (1 - expected**2), rtol=1e-5)
    (second,) = tg.grad(g.sum(), [cell.b])
    slopes = 4 * (1 - expected**2) * (1 - 3 * expected**2)
    np.testing.assert_allclose(second.numpy(), slopes, rtol=1e-4, atol=1e-5)


def test_states_of_different_widths_and_an_output_of_its_own():
    class Projected(nn.Cell):
        state = {"h": "P", "c": "2H"}
        params = {"w_x": "I 2H", "w_h": "P 2H", "w_p": "2H P"}

        def step(self, x, h, c, p):
            c = (x @ p.w_x + h @ p.w_h + c).tanh()
            return c @ p.w_p, c

        def output(self, h, c):
            return c.sigmoid()

    cell = Projected(I, H, P=5)
    assert cell.state_sizes == {"h": 5, "c": 2 * H}
    assert cell.output_size == 2 * H
    with use_reference():
        h, c = cell(tg.ones(2, I))
    assert h.shape == (2, 5)
    assert c.shape == (2, 2 * H)
    assert cell.clone(hidden_size=7).sizes == {"H": 7, "I": I, "P": 5}


def test_functions_of_ops_stand_in_equations():
    class Functions(nn.Cell):
        state = ("h",)
        params = {"w_x": "I H", "w_h": "H H", "b": "H"}

        def step(self, x, h, p):
            z = x @ p.w_x + ops.softplus(h) @ p.w_h + ops.tanh(p.b)
            kept = ops.where(z > 0, ops.silu(z), ops.leaky_relu(h, 0.2))
            return ops.maximum(ops.clip(kept, -2.0, 2.0), -1.0) + 0.1 * ops.gelu(ops.elu(z))

    cell = Functions(I, H).astype(np.float64)
    assert cell.plan == "fused"
    x, (h,) = draw(cell, 2, 3)
    y, _ = step_by_step(cell, tg.tensor(x), [tg.tensor(h)], steps=2, mask=None, reverse=False)
    params = {n: w.numpy() for n, w in cell.weights().items()}
    want, _ = sequence(cell.program, NUMPY, x, [h], params, steps=2)
    np.testing.assert_allclose(y, want, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers_that_a_condition_chooses_are_of_the_type_of_the_states(dtype):
    class Fires(nn.Cell):
        state = ("h",)
        params = {"w_x": "I H", "w_h": "H H"}

        def step(self, x, h, p):
            z = x @ p.w_x + h @ p.w_h
            return ops.where(z > 0, 1.0, 0.0) - 0.5 * z.tanh()

    cell = Fires(I, H).astype(dtype)
    assert cell.plan == "fused"
    x, h = tg.randn(3, 2, I, dtype=dtype), tg.randn(2, H, dtype=dtype)
    fused, _ = cell.sequence(x, [h])
    params = {n: w.numpy() for n, w in cell.weights().items()}
    y, _ = sequence(cell.program, NUMPY, x.numpy(), [h.numpy()], params, steps=3)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, fused, atol=1e-5)
    x.requires_grad = True
    (g,) = tg.grad(ops.square(cell.sequence(x, [h])[0]).sum(), [x], create_graph=True)  # a replay
    cell.fused = False
    slow, _ = cell.sequence(x, [h])
    assert g.dtype == slow.dtype == dtype
    np.testing.assert_allclose(slow.detach(), fused, atol=1e-5)


def test_equal_programs_are_one():
    assert nn.LSTMCell(2, 3).program is nn.LSTMCell(5, 8).program
    assert nn.LSTMCell(2, 3).program is not nn.LSTMCell(2, 3, bias=False).program

    class Bare(nn.Cell):
        state = ("h",)
        params = {"w_x": "I H", "w_h": "H H", "a": ""}

        def step(self, x, h, p):
            new = (x @ p.w_x + h @ p.w_h).tanh()
            return p.a * h + (1 - p.a) * new

    assert Bare(2, 3).program is Leaky(2, 3, bias=False).program


def test_equations_are_traced_again_only_when_an_option_changes():
    traced = []

    class Told(nn.Cell):
        state = ("h",)
        params = {"w_x": "I H"}

        def step(self, x, h, p):
            traced.append(self.training)
            return h + x @ p.w_x

    cell = Told(I, H)
    for mode in (True, True, False, False, True):
        assert cell.train(mode).program
    assert traced == [
        True,
        True,
        False,
        False,
        True,
        True,
    ]  # twice each, to see that it is the same


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (np.float32(1), np.float32(0)), (np.int64(1), np.int64(0)), (np.ones(()), np.zeros(())),
        ((1.0, 2.0), (0.0, 2.0)), (partial(max, 1.0), partial(min, 0.0)), (1.0, 0.0),
    ],
)  # fmt: skip
def test_whatever_a_step_asks_for_may_change(first, then):
    class Kept(nn.Cell):
        state = ("h",)
        params = {"w_x": "I H"}

        def __init__(self, *sizes, keep):
            self.keep = keep
            super().__init__(*sizes)

        def step(self, x, h, p):
            keep = self.keep(0.5) if callable(self.keep) else np.ravel(self.keep)[0]
            return float(keep) * h + (x @ p.w_x).tanh()

    layer, x = nn.Recurrent(Kept(I, H, keep=first)), tg.randn(4, 2, I)
    before = layer(x)[0].numpy()
    layer.cells()[0].keep = then
    after = layer(x)[0].numpy()
    assert not np.array_equal(before, after)
    np.testing.assert_array_equal(after, copy.deepcopy(layer)(x)[0].numpy())


def test_the_program_in_the_documentation_is_the_cells():
    page = Path(__file__).parents[2] / "docs" / "recurrences.md"
    assert str(nn.MGUCell(8, 16).program) in page.read_text()


def test_copies_clones_and_pickles():
    cell = nn.GRUCell(I, hidden_size=H, reset_after=False)
    for copied in (copy.deepcopy(cell), pickle.loads(pickle.dumps(cell))):
        np.testing.assert_array_equal(copied.w_x, cell.w_x)
        assert copied.program is cell.program
    other = cell.astype(np.float64).clone(input_size=9)
    assert other.sizes == {"I": 9, "H": H}
    assert not other.reset_after
    assert other.w_x.dtype == np.float64
    assert repr(other) == "GRUCell(9, 4, reset_after=False)"


def test_constructors_may_pass_their_arguments_on():
    class Slow(Leaky):
        def __init__(self, *args, rate=0.5, **kwargs):
            self.rate = rate
            super().__init__(*args, **kwargs)

    for cell in (Slow(I, H, rate=0.1), Slow(input_size=I, hidden_size=H, rate=0.1)):
        other = cell.clone(input_size=9)
        assert other.rate == 0.1
        assert other.sizes == {"I": 9, "H": H}
    assert nn.Recurrent(Slow(I, H), num_layers=2, bidirectional=True).cells()[3].rate == 0.5


def test_modules_inside_a_cell_are_trained_step_by_step():
    class Inner(nn.Cell):
        state = ("h",)
        fused = False

        def __init__(self, input_size, hidden_size):
            super().__init__(input_size, hidden_size)
            self.inner = nn.Linear(input_size + hidden_size, hidden_size)

        def step(self, x, h, p):
            return self.inner(ops.concat([x, h], axis=-1)).tanh()

    layer = nn.Recurrent(Inner(I, H), num_layers=2)
    assert "layers.1.forward.inner.weight" in layer.state_dict()
    y, _ = layer(tg.randn(4, 2, I), lengths=[4, 1])
    y.sum().backward()
    assert all(w.grad.numpy().any() for w in layer.parameters())


def test_a_step_may_be_of_thousands_of_operations():
    class Deep(nn.Cell):
        state = ("h",)
        params = {"w_h": "H H", "v_h": "H H"}
        input = "H"

        def step(self, x, h, p):
            z = x + h @ p.w_h
            for _ in range(1000):
                z = z * 0.5 + 1.0
            return z @ p.v_h

    cell = Deep(3, 3)
    assert cell.plan == "fused"
    assert cell.kernel_source().count("fma(") >= 1000
