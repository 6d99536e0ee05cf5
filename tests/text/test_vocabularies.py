"""Vocabularies: a text comes back, a description makes the same again, and errors say where."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_rnn import text
from tinygrad_rnn.errors import ArgumentError, IndexRangeError, VocabularyError

SAMPLE = "The cat's well-known hat: \"on\" (or off) the mat, é.\nNot the dog's!\n" * 3


def subwords(sample=SAMPLE, size=300):
    pytest.importorskip("sentencepiece", reason="sentencepiece is not installed")
    return text.Subwords.learn(sample, size)


EACH = {
    "characters": lambda: text.Characters.of(SAMPLE),
    "characters and unknown": lambda: text.Characters.of(SAMPLE, unknown=True),
    "bytes": text.Bytes,
    "words": lambda: text.Words.of(SAMPLE),
    "words between spaces": lambda: text.Words.of(SAMPLE, punctuation=False),
    "words in small letters": lambda: text.Words.of(SAMPLE, lower=True),
    "subwords": subwords,
}


@pytest.fixture(params=EACH)
def vocabulary(request):
    return EACH[request.param]()


# ----- what all of them keep -----


def test_a_text_comes_back(vocabulary):
    ids = vocabulary.encode(SAMPLE)
    assert ids.dtype == np.int64
    assert ids.min() >= 0
    assert ids.max() < len(vocabulary)
    lower = getattr(vocabulary, "lower", False)
    assert vocabulary.decode(ids) == (SAMPLE.lower() if lower else SAMPLE)


def test_a_stream_of_tokens_gives_the_same_text(vocabulary):
    ids, decoder = vocabulary.encode(SAMPLE), vocabulary.decoder()
    assert "".join(map(decoder.add, ids.tolist())) + decoder.end() == vocabulary.decode(ids)


def test_its_description_makes_it_again(vocabulary):
    again = text.vocabulary(json.loads(json.dumps(vocabulary.description())))
    assert again == vocabulary
    assert hash(again) == hash(vocabulary)
    assert vocabulary.difference(again) == ""
    assert again.encode(SAMPLE).tolist() == vocabulary.encode(SAMPLE).tolist()


def test_every_token_has_a_piece_to_show_and_no_other_has_its(vocabulary):
    pieces = [vocabulary.piece(id) for id in range(len(vocabulary))]
    assert all(pieces)
    assert len(set(pieces)) == len(pieces)


def test_nothing_is_no_token(vocabulary):
    ids = vocabulary.encode("")
    assert ids.shape == (0,)
    assert ids.dtype == np.int64
    assert vocabulary.decode([]) == ""


@pytest.mark.parametrize("wrong", [-1, 10**6])
def test_a_number_that_is_no_token_is_named_with_its_place(vocabulary, wrong):
    with pytest.raises(IndexRangeError, match=rf"ids\[1\] is {wrong}, expected 0 to"):
        vocabulary.decode([0, wrong, 0])


@pytest.mark.parametrize("wrong", [1.5, [0.5], "ab", [[1, 2]], None])
def test_what_are_no_numbers_of_tokens(vocabulary, wrong):
    with pytest.raises(ArgumentError, match="expected whole numbers in a row"):
        vocabulary.decode(wrong)


@pytest.mark.parametrize("wrong", [b"hat", 3, None])
def test_what_is_no_text(vocabulary, wrong):
    with pytest.raises(ArgumentError, match=r"text is .*, expected a text"):
        vocabulary.encode(wrong)


def test_two_kinds_are_never_equal():
    each = [make() for name, make in EACH.items() if name != "subwords"]
    assert all((a == b) == (a is b) for a in each for b in each)
    assert text.Bytes() != "bytes"


# ----- characters -----


def test_characters_are_numbered_in_their_order():
    letters = text.Characters.of("hello")
    assert letters.characters == "ehlo"
    assert letters.encode("hello").tolist() == [1, 0, 2, 2, 3]


@given(st.text(min_size=1))
def test_any_text_of_its_own_characters_comes_back(sample):
    letters = text.Characters.of(sample)
    assert letters.decode(letters.encode(sample)) == sample
    json.dumps(letters.description())


@pytest.mark.parametrize("stranger", ["é", "A", "\U0010ffff"])  # beyond, before, far beyond
def test_an_unknown_character_is_named_with_its_place(stranger):
    letters = text.Characters.of("bc\n")
    with pytest.raises(VocabularyError) as caught:
        letters.encode(f"bc\ncb{stranger}b")
    assert str(caught.value) == (
        f"Characters.encode: {stranger!r} at 5 of the text (line 2, column 3) is not in the "
        "vocabulary. Make it of a text that has it, or with Characters.of(sample, unknown=True), "
        "which has a token for what is unknown."
    )


@given(st.text(), st.text(min_size=1))
def test_unknown_characters_share_the_last_token(written, sample):
    letters = text.Characters.of(sample, unknown=True)
    assert len(letters) == len(set(sample)) + 1
    expected = "".join(c if c in sample else "\ufffd" for c in written)
    assert letters.decode(letters.encode(written)) == expected
    assert letters.piece(len(letters) - 1) == "<unk>"


def test_a_vocabulary_of_nothing():
    for make in (text.Characters.of, text.Words.of):
        with pytest.raises(VocabularyError, match="sample is empty"):
            make("")
        with pytest.raises(ArgumentError, match=r"sample is b'ab', expected a text"):
            make(b"ab")


# ----- bytes -----


@given(st.text())
def test_any_text_is_bytes(written):
    letters = text.Bytes()
    ids = letters.encode(written)
    assert ids.tolist() == list(written.encode("utf-8", "replace"))
    assert letters.decode(ids) == written.encode("utf-8", "replace").decode()


def test_a_character_comes_with_its_last_byte():
    decoder = text.Bytes().decoder()
    assert [decoder.add(byte) for byte in "é€".encode()] == ["", "é", "", "", "€"]
    assert decoder.end() == ""


@given(st.lists(st.integers(0, 255)))
def test_any_bytes_are_a_text(ids):
    decoder = text.Bytes().decoder()
    streamed = "".join(map(decoder.add, ids)) + decoder.end()
    assert streamed == text.Bytes().decode(ids) == bytes(ids).decode("utf-8", "replace")


# ----- words -----


def test_words_and_marks_and_ends_of_lines_are_tokens():
    words = text.Words.of(SAMPLE)
    pieces = [words.piece(id) for id in words.encode('The cat\'s "hat"\n(or).')]
    assert pieces == ["The", "cat's", '"', "<unk>" if "hat" not in words.pieces else "hat", '"',
                      "\n", "(", "or", ")", "."]  # fmt: skip


def test_a_quotation_that_is_left_open_ends_with_its_line():
    words = text.Words.of('say " a\n')
    assert words.decode(words.encode('say "a\nsay "a "')) == 'say "a\nsay "a"'


def test_frequent_words_come_first_and_rare_ones_are_unknown():
    sample = "b a a c c d"
    assert text.Words.of(sample).pieces == ["<unk>", "a", "c", "b", "d"]
    assert text.Words.of(sample, min_count=2).pieces == ["<unk>", "a", "c"]
    assert text.Words.of(sample, size=2).pieces == ["<unk>", "a"]
    assert text.Words.of(sample, size=2).encode("a d ?").tolist() == [1, 0, 0]


def test_a_text_in_tokens_is_cut_at_spaces_alone():
    words = text.Words.of(" the <unk> do n't N \n u.s. 's \n", punctuation=False)
    pieces = [words.piece(id) for id in words.encode("u.s. <unk> n't \n")]
    assert pieces == ["u.s.", "<unk>", "n't", "\n"]
    assert words.decode(words.encode("the N\nu.s. 's")) == "the N\nu.s. 's"


def test_words_are_cut_behind_marks_within_them_if_asked_to():
    written = "l'arbre n’a pas quatre-vingt-un oiseaux, 'dit-il'."
    words = text.Words.of(written, parts=True)
    pieces = [words.piece(id) for id in words.encode(written)]
    assert pieces[:8] == ["l'", "arbre", "n’", "a", "pas", "quatre-", "vingt-", "un"]
    assert words.decode(words.encode(written)) == words.join(words.cut(written)) == written
    assert words.decode(words.encode("un quatre-un")) == "un quatre-un"
    again = text.vocabulary(words.description())
    assert again == words != text.Words(words.pieces[1:])
    older = {name: value for name, value in words.description().items() if name != "parts"}
    assert not text.vocabulary(older).parts
    with pytest.raises(ArgumentError, match="parts=True with punctuation=False"):
        text.Words.of(written, punctuation=False, parts=True)


def test_words_that_nothing_is_left_of():
    with pytest.raises(ArgumentError, match="no word comes min_count = 3 times in the sample of 2"):
        text.Words.of("a b", min_count=3)
    with pytest.raises(ValueError, match="size is 1, expected a whole number from 2 up"):
        text.Words.of("a b", size=1)
    with pytest.raises(ArgumentError, match="words is 'ab', expected a list of words"):
        text.Words("ab")


# ----- sub-words -----


def test_any_text_is_subwords():
    pieces = subwords()
    for written in (SAMPLE, "  two  spaces\n\n\ttab", "日本 😀\r\n"):
        assert pieces.decode(pieces.encode(written)) == written


def test_subwords_are_fewer_than_characters():
    pieces = subwords(SAMPLE * 20, 320)
    assert len(pieces.encode(SAMPLE)) < len(SAMPLE) / 2


def test_too_few_pieces_are_told():
    with pytest.raises(VocabularyError, match="could not learn 5 pieces of a text of"):
        subwords(size=5)


def test_subwords_say_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sentencepiece", None)
    with pytest.raises(ImportError, match=r"pip install 'tinygrad-rnn\[text\]'"):
        text.Subwords.learn(SAMPLE, 300)


# ----- how two differ -----


def test_what_differs_is_said():
    one, other = text.Characters.of("abc"), text.Characters.of("abdef")
    assert one.difference(other) == (
        "one has 3 tokens, the other 5; only the first has 'c'; only the second has 'd', 'e', 'f'"
    )
    assert one.difference(text.Bytes()) == "one is of characters, the other of bytes"
    words = [text.Words(["a", "b"], lower=lower) for lower in (False, True)]
    assert words[0].difference(words[1]) == (
        "one has 3 tokens, the other 3; they number the tokens or cut the text in other ways"
    )


@pytest.mark.parametrize(
    ("description", "problem"),
    [
        (None, "description is None"),
        ({"kind": "runes"}, "of a kind in"),
        ({"kind": "characters"}, "the description of characters is damaged: 'characters'"),
        ({"kind": "words", "words": 3, "lower": 1, "punctuation": 1}, "of words is damaged"),
    ],
)
def test_a_damaged_description(description, problem):
    with pytest.raises(VocabularyError, match=problem):
        text.vocabulary(description)
