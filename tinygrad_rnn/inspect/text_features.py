"""Features of a text, character by character, computed from the text itself."""

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.inspect.text_blocks import CBlocks, PythonBlocks
from tinygrad_rnn.inspect.text_tokens import LANGUAGES, Token, guess_language, tokens

__all__ = ["text_features"]

Array = NDArray[Any]
_WORD = re.compile(r"[^\W\d]\w*")


def text_features(text: str, language: str | None = None) -> dict[str, Array]:
    """What a unit might follow: of each feature, one number or truth value for each character.

        line_position          how many characters of the line have been read; a line end is 0
        indentation            how many blanks the line begins with, as far as it has been read
        word_position          how many letters of the word have been read, 0 outside
        in_quote               inside a quotation or a string, from its first mark to its last
        bracket_depth          how many round, square and curly brackets are open

    and in code, where brackets in strings and comments count as text,

        in_comment
        in_quote_or_comment
        block_depth            how many blocks are open: suites in Python, braces in C
        if_condition           after ``if`` or ``elif`` up to the colon; in C between its brackets
        if_body                inside what runs if an ``if`` or ``elif`` holds, however deep

    Each tells how things stand once the character has been read, as the unit of a step does: of
    a bracket that opens, the depth inside; of a line end, position 0.

    Args:
        language: "python", "c" (and what is written like it), "prose"; guessed, if not given.
            Strings within an f-string's braces are taken for its end, if they have its marks.
    """
    if not isinstance(text, str):
        raise ArgumentError(f"text_features: text is {shortened(text)}, expected a text.")
    if language is None:
        language = guess_language(text)
    if language not in LANGUAGES:
        raise ArgumentError(
            f"text_features: language is {shortened(language)}, expected one of "
            f"{', '.join(map(repr, LANGUAGES))}, or None to have it guessed."
        )
    read = list(tokens(text, language))
    found = _of_places(text) | _of_tokens(len(text), read, language == "prose")
    if language == "prose":
        return {name: found[name] for name in found if "comment" not in name}
    blocks = (PythonBlocks if language == "python" else CBlocks)(len(text))
    for token in read:
        blocks.read(token)
    return found | {
        "block_depth": blocks.depth,
        "if_condition": blocks.condition,
        "if_body": blocks.body,
    }


def _of_places(text: str) -> dict[str, Array]:
    """Where in its line and word a character stands, and how far the line is indented."""
    characters = np.array(list(text), dtype="U1")
    places = np.arange(len(text))

    def last(where: Array) -> Array:
        """The last place up to here where it holds; -1 where there is none."""
        return np.maximum.accumulate(np.where(where, places, -1))

    last_end = last(characters == "\n")
    position = places - last_end
    only_blanks = last((characters != " ") & (characters != "\t")) == last_end
    blanks = np.append(np.where(only_blanks, position, 0), 0)  # the last stands for "none": -1
    word = np.zeros(len(text), int)
    for start, end in (found.span() for found in _WORD.finditer(text)):
        word[start:end] = np.arange(1, end - start + 1)
    return {
        "line_position": position,
        "indentation": blanks[last(only_blanks)],
        "word_position": word,
    }


def _of_tokens(length: int, read: Iterable[Token], prose: bool) -> dict[str, Array]:
    """What single tokens tell: quotations, comments, brackets."""
    brackets = np.zeros(length, int)
    quote, comment = np.zeros(length, bool), np.zeros(length, bool)
    depth, before = 0, ""
    for kind, start, end, _, shut in read:
        if kind == "string":
            quote[start : end - shut] = True
        elif kind == "comment":
            comment[start : end - shut] = True
        elif kind == "open":
            depth += 1
        elif kind == "close":
            depth = max(0, depth - 1)
        elif prose and kind == before == "newline":
            depth = 0  # one that is never closed, as in a smiley, ends with its paragraph
        brackets[start:end] = depth
        before = before if kind == "space" else kind
    return {
        "in_quote": quote,
        "bracket_depth": brackets,
        "in_comment": comment,
        "in_quote_or_comment": quote | comment,
    }
