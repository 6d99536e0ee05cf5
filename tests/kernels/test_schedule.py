"""Packed steps: every one that is taken, once and in order; and what they do not change."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.test_recurrence import LSTM, Peephole, ResetBefore, draw
from tinygrad_rnn.kernels import recurrence
from tinygrad_rnn.kernels._pool import num_threads, set_num_threads
from tinygrad_rnn.kernels.recurrence.reference import CUT, HOLD, RESET, STEP
from tinygrad_rnn.kernels.recurrence.schedule import schedule_of
from tinygrad_rnn.ops.recurrence import RULES


@st.composite
def masks(draw, codes=(HOLD, STEP)):
    T, B = draw(st.integers(1, 7)), draw(st.integers(0, 6))
    flags = draw(st.lists(st.sampled_from(codes), min_size=T * B, max_size=T * B))
    return np.array(flags, np.uint8).reshape(T, B)


@given(mask=masks(), reverse=st.booleans())
def test_every_step_that_is_taken_is_there_once_and_rows_keep_their_places(mask, reverse):
    T, B = mask.shape
    packed = schedule_of(mask, T, B, reverse)
    places = packed.places if packed.order is not None else np.arange(T * B)
    assert packed.size == len(places) == packed.offsets[-1]
    np.testing.assert_array_equal(np.sort(places), np.flatnonzero(mask))
    order = np.arange(B) if packed.order is None else packed.order
    assert packed.rows == len(order)
    steps = np.split(places, packed.offsets[1:-1]) if packed.steps else []
    counts = [len(step) for step in steps]
    assert sorted(counts, reverse=not reverse) == counts
    for step in steps:
        np.testing.assert_array_equal(step % max(B, 1), order[: len(step)])
    for number in range(len(order)):
        times = [step[number] // B for step in steps if number < len(step)]
        assert times == sorted(times)


def flags_of(T, B, seed):
    """A mask with everything in it; the first rows are of the usual kinds."""
    rng = np.random.default_rng(seed)
    codes = [STEP] * 6 + [HOLD, RESET, STEP | RESET, STEP | CUT, STEP | RESET | CUT]
    mask = rng.choice(codes, (T, B)).astype(np.uint8)
    mask[:, 0], mask[T // 2 :, 1 % B], mask[:2, 2 % B] = STEP, HOLD, HOLD
    return mask


def run(program, x, states, restart, params, mask, reverse, needed=()):
    y, finals, kept = recurrence.forward(
        program, x, states, params,
        rules=RULES, steps=len(x), mask=mask, reverse=reverse, restart=restart,
    )  # fmt: skip
    dx, d_states, d_restart, grads = recurrence.backward(
        kept, np.cos(y), finals, needs_x=True, needed=set(needed)
    )
    return [y, dx], [*finals, *d_states, *d_restart], [grads[name] for name in needed]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("cell", "B"), [(LSTM, 25), (ResetBefore, 4)])
def test_a_row_has_the_same_bits_alone_and_among_any_others(cell, B, reverse):
    T = 7
    program, x, states, params = draw(cell, T, B, {"I": 20, "H": 33}, np.float32)
    restart = [np.float32(0.5) - state for state in states]
    mask = flags_of(T, B, seed=B)
    over_time, of_rows, _ = run(program, x, states, restart, params, mask, reverse)
    for b in range(B):
        row = slice(b, b + 1)
        cut, given, again = mask[:, row], [s[row] for s in states], [s[row] for s in restart]
        alone, ends, _ = run(program, x[:, row], given, again, params, cut, reverse)
        for one, all_rows in zip(alone, over_time, strict=True):
            np.testing.assert_array_equal(one, all_rows[:, row])
        ends += [np.zeros_like(given[0])] * (len(of_rows) - len(ends))  # no restart: no gradient
        for one, all_rows in zip(ends, of_rows, strict=True):
            np.testing.assert_array_equal(one, all_rows[row])


@pytest.mark.parametrize("B", [3, 40])
def test_nothing_depends_on_the_number_of_threads(B):
    T = 8
    program, x, states, params = draw(Peephole, T, B, {"I": 40, "H": 130}, np.float32)
    mask, before, seen = flags_of(T, B, seed=B), num_threads(), []
    try:
        for threads in (1, 2, 4):
            set_num_threads(threads)
            found = run(program, x, states, None, params, mask, False, needed=params)
            seen.append([array for part in found for array in part])
    finally:
        set_num_threads(before)
    for other in seen[1:]:
        for a, b in zip(seen[0], other, strict=True):
            np.testing.assert_array_equal(a, b)
