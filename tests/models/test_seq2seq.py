"""Encoder and decoder: step by step or at once is the same, and padding is as if it were not."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.models.slopes import check_slope
from tests.models.translators import (
    KINDS,
    SOURCES,
    TARGETS,
    S,
    V,
    every_kind,
    model_of,
)
from tinygrad_rnn import data, errors, models, optim, training

pytestmark = pytest.mark.usefixtures("reference")

# ----- the same by every way -----


@every_kind
def test_step_by_step_is_the_training_pass(kind):
    model = model_of(kind)
    expected = model.log_likelihoods(SOURCES, TARGETS)
    looked = model.alignment(SOURCES, TARGETS) if model.decoder.attention else None
    state, tokens = model.start(model.encode(SOURCES)), np.full(4, model.end)
    for t in range(5):
        log_probs, state, *more = model.step(tokens, state)
        if more:
            for row, weights in enumerate(more[0]["attention"]):
                if t <= len(TARGETS[row]):
                    own = looked[row][t]
                    np.testing.assert_allclose(weights[: len(own)], own, rtol=1e-11)
                    assert not weights[len(own) :].any()
        np.testing.assert_allclose(np.exp(log_probs).sum(axis=1), 1)
        tokens = np.array([row[t] if t < len(row) else model.end for row in TARGETS])
        for row, token in enumerate(tokens):
            if t <= len(TARGETS[row]):
                assert log_probs[row, token] == pytest.approx(expected[row][t], rel=1e-11)
    loss, values = model.loss(SOURCES, TARGETS)
    assert loss.item() == pytest.approx(-np.concatenate(expected).mean(), rel=1e-12)
    assert values["nats"].item() == loss.item()
    told, _ = model.eval().loss(SOURCES, TARGETS, teacher_forcing=1 - 1e-12)
    assert told.item() == pytest.approx(loss.item(), rel=1e-12)


def slope_is_that_of(model, **how):
    check_slope(model, lambda: model.loss(SOURCES, TARGETS, **how)[0], step=1e-5, rel=1e-7)


@every_kind
def test_the_gradient_is_that_of_the_loss(kind):
    slope_is_that_of(model_of(kind))


@every_kind
@pytest.mark.parametrize("dtype", [tg.float32, tg.float64])
def test_padding_changes_no_bit_of_a_row(kind, dtype):
    model = model_of(kind, longest=60) if kind == "location" else model_of(kind)
    model = model.astype(dtype)
    long = [list(range(9)) * 6, [1] * 17]
    alone = [model.log_likelihoods([s], [t])[0] for s, t in zip(SOURCES, TARGETS, strict=True)]
    beside = model.log_likelihoods([*SOURCES, *long], [*TARGETS, [1] * 17, [2] * 3])
    for one, other in zip(alone, beside, strict=False):
        np.testing.assert_array_equal(one, other)
    padded = data.pad(SOURCES, 3, batch_first=True)  # whatever stands behind a sentence
    wider = data.Padded(np.pad(padded.data, ((0, 0), (0, 9)), constant_values=-5), padded.lengths)
    for one, other in zip(alone, model.log_likelihoods(wider, TARGETS), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_mean_over_tokens_does_not_depend_on_what_stands_beside():
    for seed in range(30):
        tg.seed(seed)
        model = models.Seq2Seq(9, 9, 6, 1, bidirectional=False, bridge="average").eval()
        long = [6, 5, 0, 0, 2, 6, 6, 1, 3]
        alone, beside = (model.bridge(model.encode(s)).numpy() for s in ([long], [[8], long]))
        np.testing.assert_array_equal(alone[:, 0], beside[:, 1])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if KINDS[kind].get("attention", 1)])
def test_attention_sees_the_sentence_and_nothing_behind_it(kind):
    model = model_of(kind)
    weights = model.alignment(SOURCES, TARGETS)
    for row, (source, target) in zip(weights, zip(SOURCES, TARGETS, strict=True), strict=True):
        assert row.shape == (len(target) + 1, len(source) + 1)
        if kind == "predictive":
            continue  # the bell is no distribution
        np.testing.assert_allclose(row.sum(axis=1), 1)  # so that nothing is left for padding


@pytest.mark.parametrize("kind", ["monotonic", "predictive"])
def test_local_attention_sees_a_window(kind):
    model = model_of(kind, window=1)
    (weights,) = model.alignment([[1] * 8], [[1] * 5])
    if kind == "monotonic":
        np.testing.assert_array_equal(
            weights > 0, np.abs(np.arange(9) - np.arange(6)[:, None]) <= 1
        )
    else:
        places = np.flatnonzero(weights.max(axis=0))
        assert np.ptp(places) <= 3
        assert (weights.sum(axis=1) < 1).all()
        assert len(np.unique(weights.sum(axis=1))) > 1


def test_coverage_turns_attention_to_where_it_has_not_been():
    """Where u is 0 nothing is changed; where it is not, all steps but the first are."""
    model = model_of("coverage", attention="dot", encoder_size=3)
    plain = model_of(attention="dot", encoder_size=3)
    plain.load_state_dict(
        {name: array for name, array in model.state_dict().items() if not name.endswith(".u")}
    )
    given = [SOURCES[0]], [[1] * 6]
    (without,), (moved,) = plain.alignment(*given), model.alignment(*given)
    np.testing.assert_array_equal(moved[0], without[0])
    assert (moved[1:] != without[1:]).all()
    model.decoder.attention.u.assign_(np.zeros(6))
    np.testing.assert_array_equal(model.alignment(*given)[0], without)


# ----- beside decoders written by hand -----


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


class ByHand:
    """One sentence at a time: a GRU that reads both ways, another that speaks."""

    def __init__(self, model):
        self.w = {name: parameter.numpy() for name, parameter in model.named_parameters()}

    def gru(self, name, x, h):
        w, H = self.w, len(h)
        a = x @ w[f"{name}.w_x"] + w[f"{name}.b"]
        b = h @ w[f"{name}.w_h"]
        r, z = (sigmoid(a[k : k + H] + b[k : k + H]) for k in (0, H))
        n = np.tanh(a[2 * H :] + r * (b[2 * H :] + w[f"{name}.b_h"]))
        return (1 - z) * n + z * h

    def encode(self, source):
        vectors = self.w["encoder.embedding.weight"][[*source, S]]
        both, ends = [], []
        for direction, order in (("forward", vectors), ("reverse", vectors[::-1])):
            h, found = np.zeros(6), []
            for x in order:
                h = self.gru(f"encoder.layers.layers.0.{direction}", x, h)
                found.append(h)
            both.append(found if direction == "forward" else found[::-1])
            ends.append(h)
        bridge = "bridge.products.0.0"
        start = np.tanh(
            np.concatenate(ends) @ self.w[f"{bridge}.weight"] + self.w[f"{bridge}.bias"]
        )
        return np.concatenate(both, axis=1), start

    def additive(self, query, keys):
        score = "decoder.attention.attention.score"
        inner = np.tanh(
            query @ self.w[f"{score}.w_q"] + keys @ self.w[f"{score}.w_k"] + self.w[f"{score}.b"]
        )
        return softmax(inner @ self.w[f"{score}.v"])

    def general(self, query, keys):
        return softmax(keys @ self.w["decoder.attention.attention.score.w"] @ query)

    def scores(self, features):
        found = features @ self.w["out.weight"] + self.w["out.bias"]
        return np.log(softmax(found))

    def luong(self, source, target):
        """Input feeding, general scores, tanh (Luong et al. 2015)."""
        keys, s = self.encode(source)
        fed, found = np.zeros(6), []
        product = "decoder.read_out.product"
        for before, token in zip([V, *target], [*target, V], strict=True):
            word = self.w["target_embedding.weight"][before]
            s = self.gru("decoder.layers.layers.0.forward", np.concatenate([word, fed]), s)
            context = self.general(s, keys) @ keys
            joined = np.concatenate([s, context])
            fed = np.tanh(joined @ self.w[f"{product}.weight"] + self.w[f"{product}.bias"])
            found.append(self.scores(fed)[token])
        return found

    def bahdanau(self, source, target):
        """Additive scores of the state before, whose context is read (Bahdanau et al. 2015)."""
        keys, s = self.encode(source)
        found = []
        for before, token in zip([V, *target], [*target, V], strict=True):
            word = self.w["target_embedding.weight"][before]
            context = self.additive(s, keys) @ keys
            s = self.gru("decoder.layers.layers.0.forward", np.concatenate([word, context]), s)
            found.append(self.scores(np.concatenate([s, context, word]))[token])
        return found

    def sennrich(self, source, target):
        """The first cell's state asks, the second reads the context (Sennrich et al. 2017)."""
        keys, s = self.encode(source)
        found = []
        product = "decoder.read_out.product"
        for before, token in zip([V, *target], [*target, V], strict=True):
            word = self.w["target_embedding.weight"][before]
            s = self.gru("decoder.layers.layers.0.forward", word, s)
            context = self.additive(s, keys) @ keys
            s = self.gru("decoder.then.layers.0.forward", context, s)
            joined = np.concatenate([s, context, word])
            said = np.tanh(joined @ self.w[f"{product}.weight"] + self.w[f"{product}.bias"])
            found.append(self.scores(said)[token])
        return found

    def lecture(self, source, target):
        """Additive scores of the state itself, and a product of both."""
        keys, s = self.encode(source)
        found = []
        for before, token in zip([V, *target], [*target, V], strict=True):
            s = self.gru(
                "decoder.layers.layers.0.forward", self.w["target_embedding.weight"][before], s
            )
            found.append(self.scores(np.concatenate([s, self.additive(s, keys) @ keys]))[token])
        return found


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("lecture", {}),
        ("luong", {"attention": "general", "read_out": "tanh", "input_feeding": True}),
        ("bahdanau", {"read_out": "deep", "input_feeding": "context"}),
        ("sennrich", {"read_out": "deep_tanh", "input_feeding": "conditional"}),
    ],
)
def test_decoders_are_those_of_the_papers(name, options):
    model = model_of(**options)
    for parameter in model.parameters():  # biases that are 0 would hide where they belong
        parameter.assign_(parameter.numpy() + 0.1 * tg.randn(*parameter.shape).numpy())
    by_hand = getattr(ByHand(model), name)
    for source, target, found in zip(
        SOURCES, TARGETS, model.log_likelihoods(SOURCES, TARGETS), strict=True
    ):
        np.testing.assert_allclose(found, by_hand(source, target), rtol=1e-10)


