"""Short runs are written down and done as one call: with the bits of runs that are done anew."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.kernels.test_recurrence import CELLS, LSTM, SIZES, ResetBefore
from tests.kernels.test_recurrence import draw as draw_anywhere
from tinygrad_rnn import nn
from tinygrad_rnn.kernels import _memory, _pool, _repeated, recurrence
from tinygrad_rnn.kernels._jit import DISABLED
from tinygrad_rnn.kernels.recurrence import cpu
from tinygrad_rnn.kernels.recurrence.shapes import shapes_of
from tinygrad_rnn.kernels.recurrence.sized import at_sizes
from tinygrad_rnn.ops.recurrence import RULES

pytestmark = pytest.mark.skipif(DISABLED, reason="without JIT nothing is written down")


@pytest.fixture(autouse=True)
def poisoned(monkeypatch):
    """Memory that nobody has written yet is NaN, so that whoever reads it is found out."""
    monkeypatch.setattr(_repeated, "_SMALL", -1)  # room that stays is only new once
    _memory.poison()
    yield
    _memory.poison(False)


@pytest.fixture(autouse=True)
def called(monkeypatch):
    """How often something that was written down has been called."""
    calls, real = [], _repeated._Written.__call__

    def call(written, given):
        calls.append(written)
        return real(written, given)

    monkeypatch.setattr(_repeated._Written, "__call__", call)
    return calls


def draw(cell, T, B, sizes, dtype=np.float64, seed=0):
    """Arrays for a cell, in memory that is kept, as those of layers are."""
    program, x, states, params = draw_anywhere(cell, T, B, sizes, dtype, seed)
    named = {name: own(array) for name, array in params.items()}
    return program, None if x is None else own(x), [own(s) for s in states], named


def own(array):
    copy = _memory.empty(array.shape, array.dtype)
    copy[...] = array
    return copy


def both_ways(arrays, needed, *, reverse=False, forms=None, dy=True, ends=True, sums=None, **how):
    """All that comes out of a run and of its derivative."""
    program, x, states, params = arrays
    count = len(x) if x is not None else 3
    y, finals, run = recurrence.forward(
        program, x, states, params, rules=RULES, steps=count, reverse=reverse, forms=forms
    )
    rng = np.random.default_rng(5)
    dy = rng.standard_normal(y.shape).astype(y.dtype) if dy else None
    d_finals = [rng.standard_normal(f.shape).astype(y.dtype) if ends else None for f in finals]
    sums = None if sums is None else {name: params[name] * 2 for name in sums}
    needs_x = how.pop("needs_x", True) and x is not None
    dx, d_states, _, grads = recurrence.backward(
        run, dy, d_finals, needs_x=needs_x, needed=needed, sums=sums, **how
    )
    kept = recurrence.kept(run)
    return [y, *finals, dx, *d_states, *grads.values(), *kept.lines.values(), *(kept.after or ())]


def anew(*args, **how):
    """The same without anything that was written down."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpu, "repeated", lambda _kept, _key, _given, work, _parts: work())
        return both_ways(*args, **how)


def same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def kept_of(arrays):
    """What is written down for a program at its sizes."""
    program, x, states, params = arrays
    weights = [params[name] for name, _ in program.params]
    return at_sizes(program, RULES, shapes_of(x, states, weights)).repeated


