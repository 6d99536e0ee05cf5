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
