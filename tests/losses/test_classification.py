"""Cross-entropy and its relatives: the definitions, the laws, and targets that cannot be."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.losses import definitions as by_hand
from tinygrad_rnn import losses, ops
from tinygrad_rnn.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from tinygrad_rnn.testing import assert_equivalent, assert_gradients, check_gradients, laws
from tinygrad_rnn.testing import strategies as gs

V = 4
REDUCTIONS = ["none", "sum", "mean"]
WEIGHTS = np.array([0.5, 2.0, 0.0, 1.0])


def one_hot(y):
    return (y[..., None] == np.arange(V)).astype(float)


def draw(shape=(3, 2), seed=0):
    rng = np.random.default_rng(seed)
    return 2 * rng.standard_normal((*shape, V)), rng.integers(0, V, shape)


def softmax(x):
    return np.exp(by_hand.log_softmax(x))


# ----- values and gradients -----


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_cross_entropy_is_the_definition(weights, smoothing):
    s, y = draw()
    how = {"weights": weights, "label_smoothing": smoothing}
    w = 1.0 if weights is None else weights
    rows = by_hand.soft_cross_entropy(s, one_hot(y), w, smoothing)
    part = np.ones(V)[y] if weights is None else weights[y]
    expected = {"none": rows, "sum": rows.sum(), "mean": rows.sum() / part.sum()}
    for reduction, value in expected.items():
        got = losses.cross_entropy(s, y, reduction=reduction, **how)
        np.testing.assert_allclose(got.numpy(), value, rtol=1e-12)
    # Probabilities as targets: the mean is over rows, whatever their classes weigh.
    expected["mean"] = rows.mean()
    for reduction, value in expected.items():
        got = losses.cross_entropy(s, one_hot(y), reduction=reduction, **how)
        np.testing.assert_allclose(got.numpy(), value, rtol=1e-12)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@check_gradients(scores=gs.arrays((3, V)), order=2)
def test_cross_entropy_has_derivatives(reduction, scores):
    y = np.array([2, 0, -100])
    how = {"weights": WEIGHTS, "label_smoothing": 0.2, "reduction": reduction}
    return losses.cross_entropy(scores, y, **how)


@pytest.mark.parametrize("mask", [None, [True, False, True]])
@check_gradients(scores=gs.arrays((3, V)), q=gs.arrays((3, V), low=0, high=1), order=2)
def test_so_it_has_by_probabilities_that_are_targets(mask, scores, q):
    mask = None if mask is None else np.array(mask)
    return losses.cross_entropy(
        scores, q, weights=WEIGHTS, label_smoothing=0.1, mask=mask, reduction="sum"
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_nll_of_a_log_softmax_is_cross_entropy(reduction):
    s, y = draw()
    y[0, 0] = -100
    for extra in ({}, {"weights": WEIGHTS}, {"mask": y != 1}):
        how = {**extra, "reduction": reduction}
        assert_equivalent(
            lambda x, how=how: losses.nll(ops.log_softmax(x), y, **how),
            lambda x, how=how: losses.cross_entropy(x, y, **how),
            s,
        )


def test_divergence_is_the_definition_and_0_costs_nothing():
    (s, _), (t, _) = draw(), draw(seed=1)
    log_q, p = by_hand.log_softmax(s), softmax(t)
    p[0, 0] = [0, 1, 0, 0]
    rows = by_hand.kl(log_q, p)
    for reduction, value in {"none": rows, "sum": rows.sum(), "mean": rows.mean()}.items():
        got = losses.kl_divergence(log_q, p, reduction=reduction).numpy()
        np.testing.assert_allclose(got, value, rtol=1e-12)
    assert (rows >= 0).all()
    assert abs(losses.kl_divergence(np.log(p + (p == 0)), p).item()) < 1e-15
    assert_gradients(losses.kl_divergence, log_q, p * 0.9 + 0.025, order=2)


def test_float32_stays_and_scores_of_any_size_are_right():
    s = np.array([[1e4, 0, -1e4, 5]], np.float32)
    found = losses.cross_entropy(s, [1])
    assert found.dtype == np.float32
    assert found.item() == 1e4
    assert losses.cross_entropy(s, [0]).item() == 0


# ----- laws -----


@given(st.data())
def test_a_mean_is_that_of_its_parts(data):
    laws.loss_mean_of_parts(losses.cross_entropy, data.draw)


@given(st.data())
def test_rows_that_are_ignored_might_as_well_not_be_there(data):
    laws.label_ignore_index(losses.cross_entropy, data.draw)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_a_number_added_to_a_row_of_scores_changes_nothing(smoothing):
    s, y = draw((5,))
    assert_equivalent(
        lambda x: losses.cross_entropy(x + np.arange(5.0)[:, None], y, label_smoothing=smoothing),
        lambda x: losses.cross_entropy(x, y, label_smoothing=smoothing),
        s,
    )


@pytest.mark.parametrize("kind", ["classes", "smoothed", "probabilities", "nll", "divergence"])
def test_rows_that_are_masked_have_no_part_whatever_they_hold(kind):
    s, y = draw((5,))
    mask = np.array([True, False, True, True, False])
    broken = s.copy()
    broken[1], broken[4] = np.nan, [np.inf, 0, -np.inf, 1]
    if kind in ("classes", "smoothed", "nll"):
        targets = y
        targets[2] = -100  # ignored beside
    else:
        targets = softmax(s[::-1])
        targets[1] = np.nan
    function = {
        "nll": losses.nll, "divergence": losses.kl_divergence,
        "smoothed": partial(losses.cross_entropy, label_smoothing=0.3),
    }.get(kind, losses.cross_entropy)  # fmt: skip
    for reduction in ("sum", "mean"):
        x = tg.tensor(broken, requires_grad=True)
        value = function(x, targets, mask=mask, reduction=reduction)
        value.backward()
        kept = tg.tensor(s[mask], requires_grad=True)
        left = function(kept, targets[mask], reduction=reduction)
        left.backward()
        np.testing.assert_allclose(value.item(), left.item(), rtol=1e-14)
        np.testing.assert_allclose(x.grad.numpy()[mask], kept.grad.numpy(), rtol=1e-14)
        np.testing.assert_array_equal(x.grad.numpy()[~mask], 0)
    none = function(broken, targets, mask=mask, reduction="none").numpy()
    np.testing.assert_array_equal(none[~mask], 0)


def test_per_sample_gradients_are_those_of_rows():
    s, y = draw((5,))
    w = tg.tensor(np.eye(V), requires_grad=True)
    rows = losses.cross_entropy(tg.tensor(s) @ w, y, reduction="none")
    (found,) = tg.per_sample_grads(rows, [w])
    for n in range(5):
        losses.cross_entropy(tg.tensor(s[n : n + 1]) @ w, y[n : n + 1]).backward()
        np.testing.assert_allclose(found.numpy()[n], w.grad.numpy(), atol=1e-14)
        w.grad = None


# ----- wrong targets -----


def test_targets_that_cannot_be_are_named():
    s, y = draw((3,))
    with pytest.raises(IndexRangeError, match=r"class 4 among 3 targets, expected 0 to 3: there"):
        losses.cross_entropy(s, [0, 4, 1])
    with pytest.raises(IndexRangeError, match=r"nll: class -1 among 3 targets, expected 0 to 3"):
        losses.nll(s, [0, -1, 1])
    with pytest.raises(ShapeError, match=r"the targets have shape \(2,\), expected \(3,\), one fo"):
        losses.cross_entropy(s, y[:2])
    with pytest.raises(ShapeError, match=r"the targets hold float64 and have shape \(3,\), expect"):
        losses.cross_entropy(s, y.astype(float))
    with pytest.raises(DTypeError, match=r"nll: the targets hold float64, expected integers: the"):
        losses.nll(s, y.astype(float))
    with pytest.raises(DTypeError, match=r"the targets hold bool, expected integers"):
        losses.cross_entropy(s, y > 1)
    with pytest.raises(DTypeError, match=r"cross_entropy: scores holds int64, expected floating"):
        losses.cross_entropy(s.astype(int), y)
    with pytest.raises(
        ShapeError, match=r"scores has shape \(3, 0\), expected \(..., V\) with one"
    ):
        losses.cross_entropy(s[:, :0], y)
    with pytest.raises(ShapeError, match=r"kl_divergence: log_probs has shape \(3, 4\), targets"):
        losses.kl_divergence(s, s[0])
    with pytest.raises(DTypeError, match=r"kl_divergence: the targets hold int64, expected proba"):
        losses.kl_divergence(s, s.astype(int))


def test_who_has_the_classes_second_is_told_so():
    scores, y = np.zeros((2, V, 5)), np.zeros((2, 5), int)
    with pytest.raises(ShapeError, match=r"PyTorch has the classes in the second axis, this libr"):
        losses.cross_entropy(scores, y)
    losses.cross_entropy(scores.swapaxes(1, -1), y)


def test_who_gives_whole_vectors_is_told_to_make_probabilities_of_them():
    with pytest.raises(ShapeError, match=r"expected \(2,\).* are probabilities: \.astype\("):
        losses.cross_entropy(np.zeros((2, 3)), np.eye(3, dtype=int)[:2])


@pytest.mark.parametrize("function", [losses.cross_entropy, losses.nll])
def test_nothing_to_take_the_mean_of_is_an_error(function):
    s, y = draw((3,))
    with pytest.raises(ArgumentError, match=r"all 3 targets are ignored \(ignore_index is -100\)"):
        function(s, [-100] * 3)
    with pytest.raises(ArgumentError, match=r"all 3 targets are masked, so there is nothing"):
        function(s, y, mask=np.zeros(3, bool))
    with pytest.raises(ArgumentError, match=r"all 3 targets are of classes with the weight 0"):
        function(s, [2, 2, 2], weights=WEIGHTS)
    with pytest.raises(ArgumentError, match=r"there are no losses, so there is nothing"):
        function(s[:0], y[:0])
    assert function(s, [-100] * 3, reduction="sum").item() == 0
    np.testing.assert_array_equal(function(s, [-100] * 3, reduction="none").numpy(), [0, 0, 0])


def test_wrong_weights_and_shares_are_named():
    s, y = draw((3,))
    with pytest.raises(ShapeError, match=r"weights has shape \(3,\), expected \(4,\), one for eac"):
        losses.cross_entropy(s, y, weights=[1, 1, 1])
    with pytest.raises(ArgumentError, match=r"weights hold -1, expected numbers from 0 up"):
        losses.cross_entropy(s, y, weights=[1, 1, -1, 1])
    with pytest.raises(ArgumentError, match=r"label_smoothing is 1.5, expected a number"):
        losses.cross_entropy(s, y, label_smoothing=1.5)
    with pytest.raises(ArgumentError, match=r"reduction is None, expected one of"):
        losses.cross_entropy(s, y, reduction=None)
