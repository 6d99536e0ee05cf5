"""Steps made ready, single ones and sequences: the bits of the long way, whatever changes."""

import copy
import gc
import pickle
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn
from tinygrad_rnn.kernels._twin import use_reference
from tinygrad_rnn.nn import stepping
from tinygrad_rnn.nn.step_mark import Mark
from tinygrad_rnn.nn.stepping import Stepper, stacked
from tinygrad_rnn.testing.substitution import substituted

V, I, H = 7, 5, 20
KINDS = {
    "LSTM": {},
    "GRU": {},
    "layer norm": {"layer_norm": True},
    "clipped": {"state_clip": 0.1},
}


class Model:
    """A table, two layers and a product, done as one, and one by one."""

    def __init__(self, name, dtype=np.float32, **options):
        tg.seed(0)
        kind = nn.LSTM if name != "GRU" else nn.GRU
        self.table = nn.Embedding(V, I).astype(dtype)
        self.layers = kind(I, H, 2, **KINDS.get(name, {}), **options).astype(dtype)
        self.out = nn.Linear(H, V).astype(dtype)
        self.stepper = Stepper()

    def start(self, rows):
        self.rows = rows
        cells = self.layers.cells()
        return [[s.numpy() for s in cell.zero_state(rows)] for cell in cells]

    def quickly(self, tokens, state):
        products = [(self.out.weight, self.out.bias, False)]
        cells = stacked(self.layers)
        return self.stepper(cells, tokens, state, table=self.table.weight, products=products)

    def slowly(self, tokens, state):
        """Recorded, as layers would go the quick way themselves where nothing is."""
        layout = self.layers.layout
        given = layout.pack([[tg.tensor(s) for s in cell] for cell in state], batched=True)
        y, after = self.layers(self.table(tokens)[None], given)
        assert y.requires_grad
        after = [[s.detach().numpy() for s in cell] for cell in layout.unpack(after, (self.rows,))]
        return self.out(y)[0].detach().numpy(), after

    def check(self, tokens, state):
        """Twice, as the first time nothing is made ready; give the state after."""
        self.quickly(tokens, state)
        scores, after = self.quickly(tokens, state)
        expected, expected_after = self.slowly(tokens, state)
        np.testing.assert_array_equal(scores, expected)
        for cell, expected_cell in zip(after, expected_after, strict=True):
            for one, other in zip(cell, expected_cell, strict=True):
                np.testing.assert_array_equal(one, other)
        return after


@pytest.mark.parametrize("name", KINDS)
def test_steps_have_the_bits_of_sequences(name):
    model = Model(name)
    for rows in (1, 3, 1):
        state = model.start(rows)
        for step in range(3):
            state = model.check(np.arange(rows) * (step + 1) % V, state)


def test_a_large_table_is_no_table_of_products(monkeypatch):
    from tinygrad_rnn.kernels.recurrence import cpu_steps

    monkeypatch.setattr(cpu_steps, "_TABLE_ROWS", V - 1)
    model = Model("LSTM")
    model.check(np.arange(3), model.start(3))


def test_what_has_changed_is_seen():
    model = Model("LSTM")
    state = model.start(2)
    state = model.check(np.array([1, 2]), state)
    for parameter in (model.table.weight, model.out.bias, *model.layers.parameters()):
        parameter.assign_(parameter.numpy() + 0.25)
        model.check(np.array([1, 2]), state)
    model.out.weight = nn.Parameter(model.out.weight.numpy() * 2)
    model.check(np.array([1, 2]), state)
    model.layers.cells()[1].configure(state_clip=0.1)
    model.check(np.array([1, 2]), state)
    before = tg.num_threads()
    try:
        for threads in (1, 3):
            tg.set_num_threads(threads)
            model.check(np.array([1, 2]), state)
    finally:
        tg.set_num_threads(before)


@pytest.mark.parametrize("option", ["recurrent_dropout", "weight_drop"])
def test_where_it_is_not_done_this_way(option):
    model = Model("LSTM", **{option: 0.5})
    state, tokens = model.start(2), np.array([1, 2])
    for _ in range(3):
        assert model.quickly(tokens, state) is None  # it draws, while training
    model.layers.eval()
    model.check(tokens, state)
    assert model.quickly(tokens, [[s[:1] for s in cell] for cell in state]) is None
    with use_reference():
        assert model.quickly(tokens, state) is None
    model.layers.fused = False
    for _ in range(3):
        assert model.quickly(tokens, state) is None
    for options in ({"bidirectional": True}, {"connect": "residual"}, {"stateful": True}):
        assert stacked(nn.LSTM(H, H, 2, **options)) is None


