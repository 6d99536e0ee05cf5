"""Pieces of words, learnt from a text by sentencepiece."""

import base64
import io
import warnings
from typing import Any, Self

import numpy as np

from tinygrad_rnn.arguments import whole
from tinygrad_rnn.errors import VocabularyError
from tinygrad_rnn.text.vocabulary import ByteDecoder, Ids, Vocabulary, nonempty, text_of

__all__ = ["Subwords"]

SPACE = "▁"  # how sentencepiece writes one


class Subwords(Vocabulary):
    """Frequent pieces of words, and bytes for what is rare: nothing is unknown.

    A text comes back as it was, with its spaces and ends of lines; only the character U+2581,
    by which sentencepiece writes a space, comes back as one. Needs the package sentencepiece:
    ``pip install 'tinygrad-rnn[text]'``.

        pieces = text.Subwords.learn(novel, 2000)
    """

    kind = "subwords"

    def __init__(self, model: bytes) -> None:
        self.model = model
        self._processor = _sentencepiece().SentencePieceProcessor(model_proto=model)
        self._bytes = [self._written(id) for id in range(len(self))]

    @classmethod
    def learn(cls, sample: str, size: int) -> Self:
        """So many pieces of a text: 256 bytes, its characters, and what is frequent in it."""
        sentencepiece = _sentencepiece()
        size = whole("Subwords.learn", "size", size, 1)
        lines = nonempty("Subwords.learn", sample).encode("utf-8", "replace").decode()
        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=(line + "\n" for line in lines.split("\n") if line),
                model_writer=model,
                model_type="bpe",
                vocab_size=size,
                hard_vocab_limit=False,  # a short text has fewer pieces
                byte_fallback=True,
                character_coverage=1.0,
                user_defined_symbols=["\n"],
                bos_id=-1,
                eos_id=-1,
                # nothing is changed, so that the text comes back as it was
                normalization_rule_name="identity",
                remove_extra_whitespaces=False,
                add_dummy_prefix=False,
                max_sentence_length=1 << 30,
                num_threads=1,
                minloglevel=2,
            )
        except RuntimeError as error:
            raise VocabularyError(
                f"Subwords.learn: sentencepiece could not learn {size} pieces of a text of "
                f"{len(sample)} characters, of which {len(set(sample))} differ: {error}"
            ) from None
        return cls(model.getvalue())

    def __len__(self) -> int:
        return int(self._processor.get_piece_size())

    def encode(self, text: str) -> Ids:
        """The numbers of the pieces of a text, (T,)."""
        content = text_of("Subwords.encode", "text", text).encode("utf-8", "replace").decode()
        return np.array(self._processor.encode(content), np.int64)

    def decoder(self) -> ByteDecoder:
        """Text out of pieces that come one by one."""
        return ByteDecoder(self._bytes)

    def piece(self, id: int) -> str:
        """One piece, to be shown: a space as one, a byte as ``\\xe9``."""
        if self._processor.is_byte(id):
            return f"\\x{self._bytes[id][0]:02x}"
        return str(self._processor.id_to_piece(id)).replace(SPACE, " ")

    def _written(self, id: int) -> bytes:
        piece = str(self._processor.id_to_piece(id))
        if self._processor.is_byte(id):
            return bytes([int(piece[1:-1], 16)])  # <0xE9>
        return piece.replace(SPACE, " ").encode()

    def description(self) -> dict[str, Any]:
        """All that makes it, for JSON."""
        return {"kind": self.kind, "model": base64.b64encode(self.model).decode("ascii")}

    @classmethod
    def described(cls, description: dict[str, Any]) -> Self:
        """The vocabulary of a description."""
        return cls(base64.b64decode(description["model"]))


def _sentencepiece() -> Any:
    try:
        with warnings.catch_warnings():  # what SWIG made of it warns on newer Pythons
            warnings.simplefilter("ignore", DeprecationWarning)
            import sentencepiece
    except ImportError:
        raise ImportError(
            "Subwords needs the package sentencepiece. Install it with: "
            "pip install 'tinygrad-rnn[text]'"
        ) from None
    return sentencepiece
