"""Layers called for nothing but what comes out: the bits of the long way, whatever changes."""

import copy
import gc
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn
from tinygrad_rnn.kernels._twin import use_reference
from tinygrad_rnn.nn import stepping
from tinygrad_rnn.nn.changes import _Changes
from tinygrad_rnn.nn.stepping import Stepper
from tinygrad_rnn.testing.substitution import substituted

I, H = 5, 20


@pytest.mark.parametrize("batch_first", [False, True])
def test_layers_called_for_one_step(batch_first):
    tg.seed(0)
    layers = nn.LSTM(I, H, 2, batch_first=batch_first)
    x = tg.randn(3, 4, I)
    expected, _ = layers(x)
    with tg.no_grad():
        for _ in range(2):  # only the second time it is made ready
            state, found = None, []
            steps = [x[:, t : t + 1] if batch_first else x[t : t + 1] for t in range(3)]
            for step in steps:
                y, state = layers(step, state)
                assert not y.requires_grad
                found.append(y)
        held = layers(steps[0], state, mask=np.zeros(steps[0].shape[:2], bool))[1]
    y = tg.ops.concat(found, axis=1 if batch_first else 0)
    np.testing.assert_array_equal(y, expected[:, :3] if batch_first else expected)
    assert any(layers._stepper._ready.steps.values())
    np.testing.assert_array_equal(held[0], state[0])


LAYERS = {
    "LSTM": lambda **how: nn.LSTM(I, H, 2, **how),
    "GRU": lambda **how: nn.GRU(I, H, **how),
    "RNN, three layers": lambda **how: nn.RNN(I, H, 3, **how),
    "layer norm": lambda **how: nn.LSTM(I, H, 2, layer_norm=True, **how),
    "projected": lambda **how: nn.LSTM(I, H, 2, proj_size=3, **how),
    "other widths": lambda **how: nn.Recurrent(nn.NASCell(I, H), hidden_sizes=[H, 7], **how),
    "clipped": lambda **how: nn.LSTM(I, H, state_clip=0.05, **how),
    "reset before": lambda **how: nn.Recurrent(nn.GRUCell(I, H, reset_after=False), **how),
}
SHAPES = {
    "a batch": (lambda x: x, {}),
    "batch first": (lambda x: x.swapaxes(0, 1), {"batch_first": True}),
    "no batch": (lambda x: x[:, 1], {}),
    "one row": (lambda x: x[:, :1], {}),
    "one row, batch first": (lambda x: x[:, :1].swapaxes(0, 1), {"batch_first": True}),
    "one step": (lambda x: x[:1], {}),
    "every second step": (lambda x: x[::2], {}),
}


