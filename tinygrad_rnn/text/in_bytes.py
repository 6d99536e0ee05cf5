"""Each byte of UTF-8 a token."""

from typing import Any, Self

import numpy as np

from tinygrad_rnn.text.vocabulary import ByteDecoder, Ids, Vocabulary, text_of

__all__ = ["Bytes"]

PIECES = [bytes([byte]) for byte in range(256)]


class Bytes(Vocabulary):
    """The 256 bytes, of which UTF-8 makes any text: nothing is unknown."""

    kind = "bytes"

    def __len__(self) -> int:
        return len(PIECES)

    def encode(self, text: str) -> Ids:
        """The bytes of a text, (T,); a half of a surrogate pair becomes a question mark."""
        content = text_of("Bytes.encode", "text", text).encode("utf-8", "replace")
        return np.frombuffer(content, np.uint8).astype(np.int64)

    def decode(self, ids: Any) -> str:
        """The text of bytes; U+FFFD stands for what is not UTF-8."""
        return self.known(ids).astype(np.uint8).tobytes().decode("utf-8", "replace")

    def decoder(self) -> ByteDecoder:
        """Text out of bytes that come one by one: a character comes with its last byte."""
        return ByteDecoder(PIECES)

    def piece(self, id: int) -> str:
        """One byte, to be shown: the character of ASCII, or as ``\\xe9``."""
        return chr(id) if id < 128 else f"\\x{id:02x}"

    def description(self) -> dict[str, Any]:
        """All that makes it, for JSON."""
        return {"kind": self.kind}

    @classmethod
    def described(cls, description: dict[str, Any]) -> Self:
        """The vocabulary of a description."""
        return cls()
