"""Features of a text are those that a reader would note, character by character."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.inspect import text_features
from tinygrad_rnn.inspect.text_tokens import LANGUAGES, guess_language, tokens

# Below a line of text its features: a truth value is # or ., a number its last digit, 0 also "."
PYTHON = r'''
if a["x"] == (3 or
..#################  if_condition
.....##............  in_quote
....1111.....111111  bracket_depth
   4): # hm "no"
1233333333333333.  indentation
.......#########.  in_comment
#####............  if_condition
.....############  if_body
.....111111111111  block_depth
    b = """it's
1111111111111111  block_depth
........########  in_quote
 'long' """ + '\'' + "" # 'x
##########....###....#..####  in_quote_or_comment
1111111111111111111111111111.  indentation
    # low
##########  if_body
    if (n := 3) if q else lambda: 0: return 1
......#############################...........  if_condition
1111111111111111111111111111111111122222222221  block_depth
##############################################  if_body
    else: z
111111112221  block_depth
elif x := 2:
...........##  if_body
....#######..  if_condition
  d: int = {1: 2}

#  if_body
# no block ends here
11111111111111111111  block_depth
  if \
....##  if_condition
 e: f
##.  if_condition
g(x)
.....  if_body
.11..  bracket_depth
12340  line_position
'''
C = r"""
#if (X)
........  if_condition
int f(char *s) { // one "two"
.................############.  in_comment
...............111111111111111  block_depth
.....11111111..111111111111111  bracket_depth
123456789.123456789.123456789.  line_position
  if (a[i] == '"' && "x\"y"[0]) { b(); /* ' */ }
.....#########################...................  if_condition
..............................#################..  if_body
..............##.....#####.............######....  in_quote_or_comment
1111111111111111111111111111111122222222222222211  block_depth
  else if (c) for (i = 0; i < 3; i++) d(i); e();
..........##.....................................  if_condition
............##############################.......  if_body
122222222222222222222222222222222222222222222222.  indentation
  if (a) { if (b) { c; } d; } e; // \
.....##.......##...........................  if_condition
.......#####################.........  if_body
 still
######.  in_comment
}
..  block_depth
"""
PROSE = """
He said "no, don't
........###########  in_quote
12.1234..12..123.1.  word_position
do it" (loud). “Well,” :( x
#####..........######.......  in_quote
12.12...1234....1234......1.  word_position

.  bracket_depth
New "par
....####.  in_quote

.  in_quote
end"
...##  in_quote
123..  word_position
"""
MARKED = re.compile(r"^([.#\d]+)  (\w+)$")


def cases(page):
    """The text, and of each line what is told of a feature: its name, from where, the marks."""
    text, told = "", []
    for line in page.strip("\n").split("\n"):
        found = MARKED.match(line)
        if not found:
            start, text = len(text), text + line + "\n"
        else:
            told.append((found[2], start, found[1]))
    return text, told


def shown(values):
    """A feature as it is written above."""
    if values.dtype == bool:
        return "".join("#" if v else "." for v in values)
    return "".join(str(v % 10) for v in values).replace("0", ".")


PAGES = {"python": PYTHON, "c": C, "prose": PROSE}


@pytest.mark.parametrize("language", PAGES)
def test_features_by_hand(language):
    text, told = cases(PAGES[language])
    found = text_features(text, language)
    assert len(told) > 5
    for name, start, marks in told:
        got = shown(found[name][start : start + len(marks)])
        assert got == marks.replace("0", "."), (name, text[start : start + len(marks)])


LETTERS = st.text(alphabet="if elf:()[]{}'\"`#/*\\\n\t x;=“”r", max_size=60)


@given(LETTERS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_any_text_has_features_of_the_right_kind(language, text):
    found = text_features(text, language)
    for name, values in found.items():
        assert values.shape == (len(text),), name
        assert values.dtype == bool or values.min(initial=0) >= 0, name
    assert "".join(token.text for token in tokens(text, language)) == text
    assert (found["indentation"] <= found["line_position"]).all()
    for line in re.finditer(r"[^\n]*\n?", text):
        part = slice(*line.span())
        body = line[0].rstrip("\n")
        blanks = len(body) - len(body.lstrip(" \t"))
        want = [min(n, blanks) for n in range(1, len(body) + 1)]
        assert list(found["indentation"][part])[: len(body)] == want
        assert list(found["line_position"][part])[: len(body)] == [*range(1, len(body) + 1)]


@given(LETTERS, st.integers(0, 60))
@pytest.mark.parametrize("language", LANGUAGES)
def test_what_has_been_read_does_not_depend_on_what_follows(language, text, cut):
    """Marks of several characters, as of a comment, are known at their first: the last four may."""
    whole, part = text_features(text, language), text_features(text[:cut], language)
    for name, values in part.items():
        sure = max(0, len(values) - 4)
        np.testing.assert_array_equal(values[:sure], whole[name][:sure], name)


@given(LETTERS)
def test_quotes_of_python_are_those_of_its_own_tokenizer(text):
    import io
    import tokenize

    try:
        read = [*tokenize.generate_tokens(io.StringIO(text).readline)]
    except (tokenize.TokenError, SyntaxError):
        return
    if any(token.type == tokenize.ERRORTOKEN for token in read) or "\t" in text:
        return
    starts = [0, *np.cumsum([len(line) for line in text.splitlines(keepends=True)])]
    want = np.zeros(len(text), bool)
    for token in read:
        if token.type == tokenize.STRING:
            a, b = (starts[row - 1] + column for row, column in (token.start, token.end))
            a += len(token.string) - len(token.string.lstrip("rfbuRFBU"))
            want[a : b - 1] = True
    np.testing.assert_array_equal(text_features(text, "python")["in_quote"], want)


def test_the_language_is_guessed():
    assert guess_language("def f(x):\n    return x\n\nclass A:\n    pass\n") == "python"
    assert guess_language("int main() {\n  return 0;\n}\n") == "c"
    assert guess_language("Once upon a time\nthere was; and so on\n" * 6) == "prose"
    assert "in_comment" not in text_features("To be, or not to be")
    assert "if_body" in text_features("if (x) { y(); }\n")


def test_what_is_no_text_or_language_is_told():
    with pytest.raises(ArgumentError, match="text is 3, expected a text"):
        text_features(3)
    with pytest.raises(ArgumentError, match="language is 'perl', expected one of 'python'"):
        text_features("x", "perl")
