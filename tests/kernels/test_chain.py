"""A chain does what its links would do one by one, on any number of threads, again and again."""

import weakref

import numpy as np
import pytest

from tests.kernels.test_pool import fail_at
from tinygrad_rnn.kernels import _pool
from tinygrad_rnn.kernels._chain import Chain, Link, _moved, side_by_side
from tinygrad_rnn.kernels._jit import DISABLED
from tinygrad_rnn.kernels._memory import empty
from tinygrad_rnn.kernels.matmul.cpu import matmul, pack, product_link


def drawn(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("rows", [1, 5])
def test_products_one_after_the_other(threads, rows):
    before = _pool.num_threads()
    _pool.set_num_threads(threads)
    try:
        x, a, b, bias = drawn(rows, 30), drawn(30, 520), drawn(520, 70), drawn(70)
        y, z = empty((rows, 520)), empty((rows, 70))
        chain = Chain([product_link(x, pack(a), y), product_link(y, pack(b), z, bias)])
        for scale in (1, -2):  # what stands in the arrays now is what counts
            x *= scale
            chain()
            np.testing.assert_array_equal(z, matmul(matmul(x, a), b, bias=bias))
    finally:
        _pool.set_num_threads(before)


def test_arrays_that_move():
    x, a, b, y = drawn(5, 30), drawn(30, 520), drawn(520, 70), empty((5, 520))
    z = empty((5, 70))
    chain = Chain([product_link(x, pack(a), y), product_link(y, pack(b), z)], moving=[x, z])
    for seed in range(3):
        others = np.random.default_rng(seed).standard_normal((5, 30)).astype(np.float32)
        target = empty((5, 70))
        z.fill(7)
        chain(others if seed else others[None], target)
        np.testing.assert_array_equal(target, matmul(matmul(others, a), b))
        assert (z == 7).all()
    with pytest.raises(ValueError, match="given 1 arrays, expected 2"):
        chain(x)


def test_in_python_arrays_move_in_the_shape_that_kernels_index():
    held, given = empty((6, 5)), drawn(6, 5).reshape(2, 3, 5)
    moved = _moved([held], [given], held)
    assert moved.shape == held.shape
    assert np.shares_memory(moved, given)
    assert _moved([held], [given], given) is given


def test_parts_of_arrays_that_move_and_several_in_one():
    x, a, b, y, z = drawn(9, 30), drawn(30, 520), drawn(520, 70), empty((5, 520)), empty((5, 70))
    links = [product_link(x[3:8], pack(a), y), product_link(y, pack(b), z)]
    chain = Chain(links, moving=[x, [y, z]])
    for seed in range(3):
        others = np.random.default_rng(seed).standard_normal((9, 30)).astype(np.float32)
        room = empty(side_by_side([y, z])[1], np.uint8)
        z.fill(7)
        if not DISABLED:
            chain(others, room)
            found = room[side_by_side([y, z])[0][1] :][: z.nbytes].view(np.float32).reshape(z.shape)
            np.testing.assert_array_equal(found, matmul(matmul(others[3:8], a), b))
        assert (z == 7).all()


@pytest.mark.skipif(DISABLED, reason="Python has one thread")
def test_no_thread_begins_before_all_has_moved():
    """Of many addresses those of the first link are written last, while others are awake."""
    x, packed, y = drawn(5, 30), pack(drawn(30, 520)), empty((5, 520))
    many = [(drawn(1, 30), empty((1, 520))) for _ in range(400)]
    links = [product_link(x, packed, y), *(product_link(a, packed, b) for a, b in many)]
    before = _pool.num_threads()
    _pool.set_num_threads(2)
    try:
        chain = Chain(links, moving=[*(array for pair in many for array in pair), y, x])
        others = [[array.copy() for pair in many for array in pair] for _ in range(2)]
        for seed in range(60):
            given, target = drawn(5, 30) + seed, np.full((5, 520), np.nan, np.float32)
            chain(*others[seed % 2], target, given)
            np.testing.assert_array_equal(target, matmul(given, packed))
    finally:
        _pool.set_num_threads(before)


def test_only_what_does_not_move_is_kept_alive():
    x, packed, y = drawn(5, 30), pack(drawn(30, 520)), empty((5, 520))
    chain = Chain([product_link(x, packed, y)], moving=[x, y])
    moving, staying = [weakref.ref(x), weakref.ref(y)], weakref.ref(packed.panels)
    given = x.copy()
    del x, y, packed
    assert staying() is not None
    assert DISABLED or not any(each() is not None for each in moving)
    if not DISABLED:
        chain(given, empty((5, 520)))


def test_without_links():
    assert Chain([])() is None


def test_more_pieces_than_threads_and_none_at_all():
    seen = np.zeros(7)
    Chain([Link(fail_at, 7, (-1, seen)), Link(fail_at, 1, (-1, seen[:1]))])()
    assert (seen == 1).all()


@pytest.mark.skipif(DISABLED, reason="errors of plain functions come as they are")
def test_a_link_that_fails_is_named():
    seen = np.zeros(4)
    chain = Chain([Link(fail_at, 4, (2, seen))])
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"fail_at failed in a chain"):
            chain()
    Chain([Link(fail_at, 4, (-1, seen))])()
    assert (seen == 1).all()
