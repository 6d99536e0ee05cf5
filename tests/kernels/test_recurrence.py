"""The fused kernel is the program: values equal the interpreter's, gradients the complex step's."""

import os
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import nn
from tinygrad_rnn.errors import TraceError
from tinygrad_rnn.kernels import recurrence
from tinygrad_rnn.kernels._jit import DISABLED
from tinygrad_rnn.kernels._pool import num_threads, set_num_threads
from tinygrad_rnn.kernels.recurrence.elementwise import COMPARISONS, ELEMENTWISE
from tinygrad_rnn.kernels.recurrence.reference import HOLD, NUMPY, RESET, STEP, sequence
from tinygrad_rnn.kernels.recurrence.tracing import trace
from tinygrad_rnn.ops.recurrence import RULES


class LSTM:
    state = ("h", "c")
    params = {"w_x": "I 4H", "w_h": "H 4H", "b": "4H"}

    def step(self, x, h, c, p):
        i, f, g, o = (x @ p.w_x + h @ p.w_h + p.b).chunk(4)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        c = f * c + i * g
        return o * c.tanh(), c


class ResetAfter:
    """A gated unit: part of one product is added to another, part stands alone."""

    state = ("h",)
    params = {"w_x": "I 3H", "w_h": "H 3H", "b": "3H", "b_h": "H"}

    def step(self, x, h, p):
        x_r, x_z, x_n = (x @ p.w_x + p.b).chunk(3)
        h_r, h_z, h_n = (h @ p.w_h).chunk(3)
        r, z = (x_r + h_r).sigmoid(), (x_z + h_z).sigmoid()
        n = (x_n + r * (h_n + p.b_h)).tanh()
        return (1 - z) * n + z * h


class ResetBefore:
    """Two products one after the other within a step."""

    state = ("h",)
    params = {"w_x": "I 2H", "w_h": "H 2H", "b": "2H", "v_x": "I H", "v_h": "H H", "c": "H"}

    def step(self, x, h, p):
        r, z = (x @ p.w_x + h @ p.w_h + p.b).chunk(2)
        n = (x @ p.v_x + (r.sigmoid() * h) @ p.v_h + p.c).tanh()
        z = z.sigmoid()
        return (1 - z) * n + z * h


class Peephole:
    """Weights that multiply states element by element, and a number as a weight."""

    state = ("h", "c")
    params = {"w_x": "I 4H", "w_h": "H 4H", "b": "4H", "p_f": "H", "p_o": "H", "s": ""}

    def step(self, x, h, c, p):
        i, f, g, o = (x @ p.w_x + h @ p.w_h + p.b).chunk(4)
        n = (f + p.p_f * c).sigmoid() * c + i.sigmoid() * (g * p.s).tanh()
        return (o + p.p_o * n).sigmoid() * n.tanh(), n


class Projection:
    """States of different widths; the output comes straight out of a product."""

    state = {"h": "P", "c": "H"}
    params = {"w_x": "I 4H", "w_h": "P 4H", "b": "4H", "w_p": "H P"}

    def step(self, x, h, c, p):
        i, f, g, o = (x @ p.w_x + h @ p.w_h + p.b).chunk(4)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return (o.sigmoid() * c.tanh()) @ p.w_p, c


class Autonomous:
    """No input; the state runs through a product."""

    state = ("s",)
    input = None
    params = {"w": "H H", "b": "H"}

    def step(self, s, p):
        return (s @ p.w + p.b).tanh()


class Odds:
    """Operations that the usual cells leave out, x read element by element, an own output."""

    state = ("h",)
    input = "H"
    params = {"w": "H 2H", "u": "H"}

    def step(self, x, h, p):
        a, b = (h.tanh() @ p.w).chunk(2)
        kept = (a.square() + 1.0).sqrt() / (b.exp() + 2.0) - (p.u * x).sin()
        return (kept.abs() + 0.1).log() * 0.3 + x.relu() + a.clip(-0.5, 0.5).maximum(b)

    def output(self, h):
        return h * 2.0 - 1.0


