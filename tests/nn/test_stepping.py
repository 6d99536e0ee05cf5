"""Steps made ready for decoders and cells: the bits of the long way, whatever changes."""

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
from tinygrad_rnn.nn.step_mark import Mark
from tinygrad_rnn.nn.stepping import Stepper, stacked

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
                    np.testing.assert_array_equal(layers(given)[0], expected[0])
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
