"""A linear layer and its cross-entropy as one: as if in two, in any chunks, to every order."""

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import losses, ops
from tinygrad_rnn.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from tinygrad_rnn.kernels._jit import DISABLED
from tinygrad_rnn.testing import assert_double_backward, assert_equivalent, assert_gradients

N, D, V = 7, 3, 5
OPTIONS = [
    {},
    {"label_smoothing": 0.1},
    {"weights": np.array([1, 0, 2, 0.5, 1]), "ignore_index": 3},
    {"weights": np.arange(1.0, 6), "label_smoothing": 0.2, "mask": np.arange(7) % 3 > 0},
]


def draw(dtype=np.float64, sizes=(N, D, V), seed=0):
    rng = np.random.default_rng(seed)
    n, d, v = sizes
    arrays = [rng.standard_normal(shape).astype(dtype) for shape in ((n, d), (d, v), (v,))]
    return *arrays, rng.integers(0, v, n)


def gradients(h, w, b, y, g=None, **how):
    leaves = [tg.tensor(x, requires_grad=True) for x in (h, w, b)]
    value = losses.linear_cross_entropy(leaves[0], leaves[1], y, leaves[2], **how)
    value.backward(g)
    return [value.numpy(), *(x.grad.numpy() for x in leaves)]


@pytest.mark.parametrize("how", OPTIONS)
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_it_is_linear_and_then_cross_entropy(how, reduction):
    h, w, b, y = draw()
    how = {**how, "reduction": reduction}

    def one(h, w, b):
        return losses.linear_cross_entropy(h, w, y, b, chunk=2, **how)

    def two(h, w, b):
        return losses.cross_entropy(ops.linear(h, w, b), y, **how)

    assert_equivalent(one, two, h, w, b)
    assert_gradients(one, h, w, b, order=2)
    assert_double_backward(lambda h, w: losses.linear_cross_entropy(h, w, y, chunk=3, **how), h, w)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_neither_chunks_nor_threads_change_a_bit(dtype, reduction):
    h, w, b, y = draw(dtype, (61, 33, 97))
    g = None if reduction == "sum" else np.linspace(-1, 1, 61).astype(dtype)
    before = tg.num_threads()
    want = gradients(h, w, b, y, g, reduction=reduction, chunk=61)
    try:
        for threads, chunk in ((1, 61), (2, 1), (1, 7), (2, 60), (3, 1000), (2, None)):
            tg.set_num_threads(threads)
            found = gradients(h, w, b, y, g, reduction=reduction, chunk=chunk)
            for a, c in zip(found, want, strict=True):
                assert np.array_equal(a, c)
    finally:
        tg.set_num_threads(before)


def test_rows_that_do_not_count_are_as_if_left_out():
    h, w, b, y = draw()
    mask = np.arange(N) % 2 == 0
    broken = np.where(mask[:, None], h, np.nan)
    whole, left = gradients(broken, w, b, y, mask=mask), gradients(h[mask], w, b, y[mask])
    np.testing.assert_array_equal(whole[1][~mask], 0)
    whole[1] = whole[1][mask]
    for a, c in zip(whole, left, strict=True):
        assert np.array_equal(a, c)
    with pytest.raises(ArgumentError, match=r"all 7 targets are ignored"):
        gradients(h, w, b, y * 0 - 100)
    nothing = gradients(h, w, b, y * 0 - 100, reduction="sum")
    assert all(not np.any(array) for array in nothing)


def test_a_walk_back_may_be_repeated_and_scaled():
    h, w, b, y = draw()
    leaves = [tg.tensor(x, requires_grad=True) for x in (h, w, b)]
    loss = losses.linear_cross_entropy(leaves[0], leaves[1], y, leaves[2], chunk=2)
    walks = []
    for _ in range(3):
        walks.append(tg.grad([loss * 0.3], leaves, retain_graph=True))
    for again in walks[1:]:
        for a, c in zip(walks[0], again, strict=True):
            assert np.array_equal(a.numpy(), c.numpy())
    plain = gradients(h, w, b, y)[1:]
    for a, c in zip(walks[0], plain, strict=True):
        np.testing.assert_allclose(a.numpy(), 0.3 * c, rtol=1e-14)


@pytest.mark.parametrize("frozen", range(3))
def test_what_is_frozen_is_left_alone(frozen):
    h, w, b, y = draw()
    leaves = [tg.tensor(x, requires_grad=i != frozen) for i, x in enumerate((h, w, b))]
    losses.linear_cross_entropy(leaves[0], leaves[1], y, leaves[2], chunk=2).backward()
    assert leaves[frozen].grad is None
    for i, (leaf, want) in enumerate(zip(leaves, gradients(h, w, b, y)[1:], strict=True)):
        if i != frozen:
            assert np.array_equal(leaf.grad.numpy(), want)


def test_more_axes_a_tied_table_and_no_bias():
    h, w, _, y = draw()
    h, y = np.stack([h, 2 * h]), np.stack([y, y[::-1]])
    table = np.ascontiguousarray(w.T)
    for reduction in ("none", "mean"):
        assert_equivalent(
            lambda h, t, how=reduction: losses.linear_cross_entropy(h, t.T, y, reduction=how),
            lambda h, t, how=reduction: losses.cross_entropy(h @ t.T, y, reduction=how),
            h, table,
        )  # fmt: skip


