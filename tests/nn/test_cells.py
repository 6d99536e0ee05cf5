"""Every cell is its paper's equations, fused, differentiated right, and callable for one step."""

import copy
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.nn.cell_list import CELLS, H, I, blocks, draw, make
from tinygrad_rnn import nn, ops
from tinygrad_rnn.errors import DTypeError, ModuleError, ShapeError, TraceError
from tinygrad_rnn.kernels import recurrence
from tinygrad_rnn.kernels._twin import use_reference
from tinygrad_rnn.kernels.recurrence.reference import NUMPY, sequence
from tinygrad_rnn.nn.composite import step_by_step
from tinygrad_rnn.testing import assert_gradients

every_cell = pytest.mark.parametrize("name", CELLS)

# Compiling takes seconds a cell: those that differ from another in one function are compiled
# where there is time for it.
ALIKE = {"rnn_sigmoid", "rnn_identity", "lstm_V", "lstm_NIG", "lstm_NIAF", "lstm_NOAF", "lstm_NP"}
COMPILED = [n for n in CELLS if n not in ALIKE or os.environ.get("TINYGRAD_PROFILE")]
TOLERANCE = 1e-10  # fused against interpreter in float64, DESIGN section 6


# ----- what they compute -----


@every_cell
@pytest.mark.parametrize("bias", [True, False])
def test_a_step_is_the_equations_of_the_paper(name, bias):
    cell = make(name, bias=bias)
    assert bias == any(n == "b" or n.startswith("b_") for n in cell.state_dict())
    x, states = draw(cell, 1, 5)
    expected = CELLS[name][1](blocks(cell), *([] if x is None else [x[0]]), *states)
    with use_reference():
        new = cell(*([] if x is None else [x[0]]), tuple(states))
    new = new if isinstance(new, tuple) else (new,)
    for got, want in zip(new, expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-13)


@every_cell
@pytest.mark.parametrize("bias", [True, False])
def test_every_cell_is_fused(name, bias):
    cell = make(name, bias=bias)
    cell.fused = "require"
    assert cell.plan == "fused"
    assert not cell.program.unused_params()
    assert "def backward" in cell.kernel_source()


@every_cell
@settings(max_examples=5)
@given(T=st.integers(1, 4), B=st.integers(0, 4), seed=st.integers(0, 99), reverse=st.booleans())
def test_the_step_on_tensors_is_the_program(name, T, B, seed, reverse):
    cell = make(name)
    x, states = draw(cell, T, B, seed)
    mask = np.random.default_rng(seed).integers(0, 3, (T, B)).astype(np.uint8)
    tensors = [tg.tensor(s) for s in states]
    y, finals = step_by_step(
        cell, None if x is None else tg.tensor(x), tensors, steps=T, mask=mask, reverse=reverse
    )
    params = {n: w.numpy() for n, w in cell.weights().items()}
    want, want_finals = sequence(
        cell.program, NUMPY, x, states, params, steps=T, mask=mask, reverse=reverse
    )
    for got, expected in zip([y, *finals], [want, *want_finals], strict=True):
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", COMPILED)
def test_the_kernel_is_the_program_and_its_gradients_are_complex_steps(name):
    check_kernel(name)


@settings(max_examples=4)
@given(
    T=st.integers(1, 6), B=st.integers(0, 20), i=st.integers(1, 40), h=st.integers(2, 40),
    masked=st.booleans(), reverse=st.booleans(), seed=st.integers(0, 99),
)  # fmt: skip
def check_kernel(name, T, B, i, h, masked, reverse, seed):
    cell = make(name, i if i != h else i + 1, h)
    x, states = draw(cell, T, B, seed)
    rng = np.random.default_rng(seed)
    mask = rng.integers(0, 3, (T, B)).astype(np.uint8) if masked else None
    params = {n: w.numpy() for n, w in cell.weights().items()}
    how = {"steps": T, "mask": mask, "reverse": reverse}
    y, finals, run = recurrence.forward(cell.program, x, states, params, **how)
    want, want_finals = sequence(cell.program, NUMPY, x, states, params, **how)
    for got, expected in zip([y, *finals], [want, *want_finals], strict=True):
        bound = TOLERANCE * max(1.0, np.abs(expected).max(initial=0))
        np.testing.assert_allclose(got, expected, rtol=0, atol=bound)
    dy = rng.standard_normal(y.shape)
    d_finals = [rng.standard_normal(f.shape) for f in finals]
    dx, d_states, grads = recurrence.backward(
        run, dy, d_finals, needs_x=x is not None, needed=set(params)
    )
    gradients = [*([] if x is None else [dx]), *d_states, *(grads[n] for n in params)]
    us = [rng.uniform(0.5, 1, g.shape) * rng.choice([-1, 1], g.shape) for g in gradients]

    def value(moved):
        x_moved = None if x is None else moved.pop(0)
        new = [moved.pop(0) for _ in states]
        weights = dict(zip(params, moved, strict=True))
        out, ends = sequence(cell.program, NUMPY, x_moved, new, weights, **how)
        return (out * dy).sum() + sum((f * d).sum() for f, d in zip(ends, d_finals, strict=True))

    arrays = [*([] if x is None else [x]), *states, *params.values()]
    for k, (g, u) in enumerate(zip(gradients, us, strict=True)):
        moved = [a + 1e-30j * u if n == k else a for n, a in enumerate(arrays)]
        numeric = value(moved).imag / 1e-30
        assert abs((g * u).sum() - numeric) <= 1e-12 * np.abs(g * u).sum() + 1e-13


