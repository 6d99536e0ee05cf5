"""Layers that are recorded and called like before: the bits and graphs of the long way."""

import copy
import weakref

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.nn.test_ready_layers import EXCHANGED, LAYERS, SHAPES, H, I
from tinygrad_rnn import nn
from tinygrad_rnn.errors import ArgumentError, DTypeError, GradientError, ShapeError
from tinygrad_rnn.kernels._twin import use_reference
from tinygrad_rnn.nn import ready_layers, recorded_layers
from tinygrad_rnn.testing.substitution import substituted


@pytest.fixture
def taken(monkeypatch):
    """What the short way answered to each call: whether it was taken."""
    answers = []
    real = recorded_layers.as_before

    def as_before(*args):
        found = real(*args)
        answers.append(found is not None)
        return found

    monkeypatch.setattr(ready_layers, "as_before", as_before)
    return answers


def the_long_way(monkeypatch, function, *args):
    with monkeypatch.context() as patch:
        patch.setattr(ready_layers, "as_before", lambda *_: None)
        return function(*args)


def trained(layers, x, state=None):
    """What layers return, and all gradients."""
    for tensor in (x, *layers.parameters()):
        tensor.grad = None
    y, finals = layers(x, state)
    finals = finals if isinstance(finals, tuple) else (finals,)
    parts = [part for each in finals for part in (each if isinstance(each, tuple) else (each,))]
    loss = (y * y).sum() + sum((part * 0.5).sum() for part in parts)
    if loss.requires_grad:
        loss.backward()
    grads = [tensor.grad for tensor in (x, *layers.parameters())]
    return [y, *parts, *grads]


def same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            assert one.shape == other.shape
            assert one.requires_grad == other.requires_grad
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", LAYERS)
def test_values_and_gradients(name, shape, taken, monkeypatch):
    cut, how = SHAPES[shape]
    tg.seed(0)
    layers, kept = LAYERS[name](**how), []
    for start in (None, "given"):
        for times in range(4):
            x = tg.Tensor(cut(tg.randn(6, 3, I).numpy()), requires_grad=times > 0)
            with tg.no_grad():
                state = start and layers(x * 2)[1]
            expected = the_long_way(monkeypatch, trained, layers, x, state)
            found = trained(layers, x, state)
            same(found, expected)
            kept.append((found, expected))
    assert any(taken) == (shape != "no batch")
    for found, expected in kept:
        same(found, expected)


def test_states_that_want_gradients(taken, monkeypatch):
    layers = nn.LSTM(I, H, 2)
    for _ in range(4):
        x = tg.randn(4, 3, I)
        h, c = (tg.Tensor(tg.randn(2, 3, H).numpy(), requires_grad=True) for _ in range(2))
        expected = the_long_way(monkeypatch, trained, layers, x, (h, c))
        expected += [h.grad, c.grad]
        h.grad = c.grad = None
        same([*trained(layers, x, (h, c)), h.grad, c.grad], expected)
    assert taken[-1]


def test_higher_derivatives(taken, monkeypatch):
    layers = nn.GRU(I, H)
    x = tg.Tensor(tg.randn(3, 2, I).numpy(), requires_grad=True)

    def second():
        y, _ = layers(x)
        (g,) = tg.grad((y * y).sum(), [x], create_graph=True)
        return list(tg.grad((g * g).sum(), [x, *layers.parameters()]))

    expected = the_long_way(monkeypatch, second)
    for _ in range(3):
        same(second(), expected)
    assert taken[-1]


@pytest.mark.parametrize("what", EXCHANGED)
def test_what_has_been_exchanged_is_seen(what, taken, monkeypatch):
    tg.seed(0)
    layers, x = nn.RNN(I, H, 2), tg.Tensor(tg.randn(4, 4, I).numpy(), requires_grad=True)
    for _ in range(3):
        before = layers(x)[0]
    assert taken[-1]
    EXCHANGED[what](layers)
    expected = the_long_way(monkeypatch, trained, layers, x)
    assert what in ("truncate", "fused") or not np.array_equal(before, expected[0])
    for _ in range(3):
        same(trained(layers, x), expected)


