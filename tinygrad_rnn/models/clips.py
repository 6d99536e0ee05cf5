"""Clips as they are given to a model: a list of arrays, (T, C, H, W), or features (T, D).

T may differ; frames are bytes or numbers.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_rnn import ops
from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.data import pad
from tinygrad_rnn.device import Array, host_array
from tinygrad_rnn.errors import ArgumentError, ShapeError
from tinygrad_rnn.models.layers import nothing
from tinygrad_rnn.models.shown import of_one_type, side_by_side
from tinygrad_rnn.tensor import Tensor, constant

__all__ = ["frames_of", "mean_of"]


def frames_of(
    where: str, clips: Any, encoder: Callable[[Tensor], Tensor] | None, width: int, like: Tensor
) -> tuple[Tensor, Array]:
    """What an encoder makes of frames, (T, B, D), 0 behind the last; how many there are.

    The encoder sees all frames of all clips side by side, and no padding.
    """
    arrays = _clips(where, clips)
    lengths = np.array([len(array) for array in arrays])
    if encoder is None:
        found = side_by_side(where, pad(arrays).data, like)
        expected = (*found.shape[:2], width)
    else:
        found = encoder(side_by_side(where, np.concatenate(arrays), like))
        expected = (int(lengths.sum()), width)
    if found.shape != expected:
        of = "clips" if encoder is None else "the encoder's outputs"
        raise ShapeError(
            f"{where}: {of} have shape {found.shape}, expected {expected}: "
            f"features={width} numbers for each frame."
        )
    if encoder is not None:
        begins = np.cumsum(lengths) - lengths
        steps = np.arange(lengths.max())[:, None]
        places = np.where(steps < lengths, begins + steps, len(found))  # the last one is nothing
        padding = nothing(1, width, like=found)
        found = ops.embedding(ops.concat([found, padding]), places)
    return found, lengths


def mean_of(frames: Tensor, lengths: Array) -> Tensor:
    """The mean of frames (T, B, D), which are 0 behind the last, over those that are there."""
    return frames.sum(0) / constant(lengths[:, None], frames)


def _clips(where: str, clips: Any) -> list[Array]:
    if not hasattr(clips, "__len__") or isinstance(clips, str) or not len(clips):
        raise ArgumentError(
            f"{where}: clips is {shortened(clips)}, expected a list of arrays, one or more, each "
            "(T, C, H, W) of frames or (T, D) of features."
        )
    arrays = [host_array(clip) for clip in clips]
    for number, array in enumerate(arrays):
        if array.ndim < 2:
            raise ShapeError(
                f"{where}: clips[{number}] has shape {array.shape}, expected (T, C, H, W) of "
                "frames or (T, D) of features."
            )
        if array.shape[1:] != arrays[0].shape[1:]:
            raise ShapeError(
                f"{where}: clips[{number}] has shape {array.shape}, clips[0] {arrays[0].shape}; "
                "expected (T, ...) of each, of which only T may differ."
            )
        if not len(array):
            raise ShapeError(f"{where}: clips[{number}] has no frame, expected one or more.")
    of_one_type(where, "clips", arrays)
    return arrays
