"""A vocabulary out of its description."""

from collections.abc import Mapping
from typing import Any

from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.errors import VocabularyError
from tinygrad_rnn.text.characters import Characters
from tinygrad_rnn.text.in_bytes import Bytes
from tinygrad_rnn.text.subwords import Subwords
from tinygrad_rnn.text.vocabulary import Vocabulary
from tinygrad_rnn.text.words import Words

__all__ = ["vocabulary"]

KINDS: dict[str, type[Vocabulary]] = {
    kind.kind: kind for kind in (Bytes, Characters, Subwords, Words)
}


def vocabulary(description: Mapping[str, Any]) -> Vocabulary:
    """The vocabulary whose ``description()`` this is."""
    kind = description.get("kind") if isinstance(description, Mapping) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise VocabularyError(
            f"text.vocabulary: description is {shortened(description)}, expected what "
            f"description() of a vocabulary gave, of a kind in {sorted(KINDS)}."
        )
    try:
        return KINDS[kind].described(dict(description))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise VocabularyError(
            f"text.vocabulary: the description of {kind} is damaged: {error}"
        ) from error