def same(found, expected):
    """Nested tuples of equal arrays."""
    if isinstance(expected, tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            same(one, other)
    else:
        assert not found.requires_grad
        assert found.shape == expected.shape
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", LAYERS)
def test_sequences_have_the_bits_of_those_that_are_recorded(name, shape):
    cut, how = SHAPES[shape]
    tg.seed(0)
    layers, x, kept = LAYERS[name](**how), tg.randn(6, 3, I), []
    for state in (None, "given"):
        for times in range(3):  # from the second time on it is ready
            given = tg.Tensor(cut(np.copy(x.numpy()) * (times + 1)))
            start = state and layers(given)[1]
            expected = layers(given, start)
            with tg.no_grad():
                found = layers(given, start)
            same(found, expected)
            kept.append((found, expected))
    assert any(layers._stepper._ready.steps.values())
    for found, expected in kept:  # nobody has written over what came out before
        same(found, expected)


def ready_sequences(layers):
    return [key for key, stock in layers._stepper._ready.steps.items() if key[0] > 1 and stock]


def test_sequences_see_what_has_changed():
    layers, x = nn.GRU(I, H, 2), tg.randn(4, 3, I)
    for parameter in (None, *layers.parameters(), "option", "threads"):
        if isinstance(parameter, nn.Parameter):
            parameter.assign_(parameter.numpy() + 0.25)
        elif parameter == "option":
            layers.cells()[1].configure(state_clip=0.1)
        before = tg.num_threads()
        try:
            tg.set_num_threads(3 if parameter == "threads" else before)
            expected = layers(x)
            with tg.no_grad():
                for _ in range(3):
                    same(layers(x), expected)
        finally:
            tg.set_num_threads(before)
        assert ready_sequences(layers) == [(4, 3)]


EXCHANGED = {
    "output": lambda layers: setattr(layers, "output", "last"),
    "truncate": lambda layers: setattr(layers, "truncate", 2),
    "fused": lambda layers: setattr(layers, "fused", False),
    "batch first": lambda layers: setattr(layers, "batch_first", True),
    "a cell": lambda layers: setattr(layers.cells()[0], "nonlinearity", "relu"),
    "a weight": lambda layers: setattr(
        layers.cells()[0], "w_h", nn.Parameter(layers.cells()[0].w_h.numpy() / 2)
    ),
    "its numbers": lambda layers: layers.cells()[0].w_h.assign_(np.eye(H, dtype="f")),
}


@pytest.mark.parametrize("what", EXCHANGED)
def test_sequences_see_what_has_been_exchanged(what):
    tg.seed(0)
    layers, x = nn.RNN(I, H, 2), tg.randn(4, 4, I)
    with tg.no_grad():
        for _ in range(3):
            before = layers(x)[0]
    EXCHANGED[what](layers)
    expected = layers(x)
    assert what in ("truncate", "fused") or not np.array_equal(before, expected[0])
    with tg.no_grad():
        for _ in range(3):
            same(layers(x), expected)


def test_sequences_see_a_cell_that_nobody_has_set():
    one, other, x = nn.RNN(I, H), nn.RNN(I, H), tg.randn(4, 3, I)
    with tg.no_grad():
        for _ in range(3):
            one(x)
            expected = other(x)
        one.layers[0].update(other.layers[0])  # a dict's own way
        same(one(x), expected)


def test_sequences_see_layers_that_were_changed_in_place():
    layers, x = nn.RNN(I, H), tg.randn(4, 3, I)
    with tg.no_grad():
        for _ in range(3):
            layers(x)
    layers.directions[0] = "reverse"
    layers.layers[0]["reverse"] = layers.layers[0].pop("forward")
    expected = layers(x)
    with tg.no_grad():
        same(layers(x), expected)


def test_copies_that_share_what_is_ready_answer_for_themselves():
    layers, x = nn.RNN(I, H), tg.randn(4, 3, I)
    with tg.no_grad():
        layers(x)
        other = copy.copy(layers)
        other.output = "last"
        for _ in range(3):
            y, _ = layers(x)
            np.testing.assert_array_equal(other(x)[0], y[-1])


def test_a_change_that_another_thread_sees_half_done(monkeypatch):
    layers, x = nn.RNN(I, H), tg.randn(4, 3, I)
    noted = _Changes.note

    def note(changes):
        noted(changes)
        if not calling:
            calling.append(True)
            with tg.no_grad():
                layers(x)
            calling.clear()

    calling = []
    with tg.no_grad():
        for _ in range(3):
            layers(x)
    monkeypatch.setattr(_Changes, "note", note)
    layers.cells()[0].nonlinearity = "relu"
    monkeypatch.undo()
    with tg.no_grad():
        assert layers(x)[0].numpy().min() == 0


@pytest.mark.parametrize("recorded", [False, True])
def test_a_cell_that_was_exchanged_is_let_go(recorded):
    one, other, x = nn.RNN(I, H), nn.RNN(I, H), tg.randn(4, 3, I)
    with tg.set_grad_enabled(recorded):
        for _ in range(3):
            one(x)
        before = weakref.ref(one.cells()[0])
        gc.disable()
        try:
            one.layers[0]["forward"] = other.cells()[0]
            one(x)
            assert before() is None
        finally:
            gc.enable()


def test_what_was_ready_is_let_go_when_weights_are_others():
    layers = nn.RNN(I, H)
    with tg.no_grad():
        for _ in range(3):
            layers(tg.randn(4, 3, I))
        ready = weakref.ref(layers._stepper.answered.stock[0])
        layers.cells()[0].w_h.assign_(np.eye(H, dtype=np.float32))
        layers(tg.randn(5, 3, I))
    gc.collect()
    assert ready() is None


def test_sequences_see_weights_that_others_stand_in_for(monkeypatch):
    tg.seed(0)
    layers, x = nn.RNN(I, H), tg.randn(4, 3, I)
    zeros = {name: tg.zeros(p.shape) for name, p in layers.named_parameters()}
    with tg.no_grad():
        for _ in range(3):
            before = layers(x)
        with substituted(layers, zeros, np.float32):
            assert not layers(x)[0].numpy().any()
        for _ in range(2):
            same(layers(x), before)
        monkeypatch.setattr(Stepper, "again", None)
        with pytest.raises(TypeError, match="not callable"):
            layers(x)
        with use_reference():
            np.testing.assert_allclose(layers(x)[0], before[0], rtol=1e-5, atol=1e-6)


def test_only_so_much_is_kept_ready(monkeypatch):
    layers = nn.GRU(I, H)
    monkeypatch.setattr(stepping, "_MOST_NUMBERS", 6 * 3 * H)
    with tg.no_grad():
        for T in (*range(2, 9), 2):
            x = tg.randn(T, 3, I)
            first = layers(x)
            for _ in range(2):
                same(layers(x), first)
    assert ready_sequences(layers) == [(6, 3), (2, 3)]  # others made room, or were too long


@pytest.mark.parametrize("option", [
    {"bidirectional": True}, {"reverse": True}, {"stateful": True}, {"output": "last"},
    {"initial_state": "learned"}, {"truncate": 2}, {"dropout": 0.5}, {"fused": False},
])  # fmt: skip
def test_layers_that_take_the_long_way(option):
    layers, x = nn.GRU(I, H, 2, **option), tg.randn(4, 3, I)
    with tg.no_grad():
        for _ in range(3):
            layers(x)
    assert "_stepper" not in vars(layers) or not ready_sequences(layers)


def test_calls_that_ask_for_more_take_the_long_way():
    layers, x = nn.GRU(I, H), tg.randn(4, 3, I)
    with tg.no_grad():
        first = layers(x)
        for _ in range(2):
            same(layers(x), first)
        y, state, _ = layers(x, return_trace=True)
        same((y, state), first)
        held = layers(x, lengths=[4, 0, 2])[0].numpy()
        assert not held[:, 1].any()
        np.testing.assert_array_equal(held[:, 0], first[0][:, 0])


def test_layers_of_another_type_refuse_what_was_right_before():
    layers, x = nn.GRU(I, H), tg.randn(4, 3, I)
    with tg.no_grad():
        for _ in range(2):
            layers(x)
        assert ready_sequences(layers)
        layers.astype(np.float64)
        with pytest.raises(tg.errors.DTypeError):
            layers(x)


WRONG_SEQUENCES = {
    "another width": lambda x, h: (x[..., :2], h),
    "another type": lambda x, h: (x.astype(np.float64), h),
    "four axes": lambda x, h: (x[None], h),
    "one axis": lambda x, h: (x[0, 0], h),
    "a state of another width": lambda x, h: (x, h[..., :3]),
    "a state of other rows": lambda x, h: (x, h[:, :1]),
    "a state of another type": lambda x, h: (x, h.astype(np.float64)),
    "a state without layers": lambda x, h: (x, h[0]),
    "a state of three layers": lambda x, h: (x, np.concatenate([h, h[:1]])),
}


@pytest.mark.parametrize(("wrong", "count"), [
    (wrong, count) for wrong in WRONG_SEQUENCES for count in (1, 2)
    if count == 2 or "a state" not in wrong
])  # fmt: skip
def test_sequences_that_are_ready_say_what_is_wrong_as_before(wrong, count):
    layers = nn.GRU(I, H, 2)
    rng = np.random.default_rng(0)
    right = [rng.standard_normal(shape).astype(np.float32) for shape in ((4, 3, I), (2, 3, H))]
    given = [tg.Tensor(array) for array in WRONG_SEQUENCES[wrong](*right)][:count]
    right = right[:count]
    with tg.no_grad():
        with pytest.raises(tg.errors.TinygradError) as before:
            layers(*given)
        for _ in range(3):
            layers(*map(tg.Tensor, right))
        assert ready_sequences(layers)
        with pytest.raises(type(before.value)) as ready:
            layers(*given)
        assert str(ready.value) == str(before.value)


@pytest.mark.parametrize("T", [1, 4])
def test_states_on_another_device_are_refused_as_before(standin, T):
    layers, x = nn.LSTM(I, H, 2), tg.randn(T, 3, I)
    state = tuple(s.detach() for s in layers(x)[1])
    elsewhere = state[0], state[1].to("gpu")
    with tg.no_grad():
        with pytest.raises(tg.errors.DeviceError) as before:
            layers(x, elsewhere)
        for _ in range(3):
            layers(x, state)
        with pytest.raises(tg.errors.DeviceError) as ready:
            layers(x, elsewhere)
        assert str(ready.value) == str(before.value)


def test_sequences_in_several_threads():
    layers = nn.LSTM(I, H, 2)

    def run(seed):
        x = tg.Tensor(np.random.default_rng(seed).standard_normal((5, 2, I)).astype(np.float32))
        with tg.no_grad():
            return [layers(x)[0].numpy() for _ in range(40)]

    with ThreadPoolExecutor(4) as pool:
        for seed, seen in enumerate(pool.map(run, range(4))):
            alone = run(seed)[0]
            for y in seen:
                np.testing.assert_array_equal(y, alone)