@pytest.mark.parametrize("name", ["lstm", "gru", "indrnn", "autonomous", "mut2"])
def test_a_sequence_is_as_many_steps(name):
    cell = make(name)
    x, states = draw(cell, 4, 3)
    y, finals = cell.sequence(
        None if x is None else tg.tensor(x), [tg.tensor(s) for s in states], steps=4
    )
    state = tuple(states) if len(states) > 1 else states[0]
    for t in range(4):
        state = cell(*([] if x is None else [x[t]]), state)
        first = state[0] if isinstance(state, tuple) else state
        np.testing.assert_array_equal(y[t], first)
    np.testing.assert_array_equal(finals[0], first)


# ----- derivatives -----


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn_first", "mgu"])
def test_second_derivatives(name):
    cell = make(name)
    x, states = draw(cell, 3, 2)
    names = list(cell.params)

    def run(x, *rest):
        weights = dict(zip(names, rest[len(states) :], strict=True))
        y, finals = ops.recurrence(cell.program, x, rest[: len(states)], weights)
        return (y, *finals)

    weights = [w.numpy() for w in cell.weights().values()]
    assert_gradients(run, x, *states, *weights, order=2)


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_forward_mode_is_the_complex_step(name):
    cell = make(name)
    x, states = draw(cell, 3, 2)
    u = np.random.default_rng(1).standard_normal(x.shape)
    tensors = [tg.tensor(s) for s in states]
    y, moved = tg.jvp(lambda x: cell.sequence(x, tensors)[0], (tg.tensor(x),), (tg.tensor(u),))
    params = {n: w.numpy() for n, w in cell.weights().items()}
    want, _ = sequence(cell.program, NUMPY, x + 1e-30j * u, states, params, steps=3)
    np.testing.assert_allclose(y, want.real, atol=1e-12)
    np.testing.assert_allclose(moved, want.imag / 1e-30, atol=1e-11)


def test_frozen_weights_get_no_gradient_and_cost_no_product(monkeypatch):
    cell = make("gru")
    cell.w_h.requires_grad = cell.b.requires_grad = False
    asked = []
    backward = recurrence.backward

    def watch(*args, needs_x, needed):
        asked.append((needs_x, needed))
        return backward(*args, needs_x=needs_x, needed=needed)

    monkeypatch.setattr(recurrence, "backward", watch)
    x, states = draw(cell, 3, 2)
    y, _ = cell.sequence(tg.tensor(x), [tg.tensor(s) for s in states])
    y.sum().backward()
    assert asked == [(False, {"w_x", "b_h"})]
    assert cell.w_h.grad is None
    assert cell.b.grad is None
    assert cell.w_x.grad.numpy().any()


# ----- one step -----


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
    for B in (3, 1, 70):
        h, c = cell(np.ones((B, I)))
        (h + c).sum().backward()
        counts.append(len(BUILDS))
    assert counts[0] == counts[1] == counts[2]


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


# ----- weights -----


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
    assert repr(other) == "GRUCell(input_size=9, hidden_size=4, reset_after=False)"


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


# ----- what cannot be fused -----


class Ranked(nn.Cell):
    state = ("h",)
    params = {"w_x": "I H", "w_h": "H H"}

    def step(self, x, h, p):
        return (x @ p.w_x + h @ p.w_h).cumsum(axis=-1).tanh()


