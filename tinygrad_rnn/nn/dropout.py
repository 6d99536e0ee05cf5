"""Dropout in three forms: of single numbers, the same at all steps, and of whole words."""

from typing import Any

import numpy as np

from tinygrad_rnn import ops, random
from tinygrad_rnn.arguments import bounded, flag, whole
from tinygrad_rnn.device import array_module
from tinygrad_rnn.errors import DTypeError, IndexRangeError, ShapeError
from tinygrad_rnn.nn.dropping import dropped
from tinygrad_rnn.nn.module import Module
from tinygrad_rnn.tensor import Tensor, as_array, as_tensor

__all__ = ["Dropout", "LockedDropout", "WordDropout"]


class Dropout(Module):
    """While training, each number is dropped by chance, and the rest grown to make up for it.

        y = x m / (1 - rate),  m = 0 with probability rate, else 1

    x (...)  ->  y (...); outside of training y = x.

    Args:
        rate: The share that is dropped, from 0 up to but not 1.
    """

    def __init__(self, rate: float = 0.5) -> None:
        super().__init__()
        self.rate = bounded("Dropout", "rate", rate, least=0, below=1)

    def forward(self, x: Any) -> Tensor:
        """x (...) -> (...)."""
        return ops.dropout(x, self.rate, self.training)

    def extra_repr(self) -> str:
        """The share."""
        return f"{self.rate}"


class LockedDropout(Module):
    """Dropout that drops the same units of a row at all of its steps (Gal & Ghahramani 2016).

        y[t, b, u] = x[t, b, u] m[b, u] / (1 - rate)

    x (T, B, H)  ->  y (T, B, H). What is dropped is a function of the call and the row.

    Args:
        rate: The share that is dropped.
        batch_first: Whether x is (B, T, H) instead.
    """

    def __init__(self, rate: float = 0.5, batch_first: bool = False) -> None:
        super().__init__()
        self.rate = bounded("LockedDropout", "rate", rate, least=0, below=1)
        self.batch_first = flag("LockedDropout", "batch_first", batch_first)

    def forward(self, x: Any) -> Tensor:
        """x (T, B, H) -> (T, B, H)."""
        y: Tensor = as_tensor(x, "LockedDropout")
        if y.ndim != 3:
            axes = "(B, T, H)" if self.batch_first else "(T, B, H)"
            raise ShapeError(f"LockedDropout: x has shape {y.shape}, expected {axes}.")
        if not self.training or not self.rate:
            return y
        rows, width = y.shape[0 if self.batch_first else 1], y.shape[2]
        numbers = random.noise().at(0, [0], rows, width, y._data)
        return dropped(y, self.rate, numbers.swapaxes(0, 1) if self.batch_first else numbers)

    def extra_repr(self) -> str:
        """The share, and which axis is time."""
        return f"{self.rate}, batch_first={self.batch_first}"


class WordDropout(Module):
    """While training, tokens are replaced by the unknown one by chance (Bowman et al. 2016).

        y[...] = unknown_id with probability rate, else ids[...]

    ids (...) integers  ->  y (...) integers. To drop all occurrences of a word in a batch at
    once, there is ``nn.Embedding(..., word_dropout=rate)``.

    Args:
        rate: The share of tokens that is replaced.
        unknown_id: What they are replaced by.
        keep: Ids that are never replaced, such as padding and the start of a sentence.
    """

    def __init__(self, rate: float, unknown_id: int, keep: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.rate = bounded("WordDropout", "rate", rate, least=0, below=1)
        self.unknown_id = whole("WordDropout", "unknown_id", unknown_id, 0, IndexRangeError)
        self.keep = tuple(whole("WordDropout", "keep", token) for token in keep)

    def forward(self, ids: Any) -> Any:
        """ids (...) -> an array (...)."""
        ids = as_array(ids, "WordDropout")
        if ids.dtype.kind not in "iu":
            raise DTypeError(f"WordDropout: ids hold {ids.dtype}, expected integers.")
        if self.unknown_id > np.iinfo(ids.dtype).max:
            raise DTypeError(
                f"WordDropout: ids hold {ids.dtype}, expected integers that can be unknown_id, "
                f"{self.unknown_id}."
            )
        if not self.training or not self.rate:
            return ids
        xp = array_module(ids)
        replaced = xp.asarray(random.uniform(ids.shape) < self.rate)
        replaced &= ~xp.isin(ids, xp.asarray(self.keep, ids.dtype))
        return xp.where(replaced, ids.dtype.type(self.unknown_id), ids)

    def extra_repr(self) -> str:
        """The share and the token."""
        return f"{self.rate}, unknown_id={self.unknown_id}"
