"""Reading word vectors from the text files that GloVe, word2vec and fastText write."""

from collections.abc import Container
from os import PathLike
from typing import Any

import numpy as np

from tinygrad_rnn.errors import ShapeError

__all__ = ["read_vectors"]


def read_vectors(
    path: str | PathLike[str], words: Container[str] | None = None
) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
    """The vectors of a text file, one word a line and its numbers behind it, by word.

    A first line of two numbers, as word2vec writes it, is passed over.

    Args:
        words: Those to keep, such as a vocabulary; None keeps all.
    """
    vectors: dict[str, np.ndarray[Any, np.dtype[np.float32]]] = {}
    width = 0
    with open(path, encoding="utf-8", errors="replace", newline="\n") as lines:
        for number, line in enumerate(lines, 1):
            word, *numbers = line.rstrip().split(" ")
            if number == 1 and len(numbers) == 1:
                continue
            width = width or len(numbers)
            word = " ".join([word, *numbers[: len(numbers) - width]])  # few words have spaces
            try:
                vector = np.array(numbers[len(numbers) - width :], np.float32)
            except ValueError:
                vector = np.zeros(0, np.float32)
            if len(vector) != width or not width:
                raise ShapeError(
                    f"read_vectors: line {number} of {path} holds {line.strip()[:40]!r}, expected "
                    f"a word and {width or 'its'} numbers."
                )
            if words is None or word in words:
                vectors[word] = vector
    return vectors
