"""Strings, comments, words and brackets of a text: what features are computed from."""

import re
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["LANGUAGES", "Token", "guess_language", "tokens"]


class Token(NamedTuple):
    """A piece of the text: characters ``start`` to ``end``, without the last.

    shut  whether it is a string or a comment, and its closing mark is there
    """

    kind: str
    start: int
    end: int
    text: str
    shut: bool


# A string within a line; N is a number, for the group that tells whether it is closed.
_STRING = r"QUOTE(?:[^QUOTE\\\n]|\\.)*(?:(?P<shutN>QUOTE)|(?=\n)|\Z)"
_LONG = r"MARK(?:[^\\]|\\.)*?(?:(?P<shutN>MARK)|\Z)"
_QUOTED = r"OPEN(?:[^CLOSE\n]|\n(?!\s*?\n))*(?:(?P<shutN>CLOSE)|(?=\n)|\Z)"


def _filled(pattern: str, number: int, **marks: str) -> str:
    for name, mark in marks.items():
        pattern = pattern.replace(name, mark)
    return pattern.replace("shutN", f"shut{number}")


_COMMON = r"""
    | (?P<word>[^\W\d]\w*)
    | (?P<number>\d\w*)
    | (?P<open>[(\[{])
    | (?P<close>[)\]}])
    | (?P<newline>\n)
    | (?P<space>[^\S\n]+)
    | (?P<mark>:=|.)
"""
_LINE = [_filled(_STRING, n, QUOTE=mark) for n, mark in enumerate("\"'")]
_LINES = [_filled(_LONG, n, MARK=mark) for n, mark in enumerate(('"""', "'''", "`"), start=2)]
_PROSE = [_filled(_QUOTED, n, OPEN=mark[0], CLOSE=mark[1]) for n, mark in enumerate(('""', "“”"))]
_JOINED = r"(?P<joined>\\\n)"

_PATTERNS = {
    "python": rf"(?P<comment>\#[^\n]*) | (?P<string>{'|'.join(_LINES[:2] + _LINE)}) | {_JOINED}",
    "c": r"(?P<comment>//(?:[^\\\n]|\\.)* | /\*.*?(?:(?P<shut5>\*/)|\Z))"
    rf"| (?P<string>{'|'.join([*_LINE, _LINES[2]])}) | {_JOINED}",
    # A quotation ends with its paragraph at the latest; an apostrophe is none.
    "prose": rf"(?P<string>{'|'.join(_PROSE)})",
}
LANGUAGES = {
    name: re.compile(pattern + _COMMON, re.VERBOSE | re.DOTALL)
    for name, pattern in _PATTERNS.items()
}

_PYTHON_LINE = re.compile(
    r"^[ \t]*(?:(?:def|class|if|elif|else|for|while|with|try|except|finally)\b[^\n]*:[ \t]*(?:#.*)?"
    r"|(?:import|from|return|raise|self\.)\b[^\n]*|@\w[\w.()]*)$",
    re.M,
)
_C_LINE = re.compile(
    r"^(?:[^\n]*[;{}][ \t]*(?://.*)?|[ \t]*(?://|/\*|\*|#include|#define).*)$", re.M
)


def tokens(text: str, language: str) -> Iterator[Token]:
    """The text from its first to its last character, cut into tokens."""
    pattern = LANGUAGES[language]
    closing = [name for name in pattern.groupindex if name.startswith("shut")]
    for found in pattern.finditer(text):
        kind = found.lastgroup  # that of the outermost group: it is the last to be closed
        assert kind is not None
        shut = kind in ("string", "comment") and any(found[name] for name in closing)
        yield Token(kind, *found.span(), found[0], shut)


def guess_language(text: str) -> str:
    """Python, C or prose, by what a part of the lines looks like."""
    lines = max(1, sum(1 for line in text.splitlines() if line.strip()))
    python, c = (len(pattern.findall(text)) / lines for pattern in (_PYTHON_LINE, _C_LINE))
    if max(python, c) < 0.1:
        return "prose"
    return "python" if python >= c else "c"
