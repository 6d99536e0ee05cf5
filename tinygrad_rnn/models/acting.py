"""Walks as models are given them: instructions, and for each what was seen and what was done."""

from typing import Any

import numpy as np

from tinygrad_rnn import nn
from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.models.clips import frames_of
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.text.vocabulary import Vocabulary

__all__ = ["ids_of", "seen_by"]


def ids_of(where: str, instructions: Any, count: int, vocabulary: Vocabulary | None) -> list[Any]:
    """Instructions, texts or lists of tokens, as lists of tokens."""
    if isinstance(instructions, str) or len(instructions) != count:
        raise ArgumentError(
            f"{where}: instructions is {shortened(instructions)}, expected a list of {count}, one "
            "for each walk."
        )
    found = []
    for number, one in enumerate(instructions):
        if isinstance(one, str) and vocabulary is None:
            raise ArgumentError(
                f"{where}: instructions[{number}] is a text, which needs a vocabulary, and this "
                "model was made with the number of tokens alone."
            )
        ids = vocabulary.encode(one) if isinstance(one, str) and vocabulary is not None else one
        if not len(ids):
            raise ArgumentError(
                f"{where}: instructions[{number}] is empty, expected one word or more."
            )
        found.append(ids)
    return found


def seen_by(
    encoder: nn.Module | None, where: str, views: Any, features: tuple[int, ...], dtype: Any
) -> tuple[Tensor, Array]:
    """What an encoder makes of views, (T, B, D) or (T, B, D h w), and how many there are."""
    width = int(np.prod(features))
    if encoder is None:
        views = [np.reshape(view, (len(view), -1)) for view in views]
        return frames_of(where, views, None, width, dtype)
    flat = encoder if len(features) == 1 else nn.Sequential(encoder, nn.Flatten())
    return frames_of(where, views, flat, width, dtype)
