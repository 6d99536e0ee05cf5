"""Losses of numbers against numbers: definitions, gradients, and what a mask leaves out."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.losses import definitions as by_hand
from tinygrad_rnn import losses
from tinygrad_rnn.errors import ArgumentError, DTypeError, ShapeError
from tinygrad_rnn.testing import assert_equivalent, check_gradients
from tinygrad_rnn.testing import strategies as gs

LOSSES = {
    "mse": (losses.mse, by_hand.mse),
    "l1": (losses.l1, by_hand.l1),
    "huber": (
        lambda x, y, **how: losses.huber(x, y, delta=0.5, **how),
        lambda x, y: by_hand.huber(x, y, 0.5),
    ),
    "bce_with_logits": (
        lambda x, y, **how: losses.bce_with_logits(x, y, pos_weight=2.5, **how),
        lambda x, y: by_hand.bce(x, y, 2.5),
    ),
}
REDUCED = {"none": lambda v: v, "sum": np.sum, "mean": np.mean}


def draw(seed=0, shape=(3, 4)):
    rng = np.random.default_rng(seed)
    return 2 * rng.standard_normal(shape), rng.random(shape)


@pytest.mark.parametrize("reduction", REDUCED)
@pytest.mark.parametrize("name", LOSSES)
def test_values_are_the_definition(name, reduction):
    ours, hand = LOSSES[name]
    x, y = draw()
    got = ours(x, y, reduction=reduction).numpy()
    np.testing.assert_allclose(got, REDUCED[reduction](hand(x, y)), rtol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
@check_gradients(x=gs.arrays((2, 3), low=-3, high=3), y=gs.arrays((2, 3), low=0, high=1))
def test_gradients_go_to_both_sides(name, x, y):
    x = x + 0.013  # off the kinks, which are where both are equal
    return LOSSES[name][0](x, y * 0.997)


@pytest.mark.parametrize("name", LOSSES)
def test_what_is_masked_has_no_part_whatever_it_holds(name):
    ours, _ = LOSSES[name]
    (x, y), mask = draw(), np.array([True, False, True])
    broken = x.copy()
    broken[1] = [np.nan, np.inf, -np.inf, 1e300]
    for reduction in ("sum", "mean"):
        assert_equivalent(
            lambda a, how=reduction: ours(
                np.where(mask[:, None], 0, broken) + a, y, mask=mask, reduction=how
            ),
            lambda a, how=reduction: ours(a[mask], y[mask], reduction=how),
            x,
        )
    none = ours(broken, y, mask=mask, reduction="none").numpy()
    np.testing.assert_array_equal(none[1], 0)
    np.testing.assert_array_equal(none[mask], ours(x[mask], y[mask], reduction="none").numpy())


def test_large_scores_do_not_overflow():
    s, y = np.array([900.0, -900.0, 900.0, -900.0]), np.array([1.0, 0.0, 0.0, 1.0])
    found = losses.bce_with_logits(s, y, reduction="none").numpy()
    np.testing.assert_array_equal(found, [0, 0, 900, 900])


@pytest.mark.parametrize("weight", [None, 2.0])
def test_a_loss_of_nearly_nothing_keeps_its_digits(weight):
    s, y = tg.tensor(np.float32([40, -20, 20, -40]), requires_grad=True), np.float32([1, 0, 1, 0])
    found = losses.bce_with_logits(s, y, pos_weight=weight, reduction="none")
    factors = np.where(y, weight or 1.0, 1.0)
    small = factors * np.exp(-abs(s.numpy().astype("d")))  # log(1 + e) and e / (1 + e) are about e
    np.testing.assert_allclose(found.numpy(), small, rtol=1e-6)
    found.sum().backward()
    np.testing.assert_allclose(s.grad.numpy(), np.where(y, -small, small), rtol=1e-6)


def test_options_given_as_python_numbers_keep_their_digits():
    x, y = draw()
    weights = [0.1, 0.2, 0.3, 0.4]
    for given, option in (0.1, np.float64(0.1)), (weights, np.array(weights)):
        a, b = (losses.bce_with_logits(x, y, pos_weight=w).item() for w in (given, option))
        assert a == b
    a, b = (losses.cross_entropy(x, [0, 1, 2], weights=w).item() for w in (given, option))
    assert a == b
    a, b = (losses.reinforce(x[0], w, 0.1).item() for w in (given, option))
    assert a == b == pytest.approx(-(np.array(weights) - 0.1) @ x[0] / 4, rel=1e-12)


def test_wrong_arguments_are_named():
    x, y = draw()
    with pytest.raises(ShapeError, match=r"mse: x has shape \(3, 4\), targets \(4,\).*nothing is"):
        losses.mse(x, y[0])
    with pytest.raises(ArgumentError, match=r"l1: reduction is 'avg', expected one of \('none',"):
        losses.l1(x, y, reduction="avg")
    with pytest.raises(ArgumentError, match=r"huber: delta is 0, expected a number above 0"):
        losses.huber(x, y, delta=0)
    with pytest.raises(ArgumentError, match=r"bce_with_logits: the targets hold -1.0, expected 0"):
        losses.bce_with_logits(x, 0 * y - 1)
    with pytest.raises(ShapeError, match=r"pos_weight has shape \(2, 3, 4\), expected one that"):
        losses.bce_with_logits(x, y, pos_weight=np.ones((2, 3, 4)))
    with pytest.raises(DTypeError, match=r"mse: the mask holds int64, expected booleans"):
        losses.mse(x, y, mask=[1, 0, 1])
    with pytest.raises(ShapeError, match=r"mse: the mask has shape \(4,\), expected \(3, 4\) or"):
        losses.mse(x, y, mask=np.ones(4, bool))
    with pytest.raises(DTypeError, match="expected one type"):
        losses.mse(x, y.astype(np.float32))


def test_a_mean_over_nothing_is_an_error_and_a_sum_is_0():
    x, y = draw()
    with pytest.raises(ArgumentError, match=r"mse: all 12 losses are masked, so there is nothing"):
        losses.mse(x, y, mask=np.zeros(3, bool))
    with pytest.raises(ArgumentError, match=r"l1: there are no losses, so there is nothing"):
        losses.l1(x[:0], y[:0])
    assert losses.mse(x, y, mask=np.zeros(3, bool), reduction="sum").item() == 0


@pytest.mark.parametrize("kind", ["int64", "bool"])
def test_targets_of_two_classes_may_be_whole_numbers(kind):
    scores, y = np.array([1.5, -2.0]), np.array([1, 0])
    found = losses.bce_with_logits(tg.tensor(scores), y.astype(kind))
    assert found.dtype == "float64"
    assert found.item() == losses.bce_with_logits(tg.tensor(scores), y.astype("float64")).item()
