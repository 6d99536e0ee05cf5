"""Batches: what an epoch holds, its order, and its place."""

from itertools import chain, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.data.drawn import settings_of_batches, taken
from tinygrad_rnn import data
from tinygrad_rnn.data import order
from tinygrad_rnn.errors import ArgumentError, IndexRangeError, ShapeError, StateDictError

# ----- what an epoch holds -----


@given(settings_of_batches())
def test_every_example_comes_once_an_epoch(drawn):
    examples, options = drawn
    batches = data.Batches(examples, **options)
    for _ in range(2):
        count, rows, epoch = len(batches), batches.rows(), taken(batches)
        assert len(epoch) == count
        assert [row.tolist() for row in rows] == epoch
        assert sorted(chain(*epoch)) == examples.tolist()


@given(settings_of_batches())
def test_batches_are_as_large_as_they_may_be(drawn):
    examples, options = drawn
    lengths, rows = np.array(options.get("lengths", examples)), options.get("batch_size", 99)
    batches = data.Batches(examples, **options)
    sizes = [len(batch) for batch in batches.rows()]
    assert max(sizes) <= rows
    if "max_tokens" not in options:
        assert len(batches) == -(-len(examples) // rows)
        return
    pool = options["pool"] * batches._usual_rows
    for batch in batches.rows():
        assert len(batch) * lengths[batch].max() <= options["max_tokens"]
    if pool >= len(examples):  # then all of them are cut in one row, and each is full
        ordered = sorted(batches.rows(), key=lambda batch: (lengths[batch].max(), -len(batch)))
        for batch, following in pairwise(ordered):
            more = lengths[following].min()
            assert len(batch) == rows or (len(batch) + 1) * more > options["max_tokens"]


@given(st.integers(1, 60), st.integers(1, 9), st.integers(0, 5))
def test_a_pool_is_cut_along_its_lengths(count, batch_size, seed):
    lengths = np.random.default_rng(seed).integers(0, 30, count)
    batches = data.Batches(np.arange(count), batch_size, shuffle=True, lengths=lengths, pool=60)
    ranges = sorted((lengths[rows].min(), lengths[rows].max()) for rows in batches.rows())
    assert all(shorter[1] <= longer[0] for shorter, longer in pairwise(ranges))


def test_buckets_pad_little():
    lengths = np.random.default_rng(0).integers(1, 100, 2000)
    plain, buckets, tokens = (
        data.Batches(lengths, 20, shuffle=True),
        data.Batches(lengths, 20, shuffle=True, lengths=lengths, pool=20),
        data.Batches(lengths, shuffle=True, lengths=lengths, max_tokens=1000, pool=20),
    )
    shares = [data.padding_share(batches) for batches in (plain, buckets, tokens)]
    assert shares[0] > 0.4
    assert max(shares[1:]) < 0.07


def test_what_does_not_fill_a_batch_is_left_out():
    batches = data.Batches(np.arange(10), 4, drop_last=True)
    assert taken(batches) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    lengths = np.arange(10)
    batches = data.Batches(lengths, 4, drop_last=True, lengths=lengths, shuffle=True)
    left = [set(range(10)) - set(chain(*taken(batches))) for _ in range(40)]
    assert set.union(*left) == set(range(10))  # not always the longest


# ----- its order -----


def test_the_order_never_changes():
    """Written down: a run has to go on with what it had under any version of NumPy and of this."""
    assert order.permutation(8, 0, 0, order.EXAMPLES).tolist() == [0, 2, 1, 5, 4, 3, 6, 7]
    assert order.permutation(8, 7, 3, order.TURNS).tolist() == [0, 5, 3, 4, 1, 6, 2, 7]
    batches = data.Batches(np.arange(8), 2, shuffle=True, seed=7, lengths=[1, 2] * 4)
    assert [taken(batches) for _ in range(2)] == [
        [[4, 6], [7, 5], [2, 0], [1, 3]],
        [[2, 4], [5, 7], [0, 6], [1, 3]],
    ]


def test_orders_differ_by_seed_epoch_and_use():
    drawn = {
        tuple(order.permutation(20, seed, epoch, stream))
        for seed in (0, 1, 2**100)
        for epoch in (0, 1)
        for stream in (order.EXAMPLES, order.TURNS, order.SPLIT)
    }
    assert len(drawn) == 18


def test_every_order_is_as_likely():
    firsts = [tuple(order.permutation(3, 0, epoch, 0)) for epoch in range(1200)]
    counts = [firsts.count(each) for each in set(firsts)]
    assert len(counts) == 6
    assert sum((count - 200) ** 2 / 200 for count in counts) < 20.5  # chi-square, p = 0.001


def test_the_order_depends_on_no_global_random_state():
    batches = data.Batches(np.arange(50), 7, shuffle=True)
    wanted = taken(data.Batches(np.arange(50), 7, shuffle=True))
    before, ours = np.random.get_state(), tg.random.get_state()  # noqa: NPY002
    np.random.seed(1)  # noqa: NPY002
    tg.seed(1)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    assert taken(batches) == wanted
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002
    np.random.set_state(before)  # noqa: NPY002
    tg.random.set_state(ours)


# ----- its place -----


@given(settings_of_batches(), st.integers(0, 1000))
def test_a_run_goes_on_at_every_place_as_if_there_were_no_break(drawn, place):
    examples, options = drawn
    whole = data.Batches(examples, **options)
    states, run = [whole.state_dict()], []
    for _ in range(2):
        for batch in whole:
            run.append(batch.tolist())
            states.append(whole.state_dict())
    place %= len(states)
    resumed = data.Batches(examples, **{**options, "seed": 5})
    resumed.load_state_dict(states[place])
    rest = []
    while resumed.epoch < 2:
        rest += taken(resumed)
    assert rest == run[place:]


def test_a_loop_that_was_left_is_gone_on_with():
    batches = data.Batches(np.arange(6), 2)
    for batch in batches:
        assert batch.tolist() == [0, 1]
        break
    assert taken(batches) == [[2, 3], [4, 5]]
    assert taken(batches) == [[0, 1], [2, 3], [4, 5]]
    for _ in range(2):  # left behind the last batch
        assert [batch.tolist() for _, batch in zip(range(3), batches, strict=False)] == [
            [0, 1],
            [2, 3],
            [4, 5],
        ]


def test_an_interrupt_passes_no_batch_over():
    class Interrupted(list):
        def __getitem__(self, number):
            if number == 1 and not interrupts:
                interrupts.append(number)
                raise KeyboardInterrupt
            return super().__getitem__(number)

    interrupts = []
    batches = data.Batches(Interrupted([0, 1, 2]), 1)
    loop = iter(batches)
    assert next(loop) == [0]
    with pytest.raises(KeyboardInterrupt):
        next(loop)
    assert taken(batches) == [[1], [2]]


def test_an_epoch_that_was_over_when_it_was_saved_has_no_more_batches():
    batches = data.Batches(np.arange(4), 2)
    loop = iter(batches)
    next(loop), next(loop)
    state = batches.state_dict()
    assert (state["epoch"], state["batch"]) == (0, 2)
    resumed = data.Batches(np.arange(4), 2)
    resumed.load_state_dict(state)
    assert taken(resumed) == []
    assert resumed.epoch == 1
    assert taken(resumed) == [[0, 1], [2, 3]]


def test_a_loop_ends_with_its_epoch_whoever_moves_on():
    batches = data.Batches(np.arange(4), 2)
    loop = iter(batches)
    next(loop)
    assert taken(batches) == [[2, 3]]
    assert list(loop) == []
    assert (batches.epoch, batches.batch) == (1, 0)


OTHER_BATCHES = {
    "examples is 7 here, and was 6": {"examples": np.arange(7)},
    "batch_size is 3 here, and was 2": {"batch_size": 3},
    "shuffle is True here, and was False": {"shuffle": True},
    "lengths is [0-9]* here, and was None": {"lengths": range(6)},
    "drop_last is True here, and was False": {"drop_last": True},
}


@pytest.mark.parametrize("message", OTHER_BATCHES)
def test_a_place_in_other_batches_is_refused(message):
    state = data.Batches(np.arange(6), 2).state_dict()
    options = {"examples": np.arange(6), "batch_size": 2, **OTHER_BATCHES[message]}
    batches = data.Batches(**options)
    next(iter(batches))
    before = batches.state_dict()
    with pytest.raises(StateDictError, match=message):
        batches.load_state_dict(state)
    assert batches.state_dict() == before


def test_lengths_are_part_of_a_place():
    state = data.Batches(np.arange(3), 2, lengths=[1, 2, 3]).state_dict()
    with pytest.raises(StateDictError, match="lengths is"):
        data.Batches(np.arange(3), 2, lengths=[1, 2, 4]).load_state_dict(state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch": 4}, "Batches.load_state_dict: batch is 4, but epoch 0 has 3."),
        ({"batch": -1}, "Batches.load_state_dict: batch is -1, expected a whole number"),
        ({"epoch": 1.5}, "Batches.load_state_dict: epoch is 1.5, expected a whole number"),
        ({"seed": "a"}, "Batches.load_state_dict: seed is 'a', expected a whole number"),
        (None, "Batches.load_state_dict: given None, expected what state_dict"),
        ({"batch_size": ...}, "Batches.load_state_dict: given {"),
    ],
)
def test_what_is_no_place_is_refused(change, message):
    batches = data.Batches(np.arange(6), 2)
    state = None if change is None else {**batches.state_dict(), **change}
    if state and state["batch_size"] is ...:
        del state["batch_size"]
    with pytest.raises((StateDictError, ArgumentError)) as caught:
        batches.load_state_dict(state)
    assert str(caught.value).startswith(message)
    assert taken(batches) == [[0, 1], [2, 3], [4, 5]]


