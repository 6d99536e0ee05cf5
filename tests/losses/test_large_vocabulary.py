"""Losses that look at few classes: probabilities that sum to 1, and the softmax as the limit."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import losses, ops
from tinygrad_rnn.errors import ArgumentError, IndexRangeError, ShapeError
from tinygrad_rnn.testing import assert_gradients

D, V = 3, 11
COUNTS = np.array([30, 17, 9, 9, 5, 3, 2, 2, 1, 1, 0])
MAKE = {
    "adaptive": lambda: losses.AdaptiveSoftmax(D, V, [2, 5], head_bias=True),
    "huffman": lambda: losses.HierarchicalSoftmax(D, COUNTS),
    "even tree": lambda: losses.HierarchicalSoftmax(D, V),
    "sampled": lambda: losses.SampledSoftmax(D, V, 6),
    "nce": lambda: losses.NCE(D, V, 6, losses.UnigramSampler(COUNTS + 1)),
    "negative": lambda: losses.NegativeSampling(D, V, 6, bias=False),
}
EXACT = ["adaptive", "huffman", "even tree"]


def make(name):
    tg.seed(3)
    layer = MAKE[name]().astype(np.float64)
    for parameter in layer.parameters():  # biases too, away from 0
        parameter.assign_(np.random.default_rng(1).standard_normal(parameter.shape))
    return layer


def draw(count=8, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, D)), rng.integers(0, V, count)


@pytest.mark.parametrize("name", MAKE)
def test_probabilities_sum_to_1(name):
    h, _ = draw()
    log_p = make(name).log_prob(h.reshape(2, 4, D)).numpy()
    assert log_p.shape == (2, 4, V)
    np.testing.assert_allclose(np.exp(log_p).sum(-1), 1, rtol=1e-12)


@pytest.mark.parametrize("name", MAKE)
def test_a_gpu_gives_the_same(name, on_gpu):
    found = []
    for device in ("cpu", "gpu"):
        layer, (h, y) = make(name).to(device), draw(12)
        y[3] = -100  # does not count
        h = tg.tensor(h, device=device, requires_grad=True)
        tg.seed(5)
        loss = layer(h, y)
        loss.backward()
        found.append([loss, layer.log_prob(h), h.grad, *(w.grad for w in layer.parameters())])
        assert {x.device for x in found[-1] if x is not None} == {loss.device}
    for here, there in zip(*found, strict=True):
        if here is not None:
            np.testing.assert_allclose(there.numpy(), here.numpy(), rtol=0, atol=1e-12)
    assert there.device == "gpu:0"


@pytest.mark.parametrize("name", EXACT)
def test_the_loss_is_that_of_the_probabilities(name):
    layer, (h, y) = make(name), draw(40)
    log_p = layer.log_prob(h).numpy()
    rows = -log_p[np.arange(40), y]
    np.testing.assert_allclose(layer(h, y, reduction="none").numpy(), rows, rtol=1e-12)
    np.testing.assert_allclose(layer(h, y, reduction="sum").item(), rows.sum(), rtol=1e-12)
    np.testing.assert_allclose(layer(h, y).item(), rows.mean(), rtol=1e-12)
    np.testing.assert_array_equal(layer.predict(h), log_p.argmax(-1))


@pytest.mark.parametrize("name", MAKE)
def test_gradients_are_right(name):
    layer, (h, y) = make(name), draw(4)

    def loss(x):
        tg.seed(7)  # the same draws every time
        return layer(x, y, reduction="none")

    assert_gradients(loss, h)
    leaf = tg.tensor(h)
    for parameter in layer.parameters():
        before, parameter.grad = parameter.numpy().copy(), None
        loss(leaf).sum().backward()
        found, along = (
            parameter.grad.numpy(),
            np.random.default_rng(2).standard_normal(before.shape),
        )
        sides = []
        for step in (1e-6, -1e-6):
            parameter.assign_(before + step * along)
            sides.append(loss(leaf).sum().item())
        parameter.assign_(before)
        np.testing.assert_allclose((found * along).sum(), (sides[0] - sides[1]) / 2e-6, rtol=1e-6)


@pytest.mark.parametrize("name", MAKE)
def test_rows_that_do_not_count_have_no_part(name):
    layer, (h, y) = make(name), draw()
    broken, mask = h.copy(), np.arange(8) % 3 > 0
    broken[~mask] = np.nan
    found = []
    for x, targets, how in ((broken, y, {"mask": mask}), (broken, np.where(mask, y, -100), {}),
                            (h[mask], y[mask], {})):  # fmt: skip
        tg.seed(5)
        found.append(layer(x, targets, **how).item())
        tg.seed(5)
        rows = layer(x, targets, reduction="none", **how).numpy()
        assert np.isfinite(rows).all()
    assert found[0] == found[1] == found[2]
    with pytest.raises(ArgumentError, match=r"all 8 targets are ignored"):
        layer(h, y * 0 - 100)
    with pytest.raises(IndexRangeError, match=r"class 11 among 8 targets, expected 0 to 10"):
        layer(h, y * 0 + V)
    with pytest.raises(ShapeError, match=r"h has shape \(8, 2\), expected \(..., 3\)"):
        layer(h[:, :2], y)


# ----- trees and samplers -----


def test_ways_to_frequent_classes_are_short():
    layer = losses.HierarchicalSoftmax(D, COUNTS)
    lengths = (layer.signs != 0).sum(1)
    rarer = COUNTS[:, None] > COUNTS
    assert (lengths[:, None] <= lengths)[rarer].all()
    # Huffman's trees are the best there are; each join makes the ways below longer by one.
    left, joined = sorted(COUNTS), []
    while len(left) > 1:
        joined.append(left[0] + left[1])
        left = sorted([*left[2:], joined[-1]])
    assert (COUNTS * lengths).sum() == sum(joined)
    assert (2.0**-lengths).sum() == 1
    assert set((losses.HierarchicalSoftmax(D, V).signs != 0).sum(1)) == {3, 4}


@pytest.mark.parametrize(
    "sampler",
    [losses.LogUniformSampler(V), losses.UnigramSampler(COUNTS), losses.UnigramSampler(COUNTS, 0)],
)
def test_classes_are_drawn_as_often_as_the_sampler_says(sampler):
    tg.seed(0)
    q, count = np.exp(sampler.log_q), 40_000
    np.testing.assert_allclose(q.sum(), 1)
    found = np.bincount(sampler.sample(count), minlength=V)
    assert (np.abs(found - count * q) <= 5 * np.sqrt(count * q)).all()


def test_the_distributions_are_those_of_their_equations():
    ranks = np.arange(V)
    zipf = np.log((ranks + 2) / (ranks + 1)) / np.log(V + 1)
    np.testing.assert_allclose(np.exp(losses.LogUniformSampler(V).log_q), zipf)
    counts = COUNTS**0.75
    np.testing.assert_allclose(
        np.exp(losses.UnigramSampler(COUNTS).log_q), counts / counts.sum(), atol=1e-300
    )


# ----- what sampled losses estimate -----


def test_a_sampled_softmax_of_every_class_as_often_as_expected_is_the_softmax():
    counts = np.arange(1, V + 1)
    sampler = losses.UnigramSampler(counts, power=1)
    sampler.sample = lambda count: np.repeat(np.arange(V), counts)
    layer = losses.SampledSoftmax(D, V, counts.sum(), sampler).astype(np.float64)
    h, y = draw()
    full = losses.cross_entropy(layer.scores(h), y).item()
    assert layer(h, y).item() == pytest.approx(full, rel=1e-12)


def test_nce_is_least_where_scores_are_log_probabilities():
    """Its expectation over targets and draws, whose slope by the scores has to be 0 there."""
    tg.seed(0)
    p = np.random.default_rng(0).dirichlet(np.ones(V))
    layer = losses.NCE(1, V, 5, losses.UnigramSampler(COUNTS + 1)).astype(np.float64)
    layer.weight.assign_(np.zeros((V, 1)))
    layer.bias.assign_(np.log(p))
    k_q = 5 * np.exp(layer.sampler.log_q)
    s = tg.tensor(np.log(p), requires_grad=True)
    ratio = s - np.log(k_q)
    expected = (ops.softplus(-ratio) * p).sum() + (ops.softplus(ratio) * k_q).sum()
    expected.backward()
    np.testing.assert_allclose(s.grad.numpy(), 0, atol=1e-12)
    count = 4000
    y = np.random.default_rng(1).choice(V, count, p=p)
    parts = [layer(np.zeros((count, 1)), y).item() for _ in range(400)]
    assert abs(np.mean(parts) - expected.item()) < 5 * np.std(parts) / np.sqrt(400)


def test_negative_sampling_is_its_equation():
    layer, (h, y) = make("negative"), draw()
    tg.seed(9)
    drawn = layer.sampler.sample(6)
    tg.seed(9)
    found = layer(h, y, reduction="none").numpy()
    s = h @ layer.weight.numpy().T
    for n in range(8):
        wrong = [s[n, c] for c in drawn if c != y[n]]
        want = np.log1p(np.exp(-s[n, y[n]])) + sum(np.log1p(np.exp(z)) for z in wrong)
        np.testing.assert_allclose(found[n], want, rtol=1e-12)


def test_equal_seeds_draw_equal_classes():
    layer, (h, y) = make("sampled"), draw()
    tg.seed(1)
    first, second = layer(h, y).item(), layer(h, y).item()
    tg.seed(1)
    assert (layer(h, y).item(), layer(h, y).item()) == (first, second)
    assert first != second


# ----- wrong arguments -----


def test_wrong_arguments_are_named():
    with pytest.raises(ArgumentError, match=r"cutoffs are \(5, 2\), expected ascending numbers fr"):
        losses.AdaptiveSoftmax(D, V, [5, 2])
    with pytest.raises(ArgumentError, match=r"cutoffs are \(11,\), expected ascending numbers fro"):
        losses.AdaptiveSoftmax(D, V, [V])
    with pytest.raises(ArgumentError, match=r"div_value is 0, expected a number above 0"):
        losses.AdaptiveSoftmax(D, V, [2], div_value=0)
    with pytest.raises(ArgumentError, match=r"counts is \[3\], expected how often each"):
        losses.HierarchicalSoftmax(D, [3])
    with pytest.raises(ArgumentError, match=r"NCE: the sampler draws from 4 classes, expected 11"):
        losses.NCE(D, V, 5, losses.LogUniformSampler(4))
    with pytest.raises(ArgumentError, match=r"UnigramSampler: counts is array.*, expected"):
        losses.UnigramSampler([0, 0])
    with pytest.raises(ShapeError, match=r"SampledSoftmax: samples is 0, expected a whole number"):
        losses.SampledSoftmax(D, V, 0)
