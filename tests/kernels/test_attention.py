"""Additive attention: the compiled kernels hold what the definition says, whatever the sizes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.on_gpu import close, fetched, in_all_orders, same_bits, sent
from tinygrad_rnn.kernels import attention
from tinygrad_rnn.kernels._jit import DISABLED
from tinygrad_rnn.kernels._pool import num_threads, set_num_threads
from tinygrad_rnn.kernels._twin import use_reference
from tinygrad_rnn.kernels.attention import reference
from tinygrad_rnn.kernels.attention.masks import rows_of
from tinygrad_rnn.testing import strategies as gs

MOST = 2 if DISABLED else 4  # Python takes its time
SIZES = st.tuples(*[st.integers(0, MOST)] * 3, st.sampled_from([0, 1, 3, 16, 17, 40]))


def drawn(seed, B, T, S, H, dtype):
    rng = np.random.default_rng(seed)
    shapes = ((B, T, S), (B, T, H), (B, S, H), (H,))
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


@given(SIZES, gs.seeds(), st.sampled_from(["float32", "float64"]), st.sampled_from([None, 1, "T"]))
def test_kernels_give_what_the_definition_says(sizes, seed, dtype, mask):
    B, T, S, H = sizes
    g, *inputs = drawn(seed, B, T, S, H, dtype)
    seen = None
    if mask is not None:
        rng = np.random.default_rng(seed + 1)
        seen = rng.integers(0, 2, (B, T if mask == "T" else 1, S)).astype(np.uint8)
        g = np.where(seen, g, g.dtype.type(0))
    wide = [x.astype(np.float64) for x in (g, *inputs)]
    with use_reference():
        scores = attention.additive_scores(*wide[1:], seen)
        gradients = attention.additive_backward(*wide)
    close(attention.additive_scores(*inputs, seen), scores, dtype, H)
    found = attention.additive_backward(g, *inputs)
    for one, other, terms in zip(found, gradients, (S, T, T * S), strict=True):
        close(one, other, dtype, terms)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "sizes", [(2, 3, 4, 5), (1, 0, 2, 3), (2, 2, 0, 3), (1, 9, 1, 70), (2, 1, 33, 32)]
)
def test_a_gpu_finds_what_the_definition_says(cupy, sizes, dtype):
    g, *inputs = drawn(0, *sizes, dtype)
    g[g > 1] = 0
    wide = [x.astype(np.float64) for x in (g, *inputs)]
    every = np.random.default_rng(0).integers(0, 2, g.shape).astype(np.uint8)
    for seen in (None, every, every[:, :1]):
        (scores,) = in_all_orders(lambda seen=seen: [
            attention.additive_scores(*sent(inputs), sent(seen))
        ])  # fmt: skip
        close(scores, reference.additive_scores(*wide[1:], seen), dtype, sizes[3])
    found = in_all_orders(lambda: attention.additive_backward(*sent([g, *inputs])))
    terms = sizes[2], sizes[1], sizes[1] * sizes[2]
    for one, other, count in zip(found, reference.additive_backward(*wide), terms, strict=True):
        close(one, other, dtype, count)


def test_on_a_gpu_masks_hide_and_a_row_stands_alone(cupy):
    g, query, key, vector = drawn(3, 3, 5, 7, 40, "float32")
    seen = np.random.default_rng(1).integers(0, 2, (3, 1, 7)).astype(np.uint8)
    g = np.where(seen, g, np.float32(0))
    key[np.broadcast_to(seen[:, 0, :, None] == 0, key.shape)] = np.nan
    total = np.random.default_rng(4).standard_normal(key.shape).astype("float32")

    def found(rows):
        scores = attention.additive_scores(*sent([query[rows], key[rows], vector, seen[rows]]))
        there = sent([g[rows], query[rows], key[rows], vector, total[rows]])
        d_query, d_key, d_vector = attention.additive_backward(*there)
        assert d_key is there[-1]
        return fetched([scores, d_query, d_key, d_vector])

    whole, alone = found(slice(0, 3)), found(slice(1, 2))
    assert all(np.isfinite(x).all() for x in whole)
    same_bits([x[1:2] for x in whole], alone)
    close(whole[2], total + fetched(attention.additive_backward(*sent([g, query, key, vector])))[1],
          "float32", 5)  # fmt: skip


@pytest.mark.parametrize("family", [attention, reference])
def test_the_gradient_of_keys_is_added_to_what_is_there(family):
    given = drawn(3, 2, 3, 4, 20, "float64")
    total = np.random.default_rng(4).standard_normal(given[2].shape)
    want = total + attention.additive_backward(*given)[1]
    assert family.additive_backward(*given, total)[1] is total
    close(total, want, "float64", 3)


@given(gs.seeds())
def test_what_is_behind_a_mask_is_never_read(seed):
    g, query, key, vector = drawn(seed, 2, 3, 4, 20, "float32")
    seen = np.array([[[1, 0, 1, 0]], [[0, 0, 0, 0]]], np.uint8)
    key[np.broadcast_to(seen[:, 0, :, None] == 0, key.shape)] = np.nan
    assert np.isfinite(attention.additive_scores(query, key, vector, seen)).all()
    gradients = attention.additive_backward(np.where(seen, g, np.float32(0)), query, key, vector)
    assert all(np.isfinite(x).all() for x in gradients)


def results(*arrays):
    return [attention.additive_scores(*arrays[1:], None), *attention.additive_backward(*arrays)]


def test_bits_depend_neither_on_threads_nor_on_other_rows():
    sizes = (3, 2, 3, 18) if DISABLED else (6, 20, 30, 130)
    g, query, key, vector = drawn(0, *sizes, "float32")
    before, found = num_threads(), []
    try:
        for count in (1, 2):
            set_num_threads(count)
            found.append(results(g, query, key, vector))
    finally:
        set_num_threads(before)
    alone = results(g[2:3], query[2:3], key[2:3], vector)
    for one, two, row in zip(*found, alone, strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one[2:3], row)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_saturated_units_pass_no_gradient_and_no_nan(dtype):
    g, query, key, vector = drawn(1, 1, 2, 2, 5, dtype)
    scores = attention.additive_scores(query + dtype_of(dtype, 1e30), key, vector, None)
    close(scores, np.full((1, 2, 2), vector.sum()), dtype, 5)
    d_query, d_key, d_vector = attention.additive_backward(
        g, query + dtype_of(dtype, np.inf), key, vector
    )
    assert not d_query.any()
    assert not d_key.any()
    close(d_vector, np.full((1, 5), g.sum()), dtype, 4)


def dtype_of(dtype, number):
    return np.dtype(dtype).type(number)


# ----- single queries to rows that they share -----


def asked(seed, N, B, S, H, V, dtype, additive=True):
    rng = np.random.default_rng(seed)
    shapes = ((N, H), (B, S, H), (H,), (B, S, V))
    query, key, vector, value = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    seen = rng.integers(0, 2, (B, S)).astype(np.uint8)
    return [query, key, vector if additive else None, value, seen, rng.integers(0, max(B, 1), N)]


@given(
    st.tuples(st.integers(0, 3), st.integers(1, 3), st.integers(0, 4)),
    st.tuples(*[st.sampled_from([1, 3, 16, 17, 40])] * 2),
    gs.seeds(), st.sampled_from(["float32", "float64"]), st.booleans(), st.booleans(),
)  # fmt: skip
def test_single_queries_find_what_the_definition_says(sizes, widths, seed, dtype, additive, masked):
    given = asked(seed, *sizes, *widths, dtype, additive)
    if not masked:
        given[4] = None
    wide = [x if x is None or x.dtype != dtype else x.astype(np.float64) for x in given]
    with use_reference():
        expected = attention.attend(*wide)
    for found, wanted in zip(attention.attend(*given), expected, strict=True):
        close(found, wanted, dtype, sum(widths) * sum(widths))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "sizes", [(4, 2, 5, 3, 6), (1, 1, 1, 1, 1), (0, 2, 3, 2, 2), (5, 3, 300, 40, 270)]
)
def test_single_queries_of_a_gpu_find_the_same(cupy, sizes, dtype):
    for additive in (True, False):
        given = asked(0, *sizes, dtype, additive)
        wide = [x if x is None or x.dtype != dtype else x.astype(np.float64) for x in given]
        for seen in (given[4], None):
            given[4] = wide[4] = seen
            found = in_all_orders(lambda given=given: attention.attend(*sent(given)))
            for one, wanted in zip(found, reference.attend(*wide), strict=True):
                close(one, wanted, dtype, sizes[2] * sizes[3])


def test_on_a_gpu_padding_changes_no_bit_and_nothing_seen_is_nothing(cupy):
    query, key, vector, value, seen, of = asked(0, 6, 3, 30, 40, 20, "float32")
    seen[0] = 0
    found = fetched(attention.attend(*sent([query, key, vector, value, seen, of])))
    key[seen == 0], value[seen == 0] = np.nan, np.inf
    pad = [np.pad(x, ((0, 0), (0, 7), (0, 0)), constant_values=np.nan) for x in (key, value)]
    wider = np.pad(seen, ((0, 0), (0, 7)))
    context, weights = fetched(attention.attend(*sent([query, pad[0], vector, pad[1], wider, of])))
    same_bits(found, [context, weights[:, :30]])
    alone = fetched(attention.attend(*sent([query[2:3], key, vector, value, seen, of[2:3]])))
    same_bits([x[2:3] for x in found], alone)
    assert not found[0][of == 0].any()
    assert not found[1][of == 0].any()


def test_what_a_query_finds_depends_on_its_row_alone():
    sizes = (6, 3, 5, 18, 20) if DISABLED else (90, 9, 30, 130, 70)
    query, key, vector, value, seen, of = asked(0, *sizes, "float32")
    seen[0], seen[1] = 0, 1
    threads, found = num_threads(), []
    try:
        for count in (1, 3):
            set_num_threads(count)
            found.append(attention.attend(query, key, vector, value, seen, of))
    finally:
        set_num_threads(threads)
    unseen = np.broadcast_to(seen[:, :, None] == 0, key.shape)
    key[unseen] = np.nan
    value[seen == 0] = np.inf
    pad = [np.pad(x, ((0, 0), (0, 7), (0, 0)), constant_values=np.nan) for x in (key, value)]
    wider = np.pad(seen, ((0, 0), (0, 7)))
    found.append(attention.attend(query, pad[0], vector, pad[1], wider, of))
    found[-1] = found[-1][0], found[-1][1][:, : seen.shape[1]]
    for n in range(len(query)):
        one = query[n : n + 1], key, vector, value, seen, of[n : n + 1]
        for parts in zip(*found, attention.attend(*one), strict=True):
            *rows, alone = parts
            assert all(np.array_equal(row[n], alone[0]) for row in rows)
        if of[n] == 0:
            assert not found[0][0][n].any()
            assert not found[0][1][n].any()


# ----- masked weights -----


@pytest.mark.parametrize(
    ("shape", "count"),
    [((2, 3, 4, 5), 24), ((2, 1, 1, 5), 2), ((2, 1, 4, 5), 8), ((1, 1, 4, 5), 4), ((2, 3, 1, 5), 6),
     ((5,), 1), ((1, 5), 1), ((3, 1, 5), 24), ((2, 1, 4, 1), 24), ((1,), 24)],
)  # fmt: skip
def test_masks_are_laid_on_rows_whatever_axes_they_are_the_same_on(shape, count):
    rng = np.random.default_rng(0)
    x, seen = rng.standard_normal((2, 3, 4, 5)), rng.integers(0, 2, shape).astype(bool)
    spread = np.broadcast_to(seen, x.shape).reshape(-1, 5)
    rows, period, inner = rows_of(np, seen, x.shape)
    for r in range(24):
        np.testing.assert_array_equal(rows[r // period * inner + r % inner], spread[r])
    assert len(rows) == count
    close(attention.masked_softmax(x, seen), reference.masked_softmax(x, seen), "float64", 5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(3, 5), (2, 0), (0, 4), (7, 1), (2, 3, 70)])
def test_weights_of_a_gpu_and_of_the_cpu_are_those_of_the_definition(cupy, shape, dtype):
    rng = np.random.default_rng(0)
    x, g = (4 * rng.standard_normal((2, *shape))).astype(dtype)
    seen = rng.integers(0, 3, shape) > 0
    seen[:1] = False  # a query without any key
    x = np.where(seen | (rng.random(shape) < 0.5), x, x.dtype.type(np.nan))
    y = reference.masked_softmax(x.astype(np.float64), seen)
    slopes = reference.softmax_slope(g.astype(np.float64), y)
    flat = np.asfortranarray(x)
    for weights in (
        attention.masked_softmax(x, seen),
        *in_all_orders(lambda: [attention.masked_softmax(*sent([x, seen]))]),
        *fetched([attention.masked_softmax(*sent([flat, seen]))]),
    ):
        close(weights, y, dtype, shape[-1])
    back = in_all_orders(lambda: [attention.softmax_slope(*sent([g, y.astype(dtype)]))])
    plain = reference.masked_softmax(g.astype(np.float64), None)
    for weights in (attention.masked_softmax(g, None),
                    *in_all_orders(lambda: [attention.masked_softmax(sent(g), None)])):  # fmt: skip
        close(weights, plain, dtype, shape[-1])
    for found in (attention.softmax_slope(g, y.astype(dtype)), *back):
        close(found, slopes, dtype, shape[-1])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_shows_in_its_row_alone(cupy, value):
    x = np.array([[1, value, 3], [1, 2, 3]])
    seen = np.array([[True, True, False], [True, True, True]])
    for weights in (attention.masked_softmax(x, seen),
                    *fetched([attention.masked_softmax(*sent([x, seen]))])):  # fmt: skip
        assert np.isnan(weights[0, 1])
        assert np.isfinite(weights[1]).all()
    alone = np.full((1, 2), np.nan)
    assert np.isnan(attention.masked_softmax(alone, alone != 0)).all()
