"""An axis that does not exist is named, with the operation and what it could be."""

import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import ops
from tinygrad_rnn.errors import ShapeError

AXIS_TAKERS = [
    ops.softmax, ops.log_softmax, ops.logsumexp, ops.sum, ops.mean, ops.var, ops.max, ops.min,
    ops.prod, ops.cumsum, ops.norm, ops.flip, ops.unbind, ops.squeeze,
]  # fmt: skip


@pytest.mark.parametrize("function", AXIS_TAKERS, ids=lambda f: f.__name__)
def test_an_axis_that_does_not_exist(function):
    with pytest.raises(ShapeError, match=rf"^{function.__name__}: axis 5 of a tensor with 2 axes"):
        function(tg.ones(2, 3), axis=5)


def test_an_axis_given_twice():
    with pytest.raises(ShapeError, match=r"^sum: axes \(1, -1\) name one axis twice\.$"):
        tg.ones(2, 3).sum(axis=(1, -1))


def test_an_axis_of_a_number():
    with pytest.raises(ShapeError, match=r"^softmax: axis 0 of a tensor without axes\.$"):
        ops.softmax(tg.tensor(1.0), axis=0)


def test_topk_orders_what_cannot_be_negated():
    values, places = ops.topk(tg.tensor([0, 1, 2], dtype="uint8"), 3)
    assert values.tolist() == [2, 1, 0]
    assert places.tolist() == [2, 1, 0]
    values, places = ops.topk(tg.tensor([3.0, float("nan"), 3.0]), 3)
    assert places.tolist() == [1, 0, 2]  # NaN first, as in sorting; then the first of equals


def test_a_choice_between_numbers_has_the_librarys_own_type():
    assert ops.where([True, False], 1.0, 0.0).dtype == tg.float32


def test_the_deviation_of_equal_numbers_has_a_subgradient_of_zero():
    x = tg.tensor([2.0, 2.0], requires_grad=True)
    x.std().backward()
    assert x.grad.tolist() == [0.0, 0.0]


def test_one_tensor_stands_for_a_list_of_one():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward(inputs=x)
    assert x.grad.tolist() == [2.0, 4.0]
    (rows,) = tg.per_sample_grads(x * x, x)
    assert rows.tolist() == [[2.0, 0.0], [0.0, 4.0]]