# ----- what examples can be -----

TYPES = "?bBhHiIlLefdgFDUSOmM"


@given(st.sampled_from(TYPES), st.sampled_from(TYPES), st.integers(1, 9), st.integers(1, 4))
def test_arrays_of_any_type_stay_side_by_side(left, right, count, batch_size):
    x = np.arange(2 * count).reshape(count, 2).astype(_type(left))[:, ::-1]
    y = np.arange(count).astype(_type(right))
    batches = data.Batches((x, y), batch_size, shuffle=True)
    rows = batches.rows()
    for row, (x_batch, y_batch) in zip(rows, batches, strict=True):
        assert (x_batch.dtype, y_batch.dtype) == (x.dtype, y.dtype)
        np.testing.assert_array_equal(x_batch, x[row])
        np.testing.assert_array_equal(y_batch, y[row])


def _type(code):
    return {"U": "U3", "S": "S3", "m": "m8[s]", "M": "M8[s]"}.get(code, code)


def test_a_batch_is_a_copy():
    x = np.arange(4)
    for batch in data.Batches(x, 4):
        batch[:] = -1
    assert x.tolist() == [0, 1, 2, 3]


def test_examples_come_in_many_forms():
    x, y = np.arange(6.0).reshape(3, 2), [0, 1, 2]
    (one,) = data.Batches({"x": x, "y": y}, 3)
    assert one["x"].tolist() == x.tolist()
    assert one["y"].tolist() == y
    (one,) = data.Batches(tg.tensor(x), 3)
    assert type(one) is np.ndarray
    (one,) = data.Batches([{"x": x[i], "y": (i, float(i))} for i in range(3)], 3)
    assert one["x"].tolist() == x.tolist()
    assert (one["x"].dtype, one["y"][0].dtype) == (np.float64, np.int64)
    assert one["y"][1].dtype == np.float32  # as tg.tensor has it of Python's numbers
    (one,) = data.Batches([tg.tensor(row) for row in x], 3)
    assert one.tolist() == x.tolist()
    (one,) = data.Batches(range(3), 3, collate=list)
    assert one == [0, 1, 2]


