"""What models of walks share: instructions, what was in view, and what was done."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from tinygrad_rnn import nn
from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.device import Array, host_array
from tinygrad_rnn.errors import ArgumentError, ShapeError
from tinygrad_rnn.models.clips import frames_of
from tinygrad_rnn.models.labels import names_of, numbers_of
from tinygrad_rnn.models.saved import Saved
from tinygrad_rnn.models.shown import feature_shape, features_of
from tinygrad_rnn.models.speaker import tokens_of
from tinygrad_rnn.models.text_model import vocabulary_and_size
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.text.vocabulary import Vocabulary

__all__ = ["WalkReader"]


class WalkReader(Saved, nn.Module):
    """A model that is given walks: for each an instruction, what was seen and what was done.

    Arguments are those of ``Navigator``.
    """

    vocabularies: ClassVar[dict[str, str]] = {"vocabulary": "end"}
    vocabulary: Vocabulary | None
    out: nn.Linear  # whose weights say where numbers are, and of which type

    def __init__(
        self,
        vocabulary: Any,
        actions: Sequence[str],
        encoder: nn.Module | None,
        features: int | Sequence[int],
    ) -> None:
        super().__init__()
        where = type(self).__name__
        self.vocabulary, self.end = vocabulary_and_size(where, vocabulary)
        self.actions = names_of(where, actions, "actions")
        self.encoder, self.features = encoder, feature_shape(where, features)

    def _ids(self, where: str, instructions: Any, count: int) -> list[Any]:
        """Instructions, texts or lists of tokens, as lists of tokens."""
        if isinstance(instructions, str) or len(instructions) != count:
            raise ArgumentError(
                f"{where}: instructions is {shortened(instructions)}, expected a list of {count}, "
                "one for each walk."
            )
        return [
            tokens_of(where, f"instructions[{number}]", one, self.vocabulary, self.end)
            for number, one in enumerate(instructions)
        ]

    def _seen(self, where: str, views: Any) -> tuple[Tensor, Array]:
        """What the encoder makes of views, (T, B, D) or (T, B, D h w), and how many there are."""
        width, like = int(np.prod(self.features)), self.out.weight
        if self.encoder is None:
            flat = [self._flat(where, n, host_array(view)) for n, view in enumerate(views)]
            return frames_of(where, flat, None, width, like)

        def encoded(frames: Tensor) -> Tensor:
            found = features_of(where, frames, self.encoder, self.features, like)
            return found.reshape(-1, width)

        return frames_of(where, views, encoded, width, like)

    def _flat(self, where: str, number: int, view: Array) -> Array:
        """Features (T, D) or (T, D, h, w), those of each view in one row."""
        if view.shape[1:] != self.features:
            raise ShapeError(
                f"{where}: views[{number}] has shape {view.shape}, expected (T, "
                f"{', '.join(map(str, self.features))}), as features says."
            )
        return view.reshape(len(view), int(np.prod(self.features)))

    def _numbers(self, actions: Any, lengths: Array) -> Array:
        """Numbers of actions (T, B), one for each view."""
        where = type(self).__name__
        return numbers_of(where, self.actions, actions, lengths, "walks", "view", "actions")
