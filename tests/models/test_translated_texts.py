"""Texts into texts: batches, what is told for each, n best, unknown words, folders of models."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.models.translators import (
    ENGLISH,
    FRENCH,
    model_of,
    speaker,
)
from tinygrad_rnn import errors, models

pytestmark = pytest.mark.usefixtures("reference")


def test_batches_are_of_like_lengths_and_hold_each_pair_once():
    model = speaker()
    pairs = [("the cat eats dog", "le chat mange"), ("the cat", "chat"), ("the", "le"), ("", "")]
    found = list(model.batches(pairs, 2, shuffle=True, seed=1))
    assert all(abs(len(one) - len(other)) <= 3 for one, other in (source for source, _ in found))
    said = [
        (ENGLISH.decode(source), FRENCH.decode(target))
        for batch in found
        for source, target in zip(*batch, strict=True)
    ]
    assert sorted(said) == sorted(pairs)
    loss, _ = model.loss(*found[0])
    assert np.isfinite(loss.item())
    with pytest.raises(tg.errors.ArgumentError, match=r"Seq2Seq.batches: a text needs vocabul"):
        models.Seq2Seq(3, 3, 4, 6).batches(pairs, 2)


def test_a_translation_does_not_depend_on_what_stands_beside_it():
    model = speaker()
    texts = ["the dog sleeps .", "", "eats", "the cat eats the dog . the cat sleeps ."]
    for how in ({}, {"beam": 3}, {"beam": 3, "length_rule": "none"}):
        alone = [model.translate([one], **how)[0] for one in texts]
        assert model.translate(texts, **how) == alone
    alone = [model.translate([one])[0] for one in texts]
    assert model.translate(texts, batch_size=3) == alone
    assert model.translate(texts, max_length=0) == [""] * 4
    assert model.translate([]) == []


def test_what_is_told_for_each_text_goes_with_it():
    model = speaker()
    texts = ["the cat eats the dog . the cat sleeps .", "", "the dog sleeps ."]
    each = [FRENCH.encode(word)[:1] for word in ("le", "chien", "dort")]
    for name, own in (("prefix", each), ("constraints", [[one] for one in each])):
        how = {"beam": 6, "max_length": 3}
        alone = [
            model.translate([text], **{name: [one]}, **how)[0]
            for text, one in zip(texts, own, strict=True)
        ]
        assert len(set(alone)) == 3
        for size in (1, 2, 64):
            assert model.translate(texts, **{name: own}, batch_size=size, **how) == alone
        best = model.hypotheses(texts, **{name: own}, n_best=1, **how)
        assert [one[0].text for one in best] == alone
        for same in (own[0], own[:1] * 3):
            model_says = model.translate(texts, **{name: same}, batch_size=2, **how)
            assert all("le" in said for said in model_says)
        with pytest.raises(
            errors.ShapeError, match=rf"{name} is told for 2 sources, expected 3, or one for all"
        ):
            model.translate(texts, **{name: own[:2]}, beam=2)


def test_what_must_be_said_may_be_told_in_words():
    model, texts = speaker(), ["the cat eats .", "the dog"]
    how = {"beam": 9, "max_length": 6}
    le, dort, chat = (FRENCH.encode(word) for word in ("le", "dort", "chat"))
    for words, tokens in (
        ({"constraints": ["le chat", "dort"]}, {"constraints": [[*le, *chat], dort]}),
        ({"constraints": [["le chat"], []]}, {"constraints": [[[*le, *chat]], []]}),
        ({"prefix": "dort le"}, {"prefix": [*dort, *le]}),
        ({"prefix": ["dort", ""]}, {"prefix": [dort, []]}),
    ):
        said = model.translate(texts, **words, **how)
        assert said == model.translate(texts, **tokens, **how)
        assert said == [one.text for one, *_ in model.hypotheses(texts, **words, **how)]
        assert "dort" in said[0] or "le chat" in said[0]
    with pytest.raises(
        errors.ArgumentError, match=r"Seq2Seq.translate: 'le loup' is to be said, expected words of"
    ):
        model.translate(texts, constraints=["le loup"], beam=2)


def test_the_best_translations_of_each_text():
    model = speaker()
    texts = ["the cat eats the dog . the cat sleeps .", "", "the dog sleeps ."]
    how = {"beam": 4, "length_rule": "none", "max_length": 3}
    found = model.hypotheses(texts, n_best=4, **how)
    assert [one[0].text for one in found] == model.translate(texts, **how)
    for source, best in zip(texts, found, strict=True):
        assert len({one.text for one in best}) == 4
        assert best == sorted(best, key=lambda one: (not one.finished, -one.score))
        assert model.hypotheses([source], n_best=4, **how) == [best]
        ids = ENGLISH.encode(source)
        for one in best:
            said = FRENCH.encode(one.text)
            log_prob = model.log_likelihoods([ids], [said])[0][: None if one.finished else -1].sum()
            np.testing.assert_allclose(one.log_prob, log_prob, rtol=1e-5)
    how["max_length"] = 2
    wide = model.hypotheses(texts, **{**how, "beam": 64}, n_best=3)
    narrow = model.hypotheses(texts, **{**how, "beam": 3}, n_best=3, exhaustive=True)
    assert [[a.text for a in one] for one in narrow] == [[a.text for a in one] for one in wide]
    assert model.hypotheses([]) == []
    with pytest.raises(tg.errors.ArgumentError, match="exhaustive search does not take prefix, ex"):
        model.hypotheses(texts, exhaustive=True, prefix=[0])
    with pytest.raises(
        tg.errors.ArgumentError, match=r"Seq2Seq.hypotheses: texts is 'a', expected a list"
    ):
        model.hypotheses("a")


def test_unknown_words_are_copied_from_where_attention_is():
    model = speaker(attention="location", longest=20).astype(tg.float64)
    for parameter in model.parameters():
        parameter.assign_(np.zeros(parameter.shape))
    score = model.decoder.attention.attention.score
    table = np.zeros(score.w.shape)
    table[:, 1] = 1.0  # where anything is looked at, it is the second word
    score.w.assign_(table)
    model.bridge.products[0][0].bias.assign_(np.full(6, 2.0))
    scores = np.zeros(len(FRENCH) + 1)
    scores[0] = 1.0  # and all that is said is unknown
    model.out.bias.assign_(scores)
    assert model.translate(["the Zebra sleeps"], max_length=2) == ["<unk> <unk>"]
    assert model.translate(["the Zebra sleeps"], max_length=2, copy_unknown=True) == ["Zebra Zebra"]
    ((best, *_),) = model.hypotheses(["the Zebra"], max_length=1, copy_unknown=True)
    assert best.text == "Zebra"
    assert model.translate([""], max_length=1, copy_unknown=True) == ["<unk>"]


@pytest.mark.parametrize("kind", ["gate", "context", "location"])
def test_a_model_comes_back_with_both_vocabularies(kind, tmp_path):
    model = model_of(kind, ENGLISH, FRENCH, dropout=0.1).astype(tg.float32)
    model.save(tmp_path)
    again = models.load(tmp_path, vocabulary=(None, FRENCH))
    assert repr(again) == repr(model)
    assert (again.source_vocabulary, again.target_vocabulary) == (ENGLISH, FRENCH)
    texts = ["the dog sleeps .", "the cat"]
    assert again.translate(texts) == model.translate(texts)
    with pytest.raises(errors.VocabularyError, match="the vocabulary given is not that of"):
        models.load(tmp_path, vocabulary=(FRENCH, FRENCH))
    with pytest.raises(errors.ArgumentError, match="source_vocabulary and target_vocabulary"):
        models.load(tmp_path, vocabulary=ENGLISH)


def test_one_table_stays_one_when_saved(tmp_path):
    model_of("additive", ENGLISH, ENGLISH, tied="all").save(tmp_path)
    again = models.load(tmp_path)
    assert again.encoder.embedding is again.target_embedding
    assert again.out.weight is again.target_embedding.weight
