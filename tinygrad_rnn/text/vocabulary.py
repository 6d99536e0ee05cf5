"""What every vocabulary offers: text to numbers and back, piece by piece, and its description."""

import codecs
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

import numpy as np

from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.errors import ArgumentError, IndexRangeError, VocabularyError

__all__ = [
    "UNKNOWN", "ByteDecoder", "Decoder", "Ids", "Vocabulary", "checked_ids", "nonempty", "text_of",
]  # fmt: skip

Ids = np.ndarray[Any, np.dtype[np.int64]]

UNKNOWN = "<unk>"  # the token for what is in no vocabulary


class Decoder(Protocol):
    """Text out of tokens that come one by one."""

    def add(self, id: int) -> str:
        """The text that this token completes; empty while a character is not whole."""

    def end(self) -> str:
        """What is left when no token comes any more."""


class Vocabulary(ABC):
    """A finite set of tokens, numbered from 0."""

    kind: ClassVar[str]

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def encode(self, text: str) -> Ids:
        """The numbers of the tokens of a text, (T,)."""

    @abstractmethod
    def decoder(self) -> Decoder:
        """Text out of tokens that come one by one."""

    @abstractmethod
    def piece(self, id: int) -> str:
        """One token, to be shown."""

    @abstractmethod
    def description(self) -> dict[str, Any]:
        """All that makes it, for JSON; ``text.vocabulary(description)`` makes it again."""

    @classmethod
    @abstractmethod
    def described(cls, description: dict[str, Any]) -> "Vocabulary":
        """The vocabulary of a description."""

    def decode(self, ids: Any) -> str:
        """The text of tokens."""
        decoder = self.decoder()
        return "".join(map(decoder.add, self.known(ids).tolist())) + decoder.end()

    def known(self, ids: Any) -> Ids:
        """Numbers of tokens as an array (T,), after a look at each."""
        return checked_ids(f"{type(self).__name__}", ids, len(self))

    def difference(self, other: "Vocabulary") -> str:
        """How another vocabulary differs, in words; empty if it does not."""
        if self == other:
            return ""
        if self.kind != other.kind:
            return f"one is of {self.kind}, the other of {other.kind}"
        ours, theirs = (list(map(v.piece, range(len(v)))) for v in (self, other))
        words = [f"one has {len(ours)} tokens, the other {len(theirs)}"]
        for number, only in (("first", _only(ours, theirs)), ("second", _only(theirs, ours))):
            if only:
                shown = ", ".join(map(repr, only[:5])) + (", ..." if len(only) > 5 else "")
                words.append(f"only the {number} has {shown}")
        if len(words) == 1:
            words.append("they number the tokens or cut the text in other ways")
        return "; ".join(words)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vocabulary):
            return NotImplemented
        return self is other or self.description() == other.description()

    def __hash__(self) -> int:
        return hash((self.kind, len(self)))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)} tokens>"


def _only(ours: list[str], theirs: list[str]) -> list[str]:
    others = set(theirs)
    return [piece for piece in ours if piece not in others]


class ByteDecoder:
    """Text out of tokens that are bytes of UTF-8: a character comes with its last one.

    What is none becomes U+FFFD, so that any tokens are a text.
    """

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, id: int) -> str:
        """The text that this token completes."""
        return self._decoder.decode(self._pieces[id])

    def end(self) -> str:
        """What is left when no token comes any more."""
        return self._decoder.decode(b"", final=True)


def checked_ids(where: str, ids: Any, size: int) -> Ids:
    """Numbers of tokens as an array (T,) of int64, each from 0 to below the size."""
    given = np.asarray(ids)
    if not given.size and given.ndim == 1:
        given = given.astype(np.int64)
    if given.ndim != 1 or given.dtype.kind not in "iu":
        raise ArgumentError(
            f"{where}: ids is {shortened(ids)}, expected whole numbers in a row, the tokens."
        )
    wrong = np.flatnonzero((given < 0) | (given >= size))
    if wrong.size:
        raise IndexRangeError(
            f"{where}: ids[{wrong[0]}] is {given[wrong[0]]}, expected 0 to {size - 1}, a token of "
            f"the vocabulary of {size}."
        )
    return given.astype(np.int64)


def text_of(where: str, name: str, given: Any) -> str:
    """A text that was given as an argument."""
    if not isinstance(given, str):
        raise ArgumentError(f"{where}: {name} is {shortened(given)}, expected a text.")
    return given


def nonempty(where: str, sample: Any) -> str:
    """A text to make a vocabulary of."""
    if not text_of(where, "sample", sample):
        raise VocabularyError(f"{where}: sample is empty, expected a text that has the tokens.")
    return sample  # type: ignore[no-any-return]
