"""Layers: states and outputs, one fused operation each, differentiated, copied, and saved."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.nn.cell_list import CELLS, H, I, make
from tests.nn.layers import B, T, double, randn
from tinygrad_rnn import nn, ops
from tinygrad_rnn.errors import ShapeError, TraceError
from tinygrad_rnn.kernels import recurrence
from tinygrad_rnn.kernels._twin import use_reference
from tinygrad_rnn.testing import assert_gradients

# ----- states, outputs, axes -----


def test_the_last_output_is_that_of_each_rows_own_last_step(reference):
    for name in ("lstm", "gru"):
        layer = nn.Recurrent(make(name), bidirectional=True).astype(np.float64)
        x, n = randn(T, B, I), [3, 5, 1, 2]
        y = layer(x, lengths=n)[0].numpy()
        layer.output = "last"
        last = layer(x, lengths=n)[0]
        for b, steps in enumerate(n):
            np.testing.assert_array_equal(last[b, :H], y[steps - 1, b, :H])
            np.testing.assert_array_equal(last[b, H:], y[0, b, H:])
        assert layer(x[:, 0])[0].shape == (2 * H,)


def test_initial_states_are_given_zero_or_learned(reference):
    layer = double(nn.LSTM(I, H, 2, initial_state="learned"))
    assert "initial.1.forward.c" in layer.state_dict()
    x = randn(T, B, I)
    zeros = (np.zeros((2, B, H)), np.zeros((2, B, H)))
    np.testing.assert_array_equal(layer(x)[0], layer(x, zeros)[0])
    y, _ = layer(x)
    y.sum().backward()
    learned = layer.initial[0]["forward"]["c"]
    assert learned.grad.shape == (H,)
    assert learned.grad.numpy().all()
    layer.zero_grad()
    given = tuple(tg.tensor(z, requires_grad=True) for z in zeros)
    layer(x, given)[0].sum().backward()
    np.testing.assert_allclose(given[1].grad.numpy()[0].sum(0), learned_gradient(layer, x))
    assert learned.grad is None


def learned_gradient(layer, x):
    layer(x)[0].sum().backward()
    gradient = layer.initial[0]["forward"]["c"].grad.numpy()
    layer.initial[0]["forward"]["c"].grad = None
    return gradient


@given(cut=st.integers(0, T))
def test_a_stateful_layer_goes_on(cut):
    with use_reference():
        layer = double(nn.LSTM(I, H, 2, stateful=True))
        x = randn(T, B, I)
        whole, (h, _) = layer(x)
        layer.reset_state()
        first, _ = layer(x[:cut])
        second, (h_2, _) = layer(x[cut:])
        np.testing.assert_allclose(ops.concat([first, second]), whole, atol=1e-14)
        np.testing.assert_allclose(h_2, h, atol=1e-14)
        assert all(not s.requires_grad for states in layer.carried for s in states)
        with pytest.raises(ShapeError, match=r"x has 1 rows, the state that is carried .* 4"):
            layer(x[:, :1])
        layer.reset_state()
        assert layer(x[:, :1])[0].shape == (T, 1, H)


def test_axes_are_as_in_pytorch(reference):
    layer = double(nn.LSTM(I, H, 2, bidirectional=True))
    x = randn(T, B, I)
    y, (h, c) = layer(x)
    assert y.shape == (T, B, 2 * H)
    assert h.shape == c.shape == (4, B, H)
    alone, (h_1, c_1) = layer(x[:, 1], (h[:, 1], c[:, 1]))
    assert alone.shape == (T, 2 * H)
    assert h_1.shape == c_1.shape == (4, H)
    again, _ = layer(x, (h, c))
    np.testing.assert_allclose(alone, again[:, 1], atol=1e-12)
    first = double(nn.LSTM(I, H, 2, bidirectional=True, batch_first=True))
    first.load_state_dict(layer.state_dict())
    turned, (h_2, _) = first(x.swapaxes(0, 1))
    np.testing.assert_array_equal(turned.swapaxes(0, 1), y)
    np.testing.assert_array_equal(h_2, h)


def test_a_cell_without_input_runs_for_a_number_of_steps(reference):
    layer = nn.Recurrent(nn.AutonomousCell(H))
    s = tg.randn(1, B, H)
    y, end = layer(steps=T, state=s)
    assert y.shape == (T, B, H)
    np.testing.assert_array_equal(end[0], y[T - 1])
    assert layer(steps=T)[0].shape == (T, H)
    assert layer(steps=T, lengths=[3, 2])[0].shape == (T, 2, H)
    assert layer(steps=T, state=s[:, 0])[0].shape == (T, H)


class Rotor(nn.Cell):
    state = ("h", "c")
    params = {"w": "H H"}
    input = None

    def step(self, h, c, p):
        c = c + h @ p.w
        return c.tanh(), c


def test_a_cell_without_input_starts_from_several_states_however_they_are_given(reference):
    layer = double(nn.Recurrent(Rotor(H)))
    h, c = randn(1, B, H), randn(1, B, H)
    y, end = layer(steps=T, state=(h, c))
    assert y.shape == (T, B, H)
    assert [s.shape for s in end] == [(1, B, H)] * 2
    np.testing.assert_array_equal(layer(steps=T, state=((h[0],), (c[0],)))[0], y)
    assert layer(steps=T, state=(h[:, 0], c[:, 0]))[0].shape == (T, H)


@pytest.mark.parametrize("name", CELLS)
def test_no_steps_and_no_rows(reference, name):
    cell = make(name)
    layer = nn.Recurrent(cell, bidirectional=True).astype(np.float64)
    if cell.input_size is None:
        y, _ = layer(steps=0)
        assert y.shape == (0, 2 * H)
        return
    y, state = layer(randn(0, B, cell.input_size))
    assert y.shape == (0, B, 2 * H)
    assert not np.asarray(state[0] if isinstance(state, tuple) else state).any()
    y, _ = layer(randn(T, 0, cell.input_size))
    assert y.shape == (T, 0, 2 * H)
    layer.output = "last"
    assert layer(randn(0, B, cell.input_size))[0].shape == (B, 2 * H)


# ----- fused, and differentiated -----


def test_one_operation_a_layer_and_direction(monkeypatch):
    layer = double(nn.GRU(I, H, 3, bidirectional=True))
    assert layer.plan == "fused"
    calls = []
    forward = recurrence.forward
    monkeypatch.setattr(
        recurrence, "forward", lambda *a, **k: calls.append(k["steps"]) or forward(*a, **k)
    )
    layer(randn(T, B, I), lengths=[5, 1, 0, 2])
    assert calls == [T] * 6
    assert layer.cells()[0].program is layer.cells()[5].program
    assert layer.kernel_source() == layer.cells()[0].kernel_source()


def test_gradients_through_layers_directions_and_lengths():
    layer = double(nn.GRU(I, 2, 2, bidirectional=True, connect="residual"))
    x, h = randn(3, 3, I).numpy(), randn(4, 3, 2).numpy()
    assert_gradients(lambda x, h: layer(x, h, lengths=[3, 0, 2]), x, h, order=2)


def test_what_cannot_be_fused_still_runs_in_a_layer():
    class Sorted(nn.Cell):
        state = ("h",)
        params = {"w_x": "I H", "w_h": "H H"}

        def step(self, x, h, p):
            return ops.softmax(x @ p.w_x + h @ p.w_h)

    with pytest.raises(TraceError, match="Sorted cannot be fused: softmax"):
        nn.Recurrent(Sorted(I, H), fused="require")
    layer = nn.Recurrent(Sorted(I, H), num_layers=2, bidirectional=True).astype(np.float64)
    assert layer.plan == "composite"
    x = randn(T, B, I)
    with pytest.warns(RuntimeWarning, match="Sorted runs step by step") as caught:
        y, h = layer(x, lengths=[2, 0, 5, 1])
    assert len(caught) == 1
    assert y.shape == (T, B, 2 * H)
    for b, n in enumerate([2, 0, 5, 1]):
        alone, _ = layer(x[:n, b])
        np.testing.assert_allclose(y[:n, b], alone, atol=1e-13)
    h.sum().backward()


def test_fused_false_is_the_interpreter(reference):
    layer = double(nn.LSTM(I, H, fused=False))
    assert layer.plan == "composite"
    kernel = double(nn.LSTM(I, H))
    kernel.load_state_dict(layer.state_dict())
    x = randn(T, B, I)
    np.testing.assert_array_equal(layer(x)[0], kernel(x)[0])


# ----- modules -----


def test_state_dicts_name_layer_and_direction():
    layer = nn.LSTM(I, H, 2, bidirectional=True, bias=False)
    assert list(layer.state_dict()) == [
        f"layers.{k}.{d}.{w}"
        for k in (0, 1)
        for d in ("forward", "reverse")
        for w in ("w_x", "w_h")
    ]


def test_layers_are_copied_and_pickled(reference):
    layer = nn.Recurrent(nn.RHNCell(I, H, depth=2), num_layers=2)
    assert layer.cells()[1].depth == 2
    x = tg.randn(T, B, I)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        np.testing.assert_array_equal(other(x)[0], layer(x)[0])
    assert "num_layers=2" in repr(layer)


def test_the_first_layer_is_the_given_cell():
    cell = nn.GRUCell(I, H).astype(np.float64)
    layer = nn.Recurrent(cell, num_layers=2, hidden_sizes=[H, 7])
    assert layer.cells()[0] is cell
    assert layer.cells()[1].sizes == {"H": 7, "I": H}
    assert layer.cells()[1].w_x.dtype == np.float64


def test_a_stateful_layer_without_input_goes_on_without_a_batch():
    layer = nn.Recurrent(nn.AutonomousCell(4), stateful=True)
    for _ in range(2):
        y, s = layer(steps=3, resets=np.zeros(3, bool))
        assert (y.shape, s.shape) == ((3, 4), (1, 4))
    layer.load_passing_state([[tg.zeros(2, 4)]])
    assert layer(steps=3)[0].shape == (3, 2, 4)
    layer.reset_state()
    layer(steps=3, state=tg.zeros(1, 1, 4))
    assert layer(steps=3)[0].shape == (3, 1, 4)


@pytest.mark.parametrize("stateful", [False, True])
def test_a_final_state_that_is_changed_changes_no_output(stateful):
    layer, head = nn.GRU(3, 4, stateful=stateful), nn.Linear(4, 1)
    layer.freeze()
    for _ in range(3):
        layer.reset_state()
        y, h = layer(tg.ones(5, 2, 3))
        kept = y.numpy().copy()
        loss = head(y).sum()
        h.assign_(tg.zeros(1, 2, 4) + 100.0)
        np.testing.assert_array_equal(y.numpy(), kept)
        head.weight.grad = None
        loss.backward()
        assert np.abs(head.weight.grad.numpy()).max() < 11


def test_what_a_stateful_layer_goes_on_from_is_its_own():
    layers = [nn.GRU(3, 4, stateful=True) for _ in range(2)]
    layers[1].load_state_dict(layers[0].state_dict())
    x = tg.randn(5, 2, 3)
    with tg.no_grad():
        returned, _ = [layer(x) for layer in layers]
        for changed in returned:
            changed.assign_(changed * 0 + 100.0)
        for again, expected in zip(layers[0](x), layers[1](x), strict=True):
            np.testing.assert_array_equal(again.numpy(), expected.numpy())
