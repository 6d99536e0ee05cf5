"""Each character a token."""

from typing import Any, Self

import numpy as np

from tinygrad_rnn.arguments import flag
from tinygrad_rnn.errors import VocabularyError
from tinygrad_rnn.text.vocabulary import UNKNOWN, Ids, Vocabulary, nonempty, text_of

__all__ = ["Characters"]

REPLACEMENT = "\ufffd"  # what stands for an unknown character in a text


class Characters(Vocabulary):
    """Each character a token, numbered in the order of Unicode.

        letters = text.Characters.of("hello")
        letters.encode("hell")          # [1, 0, 2, 2]

    Args:
        characters: The tokens, each once.
        unknown: Whether there is one more token, the last, for every other character.
    """

    kind = "characters"

    def __init__(self, characters: str, *, unknown: bool = False) -> None:
        self.characters = "".join(sorted(set(nonempty("Characters", characters))))
        self.unknown = flag("Characters", "unknown", unknown)
        self._points = _points(self.characters)
        self._pieces = [*self.characters, UNKNOWN] if self.unknown else list(self.characters)

    @classmethod
    def of(cls, sample: str, *, unknown: bool = False) -> Self:
        """The characters of a text."""
        return cls(nonempty("Characters.of", sample), unknown=unknown)

    def __len__(self) -> int:
        return len(self._pieces)

    def encode(self, text: str) -> Ids:
        """The numbers of the characters of a text, (T,)."""
        points = _points(text_of("Characters.encode", "text", text))
        ids = np.searchsorted(self._points, points)
        ids[ids == len(self._points)] = 0  # beyond the last one: unknown, as the next line finds
        unknown = self._points[ids] != points
        if unknown.any():
            if not self.unknown:
                raise VocabularyError(_unknown_character(text, int(unknown.argmax())))
            ids[unknown] = len(self._points)
        return ids.astype(np.int64)

    def decode(self, ids: Any) -> str:
        """The text of tokens; U+FFFD stands for an unknown character."""
        return "".join(map(self._character, self.known(ids).tolist()))

    def decoder(self) -> "_OneByOne":
        """Text out of tokens that come one by one."""
        return _OneByOne(self)

    def piece(self, id: int) -> str:
        """One token, to be shown."""
        return self._pieces[id]

    def _character(self, id: int) -> str:
        return self.characters[id] if id < len(self.characters) else REPLACEMENT

    def description(self) -> dict[str, Any]:
        """All that makes it, for JSON."""
        return {"kind": self.kind, "characters": self.characters, "unknown": self.unknown}

    @classmethod
    def described(cls, description: dict[str, Any]) -> Self:
        """The vocabulary of a description."""
        return cls(description["characters"], unknown=description["unknown"])


class _OneByOne:
    def __init__(self, characters: Characters) -> None:
        self.add = characters._character

    def end(self) -> str:
        return ""


def _points(characters: str) -> np.ndarray[Any, Any]:
    return np.frombuffer(characters.encode("utf-32-le", "surrogatepass"), "<u4")


def _unknown_character(text: str, place: int) -> str:
    line = text.count("\n", 0, place)
    column = place - text.rfind("\n", 0, place) - 1
    return (
        f"Characters.encode: {text[place]!r} at {place} of the text (line {line + 1}, column "
        f"{column + 1}) is not in the vocabulary. Make it of a text that has it, or with "
        "Characters.of(sample, unknown=True), which has a token for what is unknown."
    )
