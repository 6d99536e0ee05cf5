"""Walks as models are given them: instructions, and for each what was seen and what was done."""

from typing import Any

import numpy as np

from tinygrad_rnn import nn
from tinygrad_rnn.arguments import shortened, whole
from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import ArgumentError, IndexRangeError, ShapeError
from tinygrad_rnn.models.clips import frames_of
from tinygrad_rnn.models.speaker import IGNORED
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.text.vocabulary import Vocabulary

__all__ = ["ids_of", "names_of", "numbers_of", "seen_by", "shape_of"]


def names_of(where: str, actions: Any) -> list[str]:
    """Names of actions, each once."""
    names = [] if isinstance(actions, str) else list(actions)
    texts = all(isinstance(name, str) for name in names)
    if len(names) < 2 or not texts or len(set(names)) != len(names):
        raise ArgumentError(
            f"{where}: actions is {shortened(actions)}, expected two names or more, each once, "
            "the last of which is to stop."
        )
    return names


def numbers_of(where: str, actions: Any, names: list[str], lengths: Array) -> Array:
    """The numbers of actions by their names (T, B), ``IGNORED`` behind the last."""
    if len(actions) != len(lengths):
        raise ArgumentError(
            f"{where}: views of {len(lengths)} walks and actions of {len(actions)}, expected as "
            "many."
        )
    numbers = {name: number for number, name in enumerate(names)}
    found = np.full((lengths.max(), len(lengths)), IGNORED)
    for b, (own, length) in enumerate(zip(actions, lengths, strict=True)):
        if isinstance(own, str) or len(own) != length:
            raise ShapeError(
                f"{where}: actions[{b}] is {shortened(own)}, expected a list of {length}, one for "
                "each view."
            )
        unknown = [t for t, name in enumerate(own) if name not in numbers]
        if unknown:
            raise IndexRangeError(
                f"{where}: actions[{b}][{unknown[0]}] is {shortened(own[unknown[0]])}, expected "
                f"one of {shortened(names)}."
            )
        found[:length, b] = [numbers[name] for name in own]
    return found


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


def shape_of(where: str, given: Any) -> tuple[int, ...]:
    """D, or (D, h, w) of places, as a tuple."""
    sizes = tuple(given) if isinstance(given, list | tuple) else (given,)
    if len(sizes) not in (1, 3):
        raise ShapeError(
            f"{where}: features is {shortened(given)}, expected D, or (D, h, w) of places."
        )
    return tuple(whole(where, "features", size, 1) for size in sizes)


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
