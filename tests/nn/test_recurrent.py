"""Layers: any cell over sequences, rows of any length, both directions, stacked."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.nn.cell_list import CELLS, H, I, make
from tinygrad_rnn import nn, ops
from tinygrad_rnn.errors import DTypeError, IndexRangeError, ShapeError, TraceError
from tinygrad_rnn.kernels import recurrence
from tinygrad_rnn.kernels._twin import use_reference
from tinygrad_rnn.testing import assert_gradients

T, B = 5, 4


@pytest.fixture
def reference():
    """Most of a layer is the same over the interpreter, which compiles nothing."""
    with use_reference():
        yield


def randn(*shape):
    return tg.randn(*shape, dtype=np.float64)


def double(layer):
    return layer.astype(np.float64)


# ----- lengths -----


@st.composite
def lengths(draw, steps=T, rows=B):
    return draw(st.lists(st.integers(0, steps), min_size=rows, max_size=rows))


@given(n=lengths(), name=st.sampled_from(["lstm", "gru", "mut1", "lstm_FGR", "rhn"]))
def test_a_row_is_what_it_is_alone_without_padding(n, name):
    with use_reference():
        layer = nn.Recurrent(make(name), num_layers=2, bidirectional=True).astype(np.float64)
        x = randn(T, B, I)
        poisoned = x.numpy().copy()
        for b, steps in enumerate(n):
            poisoned[steps:, b] = np.nan
        y, state = layer(poisoned, lengths=n)
        state = state if isinstance(state, tuple) else (state,)
        assert not y.numpy()[np.arange(T)[:, None] >= np.array(n)].any()
        for b, steps in enumerate(n):
            alone, ends = layer(x[:steps, b])
            np.testing.assert_allclose(y[:steps, b], alone, atol=1e-12)
            ends = ends if isinstance(ends, tuple) else (ends,)
            for whole, end in zip(state, ends, strict=True):
                np.testing.assert_allclose(whole[:, b], end, atol=1e-12)


@settings(max_examples=8)
@given(n=lengths(), seed=st.integers(0, 99))
def test_gradients_of_padding_are_zero_and_of_weights_those_of_the_rows_alone(n, seed):
    tg.seed(seed)
    layer = double(nn.GRU(I, H, bidirectional=True))
    x = randn(T, B, I)
    x.requires_grad = True
    y, h = layer(x, lengths=n)
    (y.sum() + (h * h).sum()).backward()
    assert not x.grad.numpy()[np.arange(T)[:, None] >= np.array(n)].any()
    together = {name: w.grad.numpy() for name, w in layer.named_parameters()}
    layer.zero_grad()
    for b in np.flatnonzero(n):  # a row without steps is a constant
        alone, end = layer(x.detach()[: n[b], b])
        (alone.sum() + (end * end).sum()).backward()
    for name, w in layer.named_parameters():
        one_by_one = 0.0 if w.grad is None else w.grad.numpy()
        np.testing.assert_allclose(together[name], one_by_one, atol=1e-10)


def test_masks_take_padding_on_any_side_and_gaps(reference):
    layer = double(nn.LSTM(I, H, bidirectional=True))
    x = randn(T, B, I)
    mask = np.array(
        [[0, 1, 1, 0], [0, 1, 0, 0], [1, 1, 1, 0], [1, 0, 0, 0], [1, 0, 1, 0]], np.bool_
    )
    y, (h, c) = layer(x, mask=mask)
    for b in range(B):
        alone, (h_b, c_b) = layer(x[mask[:, b], b])
        np.testing.assert_allclose(y[mask[:, b], b], alone, atol=1e-12)
        assert not y.numpy()[~mask[:, b], b].any()
        np.testing.assert_allclose(h[:, b], h_b, atol=1e-12)
        np.testing.assert_allclose(c[:, b], c_b, atol=1e-12)
    first = double(nn.LSTM(I, H, bidirectional=True, batch_first=True))
    first.load_state_dict(layer.state_dict())
    turned, _ = first(x.swapaxes(0, 1), mask=mask.T)
    np.testing.assert_array_equal(turned.swapaxes(0, 1), y)
    np.testing.assert_array_equal(layer(x[:, 2], mask=mask[:, 2])[0], y[:, 2])


def test_lengths_are_a_mask(reference):
    layer = double(nn.GRU(I, H))
    x, n = randn(T, B, I), np.array([3, 0, 5, 1])
    y, h = layer(x, lengths=n)
    y_2, h_2 = layer(x, mask=np.arange(T)[:, None] < n)
    np.testing.assert_array_equal(y, y_2)
    np.testing.assert_array_equal(h, h_2)
    for as_given in (list(n), tg.tensor(n), n.astype(np.uint8)):
        np.testing.assert_array_equal(layer(x, lengths=as_given)[0], y)
    np.testing.assert_array_equal(layer(x, lengths=[T] * B)[0], layer(x)[0])


# ----- directions and layers -----


@given(n=lengths())
def test_both_directions_are_two_layers_of_one(n):
    with use_reference():
        both = double(nn.GRU(I, H, bidirectional=True))
        one, other = double(nn.GRU(I, H)), double(nn.GRU(I, H, reverse=True))
        one.load_state_dict({k: v for k, v in both.state_dict().items() if ".forward." in k})
        other.load_state_dict({k: v for k, v in both.state_dict().items() if ".reverse." in k})
        x = randn(T, B, I)
        y, h = both(x, lengths=n)
        (a, h_a), (b, h_b) = one(x, lengths=n), other(x, lengths=n)
        np.testing.assert_array_equal(y, ops.concat([a, b], axis=-1))
        np.testing.assert_array_equal(h, ops.concat([h_a, h_b]))
        # Backwards is forwards over each row turned around, within its length.
        turned = x.numpy().copy()
        for row, steps in enumerate(n):
            turned[:steps, row] = turned[:steps, row][::-1]
        one.load_state_dict(
            {k.replace("reverse", "forward"): v for k, v in other.state_dict().items()}
        )
        again, h_again = one(turned, lengths=n)
        np.testing.assert_allclose(h_again, h_b, atol=1e-12)
        for row, steps in enumerate(n):
            np.testing.assert_allclose(again[:steps, row].numpy()[::-1], b[:steps, row], atol=1e-12)


def test_layers_compose(reference):
    deep = double(nn.LSTM(I, [H, 6, 2]))
    x = tg.tensor(randn(T, B, I))
    y, (h, c) = deep(x)
    assert [s.shape for s in h] == [(B, H), (B, 6), (B, 2)]
    below = x
    for k, layer in enumerate(deep.layers):
        single = nn.Recurrent(layer["forward"])
        below, (h_k, c_k) = single(below)
        np.testing.assert_array_equal(h_k[0], h[k])
        np.testing.assert_array_equal(c_k[0], c[k])
    np.testing.assert_array_equal(y, below)
    y_2, _ = deep(x, (h, c))
    assert not np.array_equal(y_2, y)


@pytest.mark.parametrize(
    ("merge", "expected"),
    [
        ("concat", lambda a, b: np.concatenate([a, b], -1)),
        ("sum", np.add),
        ("mean", lambda a, b: (a + b) / 2),
        ("mul", np.multiply),
    ],
)
def test_two_directions_are_merged(reference, merge, expected):
    layer = double(nn.GRU(I, H, 2, bidirectional=True, merge=merge))
    assert layer.layers[1]["forward"].input_size == (2 * H if merge == "concat" else H)
    x = randn(T, B, I)
    pair = double(nn.GRU(I, H, bidirectional=True, merge="none"))
    pair.load_state_dict({k: v for k, v in layer.state_dict().items() if k.startswith("layers.0")})
    (a, b), _ = pair(x)
    single = double(nn.GRU(I, H, bidirectional=True, merge=merge))
    single.load_state_dict(pair.state_dict())
    np.testing.assert_allclose(single(x)[0], expected(a.numpy(), b.numpy()), atol=1e-15)
    single.output = "last"
    last = expected(a.numpy()[-1], b.numpy()[0])
    np.testing.assert_allclose(single(x)[0], last, atol=1e-15)


def test_a_pair_is_not_merged_on_top_only(reference):
    layer = nn.GRU(I, H, 2, bidirectional=True, merge="none", batch_first=True)
    (a, b), h = layer(tg.randn(B, T, I))
    assert a.shape == b.shape == (B, T, H)
    assert h.shape == (4, B, H)
    assert layer.layers[1]["forward"].input_size == 2 * H


def test_connections_lead_around_layers(reference):
    x = randn(T, B, I)
    for connect in ("residual", "highway", "dense"):
        layer = double(nn.GRU(I, H, 2, connect=connect))
        below, _ = nn.Recurrent(layer.layers[0]["forward"])(x)
        reads = ops.concat([x, below], axis=-1) if connect == "dense" else below
        above, _ = nn.Recurrent(layer.layers[1]["forward"])(reads)
        if connect == "residual":
            expected = above + below
        elif connect == "highway":
            around = layer.connections[1]
            g = ops.sigmoid(below @ around.w + around.b)
            expected = g * above + (1.0 - g) * below
        else:
            expected = above
        y, _ = layer(x)
        np.testing.assert_allclose(y, expected, atol=1e-14)
        layer.output = "last"
        n = [5, 2, 0, 1]
        y, _ = layer(x, lengths=n)
        np.testing.assert_allclose(y[0], expected[4, 0], atol=1e-14)
        np.testing.assert_allclose(y[1], expected[1, 1], atol=1e-14)
        assert not y.numpy()[2].any()
    assert "connections.1.w" in double(nn.GRU(I, H, 2, connect="highway")).state_dict()


def test_dropout_stands_between_layers_in_training_only(reference):
    layer = nn.GRU(I, H, 2, dropout=0.9)
    x = tg.ones(T, B, I)
    first, second = layer(x)[0].numpy(), layer(x)[0].numpy()
    assert not np.array_equal(first, second)
    layer.eval()
    np.testing.assert_array_equal(layer(x)[0], layer(x)[0])
    single = nn.GRU(I, H, dropout=0.9)
    np.testing.assert_array_equal(single(x)[0], single(x)[0])


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
        assert all(not s.requires_grad for states in layer._carried for s in states)
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


# ----- errors -----


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.Recurrent(nn.LSTM(2, 3)), TypeError, "cell is a LSTM, expected a Cell"),
        (lambda: nn.GRU(2, 3, 0), ShapeError, "num_layers is 0"),
        (lambda: nn.GRU(2, [3, 4], 3), ShapeError, r"num_layers is 3, but \[3, 4\] are"),
        (lambda: nn.GRU(2, 3, merge="cat"), ValueError, "merge is 'cat', expected one of"),
        (lambda: nn.GRU(2, 3, dropout=1.0), ValueError, "dropout is 1.0, expected 0 <="),
        (lambda: nn.GRU(2, 3, bidirectional=True, reverse=True), ValueError, "expected one of"),
        (lambda: nn.GRU(2, 3, stateful=True, reverse=True), ValueError, "stateful goes on"),
        (
            lambda: nn.GRU(2, 3, 2, bidirectional=True, connect="residual", merge="none"),
            ValueError,
            "merge='none' gives two",
        ),
        (
            lambda: nn.GRU(2, 3, 2, bidirectional=True, connect="highway", output="last"),
            ValueError,
            "which end at different steps",
        ),
        (
            lambda: nn.GRU(2, [3, 4], connect="residual"),
            ShapeError,
            "layer 1 is 4 wide and its input 3",
        ),
        (lambda: nn.Recurrent(nn.AutonomousCell(3), 2), ShapeError, "nothing leads from a layer"),
    ],
)
def test_options_that_do_not_go_together(make, error, message):
    with pytest.raises(error, match=message):
        make()


X = np.ones((T, B, I), np.float32)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m(), ShapeError, r"x is missing, expected \(T, B, I\)"),
        (lambda m: m(X[..., :2]), ShapeError, r"x is \(5, 4, 2\), expected .* with I = 3"),
        (lambda m: m(X[0, 0]), ShapeError, r"x is \(3,\), expected"),
        (lambda m: m(X, steps=5), ShapeError, "steps is for cells without input"),
        (lambda m: m(X, np.zeros((1, B, H))), ShapeError, "given 1 states, expected a tuple of 2"),
        (
            lambda m: m(X, (np.zeros((1, B, 5)), np.zeros((1, B, H)))),
            ShapeError,
            r"h is \(1, 4, 5\), expected \(1, 4, 4\): one for each of 1 layers",
        ),
        (
            lambda m: m(X, (np.zeros((1, 3, H)), np.zeros((1, 3, H)))),
            ShapeError,
            "with the rows of x",
        ),
        (lambda m: m(X, lengths=[1, 2]), ShapeError, r"lengths has shape \(2,\), expected \(4,\)"),
        (lambda m: m(X, lengths=[1, 2, 3, 6]), IndexRangeError, "lengths go from 1 to 6, expected"),
        (lambda m: m(X, lengths=[1, 2, 3, -1]), IndexRangeError, "from -1 to 3"),
        (lambda m: m(X, lengths=[1.0, 2, 3, 4]), DTypeError, "lengths are float32, expected whole"),
        (lambda m: m(X, mask=np.ones((T, B))), DTypeError, "mask holds float64, expected booleans"),
        (lambda m: m(X, mask=np.ones((T, 1), bool)), ShapeError, r"mask is for \(5, 1\)"),
        (
            lambda m: m(X, mask=np.ones((T, B), bool), lengths=[1, 2, 3, 4]),
            TypeError,
            "given lengths and a mask",
        ),
        (
            lambda m: m(X.astype(np.float64)),
            DTypeError,
            "LSTM: x holds float64, but the weights fl",
        ),
    ],
)
def test_calls_that_cannot_be(call, error, message):
    with pytest.raises(error, match=message):
        call(nn.LSTM(I, H))


def test_a_cell_without_input_needs_steps():
    with pytest.raises(ShapeError, match="expected steps=T and no x"):
        nn.Recurrent(nn.AutonomousCell(H))()


def test_the_mask_of_a_cell_without_input_says_how_many_rows_there_are():
    layer = nn.Recurrent(nn.AutonomousCell(4))
    y, _ = layer(steps=3, mask=np.ones((3, 5), bool))
    assert y.shape == (3, 5, 4)
