"""A model of text, whatever is inside: scores, next tokens, and what is wrong with a text."""

import math

import numpy as np
import pytest

from tinygrad_rnn import text
from tinygrad_rnn.errors import ArgumentError, IndexRangeError, ShapeError, VocabularyError
from tinygrad_rnn.models import Score, TextModel
from tinygrad_rnn.models.text_model import vocabulary_and_size


class Doubling(TextModel):
    """After k tokens, token 0 has the probability 1/2^k, and the others share the rest."""

    def __init__(self, vocabulary):
        self.vocabulary, self.vocabulary_size = vocabulary_and_size("Doubling", vocabulary)

    def start(self, rows=1):
        return np.zeros(rows)

    def step(self, tokens, state):
        first = 0.5 ** (state + 1)
        others = (1 - first) / (self.vocabulary_size - 1)
        probs = np.repeat(others[:, None], self.vocabulary_size, 1)
        probs[:, 0] = first
        return np.log(probs), state + 1


@pytest.fixture
def model():
    return Doubling(text.Characters.of("\nabc"))


def test_the_score_of_a_text(model):
    score = model.score("ab\n")
    assert score.tokens == score.characters == 2
    assert score.log_prob == pytest.approx(math.log(1 / 6) + math.log(1 / 4))
    assert score.nats == pytest.approx(math.log(24) / 2)
    assert score.perplexity == pytest.approx(24**0.5)
    assert score.bits == pytest.approx(math.log2(24) / 2)
    assert model.score(model.vocabulary.encode("ab\n")) == score


def test_bits_are_of_characters_whatever_the_tokens_are():
    letters = Doubling(text.Bytes())
    score = letters.score("aéé")
    assert (score.tokens, score.characters) == (4, 2)
    assert score.bits == pytest.approx(-score.log_prob / math.log(2) / 2)
    assert letters.score(letters.vocabulary.encode("aéé")) == score


def test_an_unknown_first_word_is_as_long_as_it_is_written():
    for words in (text.Words.of("The cat sat"), text.Words.of("The cat sat", lower=True)):
        model = Doubling(words)
        found = [model.score(f"{first} cat").characters for first in ("The", "a", "Hippopotamus")]
        assert found == [4, 4, 4]


def test_a_text_that_cannot_be_is_infinitely_perplexing():
    score = Score(1, 1, -math.inf)
    assert score.nats == score.perplexity == score.bits == math.inf


def test_what_came_before_is_the_state(model):
    whole = model.log_likelihoods("abcab")
    rest = model.log_likelihoods("cab", model.advance("ab"))
    np.testing.assert_array_equal(rest, whole[2:])


def test_the_likeliest_come_first(model):
    assert model.next("a", 2) == [("\n", 0.5), ("a", pytest.approx(1 / 6))]
    assert model.next("ab", 9)[:2] == [("\n", 0.25), ("a", 0.25)]
    assert len(model.next("ab", 9)) == 4  # a vocabulary of fewer than k
    assert Doubling(3).next([1], 1) == [("0", 0.5)]


@pytest.mark.parametrize("few", ["", "a"])
def test_too_short_a_text(model, few):
    with pytest.raises(ShapeError, match=f"{few!r} has {len(few)} tokens, expected 2 at least"):
        model.score(few)
    if not few:
        with pytest.raises(ShapeError, match="expected 1 at least"):
            model.next(few)


def test_what_the_vocabulary_does_not_have(model):
    with pytest.raises(VocabularyError, match="'x' at 1 of the text"):
        model.score("ax")
    with pytest.raises(IndexRangeError, match=r"ids\[2\] is 4, expected 0 to 3"):
        model.score([0, 1, 4])


def test_a_model_of_numbers_has_no_text():
    model = Doubling(4)
    assert model.score([0, 1, 2]).characters == 2
    with pytest.raises(ArgumentError, match="a text needs a vocabulary, and this model was made"):
        model.score("ab")


@pytest.mark.parametrize("wrong", ["abc", ["a"], None, 1.5])
def test_what_is_no_vocabulary(wrong):
    with pytest.raises(ArgumentError, match="Doubling: vocabulary is"):
        Doubling(wrong)


# ----- texts that go on -----


def test_a_text_goes_on(model):
    drawn = model.generate(200, "ab", seed=1)
    assert len(drawn) == 200
    assert set(drawn) <= set("\nabc")
    assert "".join(model.stream(200, "ab", seed=1)) == drawn
    assert model.generate(200, "ab", seed=2) != drawn
    assert model.generate(5, "ab", top_k=1, seed=2) == model.generate(5, "ab", top_k=1, seed=3)


def test_the_prime_is_read():
    class Parrot(Doubling):
        """Says the token before the last one."""

        def start(self, rows=1):
            return np.zeros(rows, np.int64)

        def step(self, tokens, state):
            with np.errstate(divide="ignore"):
                return np.log(np.eye(self.vocabulary_size)[state]), tokens

    letters = text.Characters.of("abcd")
    assert Parrot(letters).generate(4, "bc") == "bcbc"
    assert Parrot(text.Bytes()).generate(4, "é") == "éé"
    assert list(Parrot(text.Bytes()).stream(3, "é")) == ["é", "\ufffd"]


@pytest.mark.parametrize(("sample", "before"), [("\nab", "\n"), ("ab", "a")])
def test_without_a_prime_a_text_begins_behind_a_line(sample, before):
    seen = []

    class Spy(Doubling):
        def step(self, tokens, state):
            seen.append(int(tokens[0]))
            return super().step(tokens, state)

    letters = text.Characters.of(sample)
    Spy(letters).generate(1)
    assert letters.decode(seen) == before


def test_a_text_needs_a_vocabulary():
    with pytest.raises(ArgumentError, match="needs a vocabulary"):
        Doubling(3).generate(5)
    with pytest.raises(VocabularyError, match="'x'"):
        Doubling(text.Characters.of("abc")).generate(5, "ax")
