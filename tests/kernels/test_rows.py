"""Rows added up by their ids: the same sums as NumPy's, in the same order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.on_gpu import in_all_orders, sent
from tinygrad_rnn.kernels import rows
from tinygrad_rnn.kernels._jit import DISABLED
from tinygrad_rnn.kernels._pool import num_threads, set_num_threads
from tinygrad_rnn.kernels.rows import reference
from tinygrad_rnn.testing import strategies as gs

SIZES = st.tuples(st.integers(1, 5), st.integers(0, 9), st.sampled_from([0, 1, 3, 16, 17, 40]))


def drawn(sizes, seed, dtype):
    V, N, E = sizes
    rng = np.random.default_rng(seed)
    total, added = (100 * rng.standard_normal((n, E)) for n in (V, N))
    return total.astype(dtype), rng.integers(0, V, N), added.astype(dtype)


def sums(family, total, ids, added):
    total = total.copy()
    family.add_rows(total, ids, added)
    return total


@given(SIZES, gs.seeds(), st.sampled_from(["float32", "float64", "int64"]))
def test_sums_are_those_of_the_definition_to_the_bit(sizes, seed, dtype):
    given = drawn(sizes, seed, dtype)
    np.testing.assert_array_equal(sums(rows, *given), sums(reference, *given))


def test_rows_that_are_not_named_stay_and_others_are_added_in_their_order():
    big, small = np.float32(2**24), np.float32(1)
    total = np.full((3, 2), 7, np.float32)
    total[1] = 0
    found = sums(rows, total, np.array([1, 1, 1]), np.array([[small], [big], [-big]]).repeat(2, 1))
    assert found.tolist() == [[7, 7], [0, 0], [7, 7]]  # 1 + 2²⁴ is 2²⁴


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize(
    "sizes", [(3, 8, 5), (1, 14, 2), (4, 0, 3), (5, 1, 1), (7, 300, 33), (2, 3, 0)]
)
def test_a_gpu_adds_in_the_same_order(cupy, sizes, dtype):
    total, ids, added = drawn(sizes, 0, dtype)

    def found():
        there = sent(total)
        rows.add_rows(there, *sent([ids, added]))
        return [there]

    np.testing.assert_array_equal(in_all_orders(found)[0], sums(reference, total, ids, added))


def test_threads_change_no_bit():
    given = drawn((20, 100, 70) if DISABLED else (50, 2000, 700), 0, "float32")
    before, found = num_threads(), []
    try:
        for count in (1, 2):
            set_num_threads(count)
            found.append(sums(rows, *given))
    finally:
        set_num_threads(before)
    np.testing.assert_array_equal(*found)
    np.testing.assert_array_equal(found[0], sums(reference, *given))