NO_BATCHES = [
    (lambda: data.Batches([], 2), ShapeError, "examples is empty, expected at least one."),
    (lambda: data.Batches((), 2), ShapeError, "examples is empty, expected at least one."),
    (lambda: data.Batches({}, 2), ShapeError, "examples is empty, expected at least one."),
    (lambda: data.Batches(np.zeros((0, 3)), 2), ShapeError, "examples is empty, expected at"),
    (lambda: data.Batches((np.zeros(3), [1, 2]), 2), ShapeError,
     "examples[0] has 3, examples[1] has 2; expected as many in each."),
    (lambda: data.Batches({"x": [1], "y": []}, 2), ShapeError,
     "examples['x'] has 1, examples['y'] has 0; expected as many in each."),
    (lambda: data.Batches("text", 2), ArgumentError, "examples is 'text', expected an array, or"),
    (lambda: data.Batches(np.array(3), 2), ArgumentError, "examples is array(3), expected an arr"),
    (lambda: data.Batches(iter([1]), 2), ArgumentError, "examples is <list_itera"),
    (lambda: data.Batches({1, 2}, 2), ArgumentError, "examples is {1, 2}, expected an array, or"),
    (lambda: data.Batches(None, 2), ArgumentError, "examples is None, expected an array, or"),
    (lambda: data.Batches((None, [1]), 2), ArgumentError, "examples[0] is None, expected an arr"),
    (lambda: data.Batches([1]), ArgumentError, "expected batch_size, or max_tokens in its place."),
    (lambda: data.Batches([1], 0), ShapeError, "batch_size is 0, expected a whole number from 1"),
    (lambda: data.Batches([1], -3), ShapeError, "batch_size is -3, expected a whole number from"),
    (lambda: data.Batches([1], 2.5), ArgumentError, "batch_size is 2.5, expected a whole number"),
    (lambda: data.Batches([1], 1, shuffle="no"), ArgumentError, "shuffle is 'no', expected True"),
    (lambda: data.Batches([1], 1, drop_last=1), ArgumentError, "drop_last is 1, expected True or"),
    (lambda: data.Batches([1], True), ArgumentError, "batch_size is True, expected a whole num"),
    (lambda: data.Batches([1], 1, seed=-1), ArgumentError, "seed is -1, expected a whole number"),
    (lambda: data.Batches([1], 1, seed=2**128), ArgumentError, "seed is 3402823669209384634633"),
    (lambda: data.Batches([1], 1, pool=0), ShapeError, "pool is 0, expected a whole number from"),
    (lambda: data.Batches([1], 1, collate=3), ArgumentError, "collate is 3, expected a function."),
    (lambda: data.Batches([1, 2], 3, drop_last=True), ShapeError,
     "batch_size is 3, but there are 2 examples, and drop_last leaves out the only batch."),
    (lambda: data.Batches([1], max_tokens=3), ArgumentError, "max_tokens needs lengths= of the"),
    (lambda: data.Batches([1], max_tokens=0, lengths=[1]), ShapeError, "max_tokens is 0, expec"),
    (lambda: data.Batches([1], max_tokens=3, lengths=[1], drop_last=True), ArgumentError,
     "drop_last leaves out the batch that is not full, but by max_tokens any may not be."),
    (lambda: data.Batches([1, 2], max_tokens=3, lengths=[3, 4]), ShapeError,
     "max_tokens is 3, but example 1 alone has 4."),
    (lambda: data.Batches([1, 2], 2, lengths=[3, np.nan]), IndexRangeError,
     "lengths[1] is nan, expected a whole number from 0 up."),
    (lambda: data.Batches([1, 2], 2, lengths=[-3, 1]), IndexRangeError, "lengths[0] is -3, expec"),
    (lambda: data.Batches([1, 2], 2, lengths=[1, 1.5]), IndexRangeError, "lengths[1] is 1.5, exp"),
    (lambda: data.Batches([1, 2], 2, lengths=[1, np.inf]), IndexRangeError, "lengths[1] is inf,"),
    (lambda: data.Batches([1, 2], 2, lengths=[1]), ShapeError,
     "lengths is [1], expected 2 whole numbers, one for each example."),
    (lambda: data.Batches([1, 2], 2, lengths=["a", "b"]), ShapeError, "lengths is ['a', 'b'], ex"),
    (lambda: data.Batches([1, 2], 2, lengths=[[1], [2, 3]]), ShapeError, "lengths is [[1], [2,"),
    (lambda: data.Batches([1, 2], 2, lengths=5), ShapeError, "lengths is 5, expected 2 whole"),
    (lambda: data.Batches(([[1], [2]], [1, 2]), 2, lengths=len), ArgumentError,
     "lengths is len, which counts the fields of an example; expected a function of all of"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "error", "message"), NO_BATCHES)
def test_what_batches_refuse(make, error, message):
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value).startswith(f"Batches: {message}")


def test_one_example_and_a_batch_larger_than_all():
    assert taken(data.Batches(np.arange(1), 1, shuffle=True)) == [[0]]
    assert taken(data.Batches(np.arange(3), 2**70)) == [[0, 1, 2]]
    lengths = [0, 0, 0]
    assert taken(data.Batches(np.arange(3), max_tokens=2, lengths=lengths)) == [[0, 1], [2]]