class EveryOperation:
    """Each row of the table of element-wise operations, also one that is new there."""

    state = ("h",)
    input = "H"
    params = {"w": "H H"}

    def step(self, x, h, p):
        numbers = {"exponent": 2.5, "low": -0.3, "high": 0.2}
        gate, total = (h @ p.w).sigmoid(), h
        for name, op in ELEMENTWISE.items():
            lowest = 0.2 if name in ("sqrt", "log", "power_of") else -0.5
            a, b = gate + lowest, x.sigmoid() + lowest
            operands = [a.apply("gt", a, b), a, b] if name == "where" else [a, b][: op.operands]
            value = a.apply(name, *operands, **{attr: numbers[attr] for attr in op.attrs})
            if name in COMPARISONS:
                value = a.apply("where", value, a, 0.5)
            total = total + 0.1 * value
        return total.tanh()


CELLS = [LSTM, ResetAfter, ResetBefore, Peephole, Projection, Autonomous, Odds]


def draw(cell, T, B, sizes, dtype=np.float64, seed=0):
    """The cell's program and arrays for it; recurrent weights of spectral radius about 1."""
    rng = np.random.default_rng(seed)
    program = trace(cell())
    scale = max(sizes.values()) ** -0.5

    def numbers(*shape):
        return rng.standard_normal(shape).astype(dtype)

    params = {
        name: numbers(*(w.of(sizes) for w in shape)) * dtype(scale if len(shape) == 2 else 1)
        for name, shape in program.params
    }
    x = numbers(T, B, program.input.of(sizes)) if program.input else None
    states = [numbers(B, w.of(sizes)) for _, w in program.states]
    return program, x, states, params


def check(cell, T, B, sizes, mask=None, reverse=False, own_restart=False, seed=0):
    """Values against the interpreter; gradients along random directions against complex steps."""
    program, x, states, params = draw(cell, T, B, sizes, seed=seed)
    restart = draw(cell, T, B, sizes, seed=seed + 2)[2] if own_restart else None
    how = {"steps": T, "mask": mask, "reverse": reverse, "restart": restart}
    y, finals, run = recurrence.forward(program, x, states, params, rules=RULES, **how)
    expected, expected_finals = sequence(program, NUMPY, x, states, params, **how)
    for got, want in zip([y, *finals], [expected, *expected_finals], strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-10)
    rng = np.random.default_rng(seed + 1)
    dy = rng.standard_normal(y.shape)
    d_finals = [rng.standard_normal(f.shape) for f in finals]
    dx, d_states, d_restart, grads = recurrence.backward(
        run, dy, d_finals, needs_x=x is not None, needed=set(params)
    )

    def value(x, states, params, restart=restart):
        y, finals = sequence(program, NUMPY, x, states, params, **(how | {"restart": restart}))
        return (y * dy).sum() + sum((f * d).sum() for f, d in zip(finals, d_finals, strict=True))

    def agrees(array, gradient, put):
        u = rng.uniform(0.5, 1.5, array.shape) * rng.choice([-1, 1], array.shape)
        numeric = value(*put(array + 1e-30j * u)).imag / 1e-30
        scale = np.abs(gradient * u).sum()
        assert abs((gradient * u).sum() - numeric) <= 1e-12 * scale + 1e-300

    if x is not None:
        agrees(x, dx, lambda z: (z, states, params))
    for i, state in enumerate(states):
        agrees(state, d_states[i], lambda z, i=i: (x, [*states[:i], z, *states[i + 1 :]], params))
    for i, state in enumerate(restart or ()):
        agrees(
            state,
            d_restart[i] if d_restart else np.zeros_like(state),
            lambda z, i=i: (x, states, params, [*restart[:i], z, *restart[i + 1 :]]),
        )
    for name, weight in params.items():
        agrees(weight, grads[name], lambda z, name=name: (x, states, {**params, name: z}))


SIZES = {"I": 3, "H": 7, "P": 5}


@pytest.mark.parametrize("cell", CELLS)
def test_values_and_gradients_equal_the_definition(cell):
    check(cell, 5, 4, SIZES)
    check(cell, 5, 4, SIZES, reverse=True)


def test_every_element_wise_operation_equals_its_definition():
    assert {op.name for op in trace(EveryOperation()).operations} >= set(ELEMENTWISE)
    check(EveryOperation, 3, 4, SIZES)


