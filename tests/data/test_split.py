"""Parts share no example and lose none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_rnn import data
from tinygrad_rnn.errors import ArgumentError, ShapeError


@given(st.integers(3, 60), st.integers(1, 8), st.integers(0, 3), st.booleans())
def test_every_example_is_in_one_part(count, tenths, seed, shuffle):
    shares = (tenths / 10, 1 - tenths / 10)
    if min(shares) * count < 1:
        shares = (count - 1, 1)
    parts = data.split(np.arange(count), shares, seed=seed, shuffle=shuffle)
    assert sorted(np.concatenate(parts)) == list(range(count))
    for part, share in zip(parts, shares, strict=True):
        assert abs(len(part) - (share if share >= 1 else share * count)) <= 0.5
    if not shuffle:
        assert np.concatenate(parts).tolist() == list(range(count))


def test_a_part_is_what_the_examples_are():
    class Lazy:
        def __len__(self):
            return 4

        def __getitem__(self, number):
            return [number]

    x, y = np.arange(8).reshape(4, 2), ["a", "b", "c", "d"]
    (x_part, y_part), _ = data.split((x, y), (3, 1), shuffle=False)
    assert (x_part.tolist(), y_part) == (x[:3].tolist(), y[:3])
    (part,) = data.split({"y": y}, [0.5], shuffle=False)
    assert part == {"y": ["a", "b"]}
    (part,) = data.split(Lazy(), (3,), shuffle=False)
    assert (len(part), part[2], part[-1], list(part[1:])) == (3, [2], [2], [[1], [2]])
    assert [batch.tolist() for batch in data.Batches(part, 2)] == [[[0], [1]], [[2]]]


def test_parts_are_drawn_by_the_seed_alone():
    one, two, other = (data.split(np.arange(50), (0.5, 0.5), seed=seed)[0] for seed in (1, 1, 2))
    assert (one == two).all()
    assert set(one) != set(other)


@pytest.mark.parametrize(
    ("shares", "error", "message"),
    [
        ((0.8, 0.3), ArgumentError, "split: shares is (0.8, 0.3), expected numbers above 0 that"),
        ((9, 2), ArgumentError, "split: shares is (9, 2), expected numbers above 0 that sum up to"),
        ((0.5, -0.1), ArgumentError, "split: shares is (0.5, -0.1), expected numbers above 0"),
        ((0.5, np.nan), ArgumentError, "split: shares is (0.5, nan), expected numbers above 0"),
        ((0.5, "a"), ArgumentError, "split: shares[1] is 'a', expected a number."),
        ((), ArgumentError, "split: shares is (), expected one for each part, such as (0.9, 0.1)."),
        (0.5, ArgumentError, "split: shares is 0.5, expected one for each part, such as (0.9, 0.1"),
        ("ab", ArgumentError, "split: shares is 'ab', expected one for each part, such as (0.9,"),
        ((0.99, 0.01), ShapeError, "split: shares[1] is 0.01, which of 10 examples is none."),
    ],
)
def test_what_split_refuses(shares, error, message):
    with pytest.raises(error) as caught:
        data.split(range(10), shares)
    assert str(caught.value).startswith(message)
    with pytest.raises(ShapeError, match=r"^split: examples is empty"):
        data.split([], (0.5, 0.5))