def test_several_threads_at_once():
    model = Model("GRU")
    cells, products = stacked(model.layers), [(model.out.weight, model.out.bias, False)]

    def run(first):
        tokens, state, seen = np.array([first, 1]), model.start(2), []
        for _ in range(40):
            found = None
            while found is None:  # only the first time in all threads
                found = model.stepper(
                    cells, tokens, state, table=model.table.weight, products=products
                )
            scores, state = found
            tokens = scores.argmax(axis=1)
            seen.append(scores)
        return np.stack(seen)

    alone = [run(first) for first in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for one, other in zip(pool.map(run, range(4)), alone, strict=True):
            np.testing.assert_array_equal(one, other)


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


@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.GRUCell])
def test_cells_by_themselves(kind):
    cell, x = kind(I, H), tg.randn(3, I)
    with_graph = cell(x)
    with_graph = cell(x, with_graph)
    with tg.no_grad():
        state = cell(x)
        for _ in range(3):
            found = cell(x, state)
            for one, other in zip(tuple(found), tuple(with_graph), strict=True):
                np.testing.assert_array_equal(one, other)
                assert not one.requires_grad
        alone = cell(x[1], tuple(s[1] for s in state) if kind is nn.LSTMCell else state[1])
        first, second = (s[0] if kind is nn.LSTMCell else s for s in (alone, found))
        np.testing.assert_array_equal(first, second[1])
        for copied in (copy.deepcopy(cell), pickle.loads(pickle.dumps(cell))):
            copied(x, state)
            cell.b.assign_(cell.b.numpy() + 1)
            again = copied(x, state)
            for one, other in zip(tuple(again), tuple(found), strict=True):
                np.testing.assert_array_equal(one, other)


WRONG = {
    "x of another width": lambda x, h, c: (x[:, :2], (h, c)),
    "x of more rows": lambda x, h, c: (np.concatenate([x, x]), (h, c)),
    "x of another type": lambda x, h, c: (x.astype(np.float64), (h, c)),
    "x of three axes": lambda x, h, c: (x[None], (h, c)),
    "one state": lambda x, h, c: (x, (h,)),
    "a bare state": lambda x, h, c: (x, h),
    "three states": lambda x, h, c: (x, (h, c, c)),
    "no states": lambda x, h, c: (x, ()),
    "x without axes": lambda x, h, c: (x[0, 0], (h, c)),
    "x without rows, states with": lambda x, h, c: (x[0], (h, c)),
    "a state of another width": lambda x, h, c: (x, (h, c[:, :3])),
    "a state of one row": lambda x, h, c: (x, (h, c[:1])),
    "a state of another type": lambda x, h, c: (x, (h, c.astype(np.float64))),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_step_that_is_ready_says_what_is_wrong_as_it_did_before(wrong):
    cell = nn.LSTMCell(I, H)
    rng = np.random.default_rng(0)
    right = [rng.standard_normal((2, n)).astype(np.float32) for n in (I, H, H)]
    x, state = WRONG[wrong](*right)
    given = tg.Tensor(x), tuple(map(tg.Tensor, state)) if type(state) is tuple else tg.Tensor(state)
    with tg.no_grad():
        with pytest.raises(tg.errors.TinygradError) as before:
            cell(*given)
        first = cell(tg.Tensor(right[0]), tuple(map(tg.Tensor, right[1:])))
        for _ in range(2):
            cell(tg.Tensor(right[0]), first)
        assert cell._stepper._ready.steps[1, 2]
        with pytest.raises(type(before.value)) as ready:
            cell(*given)
        assert str(ready.value) == str(before.value)
        unbatched = cell(tg.Tensor(right[0][0]), tuple(tg.Tensor(s[0]) for s in right[1:]))
    for one, many in zip(unbatched, first, strict=True):
        np.testing.assert_array_equal(one, many[0])


@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.GRUCell])
def test_a_row_alone_has_its_step_ready_too(kind):
    cell, x = kind(I, H), tg.randn(I)
    expected = cell(x, cell(x))
    with tg.no_grad():
        state = cell(x)
        for _ in range(2):
            found = cell(x, state)
        for one, other in zip(_several(found), _several(expected), strict=True):
            assert one.shape == (H,)
            np.testing.assert_array_equal(one, other.detach())
        (ready,) = cell._stepper._ready.steps[1, 1]
        with pytest.raises(tg.errors.ShapeError):
            cell(x[:2], state)
        cell(x, state)
        assert cell._stepper._ready.steps[1, 1] == [ready]  # not made again for every call
        with pytest.raises(tg.errors.ShapeError):
            cell(tg.randn(1, I - 1), tuple(tg.randn(1, H) for _ in _several(state)))
        assert cell._stepper._ready.steps[1, 1] == [ready]  # nor after a call that was wrong


