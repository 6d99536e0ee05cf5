"""Blocks of code, character by character: how deep they are, and which belong to an ``if``."""

from dataclasses import dataclass

import numpy as np

from tinygrad_rnn.inspect.text_tokens import Token

__all__ = ["CBlocks", "PythonBlocks"]


class Blocks:
    """Reads tokens; arrays tell how things stand after each character."""

    def __init__(self, length: int) -> None:
        self.depth = np.zeros(length, int)
        self.condition, self.body = np.zeros(length, bool), np.zeros(length, bool)
        self.brackets = 0

    def note(self, token: Token, depth: int, condition: bool, body: bool) -> None:
        """How things stand from a token on, at all of its characters."""
        part = slice(token.start, token.end)
        self.depth[part], self.condition[part], self.body[part] = depth, condition, body


@dataclass
class Suite:
    """What stands deeper than a line that begins a block."""

    indentation: int  # of that line
    of_if: bool


_HEADS = frozenset(
    "if elif else for while def class with try except finally async match case".split()
)


class PythonBlocks(Blocks):
    """A block is what follows a colon: the rest of its line, or all lines that are deeper.

    A line that only holds a comment, or nothing, ends no block; nor does one within brackets,
    or one that a backslash joins to the line above.
    """

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.suites: list[Suite] = []
        self._begin_line()

    def _begin_line(self) -> None:
        self.indentation = 0
        self.first: str | None = None  # the first word or mark of the logical line
        self.head: str | None = None  # the word that will open a block, while its colon is ahead
        self.lambdas: list[int] = []  # how many brackets were open at each whose colon is ahead
        self.opened: int | None = None  # how many suites were open before this line's own
        self.follows = False  # something follows the colon, in the same line

    def read(self, token: Token) -> None:
        """The next token."""
        kind, text = token.kind, token.text
        starts = self.first is None
        if kind == "newline" and not self.brackets:
            self._end_line()
        elif kind == "space" and starts:
            self.indentation += len(text)
        elif kind not in ("space", "comment", "newline", "joined"):
            if starts:
                self._begin_statement(text)
            elif self.opened is not None:
                self.follows = True
            self._go_on(kind, text)
        asked = self.head in ("if", "elif") and not starts
        self.note(token, len(self.suites), asked, any(s.of_if for s in self.suites))

    def _begin_statement(self, text: str) -> None:
        self.first = text
        while self.suites and self.suites[-1].indentation >= self.indentation:
            self.suites.pop()
        self.head = text if text in _HEADS else None

    def _go_on(self, kind: str, text: str) -> None:
        if kind == "open":
            self.brackets += 1
        elif kind == "close":
            self.brackets = max(0, self.brackets - 1)
        elif text == "lambda":
            self.lambdas.append(self.brackets)
        elif text == ":":
            if self.lambdas and self.lambdas[-1] == self.brackets:
                self.lambdas.pop()
            elif self.head and not self.brackets:
                self.opened = len(self.suites)
                self.suites.append(Suite(self.indentation, self.head in ("if", "elif")))
                self.head = None

    def _end_line(self) -> None:
        if self.follows:
            del self.suites[self.opened :]  # all of the block stood in this line
        if self.first is None:
            self.indentation = 0
        else:
            self._begin_line()


class CBlocks(Blocks):
    """A block is what stands in braces; an ``if`` may also have one statement without them.

    The ``else`` of an inner ``if`` counts as outside, where the outer one has no braces.
    """

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.open: list[str] = []
        self.bodies: list[int] = []  # of each body, how many brackets are open around it
        self.before = ""
        self.asked = False  # an if has been read, its bracket has not
        self.inside: int | None = None  # how many brackets are open around the condition

    def read(self, token: Token) -> None:
        """The next token."""
        kind, text = token.kind, token.text
        if kind not in ("space", "comment", "newline", "joined"):
            if kind == "open":
                self._open(text)
            elif kind == "close" and self.open:
                self._close(text)
            elif text == ";":
                self._end_statement()
            else:
                begins = text == "if" and self.before != "#"
                self.asked = begins or (self.asked and text == "constexpr")
            self.before = text
        depth = sum(mark == "{" for mark in self.open)
        self.note(token, depth, self.inside is not None, bool(self.bodies))

    def _open(self, text: str) -> None:
        if self.asked and text == "(" and self.inside is None:
            self.inside = len(self.open)
        self.asked = False
        self.open.append(text)

    def _close(self, text: str) -> None:
        self.open.pop()
        if self.inside is not None and len(self.open) <= self.inside:
            self.inside = None
            self.bodies.append(len(self.open))
        elif text == "}":
            self._end_statement()

    def _end_statement(self) -> None:
        """A semicolon or a closing brace ends each body that stands right here, or deeper."""
        while self.bodies and self.bodies[-1] >= len(self.open):
            self.bodies.pop()
