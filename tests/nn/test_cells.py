"""Every cell is its paper's equations, fused, differentiated right, and callable for one step."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.nn.cell_list import CELLS, blocks, draw, make
from tinygrad_rnn import nn
from tinygrad_rnn.kernels import recurrence
from tinygrad_rnn.kernels._twin import use_reference
from tinygrad_rnn.kernels.recurrence import cpu
from tinygrad_rnn.kernels.recurrence.reference import NUMPY, sequence
from tinygrad_rnn.nn.composite import step_by_step
from tinygrad_rnn.nn.functions import FUNCTIONS
from tinygrad_rnn.ops.recurrence import RULES
from tinygrad_rnn.testing import directional_derivative

every_cell = pytest.mark.parametrize("name", CELLS)

# Compiling takes seconds a cell. These have what kernels differ in: a product with a state or none,
# no input, a second state, a gate times a product, an operand that is computed first. The others
# are compiled in slow tests.
USUAL = ["rnn_tanh", "indrnn", "autonomous", "lstm", "gru", "mut2"]
COMPILED = [pytest.param(n, marks=[] if n in USUAL else pytest.mark.slow) for n in CELLS]
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


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_with_a_name_is_a_nonlinearity_and_fused(name):
    cell = nn.RNNCell(2, 3, nonlinearity=name).astype("float64")
    cell.fused = "require"
    x, (h,) = draw(cell, 1, 4)
    weights = cell.state_dict()
    expected = nn.Activation(name)(x[0] @ weights["w_x"] + h @ weights["w_h"] + weights["b"])
    np.testing.assert_allclose(cell(x[0], h), expected, rtol=0, atol=1e-14)


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
    y, finals, run = recurrence.forward(cell.program, x, states, params, rules=RULES, **how)
    want, want_finals = sequence(cell.program, NUMPY, x, states, params, **how)
    for got, expected in zip([y, *finals], [want, *want_finals], strict=True):
        bound = TOLERANCE * max(1.0, np.abs(expected).max(initial=0))
        np.testing.assert_allclose(got, expected, rtol=0, atol=bound)
    dy = rng.standard_normal(y.shape)
    d_finals = [rng.standard_normal(f.shape) for f in finals]
    dx, d_states, _, grads = recurrence.backward(
        run, dy, d_finals, needs_x=x is not None, needed=set(params)
    )
    check_rows(run, dy, d_finals, grads)
    gradients = [*([] if x is None else [dx]), *d_states, *(grads[n] for n in params)]
    us = [rng.uniform(0.5, 1, g.shape) * rng.choice([-1, 1], g.shape) for g in gradients]

    def value(*moved):
        moved = list(moved)
        x_moved = None if x is None else moved.pop(0)
        new = [moved.pop(0) for _ in states]
        weights = dict(zip(params, moved, strict=True))
        out, ends = sequence(cell.program, NUMPY, x_moved, new, weights, **how)
        return (out * dy).sum() + sum((f * d).sum() for f, d in zip(ends, d_finals, strict=True))

    arrays = [*([] if x is None else [x]), *states, *params.values()]
    for k, (g, u) in enumerate(zip(gradients, us, strict=True)):
        tangents = [u if n == k else None for n in range(len(arrays))]
        numeric = directional_derivative(value, arrays, tangents).value
        assert abs((g * u).sum() - numeric) <= 1e-12 * np.abs(g * u).sum() + 1e-13


def check_rows(run, dy, d_finals, summed):
    """The weights' gradients of every row are those of a run back from this row alone."""
    *_, by_rows = recurrence.backward(
        run, dy, d_finals, needs_x=False, needed=set(summed), by_rows=True
    )
    for row in range(min(2, dy.shape[1])):
        alone = np.arange(dy.shape[1])[:, None] == row
        *_, expected = recurrence.backward(
            run, dy * alone, [d * alone for d in d_finals], needs_x=False, needed=set(summed)
        )
        for name, g in by_rows.items():
            bound = TOLERANCE * max(1.0, np.abs(expected[name]).max(initial=0))
            np.testing.assert_allclose(g[row], expected[name], rtol=0, atol=bound)
    for name, g in by_rows.items():
        bound = TOLERANCE * max(1.0, np.abs(summed[name]).max(initial=0))
        np.testing.assert_allclose(g.sum(axis=0), summed[name], rtol=0, atol=bound)


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


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_forward_mode_is_the_complex_step(name):
    cell = make(name)
    x, states = draw(cell, 3, 2)
    u = np.random.default_rng(1).standard_normal(x.shape)
    tensors = [tg.tensor(s) for s in states]
    y, moved = tg.jvp(lambda x: cell.sequence(x, tensors)[0], (tg.tensor(x),), (tg.tensor(u),))
    params = {n: w.numpy() for n, w in cell.weights().items()}

    def truth(x):
        return sequence(cell.program, NUMPY, x, states, params, steps=3)[0]

    np.testing.assert_allclose(y, truth(x), atol=1e-12)
    np.testing.assert_allclose(moved, directional_derivative(truth, [x], [u]).value, atol=1e-11)


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_states_that_want_no_gradient_cost_no_product(name, steps, monkeypatch):
    cell = make(name)
    multiplied = []
    multiply = cpu._multiply_states
    monkeypatch.setattr(cpu, "_multiply_states", lambda *given: multiplied.append(multiply(*given)))
    x, states = draw(cell, steps, 2)
    found = []
    for wanted in (False, True):
        xs, start = tg.tensor(x, requires_grad=True), [tg.tensor(s) for s in states]
        start[0].requires_grad = wanted
        y, _ = cell.sequence(xs, start)
        (y * y).sum().backward()
        assert len(multiplied) == (steps == 1 and wanted)  # longer ones do it in the kernel
        assert (start[0].grad is not None) == wanted
        assert all(s.grad is None for s in start[1:])
        found.append([xs.grad, *(w.grad for w in cell.parameters())])
        for weight in cell.parameters():
            weight.grad = None
            weight.assign_(weight.numpy())  # met for the first time again: nothing is packed
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_frozen_weights_get_no_gradient_and_cost_no_product(monkeypatch):
    cell = make("gru")
    cell.w_h.requires_grad = cell.b.requires_grad = False
    asked = []
    backward = recurrence.backward

    def watch(*args, needs_x, needed, **how):
        asked.append((needs_x, needed))
        return backward(*args, needs_x=needs_x, needed=needed, **how)

    monkeypatch.setattr(recurrence, "backward", watch)
    x, states = draw(cell, 3, 2)
    y, _ = cell.sequence(tg.tensor(x), [tg.tensor(s) for s in states])
    y.sum().backward()
    assert asked == [(False, {"w_x", "b_h"})]
    assert cell.w_h.grad is None
    assert cell.b.grad is None
    assert cell.w_x.grad.numpy().any()