def test_weights_that_are_frozen_and_thawed(taken, monkeypatch):
    layers, x = nn.GRU(I, H), tg.randn(4, 3, I)
    for times in range(6):
        for parameter in layers.parameters():
            parameter.requires_grad = times % 2 == 0
        expected = the_long_way(monkeypatch, trained, layers, x)
        same(trained(layers, x), expected)
    assert taken[-1]


def test_a_cell_that_nobody_has_set_is_seen(taken, monkeypatch):
    one, other, x = nn.RNN(I, H), nn.RNN(I, H), tg.randn(4, 3, I)
    for _ in range(3):
        one(x)
    assert taken[-1]
    one.layers[0].update(other.layers[0])  # a dict's own way
    expected = the_long_way(monkeypatch, trained, other, x)
    same(trained(one, x), expected)


def test_layers_that_were_changed_in_place_are_seen(taken, monkeypatch):
    layers, x = nn.RNN(I, H), tg.randn(4, 3, I)
    for _ in range(3):
        layers(x)
    assert taken[-1]
    layers.directions[0] = "reverse"
    layers.layers[0]["reverse"] = layers.layers[0].pop("forward")
    expected = the_long_way(monkeypatch, trained, layers, x)
    same(trained(layers, x), expected)


def test_numbers_of_another_type_are_seen(taken, monkeypatch):
    layers, x = nn.RNN(I, H), tg.randn(4, 3, I)
    for _ in range(3):
        layers(x)
    assert taken[-1]
    layers.astype(np.float64)
    with pytest.raises(DTypeError):
        layers(x)
    x = x.astype(np.float64)
    for _ in range(3):
        expected = the_long_way(monkeypatch, trained, layers, x)
        same(trained(layers, x), expected)
        assert expected[0].dtype == np.float64


def test_a_weight_of_another_shape_is_heard_of(taken):
    layers, x = nn.RNN(I, H), tg.randn(4, 3, I)
    for _ in range(3):
        layers(x)
    assert taken[-1]
    layers.cells()[0].w_x._data = np.zeros((I + 1, H), np.float32)
    for _ in range(3):
        with pytest.raises(ShapeError, match=f"{I + 1}"):
            layers(x)


def test_weights_that_others_stand_in_for_are_seen(taken):
    layers, x = nn.RNN(I, H), tg.randn(4, 3, I)
    zeros = {name: tg.zeros(p.shape) for name, p in layers.named_parameters()}
    for _ in range(3):
        before = layers(x)[0]
    assert taken[-1]
    with substituted(layers, zeros, np.float32):
        for _ in range(3):
            assert not layers(x)[0].numpy().any()
    for _ in range(3):
        np.testing.assert_array_equal(layers(x)[0], before)
    assert taken[-1]
    with use_reference():
        for _ in range(3):
            np.testing.assert_allclose(layers(x)[0], before, rtol=1e-5, atol=1e-6)
            assert not taken[-1]


def test_copies_answer_for_themselves(taken):
    layers, x = nn.RNN(I, H), tg.randn(4, 3, I)
    for _ in range(3):
        layers(x)
    other = copy.copy(layers)
    other.output = "last"
    deep = copy.deepcopy(layers)
    deep.cells()[0].w_h.assign_(np.zeros((H, H), np.float32))
    for _ in range(3):
        y, _ = layers(x)
    for _ in range(3):
        np.testing.assert_array_equal(other(x)[0], y[-1])
        assert not np.array_equal(deep(x)[0], y)
        layers(x)
    assert any(taken)


def test_a_change_after_the_call_is_noticed(taken):
    layers, x = nn.GRU(I, H), tg.randn(4, 3, I)
    for _ in range(3):
        y, _ = layers(x)
    assert taken[-1]
    layers.cells()[0].w_h.assign_(np.zeros((H, 3 * H), np.float32))
    with pytest.raises(GradientError):
        y.sum().backward()


