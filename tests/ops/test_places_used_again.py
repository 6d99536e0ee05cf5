"""What an operation was given to choose places by may be used again before the way back."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import losses, nn, ops
from tinygrad_rnn.errors import GradientError

IDS, OTHERS = np.array([[0, 1], [2, 0]]), np.array([[2, 2], [1, 1]])
MASK = np.array([[True, False], [True, True]])

CASES = {
    "x[ids]": (IDS, lambda x, ids: x[ids]),
    "x[:, ids]": (IDS, lambda x, ids: x[:, ids]),
    "x[mask]": (np.array([True, False, True]), lambda x, mask: x[mask]),
    "embedding": (IDS, lambda x, ids: ops.embedding(x, ids)),
    "gather": (IDS, lambda x, ids: x.gather(0, ids)),
    "take_along_axis": (IDS, lambda x, ids: x[:2].take_along_axis(ids, axis=1)),
    "index_update": (np.array([0, 2]), lambda x, ids: ops.index_update(x, ids, 1.0)),
    "index_add": (np.array([0, 2]), lambda x, ids: ops.index_add(x * 2, ids, x[:2])),
    "scatter_add": (IDS, lambda x, ids: (x[:2] * 2).scatter_add(1, ids, x[1:, :2])),
    "masked_fill": (MASK, lambda x, mask: x[:2, :2].masked_fill(mask, 1.0)),
    "mse": (MASK, lambda x, mask: losses.mse(x[:2, :2], np.ones((2, 2)), mask=mask)),
    "huber": (MASK, lambda x, mask: losses.huber(x[:2, :2], np.zeros((2, 2)), mask=mask)),
    "additive attention": (
        MASK,
        lambda x, mask: nn.Attention("additive", 3, 3, 3).astype(np.float64)(
            ops.stack([x[:1], x[1:2]]), ops.stack([x[:2], x[1:]]), mask=mask
        )[0],
    ),
}


@pytest.mark.parametrize("kind", [tg.tensor, np.copy])
@pytest.mark.parametrize("case", CASES)
def test_indices_and_masks_may_be_used_again(case, kind):
    given, function = CASES[case]

    def gradient(change):
        tg.seed(0)
        x = tg.tensor(np.arange(9.0).reshape(3, 3) / 7, requires_grad=True, dtype=np.float64)
        places = kind(given)
        goal = ops.square(function(x, places)).sum()
        if change:
            new = ~given if given.dtype == bool else (given + 1) % 3
            places.assign_(new) if kind is tg.tensor else places.__setitem__(..., new)
        goal.backward()
        return x.grad.numpy()

    np.testing.assert_array_equal(gradient(True), gradient(False))


def test_a_condition_may_be_used_again_or_says_that_it_was():
    x = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    condition = np.array([True, True, False])
    y = ops.where(condition, x, 0.0)
    condition[:] = False
    y.sum().backward()
    assert x.grad.tolist() == [1, 1, 0]
    condition = tg.tensor([True, True, False])
    y = ops.where(condition, x, 0.0)
    condition.assign_(np.zeros(3, bool))
    with pytest.raises(GradientError, match="has been changed since"):
        y.sum().backward()