# What a cell may be given besides Tensors of rows and a tuple of them.
FORMS = {
    "an array": lambda cell, x, state: cell(x.numpy(), state),
    "a list of states": lambda cell, x, state: cell(x, list(state)),
    "no states": lambda cell, x, state: cell(x),
    "no batch": lambda cell, x, state: cell(x[0].numpy(), [s[0] for s in state]),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.GRUCell])
def test_whatever_a_cell_may_be_given_a_step_is_made_ready_for(kind, form, monkeypatch):
    cell, x, call = kind(I, H), tg.randn(1, I), FORMS[form]
    state = tuple(tg.randn(1, n) for n in cell.state_sizes.values())
    expected = call(cell, x, state)
    with tg.no_grad():
        call(cell, x, state)
        assert cell._stepper._ready.steps == {(1, 1): []}  # for one call it would not be worth it
        monkeypatch.setattr(kind, "sequence", None)  # the long way is taken no more
        for _ in range(2):
            found = call(cell, x, state)
            assert type(found) is type(expected)
            for one, other in zip(_several(found), _several(expected), strict=True):
                np.testing.assert_array_equal(one, other.detach())


def test_a_step_is_tried_once_a_call():
    cell, x, h = nn.GRUCell(I, H), tg.randn(1, I), tg.randn(1, H)
    with tg.no_grad():
        cell(x, h)
    assert cell._stepper._ready.steps == {(1, 1): []}


def _several(state):
    return state if isinstance(state, tuple) else (state,)


def test_a_single_state_may_stand_in_a_tuple():
    cell, x, h = nn.GRUCell(I, H), tg.randn(2, I), tg.randn(2, H)
    with tg.no_grad():
        for state in (h, (h,), [h]) * 3:
            assert type(cell(x, state)) is tg.Tensor


def test_ways_of_a_subclass_are_its_own():
    class Doubled(nn.GRUCell):
        def sequence(self, *given, **how):
            y, finals = super().sequence(*given, **how)
            return y, [state * 2 for state in finals]

    class Scaled(nn.GRUCell):
        def weights(self):
            return {name: weight * 0.5 for name, weight in super().weights().items()}

    class FromOnes(nn.GRUCell):
        def zero_state(self, *given):
            return [state + 1 for state in super().zero_state(*given)]

    for kind in (Doubled, Scaled, FromOnes):
        layers, sequence = nn.Recurrent(kind(I, H)), tg.randn(4, 2, I)
        for given in (sequence, sequence[:1]):
            expected = layers(given)
            with tg.no_grad():
                for _ in range(3):
                    same(layers(given), expected)
        cell, x, h = kind(I, H), tg.randn(2, I), tg.randn(2, H)
        expected = cell(x, h).detach()
        with tg.no_grad():
            for _ in range(3):
                np.testing.assert_array_equal(cell(x, h), expected)


@pytest.mark.parametrize("make", [lambda: nn.GRUCell(I, H), lambda: nn.LSTM(I, H, 2)])
def test_what_is_ready_keeps_nobody_alive(make):
    one, kept = make(), []
    x = tg.randn(2, I) if isinstance(one, nn.Cell) else tg.randn(3, 2, I)
    with tg.no_grad():
        for _ in range(3):
            one(x)
    assert one._stepper._ready.steps
    kept += [weakref.ref(one), weakref.ref(next(one.parameters()))]
    gc.disable()  # a cycle would be found, but only some time, and weights are large
    try:
        del one
        assert [each() for each in kept] == [None, None]
    finally:
        gc.enable()


def test_weights_changed_while_threads_step(monkeypatch):
    cell, x, h = nn.GRUCell(I, H), tg.randn(2, I), tg.randn(2, H)
    holds, others = Mark.holds, []  # calls that come in between

    def slowly(mark, *given):
        if others:
            others.pop()(x, h)
        return holds(mark, *given)

    monkeypatch.setattr(Mark, "holds", slowly)
    with tg.no_grad():
        for _ in range(3):
            cell(x, h)
        cell.w_h.assign_(cell.w_h.numpy() + 1)
        others.append(cell)
        found = cell(x, h)
    np.testing.assert_array_equal(found, cell(x, h).detach())


def test_weights_that_have_moved_to_a_gpu(standin):
    cell, x, h = nn.GRUCell(I, H), tg.randn(2, I), tg.randn(2, H)
    with tg.no_grad():
        for device in ("cpu", "gpu", "gpu"):
            cell.to(device)
            for given in ((x, h), (x.to("gpu"), h), (x, h.to("gpu"))) * 2:
                if {t.device for t in given} == {cell.b.device}:
                    cell(*given)
                    continue
                with pytest.raises(tg.errors.DeviceError):
                    cell(*given)