def test_what_cannot_be_fused_runs_step_by_step_and_says_so_once():
    cell = Ranked(I, H).astype(np.float64)
    assert cell.plan == "composite"
    x, (h,) = draw(cell, 3, 2)
    message = r"Ranked runs step by step.*cumsum is nothing.*test_cells.py:\d+: return"
    with pytest.warns(RuntimeWarning, match=message):
        y, _ = cell.sequence(tg.tensor(x), [tg.tensor(h)])
    for other in (cell, Ranked(I, H)):
        other(x[0].astype(other.w_x.dtype))  # no second warning, which would be an error
    w_x, w_h = cell.w_x.numpy(), cell.w_h.numpy()
    for t in range(3):
        h = np.tanh(np.cumsum(x[t] @ w_x + h @ w_h, axis=-1))
        np.testing.assert_allclose(y[t], h, atol=1e-12)
    y.sum().backward()
    assert cell.w_h.grad.numpy().any()
    assert cell.output_size == H
    with pytest.raises(TraceError, match="cumsum"):
        _ = cell.program


def test_require_raises_with_the_reason():
    cell = Ranked(I, H)
    cell.fused = "require"
    for ask in (lambda: cell.plan, lambda: cell(tg.ones(2, I))):
        with pytest.raises(TraceError, match=r"Ranked cannot be fused: .*cumsum"):
            ask()


def test_false_runs_the_program_without_a_kernel():
    cell = make("lstm")
    x, states = draw(cell, 2, 3)
    tensors = [tg.tensor(s) for s in states]
    fused, _ = cell.sequence(tg.tensor(x), tensors)
    cell.fused = False
    assert cell.plan == "composite"
    slow, _ = cell.sequence(tg.tensor(x), tensors)
    np.testing.assert_allclose(fused, slow, atol=1e-12)


def test_half_precision_has_no_kernel_and_still_a_plan():
    cell = nn.GRUCell(I, H).astype(np.float16)
    assert cell.plan == "composite"


# ----- errors -----


def cell_with(**members):
    return type("Wrong", (nn.Cell,), {"state": ("h",), "params": {"w": "I H"}, **members})


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.LSTMCell(0, 3), ShapeError, "LSTMCell: input_size is 0, expected a whole"),
        (lambda: nn.LSTMCell(3), ShapeError, "LSTMCell: hidden_size is None"),
        (lambda: cell_with(state=())(2, 3), TraceError, "Wrong has no state: nothing recurs"),
        (lambda: cell_with(params={"w": "I P"})(2, 3), ShapeError, "no size is given for P"),
        (lambda: cell_with()(2, 3, P=4), TypeError, "Wrong: given P, expected bias or"),
        (lambda: cell_with(params={"w": "I x"})(2, 3), TraceError, "'x' is not a width"),
        (lambda: cell_with(params={"state": "I H"})(2, 3), ModuleError, "cannot be named 'state'"),
        (lambda: cell_with(params={"sizes": "I H"})(2, 3), ModuleError, "cannot be named 'sizes'"),
        (lambda: cell_with(input="H")(2, 3), ShapeError, "input_size is 2, expected 3, because x"),
        (lambda: cell_with()(2, 3).program, NotImplementedError, "Wrong has no method step"),
        (
            lambda: cell_with(step=lambda self, x, h, p: h)(2, 3).program,
            ModuleError,
            "step never uses 'w', expected every weight",
        ),
        (
            lambda: cell_with(step=lambda self, x, h, p: (x @ p.w, h))(2, 3).program,
            TraceError,
            "returned 2 rows, expected the new h",
        ),
        (
            lambda: cell_with(step=lambda self, x, h, p: x + 0 * p.w)(2, 3).program,
            TraceError,
            "the weight 'w' has two axes",
        ),
        (
            lambda: cell_with(step=lambda self, x, h, p: h @ p.w)(2, 3).program,
            TraceError,
            "a row of width H with 'w', which is 'I H'",
        ),
        (
            lambda: cell_with(step=lambda self, x, h, p: h + p.v)(2, 3).program,
            TraceError,
            r"step reads p\.v, but the weights that params declares: w",
        ),
        (lambda: nn.RNNCell(2, 3, nonlinearity="tan"), ValueError, "nonlinearity is 'tan'"),
        (lambda: nn.LSTMVariantCell(2, 3, variant="X"), ValueError, "variant is 'X', expected"),
        (lambda: nn.GRUCell(2, 3).clone(depth=3), TypeError, "another depth"),
    ],
)
def test_wrong_cells_say_what_is_wrong(make, error, message):
    with pytest.raises(error, match=message):
        make()


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