@pytest.mark.parametrize("cell", CELLS)
def test_masks_hold_rows_and_start_them_anew(cell):
    mask = np.array(
        [[1, 1, 3, 0], [1, 0, 1, 0], [3, 1, 1, 2], [1, 3, 2, 0], [0, 1, 1, 0]], np.uint8
    )
    check(cell, 5, 4, SIZES, mask)
    check(cell, 5, 4, SIZES, mask, reverse=True, own_restart=True)


@given(
    cell=st.sampled_from(CELLS),
    T=st.integers(1, 6),
    B=st.integers(0, 20),
    I=st.integers(1, 60),
    H=st.integers(1, 60),
    P=st.integers(1, 60),
    data=st.data(),
)
def test_any_size_and_mask(cell, T, B, I, H, P, data):
    mask = None
    if data.draw(st.booleans()):
        codes = st.sampled_from([HOLD, STEP, RESET, STEP | RESET])
        mask = np.array(data.draw(st.lists(codes, min_size=T * B, max_size=T * B)), np.uint8)
        mask = mask.reshape(T, B)
    reverse, own_restart = data.draw(st.booleans()), data.draw(st.booleans())
    seed = data.draw(st.integers(0, 99))
    check(cell, T, B, {"I": I, "H": H, "P": P}, mask, reverse, own_restart, seed)


@pytest.mark.parametrize("cell", [LSTM, ResetBefore])
def test_a_row_alone_has_the_bits_that_it_has_in_a_batch(cell):
    program, x, states, params = draw(cell, 6, 25, {"I": 20, "H": 33}, np.float32)
    y, finals, run = recurrence.forward(program, x, states, params, rules=RULES, steps=6)
    nothing = [None] * len(states)
    dx, d_states, *_ = recurrence.backward(run, y, nothing, needs_x=True, needed=set())
    for b in (0, 11, 24):
        rows = slice(b, b + 1)
        alone = [s[rows] for s in states]
        y1, finals1, run1 = recurrence.forward(
            program, x[:, rows], alone, params, rules=RULES, steps=6
        )
        dx1, d1, *_ = recurrence.backward(run1, y1, nothing, needs_x=True, needed=set())
        assert np.array_equal(y1, y[:, rows])
        assert np.array_equal(dx1, dx[:, rows])
        for a, whole in zip([*finals1, *d1], [*finals, *d_states], strict=True):
            assert np.array_equal(a, whole[rows])


@pytest.mark.skipif(DISABLED, reason="tiles are Python under NUMBA_DISABLE_JIT=1, and take minutes")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_row_alone_has_the_bits_that_it_has_in_a_batch_at_any_width(dtype):
    before = num_threads()
    try:
        for threads, lanes in product((1, 2, 3), range(1, 14)):
            set_num_threads(threads)
            for H in (8 * lanes - 3, 8 * lanes):
                program, x, states, params = draw(ResetBefore, 2, 2, {"I": 3, "H": H}, dtype)
                y, _, run = recurrence.forward(program, x, states, params, rules=RULES, steps=2)
                y1, _, run1 = recurrence.forward(
                    program, x[:, :1], [s[:1] for s in states], params, rules=RULES, steps=2
                )
                np.testing.assert_array_equal(y1, y[:, :1])
                dx, *_ = recurrence.backward(run, y, [None], needs_x=True, needed=set())
                dx1, *_ = recurrence.backward(run1, y1, [None], needs_x=True, needed=set())
                np.testing.assert_array_equal(dx1, dx[:, :1])
    finally:
        set_num_threads(before)


@pytest.mark.parametrize("B", [1, 3, 40])
def test_bits_do_not_depend_on_the_number_of_threads(B):
    program, x, states, params = draw(Peephole, 8, B, {"I": 40, "H": 130}, np.float32)
    before = num_threads()
    seen = []
    try:
        for threads in (1, 2, 4):
            set_num_threads(threads)
            y, finals, run = recurrence.forward(program, x, states, params, rules=RULES, steps=8)
            dx, d_states, _, grads = recurrence.backward(
                run, y, [None, None], needs_x=True, needed=set(params)
            )
            seen.append([y, *finals, dx, *d_states, *(grads[n] for n in params)])
    finally:
        set_num_threads(before)
    for other in seen[1:]:
        for a, b in zip(seen[0], other, strict=True):
            assert np.array_equal(a, b)