@pytest.mark.skipif(DISABLED, reason="two million scores take Python an hour")
def test_all_scores_never_exist_at_once():
    h, w, b, y = draw(np.float32, (400, 8, 5000))
    leaves = [tg.tensor(x, requires_grad=True) for x in (h, w, b)]

    def train(rows):
        loss = losses.linear_cross_entropy(
            leaves[0][:rows], leaves[1], y[:rows], leaves[2], chunk=50
        )
        (g,) = tg.grad([loss], leaves[:1], create_graph=True)
        g.sum().backward()

    train(100)  # compiling takes memory, too
    tg.empty_cache()
    tracemalloc.start()
    try:
        train(400)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 0.8 * 400 * 5000 * 4
    assert np.isfinite(leaves[1].grad.numpy()).all()


def test_operands_that_do_not_fit_are_named():
    h, w, b, y = draw()
    with pytest.raises(ShapeError, match=r"h has shape \(7, 3\), w \(5, 3\); expected \(..., D\)"):
        losses.linear_cross_entropy(h, w.T, y)
    with pytest.raises(ShapeError, match=r"bias \(4,\); expected \(..., D\), \(D, V\) and \(V\)"):
        losses.linear_cross_entropy(h, w, y, b[:4])
    with pytest.raises(DTypeError, match=r"h and w hold float32 and float64, expected one type"):
        losses.linear_cross_entropy(h, w.astype(np.float32), y)
    with pytest.raises(IndexRangeError, match=r"class 5 among 7 targets, expected 0 to 4"):
        losses.linear_cross_entropy(h, w, y * 0 + 5)
    with pytest.raises(DTypeError, match=r"the targets hold float64, expected integers"):
        losses.linear_cross_entropy(h, w, h)
    with pytest.raises(ShapeError, match=r"chunk is 0, expected a whole number from 1 up"):
        losses.linear_cross_entropy(h, w, y, chunk=0)


# ----- scores that are known -----


@pytest.mark.parametrize("how", [{}, {"label_smoothing": 0.1}, {"reduction": "none"}])
@pytest.mark.parametrize("rows", [(3,), (0, 2, 4), (7,), (2, 5)])
def test_scores_that_are_known_change_no_bit_and_stay(how, rows):
    h, w, b, y = draw(np.float32)
    scores = ops.linear(h, w, b).numpy()
    cuts = np.cumsum([0, *rows])
    parts = [scores[i:j] for i, j in pairwise(cuts)]
    known = [part.copy() for part in parts]
    g = np.ones(N, np.float32) if "reduction" in how else None
    want = gradients(h, w, b, y, g, chunk=2, **how)
    for one, other in zip(gradients(h, w, b, y, g, chunk=2, known=known, **how), want, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-6, atol=2e-7)
    assert [x.tolist() for x in known] == [x.tolist() for x in parts]


def test_known_scores_are_not_computed_again():
    h, w, b, y = draw()
    nothing = [np.zeros((N, V))]
    value = losses.linear_cross_entropy(h, w, y, b, known=nothing)
    assert value.item() == pytest.approx(np.log(V))
    ignored = losses.linear_cross_entropy(h, w, y, b, known=nothing, mask=np.arange(N) > 0)
    assert ignored.item() != pytest.approx(np.log(V))  # rows are others then: all are computed


@pytest.mark.parametrize("rows", [(3,), (2, 5)])
def test_known_scores_of_an_iterator_may_be_used_up(rows):
    h, w, b, y = draw(np.float32)
    scores = ops.linear(h, w, b).numpy()
    known = [scores[i:j].copy() for i, j in pairwise(np.cumsum([0, *rows]))]
    want = gradients(h, w, b, y, None, chunk=2)
    found = gradients(h, w, b, y, None, chunk=2, known=iter(known))
    for one, other in zip(found, want, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-6, atol=2e-7)
    stayed = (known[0] == scores[: rows[0]]).all()
    assert stayed == (len(rows) > 1)
    scores.flags.writeable = False
    for one in (scores, np.asfortranarray(scores)):  # not to be written, or not in rows
        found = gradients(h, w, b, y, None, chunk=2, known=iter([one]))
        np.testing.assert_allclose(found[0], want[0], rtol=2e-6, atol=2e-7)


def test_known_scores_have_to_fit():
    h, w, b, y = draw()
    for wrong in (np.zeros((N, V + 1)), np.zeros((N, V), np.float32), np.zeros((N + 1, V))):
        with pytest.raises(ShapeError, match="linear_cross_entropy: known has"):
            losses.linear_cross_entropy(h, w, y, b, known=[wrong])


def test_features_of_no_width_leave_the_bias_alone():
    bias = tg.tensor([0.0, 1.0, 0.0])
    args = tg.zeros(2, 0), tg.zeros(0, 3), [1, 2], bias
    found = losses.linear_cross_entropy(*args, reduction="none")
    expected = losses.cross_entropy(tg.tensor([[0.0, 1.0, 0.0]] * 2), [1, 2], reduction="none")
    np.testing.assert_allclose(found, expected, rtol=1e-6)
