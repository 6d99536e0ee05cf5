"""Strategies of sequences, tokens, labels and cotangents reach what they name, and shrink."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.testing.search import failure, minimal, reaches
from tinygrad_rnn.testing import strategies as gs
from tinygrad_rnn.testing.arrays import LAYOUTS

# ----- partitions and lengths -----


@given(st.integers(0, 40).flatmap(lambda n: st.tuples(st.just(n), gs.partitions(n))))
def test_partitions_are_positive_and_sum_to_the_total(case):
    total, parts = case
    assert isinstance(parts, tuple)
    assert all(type(n) is int and n > 0 for n in parts)
    assert sum(parts) == total


@pytest.mark.parametrize(
    "wanted", [(7,), (1,) * 7, (3, 3, 1), lambda p: p[0] < p[-1], lambda p: 1 < len(p) < 4]
)
def test_partitions_reach_one_chunk_single_steps_and_uneven_ones(wanted):
    assert reaches(gs.partitions(7), wanted if callable(wanted) else lambda p: p == wanted)


def test_partitions_shrink_to_one_chunk():
    assert minimal(gs.partitions(9)) == (9,)
    assert len(minimal(gs.partitions(9), lambda p: len(p) > 2)) == 3
    assert minimal(gs.partitions(0)) == ()
    assert minimal(gs.partitions(1)) == (1,)


@given(gs.lengths(3, 5, min_len=2))
def test_lengths_lie_between_their_bounds(n):
    assert n.shape == (3,)
    assert n.dtype == np.int64
    assert ((n >= 2) & (n <= 5)).all()


@given(gs.lengths(4, 30, order="sorted"))
def test_sorted_lengths_descend(n):
    assert (np.diff(n) <= 0).all()


@pytest.mark.parametrize("longest", [3, 100])
def test_lengths_reach_none_full_and_ragged_rows(longest):
    n = gs.lengths(3, longest)
    assert reaches(n, lambda n: (n == 0).any())
    assert reaches(n, lambda n: (n == longest).all())
    assert reaches(n, lambda n: len(set(n)) == 3 and n.min() > 0)
    assert reaches(n, lambda n: n[0] < n[1] > n[2])


def test_lengths_shrink_to_full_rows():
    assert minimal(gs.lengths(3, 5)).tolist() == [5, 5, 5]
    assert minimal(gs.lengths(3, 5), lambda n: n[1] < 3).tolist() == [5, 2, 5]
    assert minimal(gs.lengths(0, 5)).shape == (0,)
    assert minimal(gs.lengths(2, 0)).tolist() == [0, 0]


# ----- batches of sequences -----


@given(gs.sequence_batches())
def test_padding_is_poison_and_nothing_else_is(batch):
    T, B, F = batch.data.shape
    assert 1 <= T <= 6
    assert 1 <= B <= 4
    assert 1 <= F <= 4
    np.testing.assert_array_equal(batch.mask, np.arange(T)[:, None] < batch.lengths)
    for b, steps in enumerate(batch.lengths):
        assert batch.row(b).shape == (steps, F)
        assert (np.abs(batch.row(b)) < 100).all()
        beyond = batch.data[steps:, b]
        assert not np.isfinite(beyond).any() or (beyond == 1e30).all()
        np.testing.assert_array_equal(batch.clean[:steps, b], batch.row(b))
        assert not batch.clean[steps:, b].any()


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, 1e30])
def test_every_poison_is_reached(number):
    def holds(batch):
        padding = batch.data[~batch.mask]
        return padding.size and np.array_equal(padding, np.full(padding.shape, number), True)

    assert reaches(gs.sequence_batches(), holds)


@pytest.mark.parametrize(("pad", "zero"), [("zeros", True), ("noise", False)])
def test_padding_may_be_zeros_or_noise(pad, zero):
    batches = gs.sequence_batches(pad=pad)
    assert reaches(batches, lambda b: not b.mask.all())
    assert not reaches(batches, lambda b: (b.data[~b.mask] == 0).all() != zero and not b.mask.all())


def test_batches_reach_empty_full_and_ragged_rows_and_no_rows_at_all():
    batches = gs.sequence_batches(time=(0, 4), batch=(0, 3))
    assert reaches(batches, lambda b: b.data.shape[0] == 0)
    assert reaches(batches, lambda b: b.data.shape[1] == 0)
    assert reaches(batches, lambda b: b.data.size and (b.lengths == 0).any())
    assert reaches(batches, lambda b: b.data.shape[1] > 1 and b.mask.all())
    assert reaches(batches, lambda b: len(set(b.lengths)) == 3)
    assert reaches(batches, lambda b: np.unique(b.clean).size > 4)


def test_batches_shrink_to_one_full_step_of_zero():
    data, n, mask = minimal(gs.sequence_batches())
    assert data.tolist() == [[[0.0]]]
    assert n.tolist() == [1]
    assert mask.tolist() == [[True]]
    found = minimal(gs.sequence_batches(), lambda b: not b.mask.all())
    assert found.data.shape == (1, 1, 1)
    assert np.isnan(found.data).all()


@given(gs.sequence_batches(3, 2, 4, lengths=None, dtype=np.float16, styles=("ones",)))
def test_sizes_lengths_type_and_style_can_be_fixed(batch):
    assert batch.data.dtype == np.float16
    assert batch.mask.all()
    assert (batch.data == np.ones((3, 2, 4))).all()


@given(gs.sequence_batches(4, 3, lengths=partial(gs.lengths, min_len=2, order="sorted"),
                           dtype=np.float16))  # fmt: skip
def test_lengths_may_be_drawn_in_another_way(batch):
    assert (batch.lengths >= 2).all()
    assert (np.diff(batch.lengths) <= 0).all()
    assert batch.clean.dtype == np.float16


def test_a_failing_example_shows_data_lengths_and_mask_by_name():
    @given(gs.sequence_batches(), gs.token_batches(3))
    def fails(batch, words):
        assert batch.mask.all()

    said = failure(fails)
    assert "batch=SequenceBatch(data=array([[[nan]]]), lengths=array([0]), mask=array([[F" in said
    assert "words=TokenBatch(ids=array([[0]]), lengths=array([1]), mask=array([[ True]])" in said


# ----- tokens and labels -----


@given(gs.token_batches(5, pad_id=2))
def test_the_padding_id_stands_in_the_padding_only(batch):
    assert batch.ids.dtype == np.int64
    assert ((batch.ids == 2) == ~batch.mask).all()
    assert ((batch.ids >= 0) & (batch.ids < 5)).all()
    for b, steps in enumerate(batch.lengths):
        np.testing.assert_array_equal(batch.row(b), batch.ids[:steps, b])


@given(gs.token_batches(5, 30, (5, 8)))
def test_without_a_padding_id_all_ids_are_words(batch):
    assert batch.ids.shape[0] == 30
    assert ((batch.ids >= 0) & (batch.ids < 5)).all()


def test_tokens_repeat_and_reach_both_ends_of_a_large_vocabulary():
    batches = gs.token_batches(1000, time=4, batch=3, pad_id=-1)
    assert reaches(batches, lambda b: (b.ids == 999).any())
    assert reaches(batches, lambda b: (b.ids == 0).any())
    assert reaches(batches, lambda b: (b.ids == -1).any())
    assert reaches(batches, lambda b: len(set(b.ids[b.mask])) > 4)
    assert not reaches(batches, lambda b: len(set(b.ids[b.mask])) > 6)


def test_tokens_shrink_to_the_first():
    assert minimal(gs.token_batches(9)).ids.tolist() == [[0]]
    found = minimal(gs.token_batches(9, pad_id=0), lambda b: b.ids.max() > 3)
    assert found.ids.tolist() == [[4]]


@given(gs.label_batches(4, (3, 2), ignore=-100), gs.label_batches(2, 3, ignore=0))
def test_some_labels_are_ignored_but_never_all(labels, inside):
    assert labels.shape == (3, 2)
    assert labels.dtype == np.int64
    assert ((labels == -100) | ((labels >= 0) & (labels < 4))).all()
    assert (labels != -100).any()
    assert inside.any()


def test_labels_reach_the_last_class_and_the_ignored_one():
    labels = gs.label_batches(4, 100, ignore=-100)
    assert reaches(labels, lambda n: (n == 3).any())
    assert reaches(labels, lambda n: (n == -100).any())
    assert reaches(labels, lambda n: (n != -100).all())
    assert minimal(labels).tolist() == [0] * 100
    assert minimal(gs.label_batches(3, 2, ignore=1), lambda n: 1 in n).tolist() in ([0, 1], [1, 0])
    assert minimal(gs.label_batches(3, 0)).shape == (0,)


# ----- backward -----


@given(gs.cotangents([np.zeros((2, 3)), tg.zeros(4), (), (0, 2)], undefined=False))
def test_every_output_has_a_cotangent_of_its_own(found):
    assert [w.shape for w in found] == [(2, 3), (4,), (), (0, 2)]
    assert all(w.dtype == np.float64 for w in found)
    assert not any(np.shares_memory(found[0], w) for w in found[1:])


def test_some_cotangents_are_undefined_but_never_all():
    three = gs.cotangents([(2,), (2,), (2,)])
    for k in range(3):
        assert reaches(three, lambda ws, k=k: ws[k] is None)
        assert reaches(three, lambda ws, k=k: [w is None for w in ws] == [n != k for n in range(3)])
    assert not reaches(three, lambda ws: all(w is None for w in ws))
    assert not reaches(gs.cotangents([(2,)]), lambda ws: ws[0] is None)
    assert reaches(three, lambda ws: all(w is not None and w.all() for w in ws))
    assert [w.tolist() for w in minimal(three)] == [[0.0, 0.0]] * 3


def test_cotangents_lie_anywhere_in_memory():
    assert reaches(gs.cotangents([(2, 3)]), lambda ws: not ws[0].flags.c_contiguous)
    assert not reaches(gs.cotangents([(2, 3)], layout="C"), lambda ws: not ws[0].flags.c_contiguous)
    negative = gs.cotangents([(2, 3)], layout=st.just("negative"))
    assert not reaches(negative, lambda ws: ws[0].strides[0] > 0)
    assert "negative" in LAYOUTS


def test_needs_grad_reaches_every_choice_but_none():
    flags = gs.needs_grad(3)
    for wanted in np.ndindex(2, 2, 2):
        assert reaches(flags, lambda f, w=wanted: f == tuple(map(bool, w))) == any(wanted)
    assert minimal(flags) == (True, True, True)
    assert minimal(gs.needs_grad(1)) == (True,)
    assert minimal(flags, lambda f: not f[1]) == (True, False, True)


# ----- wrong arguments -----


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: gs.partitions(-1), "partitions: total is -1, expected a whole number from 0 up"),
        (lambda: gs.partitions(2.5), "partitions: total is 2.5"),
        (lambda: gs.lengths(-1, 3), "lengths: batch is -1"),
        (lambda: gs.lengths(2, -3), "lengths: max_len is -3"),
        (lambda: gs.lengths(2, 3, min_len=4), "min_len is 4 and max_len 3, expected min_len <="),
        (lambda: gs.lengths(2, 3, order="up"), "order is 'up', expected 'any' or 'sorted'"),
        (lambda: gs.sequence_batches(time=-1), "sequence_batches: time is -1"),
        (lambda: gs.sequence_batches(batch=(3, 2)), "batch is (3, 2), expected the smaller"),
        (lambda: gs.sequence_batches(features=(1, 2, 3)), "expected a whole number, or two"),
        (lambda: gs.sequence_batches(pad="nan"), "pad is 'nan', expected 'poison'"),
        (lambda: gs.sequence_batches(lengths=[1, 2]), "lengths is [1, 2], expected None or a"),
        (lambda: gs.sequence_batches(styles=("waves",)), "styles has 'waves', expected some of"),
        (lambda: gs.token_batches(0), "vocabulary is 0, expected a whole number from 1 up"),
        (lambda: gs.token_batches(1, pad_id=0), "vocabulary is 1 and pad_id 0, expected another"),
        (lambda: gs.token_batches(3, pad_id=0.5), "pad_id is 0.5"),
        (lambda: gs.label_batches(0, 3), "classes is 0"),
        (lambda: gs.label_batches(3, -1), "label_batches: count is -1"),
        (lambda: gs.cotangents([]), "outputs is empty, expected a list with one or more"),
        (lambda: gs.cotangents(tg.zeros(2)), "outputs is one Tensor, expected a list"),
        (lambda: gs.cotangents((2, 3)), "output 0 is 2, expected a Tensor, an array or a shape"),
        (lambda: gs.cotangents([(2, -1)]), "a size of output 0 is -1"),
        (lambda: gs.cotangents([(2,)], layout="G"), "layout has 'G', expected some of C, F"),
        (lambda: gs.needs_grad(0), "needs_grad: n is 0, expected a whole number from 1 up"),
        (lambda: gs.dtypes((80,)), "dtypes: sizes is (80,), expected some of 16, 32, 64"),
    ],
)  # fmt: skip
def test_wrong_arguments_raise_at_the_call(call, says):
    with pytest.raises(ValueError) as raised:
        call()
    assert says in str(raised.value)


def test_sequences_hold_floats():
    with pytest.raises(TypeError, match=r"sequence_batches: dtype is .*int64"):
        gs.sequence_batches(dtype=np.int64)
