"""What a run keeps is what the definition computes, and so are the gradients between its steps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.test_recurrence import LSTM, SIZES, Autonomous, ResetBefore, draw
from tinygrad_rnn.kernels import recurrence
from tinygrad_rnn.kernels.recurrence.reference import HOLD, NUMPY, RESET, STEP, lines, sequence
from tinygrad_rnn.ops.recurrence import RULES

CELLS = [LSTM, ResetBefore, Autonomous]  # compiled for other tests


def one_by_one(program, x, states, params, mask, reverse):
    """Of each step, in the order of running: t, all lines, the states before and after."""
    initial = states
    for t in reversed(range(len(mask))) if reverse else range(len(mask)):
        again = (mask[t] & RESET != 0)[:, None]
        states = [np.where(again, a, b) for a, b in zip(initial, states, strict=True)]
        known = {}
        for number, op in enumerate(program.operations):
            if op.name in ("input", "state"):
                known[number] = x[t] if op.name == "input" else states[op["index"]]
        values = lines(program, NUMPY, known, params, range(len(program.operations)), np.float64)
        held = (mask[t] & STEP == 0)[:, None]
        new = [np.where(held, s, values[r]) for s, r in zip(states, program.results, strict=True)]
        yield t, values, states, new
        states = new


def check(cell, mask, reverse, sizes=SIZES):
    T, B = mask.shape
    program, x, states, params = draw(cell, T, B, sizes)
    how = {"steps": T, "mask": mask if (mask != STEP).any() else None, "reverse": reverse}
    y, finals, run = recurrence.forward(program, x, states, params, rules=RULES, **how)
    found = recurrence.kept(run)
    resets = run.schedule.resets
    assert (found.after is None) == resets
    steps = list(one_by_one(program, x, states, params, mask, reverse))
    for t, values, before, after in steps:
        stepping = mask[t] & STEP != 0
        known = stepping if resets else np.full(B, True)
        for number, rows in found.lines.items():
            np.testing.assert_allclose(rows[t][stepping], values[number][stepping], atol=1e-10)
        np.testing.assert_allclose(found.before[0][t][known], before[0][known], atol=1e-10)
        for k, rows in enumerate(found.after or ()):
            np.testing.assert_allclose(rows[t], after[k], atol=1e-10)

    rng = np.random.default_rng(1)
    dy, d_finals = rng.standard_normal(y.shape), [rng.standard_normal(f.shape) for f in finals]
    later = []
    plain = recurrence.backward(run, dy, d_finals, needs_x=x is not None, needed=set(params))
    watched = recurrence.backward(
        run, dy, d_finals, needs_x=x is not None, needed=set(params), later=later
    )
    for bare, kept in ((plain[1], watched[1]), (plain[3].values(), watched[3].values())):
        assert all(np.array_equal(a, b) for a, b in zip(bare, kept, strict=True))
    for place, (t, _, _, after) in enumerate(steps):
        rest = [t for t, *_ in steps[place + 1 :]]
        known = (mask[t] & STEP != 0 if resets else np.full(B, True))[:, None]
        for k, gradient in enumerate(later):
            u = rng.standard_normal(after[k].shape) * known
            moved = [s + 1e-30j * u if n == k else s for n, s in enumerate(after)]
            value = 0.0
            for t_next in rest:
                again = (mask[t_next] & RESET != 0)[:, None]
                moved = [np.where(again, a, b) for a, b in zip(states, moved, strict=True)]
                part, moved = sequence(
                    program, NUMPY, None if x is None else x[t_next : t_next + 1], moved, params,
                    steps=1, mask=mask[t_next : t_next + 1] & STEP,
                )  # fmt: skip
                value += (part[0] * dy[t_next]).sum()
            value += sum((m * d).sum() for m, d in zip(moved, d_finals, strict=True))
            scale = np.abs(gradient[t] * u).sum()
            assert abs((gradient[t] * u).sum() - value.imag / 1e-30) <= 1e-11 * scale + 1e-300


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("reverse", [False, True])
def test_every_step_is_kept_and_its_gradient(cell, reverse):
    check(cell, np.full((5, 3), STEP, np.uint8), reverse)
    holds = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1]], np.uint8)
    check(cell, holds, reverse)
    holds[2, 0] |= RESET
    holds[3, 1] = RESET | STEP
    check(cell, holds, reverse)


@given(T=st.integers(1, 6), B=st.integers(0, 9), H=st.integers(1, 40), data=st.data())
def test_any_size_and_mask(T, B, H, data):
    codes = st.sampled_from([HOLD, STEP, STEP, RESET, RESET | STEP])
    codes = st.lists(codes, min_size=T * B, max_size=T * B)
    mask = np.array(data.draw(codes), np.uint8).reshape(T, B)
    cell, reverse = data.draw(st.sampled_from(CELLS)), data.draw(st.booleans())
    check(cell, mask, reverse, {"I": 3, "H": H})


def test_gates_are_kept_as_views():
    program, x, states, params = draw(LSTM, 4, 3, SIZES)
    _, _, run = recurrence.forward(program, x, states, params, rules=RULES, steps=4)
    found = recurrence.kept(run)
    squashed = [n for n, op in enumerate(program.operations) if op.name in ("sigmoid", "tanh")]
    gates = [n for n in squashed if n in found.lines]
    assert len(gates) == 4  # all but the tanh of the new memory
    for number in gates:
        assert np.shares_memory(found.lines[number], run.arrays["z0"])
