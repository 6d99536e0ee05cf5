"""Pairs of sentences from two files or one; what does not fit is said by lines and counts."""

import pytest

from tinygrad_rnn import errors, text


@pytest.fixture
def files(tmp_path):
    def write(**contents):
        for name, content in contents.items():
            (tmp_path / name).write_bytes(content)
        return [tmp_path / name for name in contents]

    return write


def test_two_files_line_by_line(files):
    de, en = files(de="Ein Hund\r\n\r\nDrei Löwen".encode(), en=b"A dog\n\nThree lions\n")
    assert text.pairs(de, en) == [("Ein Hund", "A dog"), ("", ""), ("Drei Löwen", "Three lions")]
    found = text.pairs(de, en, lower=True, tokenize=lambda line: line.replace(" ", "_"))
    assert found[2] == text.Pair(source="drei_löwen", target="three_lions")
    assert text.pairs(de, en, longest=1) == [("", "")]


def test_columns_of_one_file(files):
    (tsv,) = files(tsv=b"Go.\tVa !\tCC-BY\nHi.\tSalut !\tCC-BY\n")
    assert text.pairs(tsv) == [("Go.", "Va !"), ("Hi.", "Salut !")]
    assert text.pairs(tsv, columns=(1, 0))[1] == ("Salut !", "Hi.")


def test_what_does_not_fit_is_told(files, tmp_path):
    three, two, gap, latin = files(
        a=b"1\n2\n3\n", b=b"1\n2", c=b"x\ty\nno tab\n", d=b"caf\xe9\ta\n"
    )
    with pytest.raises(
        errors.FileFormatError, match=r"'\S*a' has 3 lines, '\S*b' 2; expected as ma"
    ):
        text.pairs(three, two)
    with pytest.raises(
        errors.FileFormatError, match=r"line 2 of '\S*c' has 1 columns, 'no tab', e"
    ):
        text.pairs(gap)
    with pytest.raises(errors.FileFormatError, match="is not UTF-8: byte 0xe9 at 3"):
        text.pairs(latin)
    with pytest.raises(errors.ArgumentError, match="is a folder, expected a file"):
        text.pairs(tmp_path)
    with pytest.raises(errors.TinygradError, match="columns is"):
        text.pairs(gap, columns=(0, -1))
    with pytest.raises(errors.ArgumentError, match="columns is"):
        text.pairs(gap, columns=(0, 1, 2))
    with pytest.raises(errors.ArgumentError, match="tokenize is 'moses'"):
        text.pairs(three, three, tokenize="moses")


def test_words_of_a_text_and_the_text_of_words():
    words = text.Words.of("the dog, it barks.", lower=True)
    said = "The ZEBRA, it barks."
    assert words.cut(said) == ["The", "ZEBRA", ",", "it", "barks", "."]
    assert words.join(words.cut(said)) == said
    assert len(words.cut(said)) == len(words.encode(said))
    assert len(words.cut("İ a")) == len(words.encode("İ a"))
