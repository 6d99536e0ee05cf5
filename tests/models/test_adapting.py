"""Models that adapt while they read: as their equations say, without a change to what they wrap."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import data, decoding, errors, losses, models, text
from tinygrad_rnn.models import CachePointer, DynamicEvaluation, mean_squares

pytestmark = pytest.mark.usefixtures("reference")

V = 6


def model_of(vocabulary=V, **options):
    tg.seed(0)
    model = models.LanguageModel(vocabulary, 4, 5, output_dropout=0.5, **options)
    return model.astype(tg.float64)


def tokens(count, seed=3):
    return np.random.default_rng(seed).integers(0, V, count)


def copied(model):
    return {name: array.copy() for name, array in model.state_dict().items()}


def check_same(state, other):
    for name, array in state.items():
        np.testing.assert_array_equal(array, other[name])


# ----- dynamic evaluation -----


def by_hand(model, ids, lr, decay, steps, squares=None, eps=1e-3):
    """The equations of Krause et al., one after the other; changes the model."""
    model.eval()
    parameters = list(model.parameters())
    first = [p.numpy().copy() for p in parameters]
    found, state = [], None
    for begin in range(0, len(ids) - 1, steps):
        x, y = ids[begin : begin + steps], ids[begin + 1 : begin + steps + 1]
        hidden, state = model(x[: len(y), None], state)
        each = losses.cross_entropy(model.scores(hidden), y[:, None], reduction="none")
        found += (-each.numpy()[:, 0]).tolist()
        gradients = tg.grad(each.mean(), parameters)
        state = state.detach() if isinstance(state, tg.Tensor) else tuple(s.detach() for s in state)
        if squares is not None:
            every = np.concatenate([np.sqrt(v).ravel() for v in squares]).mean()
        for k, (p, g, w_0) in enumerate(zip(parameters, gradients, first, strict=True)):
            w, g = p.numpy(), g.numpy()
            if squares is None:
                new = w - lr * g + decay * (w_0 - w)
            else:
                root = np.sqrt(squares[k])
                new = w - lr * g / (root + eps) + np.minimum(decay * root / every, 1) * (w_0 - w)
            p.assign_(new)
    return found


@pytest.mark.parametrize("options", [{}, {"tied": True}, {"cell": "GRU"}])
@pytest.mark.parametrize("rms", [False, True])
def test_dynamic_evaluation_is_its_equations(options, rms):
    model, ids = model_of(**options), tokens(21)
    squares = mean_squares(model, data.Streams(tokens(30), 2, 7)) if rms else None
    before = copied(model)
    decay = 0.9 if rms else 0.02  # where it is large, some weights go all the way back
    dynamic = DynamicEvaluation(model, 0.3, decay=decay, steps=6, squares=squares)
    found = dynamic.log_likelihoods(ids)
    check_same(model.state_dict(), before)
    check_same(dynamic.model.state_dict(), before)
    assert all(module.training for module in model.modules())
    np.testing.assert_allclose(found, by_hand(model, ids, 0.3, decay, 6, squares), rtol=1e-9)
    assert len(set(map(id, dynamic.model.parameters())) & set(map(id, model.parameters()))) == 0


def test_the_first_piece_is_what_the_model_says_and_a_rate_of_0_all_of_it():
    model, ids = model_of(), tokens(30)
    plain = model.log_likelihoods(ids)
    found = DynamicEvaluation(model, 0.5, steps=8).log_likelihoods(ids)
    np.testing.assert_allclose(found[:8], plain[:8], rtol=1e-12)
    assert abs(found[8:] - plain[8:]).min() > 1e-6
    still = DynamicEvaluation(model, 0.0, steps=8).log_likelihoods(ids)
    np.testing.assert_allclose(still, plain, rtol=1e-12)


def test_what_is_read_is_kept_until_reset():
    model, ids = model_of(), np.tile([0, 1, 2], 15)
    dynamic = DynamicEvaluation(model, 1.0, steps=5)
    first = dynamic.score(ids)
    assert dynamic.score(ids) == first
    assert first.nats < 0.8 * model.score(ids).nats
    kept = dynamic.read(ids)
    assert kept.sum() == first.log_prob
    assert dynamic.score(ids).nats < first.nats
    step, _ = dynamic.step(ids[:1], dynamic.advance(ids))
    assert not np.array_equal(step, model.step(ids[:1], model.advance(ids))[0])
    assert all(p.grad is None for p in dynamic.model.parameters())
    dynamic.reset()
    assert dynamic.score(ids) == first


def test_learning_goes_on_from_a_state():
    model, ids = model_of(), tokens(41)
    dynamic = DynamicEvaluation(model, 0.3, steps=10)
    whole = dynamic.log_likelihoods(ids)
    begun = dynamic.read(ids[:21])
    rest = dynamic.read(ids[20:], model_state(ids[:20], model))
    np.testing.assert_allclose(begun, whole[:20], rtol=1e-12)
    assert not np.allclose(rest, whole[20:])  # whose state came by other weights, for a while
    assert np.allclose(rest, whole[20:], atol=0.1)


def model_state(ids, model):
    return model.advance(ids)


def test_an_error_on_the_way_leaves_the_weights(monkeypatch):
    dynamic, ids = DynamicEvaluation(model_of(), 0.3, steps=5), tokens(30)
    before, real, calls = copied(dynamic.model), dynamic._learn, []

    def learn():
        real()
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(dynamic, "_learn", learn)
    with pytest.raises(KeyboardInterrupt):
        dynamic.log_likelihoods(ids)
    check_same(dynamic.model.state_dict(), before)


def test_frozen_weights_are_not_adapted():
    model = model_of()
    model.embedding.freeze()
    dynamic = DynamicEvaluation(
        model, 0.3, squares=mean_squares(model, data.Streams(range(6), 1, 3))
    )
    dynamic.read(tokens(30))
    np.testing.assert_array_equal(
        dynamic.model.embedding.weight.numpy(), model.embedding.weight.numpy()
    )
    assert not np.array_equal(dynamic.model.out.weight.numpy(), model.out.weight.numpy())


def test_squares_are_those_of_gradients_with_the_state_carried():
    model, chunks = model_of(), 2 * list(data.Streams(tokens(31), 2, 5))
    found, state = mean_squares(model, chunks), None
    model.eval()
    sums = [np.zeros(p.shape) for p in model.parameters()]
    for chunk in chunks:
        loss, state, _ = model.loss(chunk.x, chunk.y, None if chunk.first else state)
        state = tuple(s.detach() for s in state)
        for total, g in zip(sums, tg.grad(loss, list(model.parameters())), strict=True):
            total += g.numpy() ** 2
    for square, total in zip(found, sums, strict=True):
        np.testing.assert_allclose(square, total / len(chunks), rtol=1e-9, atol=1e-30)


# ----- the cache -----


def cache_by_hand(model, ids, size, theta, share):
    """Grave et al., token by token, over the whole history."""
    model.eval()
    hidden, _ = model(ids[:, None])
    probabilities = np.exp(tg.ops.log_softmax(model.scores(hidden)).numpy()[:, 0])
    h, found = hidden.numpy()[:, 0], []
    for t in range(len(ids) - 1):
        p = probabilities[t]
        if t:
            cache = np.zeros(V)
            for i in range(max(0, t - size), t):
                cache[ids[i + 1]] += np.exp(theta * h[t] @ h[i])
            p = (1 - share) * p + share * cache / cache.sum()
        found.append(np.log(p[ids[t + 1]]))
    return np.array(found)


@pytest.mark.parametrize("size", [1, 4, 100])
def test_the_cache_is_its_equations(size, monkeypatch):
    model, ids = model_of(), tokens(30)
    cached = CachePointer(model, size, theta=2.0, share=0.3)
    monkeypatch.setattr("tinygrad_rnn.models.adapting._ROWS", 7)
    found = cached.log_likelihoods(ids)
    before = copied(model)
    np.testing.assert_allclose(found, cache_by_hand(model, ids, size, 2.0, 0.3), rtol=1e-10)
    check_same(model.state_dict(), before)
    state, steps = cached.start(), []
    for t in range(len(ids) - 1):
        log_probs, state = cached.step(ids[t : t + 1], state)
        assert np.exp(log_probs).sum() == pytest.approx(1)
        steps.append(log_probs[0, ids[t + 1]])
    np.testing.assert_allclose(steps, found, rtol=1e-10)
    for cut in (0, 1, 3, 20, 29):
        rest = cached.log_likelihoods(ids[cut:], cached.advance(ids[:cut]))
        np.testing.assert_allclose(rest, found[cut:], rtol=1e-10)


def test_rows_have_memories_of_their_own():
    model, ids = model_of(), tokens(24).reshape(8, 3)
    cached = CachePointer(model, 5, theta=1.0, share=0.5)
    state = cached.start(3)
    for column in ids:
        log_probs, state = cached.step(column, state)
    state = decoding.take(state, np.array([2, 0]), 3)
    log_probs, _ = cached.step(ids[0, [2, 0]], state)
    for row, place in enumerate((2, 0)):
        alone = cached.advance(ids[:, place])
        expected, _ = cached.step(ids[0, [place]], alone)
        np.testing.assert_allclose(log_probs[row], expected[0], rtol=1e-10)


def test_a_cache_of_no_share_is_the_model_and_repetition_becomes_likely():
    model, ids = model_of(), np.tile([2, 4], 20)
    np.testing.assert_allclose(
        CachePointer(model, share=0.0).log_likelihoods(ids), model.log_likelihoods(ids), rtol=1e-12
    )
    cached = CachePointer(model, 50, share=0.5).score(ids)
    assert cached.nats < 0.7 * model.score(ids).nats


# ----- as models of text -----


def test_both_write_and_score_texts():
    letters = text.Characters.of("abcdef")
    model = model_of(letters)
    for wrapped in (CachePointer(model, 9), DynamicEvaluation(model, 0.1)):
        assert wrapped.score("abcabcabc").tokens == 8
        assert len(wrapped.generate(5, "abc", seed=0)) == 5
        assert len(wrapped.next("abc", 2)) == 2
        assert wrapped.log_likelihoods("a").shape == (0,)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: CachePointer(models.NGram(2, 5)),
            r"CachePointer: model is <.*>, expected a Lang",
        ),
        (lambda: DynamicEvaluation(5, 0.1), "DynamicEvaluation: model is 5, expected a Language"),
        (lambda: CachePointer(model_of(), 0), "CachePointer: size is 0"),
        (lambda: CachePointer(model_of(), share=1.0), "CachePointer: share is 1.0, expected a num"),
        (lambda: CachePointer(model_of(), theta=-1), "CachePointer: theta is -1"),
        (lambda: DynamicEvaluation(model_of(), -1), "DynamicEvaluation: lr is -1"),
        (lambda: DynamicEvaluation(model_of(), 1, decay=2), "DynamicEvaluation: decay is 2"),
        (lambda: DynamicEvaluation(model_of(), 1, steps=0), "DynamicEvaluation: steps is 0"),
        (lambda: DynamicEvaluation(model_of(), 1, squares=[1]), "squares do not have the shapes"),
        (lambda: mean_squares(model_of(), []), "mean_squares: there was no chunk"),
        (lambda: CachePointer(model_of()).log_likelihoods([0, V]), "CachePointer: .* 0 to 5"),
        (lambda: CachePointer(model_of()).score([0]), "CachePointer: .* expected 2 at least"),
    ],
)
def test_errors_say_what_was_expected(make, message):
    with pytest.raises(errors.TinygradError, match=message):
        make()
