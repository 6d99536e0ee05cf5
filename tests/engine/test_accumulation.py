"""Gradients that meet add up, whatever their shape, and nobody else's array is written."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn


@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
@pytest.mark.parametrize("uses", [1, 2, 3, 5])
def test_a_result_used_several_times_gets_every_gradient(shape, uses):
    x = tg.tensor(np.full(shape, 0.5), requires_grad=True)
    y = x * 3.0
    total = y * 2.0
    for _ in range(uses - 1):
        total = total + y * 2.0
    (g,) = tg.grad(total, x, np.ones(shape), retain_graph=True)
    np.testing.assert_array_equal(g.numpy(), np.full(shape, 6.0 * uses))
    total.backward(np.ones(shape))
    np.testing.assert_array_equal(x.grad.numpy(), np.full(shape, 6.0 * uses))


def test_gradients_are_arrays_of_their_own():
    """One that became somebody's .grad would otherwise grow together with another's."""
    a, b = (tg.tensor(np.ones(2), requires_grad=True) for _ in range(2))
    c = a + b
    w = tg.tensor(np.ones(2))
    found = tg.grad(c + b, [a, b, b, c], w, retain_graph=True)
    arrays = [g._data for g in found] + [w._data]
    for i, array in enumerate(arrays):
        assert not any(np.shares_memory(array, other) for other in arrays[i + 1 :])
    a.grad, b.grad = tg.grad(c, [a, b], w, retain_graph=True)
    (a * 10.0).backward(w)
    assert a.grad.tolist() == [11, 11]
    assert b.grad.tolist() == [1, 1]


# ----- parts that are added without being there by themselves -----

rng = np.random.default_rng(0)
IDS = np.array([2, 0, 2])
PARTS = {
    "matmul": lambda w, t: tg.tensor(rng.standard_normal((4, 3))) @ w,
    "matmul of stacks": lambda w, t: (
        tg.tensor(rng.standard_normal((2, 4, 3))) @ w.reshape(1, 3, 5).broadcast_to(2, 3, 5)
    ),
    "linear": lambda w, t: tg.ops.linear(rng.standard_normal((4, 3)), w, np.ones(5)),
    "rows": lambda w, t: tg.ops.embedding(w, (IDS + t) % 3),
    "slices": lambda w, t: w[t],
    "recurrence": lambda w, t: recurrence(w),
    "additive scores": lambda w, t: tg.ops.additive_scores(
        rng.standard_normal((1, 2, 5)), w.unsqueeze(0), np.ones(5)
    ),
}


def recurrence(w):
    """A step of a plain network that has the weight for its input's, and others of its own."""
    cell = nn.RNNCell(3, 5).astype(np.float64)
    cell.w_x = w
    return cell(tg.tensor(rng.standard_normal((4, 3))))


@pytest.mark.parametrize("begin", ["nothing", "a view", "the seed"])
@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_a_weight_that_every_step_uses_gets_the_sum(part, begin):
    w = nn.Parameter(rng.standard_normal((3, 5)))
    outs = [part(w, t) for t in (0, 1, 2)]
    seeds = [tg.tensor(rng.standard_normal(out.shape)) for out in outs]
    if begin != "nothing":  # the last one that is recorded is the first to come back
        outs.append(w.sum() if begin == "a view" else w + 0.0)
        seeds.append(tg.tensor(rng.standard_normal(outs[-1].shape)))
    kept = [seed.numpy().copy() for seed in seeds]
    pairs = zip(outs, seeds, strict=True)
    alone = [tg.grad(out, w, seed, retain_graph=True)[0].numpy() for out, seed in pairs]
    for _ in range(2):
        (found,) = tg.grad(outs, w, seeds, retain_graph=True)
        np.testing.assert_allclose(found.numpy(), sum(alone), rtol=1e-12, atol=1e-14)
    with tg.debug():
        (found,) = tg.grad(outs, w, seeds, create_graph=True)
    np.testing.assert_allclose(found.numpy(), sum(alone), rtol=1e-12, atol=1e-14)
    for seed, before in zip(seeds, kept, strict=True):
        np.testing.assert_array_equal(seed.numpy(), before)