# ----- training -----


def test_it_learns_to_turn_sequences_round():
    pairs = [([a, b], [b, a]) for a in range(3) for b in range(3)]
    tg.seed(1)
    model = models.Seq2Seq(3, 3, 8, 8, attention="general", read_out="tanh", tied="all")
    assert model.encoder.embedding is model.target_embedding
    batches = data.Batches(pairs, 9, collate=lambda pairs: tuple(zip(*pairs, strict=True)))
    trainer = training.Trainer(
        model, optim.Adam(model.parameters(), lr=0.03), lambda model, batch: model.loss(*batch)
    )
    trainer.fit(batches, 60, progress=False)
    said = model.translated([x for x, _ in pairs])
    assert [list(tokens) for tokens in said] == [y for _, y in pairs]


def test_what_is_not_told_is_what_was_found_likeliest():
    model = model_of("additive")
    said = model.translated([SOURCES[0]], max_length=4)[0]
    target = np.array([1, 2, 3, 4])[: len(said)]
    read = []
    model.target_embedding.register_forward_hook(lambda _, given, out: read.append(given[0]))
    model.loss([SOURCES[0]], [target], teacher_forcing=0.0)
    assert [int(ids[0, 0]) for ids in read] == [model.end, *said]
    loss = [model.loss(SOURCES, TARGETS, teacher_forcing=0.5)[0].item() for _ in range(8)]
    assert len(set(loss)) > 1


