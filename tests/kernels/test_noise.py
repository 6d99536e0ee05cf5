"""Noise: numbers by counting, the same wherever and whenever they are asked for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.on_gpu import in_all_orders, sent
from tinygrad_rnn.kernels import noise
from tinygrad_rnn.kernels._pool import num_threads, set_num_threads
from tinygrad_rnn.kernels._twin import use_reference
from tinygrad_rnn.kernels.noise.reference import Numbers, fold, threefry

LIKE = {name: np.zeros(1, name) for name in ("float32", "float64")}
WORDS = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize(
    ("key", "counter", "expected"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_the_words_are_those_that_the_authors_of_threefry_published(key, counter, expected):
    assert threefry(Numbers, *key, *counter) == expected


@given(
    st.integers(-(2**63), 2**63 - 1), WORDS, st.lists(WORDS, max_size=3),
    st.lists(WORDS, max_size=3), st.integers(0, 40), st.sampled_from(sorted(LIKE)),
)  # fmt: skip
def test_the_kernel_gives_the_numbers_of_the_definition(key, site, steps, rows, width, kind):
    args = key, site, steps, np.array(rows, np.int64), width, LIKE[kind]
    numbers = noise.uniform(*args)
    with use_reference():
        expected = noise.uniform(*args)
    assert numbers.dtype == kind
    np.testing.assert_array_equal(numbers, expected)


@pytest.mark.parametrize("kind", sorted(LIKE))
@pytest.mark.parametrize(
    ("steps", "rows", "width"),
    [([3, 0, 2**32 - 1], [7, 2**32 - 1], 33), ([], [1], 2), ([1], [], 2), ([1], [1], 0),
     ([5], [9], 1), (range(4), range(3), 70)],
)  # fmt: skip
def test_a_gpu_gives_the_very_numbers(cupy, steps, rows, width, kind):
    for key, site in ((-(2**63), 2**32 - 1), (12345678901234567, 3)):
        args = key, site, steps, np.array(rows, np.int64), width
        (found,) = in_all_orders(lambda args=args: [noise.uniform(*args, sent(LIKE[kind]))])
        assert found.dtype == kind
        np.testing.assert_array_equal(found, noise.uniform(*args, LIKE[kind]))


def test_both_element_types_get_the_same_numbers_and_so_does_a_row_alone():
    rows = np.array([7, 0, 3])
    single, double = (noise.uniform(5, 1, range(4), rows, 50, LIKE[k]) for k in sorted(LIKE))
    np.testing.assert_array_equal(single, double)
    alone = noise.uniform(5, 1, [2], np.array([3]), 50, LIKE["float32"])
    np.testing.assert_array_equal(alone[0, 0], single[2, 2])


def test_the_number_of_threads_does_not_matter():
    before, found = num_threads(), []
    try:
        for count in (1, 2):
            set_num_threads(count)
            found.append(noise.uniform(9, 0, range(64), np.arange(64), 100, LIKE["float32"]))
    finally:
        set_num_threads(before)
    np.testing.assert_array_equal(*found)


def test_numbers_are_uniform_and_have_nothing_to_do_with_their_neighbours():
    x = noise.uniform(1, 2, range(40), np.arange(50), 60, LIKE["float64"])
    assert x.min() >= 0
    assert x.max() < 1
    n = x.size
    assert abs(x.mean() - 0.5) < 5 / np.sqrt(12 * n)
    counts, _ = np.histogram(x, bins=64, range=(0, 1))
    assert ((counts - n / 64) ** 2).sum() / (n / 64) < 63 + 5 * np.sqrt(2 * 63)
    c = (x - 0.5) * np.sqrt(12)
    others = noise.uniform(1, 3, range(40), np.arange(50), 60, LIKE["float64"])
    pairs = [(c[1:], c[:-1]), (c[:, 1:], c[:, :-1]), (c[..., 1:], c[..., :-1])]
    pairs += [(c, (others - 0.5) * np.sqrt(12))]
    for a, b in pairs:
        assert abs((a * b).mean()) < 5 / np.sqrt(a.size)


@given(st.integers(-(2**63), 2**63 - 1), WORDS, WORDS)
def test_a_folded_key_is_a_whole_number_of_64_bits(key, a, b):
    folded = fold(key, a, b)
    assert -(2**63) <= folded < 2**63
    assert folded == fold(key, a, b)
    assert fold(key, a, b) != fold(key, a ^ 1, b)


def test_a_sequence_in_pieces_and_rows_by_name():
    whole = noise.Noise(4)
    piece = noise.Noise(4, first_step=3, rows=[2])
    like = LIKE["float32"]
    np.testing.assert_array_equal(
        piece.at(0, [1], 1, 8, like)[0, 0], whole.at(0, [4], 3, 8, like)[0, 2]
    )