@pytest.mark.parametrize("option", [
    {"bidirectional": True}, {"reverse": True}, {"stateful": True}, {"output": "last"},
    {"dropout": 0.5, "num_layers": 2}, {"initial_state": "learned"}, {"recompute": True},
    {"recurrent_dropout": 0.5}, {"weight_drop": 0.5}, {"fused": False},
    {"connect": "residual", "num_layers": 2},
])  # fmt: skip
def test_the_long_way_is_taken_where_there_is_more_to_do(option, taken):
    layers, x = nn.LSTM(I, H, **option), tg.randn(4, 3, I)
    for _ in range(3):
        layers(x)
    assert not any(taken)


@pytest.mark.parametrize(("option", "short"), [
    ({}, True), ({"dropout": 0.5, "num_layers": 2}, False), ({"output_dropout": 0.5}, False),
    ({"recurrent_dropout": 0.5}, False), ({"zoneout": 0.5}, False),
])  # fmt: skip
def test_noise_that_nobody_draws_from_is_no_reason_for_the_long_way(option, short, taken):
    layers, x, noise = nn.LSTM(I, H, **option), tg.randn(4, 3, I), tg.random.noise()
    found = [layers(x, noise=noise)[0] for _ in range(3)]
    assert any(taken) == short
    for y in found[1:]:
        np.testing.assert_array_equal(y, found[0])
    layers.eval()
    np.testing.assert_array_equal(layers(x, noise=noise)[0], layers(x)[0])
    with pytest.raises(ArgumentError, match="noise is a int, expected"):
        layers(x, noise=3)
    with pytest.raises(ShapeError, match="given 2 row_ids, expected 3"):
        layers(x, noise=tg.random.noise(rows=[4, 5]))


def test_bad_input_is_heard_as_before(taken):
    layers, x = nn.LSTM(I, H), tg.randn(4, 3, I)
    for _ in range(3):
        layers(x)
    assert taken[-1]
    for _ in range(3):
        with pytest.raises(ShapeError, match="expected"):
            layers(tg.randn(4, 3, I + 1))
        with pytest.raises(ShapeError, match="expected a tuple of 2"):
            layers(x, tg.randn(1, 3, H))
        with pytest.raises(ShapeError, match=r"\(1, 3, 20\)"):
            layers(x, (tg.randn(1, 3, H), tg.randn(1, 4, H)))
        with pytest.raises(DTypeError):
            layers(x, (tg.randn(1, 3, H), tg.randn(1, 3, H).astype(np.float64)))


def test_a_sequence_of_ones_own_is_asked(taken):
    layers, x, calls = nn.RNN(I, H), tg.randn(4, 3, I), []
    (cell,) = layers.cells()
    for _ in range(3):
        layers(x)
    assert taken[-1]

    def sequence(*args, **how):
        calls.append(True)
        return type(cell).sequence(cell, *args, **how)

    cell.sequence = sequence
    for _ in range(3):
        layers(x)
    assert len(calls) == 3


def test_errors_about_states_say_all_that_they_say_the_long_way(taken):
    layers, x = nn.GRU(4, 5), tg.zeros(3, 2, 4)
    for _ in range(3):
        layers(x)
    assert taken[-1]
    with pytest.raises(ShapeError, match="batch_first=True"):
        layers(x, tg.zeros(1, 3, 5))


def test_what_was_asked_keeps_no_weight_alive(taken):
    layers, x = nn.RNN(I, H), tg.randn(4, 3, I)
    for _ in range(3):
        layers(x)
    assert taken[-1]
    before = weakref.ref(layers.cells()[0].w_h._data)
    layers.cells()[0].w_h = nn.Parameter(np.eye(H, dtype=np.float32))
    assert before() is None


def test_only_so_many_kinds_of_calls_are_known(monkeypatch):
    monkeypatch.setattr(recorded_layers, "_MOST", 3)
    layers = nn.RNN(I, H)
    for T in (1, 2, 3, 4, 5, 1, 2):
        x = tg.randn(T, 3, I)
        first = layers(x)[0]
        for _ in range(2):
            np.testing.assert_array_equal(layers(x)[0], first)
        assert len(layers._stepper.answered_recorded[1]) <= 3