def step_by_step(model, told):
    """Losses (T, B) of a loop over ``model.step`` that is told some tokens; 0 behind the ends."""
    said = np.full((len(told), len(TARGETS)), model.end)
    for row, tokens in enumerate(TARGETS):
        said[: len(tokens), row] = tokens
    state, tokens = model.start(model.encode(SOURCES)), np.full(len(TARGETS), model.end)
    losses = []
    for t, correct in enumerate(said):
        log_probs, state, *_ = model.step(tokens, state)
        losses.append(-np.take_along_axis(log_probs, correct[:, None], axis=1)[:, 0])
        own = log_probs.argmax(axis=1)
        tokens = np.where(told[min(t + 1, len(told) - 1)], correct, own)
    lengths = np.array([len(tokens) + 1 for tokens in TARGETS])
    return np.where(np.arange(len(told))[:, None] < lengths, losses, 0)


FORCED = {
    "by step": np.array([False, True, True, False, True]),
    "by token": np.random.default_rng(0).random((5, 4)) < 0.5,
}


@every_kind
@pytest.mark.parametrize("told", FORCED.values(), ids=FORCED)
def test_which_tokens_are_told_may_be_said(kind, told):
    model = model_of(kind)
    given = {"teacher_forcing": told, "reduction": "none"}
    found = model.loss(SOURCES, TARGETS, **given)[0].numpy()
    np.testing.assert_allclose(found, step_by_step(model, told), rtol=1e-10)
    if told.ndim == 1:
        told = np.repeat(told[:, None], 4, axis=1)
        same = model.loss(SOURCES, TARGETS, teacher_forcing=told, reduction="none")[0].numpy()
        np.testing.assert_array_equal(same, found)


def test_no_gradient_goes_through_what_was_chosen():
    model = model_of("context")
    slope_is_that_of(model, teacher_forcing=FORCED["by token"])


def test_what_is_told_fits_the_targets():
    message = (
        r"Seq2Seq.loss: teacher_forcing has shape \(4,\), expected \(5,\), a boolean for each "
        r"step, or \(5, 4\), one for each token, or a number."
    )
    with pytest.raises(errors.ShapeError, match=message):
        model_of().loss(SOURCES, TARGETS, teacher_forcing=np.ones(4, np.bool_))
