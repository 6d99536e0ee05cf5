"""What models of clips share that give something for every frame: an encoder, then layers."""

from typing import Any

import numpy as np

from tinygrad_rnn import nn, ops
from tinygrad_rnn.arguments import shortened, whole
from tinygrad_rnn.data import pad
from tinygrad_rnn.device import Array, host_array
from tinygrad_rnn.errors import ArgumentError, ShapeError
from tinygrad_rnn.models.clips import frames_of
from tinygrad_rnn.models.layers import CellChoice, check_none_needed, recurrent_layers
from tinygrad_rnn.models.some_rows import some_rows
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.training.run_state import evaluating

__all__ = ["ClipReader", "FrameNumbers"]


class ClipReader(nn.Module):
    """Reads clips frame by frame, and makes ``outputs`` numbers of each.

        h_1 ... h_T = layers(f_1 ... f_T)              f_t: features of frame t
        o_t = h_t w + b

    Arguments are those of ``VideoLabels``.
    """

    def __init__(
        self,
        outputs: int,
        encoder: nn.Module | None,
        hidden_size: int,
        *,
        features: int,
        cell: CellChoice | None = "LSTM",
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__()
        where = type(self).__name__
        self.encoder, self.features = encoder, whole(where, "features", features, 1)
        self.layers: nn.Recurrent | None = None
        self.alone: nn.Linear | None = None
        if cell is None:
            if bidirectional:
                raise ArgumentError(
                    f"{where}: bidirectional with cell=None, expected it with layers: each frame "
                    "alone has nothing before or behind it."
                )
            check_none_needed(where, num_layers, options)
            self.alone, width = nn.Linear(features, hidden_size), hidden_size
        else:
            both = {"bidirectional": True} if bidirectional else {}
            self.layers = recurrent_layers(
                where, cell, features, hidden_size, num_layers, {**options, **both}, ahead=True
            )
            width = self.layers.output_size
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(width, outputs)

    def hidden(self, clips: Any) -> tuple[Tensor, Array]:
        """What layers make of frames, (T, B, H), and how many each clip has."""
        where, like = type(self).__name__, self.out.weight
        frames, lengths = frames_of(where, clips, self.encoder, self.features, like)
        frames = self.dropout(frames)
        if self.layers is None:
            assert self.alone is not None
            return ops.relu(self.alone(frames)), lengths
        return self.layers(frames, lengths=lengths)[0], lengths


class FrameNumbers(ClipReader):
    """A reader of clips that is taught numbers for each frame, of which some may be unknown."""

    def _of_frames(self, clips: Any, batch_size: int) -> list[Array]:
        """What it makes of each clip, (T, ...), a batch at a time."""
        found: list[Array] = []
        with evaluating(self):
            for rows in some_rows(type(self).__name__, len(clips), batch_size):
                numbers, lengths = self(clips[rows])
                each = zip(numbers.numpy().swapaxes(0, 1), lengths, strict=True)
                found += [own[:length] for own, length in each]
        return found

    def _taught(
        self, name: str, given: Any, lengths: Array, shape: tuple[int, ...], dtype: Any
    ) -> tuple[Array, Array]:
        """Targets (T, B, *shape), 0 where they are unknown or behind the last; which are known."""
        where = f"{type(self).__name__}.loss"
        if len(given) != len(lengths):
            raise ArgumentError(
                f"{where}: {len(lengths)} clips and {name} of {len(given)}, expected as many."
            )
        for number, (own, length) in enumerate(zip(given, lengths, strict=True)):
            if np.shape(own) != (length, *shape):
                raise ShapeError(
                    f"{where}: {name}[{number}] has shape {np.shape(own)}, expected "
                    f"{(int(length), *shape)}: for each frame of the clip."
                )
        targets = pad([host_array(own).astype(dtype, copy=False) for own in given], np.nan).data
        known: Array = np.isfinite(targets).all(axis=-1)
        if not known.any():
            raise ArgumentError(
                f"{where}: {name} is {shortened(given)}, in which nothing is known, expected a "
                "number that is not NaN in one frame at least."
            )
        return np.where(known[..., None], targets, 0).astype(dtype), known