@pytest.mark.parametrize("cell", [LSTM, ResetBefore])
@pytest.mark.parametrize("B", [1, 30])
def test_a_single_step_has_the_same_bits_with_weights_as_they_lie_and_packed(cell, B):
    program, x, states, params = draw(cell, 1, B, {"I": 9, "H": 70}, np.float32)
    forms = {name: {} for name in params}  # kept from step to step: the second one packs
    seen = []
    for _ in range(3):
        y, finals, run = recurrence.forward(
            program, x, states, params, rules=RULES, steps=1, forms=forms
        )
        dx, d_states, *_ = recurrence.backward(run, y, finals, needs_x=True, needed=set())
        seen.append([y, *finals, dx, *d_states])
    assert any(len(of_one) > 2 for of_one in forms.values())
    for other in seen[1:]:
        for a, b in zip(seen[0], other, strict=True):
            assert np.array_equal(a, b)


def test_padding_that_holds_nan_reaches_nothing():
    program, x, states, params = draw(LSTM, 5, 3, {"I": 4, "H": 6})
    mask = np.array([[1, 0, 1], [1, 1, 1], [1, 1, 0], [0, 1, 0], [0, 0, 0]], np.uint8)
    clean = recurrence.forward(program, x, states, params, rules=RULES, steps=5, mask=mask)
    poisoned = x.copy()
    poisoned[mask == HOLD] = np.nan
    dirty = recurrence.forward(program, poisoned, states, params, rules=RULES, steps=5, mask=mask)
    d_clean, d_dirty = (
        recurrence.backward(run, y, finals, needs_x=True, needed=set(params))
        for y, finals, run in (clean, dirty)
    )
    assert np.array_equal(clean[0], dirty[0])
    assert np.array_equal(d_clean[0], d_dirty[0])
    assert not d_dirty[0][mask == HOLD].any()
    for name in params:
        assert np.array_equal(d_clean[3][name], d_dirty[3][name])


@pytest.mark.skipif(
    os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"), reason="nothing is compiled"
)
def test_one_compile_serves_all_sizes():
    from tinygrad_rnn.kernels._jit import BUILDS

    def written():
        return sum("generated" in build.name for build in BUILDS)

    program, *_ = draw(LSTM, 2, 2, {"I": 2, "H": 2})
    rng = np.random.default_rng(0)
    for number in range(20):
        T, B, I, H = (int(n) for n in rng.integers(1, 70, 4))
        _, x, states, params = draw(LSTM, T, B, {"I": I, "H": H})
        y, _, run = recurrence.forward(program, x, states, params, rules=RULES, steps=T)
        recurrence.backward(run, y, [None, None], needs_x=True, needed=set(params))
        if number == 0:
            before = written()
    assert before >= 2  # forward and backward; both element types, where tests ran before
    assert written() == before


def test_what_cannot_be_fused_is_named_with_its_line():
    class Sorted:
        state = ("h",)
        params = {"w": "I H"}

        def step(self, x, h, p):
            return (x @ p.w).sort() + h

    with pytest.raises(TraceError, match=r"\.sort is nothing .*test_recurrence.py:\d+: return"):
        trace(Sorted())


@pytest.mark.parametrize("rows", [1, 3, 9])
def test_single_steps_have_the_bits_of_a_sequence(rows):
    """They do the products with x themselves, where rows are few, and turn about each time."""
    cell = nn.LSTMCell(5, 150)  # more panels than one, of either thread
    rng = np.random.default_rng(0)
    x, h, c = (rng.standard_normal((n, rows, w)).astype(np.float32) for n, w in
               ((4, 5), (1, 150), (1, 150)))  # fmt: skip
    states = [tg.tensor(h[0]), tg.tensor(c[0])]
    with tg.no_grad():
        expected, _ = cell.sequence(tg.tensor(x), states)
        for _ in range(2):  # from the second time on weights are packed
            current = states
            for t in range(4):
                current = cell(tg.tensor(x[t]), tuple(current))
                np.testing.assert_array_equal(current[0].numpy(), expected.numpy()[t])
