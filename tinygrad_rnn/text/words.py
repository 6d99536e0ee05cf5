"""Each word a token, each mark another, and each end of a line."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from tinygrad_rnn.arguments import flag, shortened, whole
from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.text.vocabulary import UNKNOWN, Ids, Vocabulary, nonempty, text_of

__all__ = ["Words"]

WHOLE = re.compile(rf"\n|{UNKNOWN}|\w+(?:['’-]\w+)*|[^\w\s]")
PARTS = re.compile(rf"\n|{UNKNOWN}|\w+(?:['’-](?=\w))?|[^\w\s]")
AT_SPACES = re.compile(r"\n|[^\s]+")
AFTER = frozenset(".,;:!?)]}%…”’")  # marks that follow a word without a space
BEFORE = frozenset("([{“‘")  # and those that a word follows without one
INSIDE = frozenset("'’-")  # marks within a word
EITHER = frozenset("\"'")  # opens, then closes


class Words(Vocabulary):
    """Words, the frequent ones first; token 0 is ``<unk>``, for all that are not in it.

    White space is not kept: ``decode`` puts a space between words, and none where marks
    have none as a rule.

        words = text.Words.of(novel, size=10_000, lower=True)

    Args:
        words: The tokens after ``<unk>``, each once, in their order.
        lower: Whether capitals are made small.
        punctuation: Whether each mark is a token. False cuts at white space alone: for a text
            that is in tokens already, as that of the Penn Treebank.
        parts: Whether a word is also cut behind an apostrophe or hyphen within it: "l'" and
            "arbre", "seventy-" and "eight".
    """

    kind = "words"

    def __init__(
        self,
        words: Sequence[str],
        *,
        lower: bool = False,
        punctuation: bool = True,
        parts: bool = False,
    ) -> None:
        given = [] if isinstance(words, str) else list(words)
        if not given or not all(isinstance(word, str) and word for word in given):
            raise ArgumentError(f"Words: words is {shortened(words)}, expected a list of words.")
        self.pieces = [UNKNOWN, *dict.fromkeys(word for word in given if word != UNKNOWN)]
        self.lower = flag("Words", "lower", lower)
        self.punctuation = flag("Words", "punctuation", punctuation)
        self.parts = flag("Words", "parts", parts)
        self._cuts = _cuts("Words", self.punctuation, self.parts)
        self._numbers = {word: number for number, word in enumerate(self.pieces)}

    @classmethod
    def of(
        cls,
        sample: str,
        min_count: int = 1,
        size: int | None = None,
        *,
        lower: bool = False,
        punctuation: bool = True,
        parts: bool = False,
    ) -> Self:
        """The words of a text.

        Args:
            min_count: A word that comes less often is unknown.
            size: How many tokens at most, ``<unk>`` with them: the most frequent.
        """
        least = whole("Words.of", "min_count", min_count, 1)
        most = None if size is None else whole("Words.of", "size", size, 2) - 1
        cut = _cuts("Words.of", punctuation, parts)
        found = cut.findall(_cased(nonempty("Words.of", sample), lower))
        counts = Counter(word for word in found if word != UNKNOWN)
        often = sorted(counts.items(), key=lambda counted: (-counted[1], counted[0]))
        words = [word for word, count in often if count >= least][:most]
        if not words:
            raise ArgumentError(
                f"Words.of: no word comes min_count = {least} times in the sample of "
                f"{len(found)} words."
            )
        return cls(words, lower=lower, punctuation=punctuation, parts=parts)

    def __len__(self) -> int:
        return len(self.pieces)

    def encode(self, text: str) -> Ids:
        """The numbers of the words of a text, (T,)."""
        text = _cased(text_of("Words.encode", "text", text), self.lower)
        number = self._numbers.get
        return np.array([number(word, 0) for word in self._cut(text)], np.int64)

    def cut(self, text: str) -> list[str]:
        """The words of a text as they stand in it, known or not: one for each of ``encode``."""
        text = text_of("Words.cut", "text", text)
        found = self._cut(text)
        # A few capitals, such as that of "ß", are not one letter when small.
        small = self._cut(text.lower()) if self.lower else found
        return found if len(found) == len(small) else small

    def _cut(self, text: str) -> list[str]:
        found: list[str] = self._cuts.findall(text)
        return found

    def join(self, words: Sequence[str]) -> str:
        """The text of words, known or not, with spaces where they belong."""
        spacing = _Spacing(self)
        return "".join(map(spacing.put, words))

    def decoder(self) -> "_Spacing":
        """Text out of words that come one by one."""
        return _Spacing(self)

    def piece(self, id: int) -> str:
        """One token, to be shown."""
        return self.pieces[id]

    def description(self) -> dict[str, Any]:
        """All that makes it, for JSON."""
        return {
            "kind": self.kind,
            "words": self.pieces[1:],
            "lower": self.lower,
            "punctuation": self.punctuation,
            "parts": self.parts,
        }

    @classmethod
    def described(cls, description: dict[str, Any]) -> Self:
        """The vocabulary of a description."""
        return cls(
            description["words"],
            lower=description["lower"],
            punctuation=description["punctuation"],
            parts=description.get("parts", False),  # older files do not say
        )


def _cuts(where: str, punctuation: bool, parts: bool) -> re.Pattern[str]:
    """What finds the tokens of a text."""
    if not flag(where, "punctuation", punctuation):
        if flag(where, "parts", parts):
            raise ArgumentError(
                f"{where}: parts=True with punctuation=False, expected one of them: text that is "
                "in tokens already is cut at white space alone."
            )
        return AT_SPACES
    return PARTS if flag(where, "parts", parts) else WHOLE


def _cased(text: str, lower: bool) -> str:
    return text.lower() if lower else text


class _Spacing:
    """Puts a space before a word, unless a line begins there or a mark stands between."""

    def __init__(self, words: Words) -> None:
        self._pieces = words.pieces
        self._marks = words.punctuation
        self._parts = words.parts
        self._joined = True  # the next word begins without a space
        self._open = ""  # which of the quotation marks that look the same at both ends

    def add(self, id: int) -> str:
        return self.put(self._pieces[id])

    def put(self, piece: str) -> str:
        if not self._marks:
            joined, self._joined = self._joined or piece == "\n", piece == "\n"
        elif piece in EITHER:
            closes = piece in self._open
            self._open = self._open.replace(piece, "") if closes else self._open + piece
            joined, self._joined = self._joined or closes, not closes
        else:
            if piece == "\n":
                self._open = ""
            joined = self._joined or piece == "\n" or piece in AFTER
            self._joined = piece == "\n" or piece in BEFORE or (self._parts and _goes_on(piece))
        return piece if joined else " " + piece

    def end(self) -> str:
        return ""


def _goes_on(piece: str) -> bool:
    """Whether a token is a part of a word that is not its last."""
    return len(piece) > 1 and piece[-1] in INSIDE