WAYS = {
    "all": {},
    "no gradient of y": {"dy": False},
    "no gradients of final states": {"ends": False},
    "not of x": {"needs_x": False},
    "not of states": {"needs_states": False},
    "backwards in time": {"reverse": True},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("cell", CELLS)
def test_all_ways_back(cell, way, called):
    for dtype, (T, B) in product((np.float32, np.float64), [(1, 1), (3, 4), (1, 9)]):
        for seed in range(4):
            arrays = draw(cell, T, B, SIZES, dtype, seed)
            needed = set(arrays[3])
            same(both_ways(arrays, needed, **WAYS[way]), anew(arrays, needed, **WAYS[way]))
    assert len(called) >= 2 * 3 * 2 * 2  # types, shapes, runs from the third on, both ways


@pytest.mark.parametrize("cell", CELLS)
def test_some_weights_and_sums_of_others(cell, called):
    names = sorted(draw(cell, 1, 1, SIZES)[3])
    for needed, sums in [(set(names[:1]), []), (set(names), names[1:2]), (set(names), names)]:
        for seed in range(4):
            arrays = draw(cell, 4, 3, SIZES, np.float32, seed)
            same(both_ways(arrays, needed, sums=sums), anew(arrays, needed, sums=sums))
    assert len(called) >= 3 * 2


@pytest.mark.parametrize("cell", [LSTM, ResetBefore])
@pytest.mark.parametrize(("T", "B"), [(1, 1), (1, 12), (3, 1), (4, 5)])
def test_packed_weights_that_are_kept(cell, T, B):
    sizes, needed = {"I": 20, "H": 33}, {"w_h", "b"}
    for seed in range(5):
        arrays = draw(cell, T, B, sizes, np.float32, seed)
        kept = [{name: {} for name in arrays[3]} for _ in range(2)]
        for _ in range(3):  # of the same numbers: met, packed, and found packed
            found = both_ways(arrays, needed, forms=kept[0])
            same(found, anew(arrays, needed, forms=kept[1]))
        for name, forms in kept[0].items():
            assert forms.keys() - {"turn"} == kept[1][name].keys() - {"turn"}


@drawn(
    cell=st.sampled_from(CELLS), T=st.integers(1, 6), B=st.integers(1, 20),
    I=st.integers(1, 60), H=st.integers(1, 60), P=st.integers(1, 60),
    reverse=st.booleans(), threads=st.integers(1, 3),
)  # fmt: skip
def test_any_size_on_any_number_of_threads(cell, T, B, I, H, P, reverse, threads):
    before = _pool.num_threads()
    _pool.set_num_threads(threads)
    try:
        for seed in range(4):
            arrays = draw(cell, T, B, {"I": I, "H": H, "P": P}, np.float32, seed)
            needed = set(arrays[3])
            same(both_ways(arrays, needed, reverse=reverse), anew(arrays, needed, reverse=reverse))
    finally:
        _pool.set_num_threads(before)


def test_arrays_that_lie_otherwise_are_no_fault():
    arrays = draw(LSTM, 3, 4, SIZES, np.float32)
    for seed in range(6):
        program, x, states, params = draw(LSTM, 3, 4, SIZES, np.float32, seed)
        if seed % 3 == 1:
            params = {name: np.asfortranarray(p) for name, p in params.items()}
        if seed % 3 == 2:
            x, states = np.asfortranarray(x), [np.asfortranarray(s) for s in states]
        if seed == 4:
            params["w_x"] = np.concatenate([params["w_x"]] * 2, axis=1)[:, : params["w_x"].shape[1]]
        if seed == 5:
            raw = np.zeros(x.nbytes + 1, np.uint8)
            moved = raw[1:].view(np.float32).reshape(x.shape)
            moved[...] = x
            x = moved
        given = program, x, states, params
        same(both_ways(given, set(params)), anew(given, set(params)))
    assert kept_of(arrays)


def test_gradients_that_are_views_of_each_other():
    for seed in range(6):
        program, x, states, params = draw(LSTM, 1, 3, SIZES, np.float32, seed)
        results = []
        for patched in (False, True):
            with pytest.MonkeyPatch.context() as patch:
                if patched:
                    patch.setattr(cpu, "repeated", lambda _kept, _key, _given, work, _parts: work())
                y, finals, run = recurrence.forward(
                    program, x, states, params, rules=RULES, steps=1
                )
                ends = [own(f + 1) for f in finals]
                dy = ends[0][None] if seed < 3 else own(y * 2)
                dx, _, _, grads = recurrence.backward(
                    run, dy, ends, needs_x=True, needed=set(params)
                )
            results.append([dx, *grads.values()])
        same(*results)


def test_an_input_that_is_a_view_of_a_weight():
    for seed in range(6):
        program, x, states, params = draw(LSTM, 1, 3, {"I": 28, "H": 7}, np.float32, seed)
        if seed < 3:
            x = params["w_h"][:3][None]
        given = program, x, states, params
        same(both_ways(given, set(params)), anew(given, set(params)))


def test_a_weight_that_stands_for_two():
    sizes = {"I": 7, "H": 7}
    for seed in range(6):
        program, x, states, params = draw(ResetBefore, 3, 4, sizes, np.float32, seed)
        if seed < 3:
            params["v_x"] = params["v_h"]
        given = program, x, states, params
        same(both_ways(given, set(params)), anew(given, set(params)))


class NamedLikeArrays:
    """Weights that are called as arrays of a run are."""

    state = ("h",)
    params = {"w0": "I 2H", "v0": "H 2H", "b0": "2H", "dy": "H", "z0": "H H"}

    def step(self, x, h, p):
        a, b = (x @ p.w0 + h @ p.v0 + p.b0).chunk(2)
        return ((a.sigmoid() * h) @ p.z0 + b * p.dy).tanh()


@pytest.mark.parametrize(("T", "B"), [(1, 1), (1, 3), (4, 1), (4, 5)])
def test_weights_that_are_called_as_arrays_of_a_run_are(T, B):
    for seed in range(5):
        arrays = draw(NamedLikeArrays, T, B, SIZES, np.float32, seed)
        forms = {name: {} for name in arrays[3]}
        for _ in range(3):
            found = both_ways(arrays, set(arrays[3]), forms=forms)
            same(found, anew(arrays, set(arrays[3])))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("T", [1, 3])
def test_no_rows(cell, T):
    for _ in range(4):
        arrays = draw(cell, T, 0, {"I": 4, "H": 200, "P": 5}, np.float32)
        same(both_ways(arrays, set(arrays[3])), anew(arrays, set(arrays[3])))


def test_long_runs_are_not_written_down(monkeypatch):
    monkeypatch.setattr(cpu, "_LONG", 0)
    arrays = draw(LSTM, 11, 3, {"I": 4, "H": 5}, np.float32)
    for _ in range(3):
        both_ways(arrays, set(arrays[3]))
    assert not kept_of(arrays)


class TwoRows(nn.Cell):
    """One product to which two rows are added."""

    state = ("h",)
    params = {"w_x": "I H", "w_h": "H H", "b": "H", "c": "H"}

    def step(self, x, h, p):
        return (x @ p.w_x).tanh() * (h @ p.w_h + p.b + p.c).tanh()


def test_rows_that_are_added_to_one_product_have_a_gradient_each():
    tg.seed(0)
    layer = nn.Recurrent(TwoRows(5, 7), fused="require")
    cell = layer.cells()[0]
    for _ in range(4):  # anew, written down, and called twice
        layer.zero_grad()
        y, _ = layer(tg.randn(1, 2, 5))
        (y * y).sum().backward()
        np.testing.assert_array_equal(cell.b.grad.numpy(), cell.c.grad.numpy())
        assert not np.shares_memory(cell.b.grad._data, cell.c.grad._data)
