"""REINFORCE: the gradient of the expected reward on average, with any baseline."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import losses, ops
from tinygrad_rnn.errors import ArgumentError, ShapeError
from tinygrad_rnn.testing import assert_gradients


def test_it_is_its_equation_and_rewards_are_constants():
    log_p, r, b = (np.random.default_rng(n).standard_normal((3, 2)) for n in range(3))
    mask = np.array([[True, True], [True, False], [False, False]])
    rows = -(r - b) * log_p
    np.testing.assert_array_equal(losses.reinforce(log_p, r, b, reduction="none").numpy(), rows)
    np.testing.assert_allclose(losses.reinforce(log_p, r[:, 0], 0.5).item(),
                               (-(r[:, :1] - 0.5) * log_p).mean(), rtol=1e-12)  # fmt: skip
    log_p[~mask] = r[~mask] = np.nan
    found = losses.reinforce(log_p, r, b, mask=mask)
    np.testing.assert_allclose(found.item(), rows[mask].mean(), rtol=1e-12)
    assert_gradients(lambda x: losses.reinforce(x, r, b, mask=mask), np.where(mask, log_p, 0))
    reward = tg.tensor([1.0, 2.0], requires_grad=True)
    x = tg.tensor([-1.0, -2.0], requires_grad=True)
    losses.reinforce(x, reward).backward()
    assert reward.grad is None


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float32"])
def test_rewards_and_a_baseline_may_be_numbers_of_any_type(dtype):
    log_p, r = np.array([-1.0, -2.0, -3.0]), np.array([0, 1, 1])
    rows = losses.reinforce(log_p, r.astype(dtype), np.ones(3, dtype), reduction="none")
    np.testing.assert_array_equal(rows.numpy(), (1 - r) * log_p)


@pytest.mark.parametrize("baseline", [0.0, 1.7])
def test_summed_over_all_draws_it_is_the_gradient_of_the_expected_reward(baseline):
    scores = tg.tensor(np.random.default_rng(0).standard_normal(5), requires_grad=True)
    rewards = np.random.default_rng(1).standard_normal(5)
    p = ops.softmax(scores)
    (wanted,) = tg.grad((p * rewards).sum(), [scores])
    log_p = ops.log_softmax(scores)
    rows = losses.reinforce(log_p, rewards, baseline, reduction="none")
    (found,) = tg.grad((rows * p.numpy()).sum(), [scores])
    np.testing.assert_allclose(found.numpy(), -wanted.numpy(), atol=1e-14)


def test_a_baseline_follows_the_mean_and_never_knows_the_present():
    baseline = losses.MovingBaseline(0.75)
    assert baseline([4.0, 6.0]) == 0  # nothing is known yet
    assert baseline([5.0]) == 5
    assert baseline([9.0]) == 5
    np.testing.assert_allclose(baseline([0.0]), (5 * 0.75**2 + 5 * 0.75 + 9) / (0.75**2 + 1.75))
    baseline.eval()
    before = baseline([100.0])
    assert baseline([100.0]) == before
    other = losses.MovingBaseline(0.75).eval()
    other.load_state_dict(baseline.state_dict())
    assert other([0.0]) == before


def test_a_baseline_makes_the_gradient_vary_less():
    tg.seed(0)
    rng = np.random.default_rng(0)
    scores = tg.tensor(np.zeros(4), requires_grad=True)
    rewards, spread = np.array([10.0, 10.5, 9.5, 10.2]), []
    for baseline in (lambda r: 0.0, losses.MovingBaseline()):
        found = []
        for _ in range(200):
            a = rng.integers(0, 4)
            b = baseline(rewards[a])
            loss = losses.reinforce(ops.log_softmax(scores)[a], rewards[a], b)
            found.append(tg.grad(loss, [scores])[0].numpy())
        spread.append(np.var(found[20:]))
    assert spread[1] < 0.05 * spread[0]


def test_wrong_arguments_are_named():
    with pytest.raises(ShapeError, match=r"rewards has shape \(2,\), expected \(3, 2\) as log_pr"):
        losses.reinforce(np.zeros((3, 2)), np.zeros(2))
    with pytest.raises(ArgumentError, match=r"decay is 1, expected a number from 0 to below 1"):
        losses.MovingBaseline(1)
    with pytest.raises(ArgumentError, match=r"there are no rewards, expected one or more"):
        losses.MovingBaseline()([])
    with pytest.raises(ArgumentError, match=r"reinforce: all 6 losses are masked"):
        losses.reinforce(np.zeros((3, 2)), 1.0, mask=np.zeros((3, 2), bool))
