"""What any model that says captions of something seen can do, in texts and tokens."""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from tinygrad_rnn.arguments import shortened, whole
from tinygrad_rnn.data import Batches
from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.models.shown import Pairs, together
from tinygrad_rnn.models.speaker import Speaker, settings_in_tokens
from tinygrad_rnn.text.vocabulary import Ids, Vocabulary

__all__ = ["Describer"]


class Describer(Speaker):
    """A model that says what is to be seen, in images or clips."""

    vocabularies: ClassVar[dict[str, str]] = {"vocabulary": "end"}
    vocabulary: Vocabulary | None  # None: only the numbers of tokens work, no text

    def step(self, tokens: Any, state: Any) -> tuple[Any, ...]:
        """tokens (rows,) -> log-probabilities of what comes next (rows, V + 1), and the state.

        With attention also {"attention": (rows, P)}.
        """
        found, *rest = self.scored(tokens, state)
        return (np.asarray(found), *rest)

    def batches(
        self, images: Sequence[Any], captions: Sequence[Sequence[str]], batch_size: int, **how: Any
    ) -> Batches:
        """Images, or clips, with their captions, one or more each, as batches for ``loss``.

            for images, captions, of in model.batches(pictures, told, 64, shuffle=True):
                loss, values = model.loss(images, captions, of)

        Args:
            images: Any sequence; an image is read when its batch is.
            captions: For each image a list of texts.
            how: What ``data.Batches`` takes: shuffle, seed, and more.
        """
        where = f"{type(self).__name__}.batches"
        vocabulary = self._needed(where)
        if len(images) != len(captions):
            raise ArgumentError(
                f"{where}: {len(images)} images and captions of {len(captions)}, "
                "expected a list of captions for each image."
            )
        for number, texts in enumerate(captions):
            if isinstance(texts, str) or not texts or not all(map(_says_something, texts)):
                raise ArgumentError(
                    f"{where}: captions[{number}] is {shortened(texts)}, expected a "
                    "list of texts, at least one, and none of them empty."
                )
        tokens = [[vocabulary.encode(text) for text in texts] for texts in captions]
        return Batches(Pairs(images, tokens), batch_size, collate=together, **how)

    def caption(self, images: Any, **how: Any) -> list[str]:
        """What the model says of each image, or clip.

            model.caption(images, beam=5)

        Args:
            how: What ``captioned`` takes: beam, max_length, batch_size, and more. ``prefix`` and
                ``constraints`` may be texts.
        """
        where = f"{type(self).__name__}.caption"
        vocabulary = self._needed(where)
        how = settings_in_tokens(where, vocabulary, how)
        return [vocabulary.decode(tokens) for tokens in self.captioned(images, **how)]

    def captioned(
        self,
        images: Any,
        *,
        beam: int = 1,
        max_length: int = 48,
        batch_size: int = 64,
        **how: Any,
    ) -> list[Ids]:
        """The tokens of a caption of each image, without its end.

        Args:
            beam: How many captions of an image are followed side by side; 1 takes the likeliest
                token at every step.
            max_length: The most tokens of a caption.
            batch_size: How many images go side by side. No caption depends on it.
            how: What else ``decoding.beam_search`` takes.
        """
        where = f"{type(self).__name__}.caption"
        if isinstance(images, str) or not hasattr(images, "__len__"):
            raise ArgumentError(
                f"{where}: images is {shortened(images)}, expected arrays, side by side or in a "
                "list; data.images.read_image makes one of a file."
            )
        return self._said(where, images, beam, max_length, batch_size, how)

    def _groups(
        self, where: str, about: Sequence[Any], max_length: int | None, batch_size: int
    ) -> Iterator[tuple[list[int], int]]:
        limit, count = whole(where, "max_length", max_length, 0), len(about)
        for begin in range(0, count, batch_size):
            yield list(range(begin, min(begin + batch_size, count))), limit

    def _needed(self, where: str) -> Vocabulary:
        if self.vocabulary is None:
            raise ArgumentError(
                f"{where}: a text needs a vocabulary, and this model was made with the number "
                f"{self.end} of tokens alone. Use captioned(), or make it with a vocabulary."
            )
        return self.vocabulary


def _says_something(text: Any) -> bool:
    return isinstance(text, str) and bool(text.strip())
