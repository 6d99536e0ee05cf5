"""Where somebody looks in each frame of a clip, as a direction."""

from typing import Any

import numpy as np

from tinygrad_rnn import nn, ops
from tinygrad_rnn.device import Array, host_array, there
from tinygrad_rnn.models.clip_reader import FrameNumbers
from tinygrad_rnn.tensor import Tensor, constant

__all__ = ["GazeDirections"]


class GazeDirections(FrameNumbers):
    """Where somebody looks in each frame of a clip, as a direction in space.

        h_1 ... h_T = layers(f_1 ... f_T)              f_t: features of frame t
        g_t = o_t / |o_t|,  o_t = h_t w + b            (3,)
        loss = mean of 1 - g_t · y_t                   y_t: where it was, of length 1

        model = models.GazeDirections(encoder, 64, features=32, bidirectional=True)
        loss, values = model.loss(clips, directions)   # (T, 3) for each clip
        model.directions(clips)

    Directions to learn from may have any length above 0; one that has NaN teaches nothing.

    Args:
        encoder: Any module that makes (N, F) of frames, or None, as for ``VideoLabels``; so are
            all others.
        cell: None looks at each frame alone.
    """

    def __init__(self, encoder: nn.Module | None, hidden_size: int, **options: Any) -> None:
        super().__init__(3, encoder, hidden_size, **options)

    def forward(self, clips: Any) -> tuple[Tensor, Array]:
        """Directions (T, B, 3) of length 1, and how many frames each clip has."""
        hidden, lengths = self.hidden(clips)
        found = self.out(self.dropout(hidden))
        return found / ops.sqrt((found * found).sum(-1, keepdims=True) + 1e-12), lengths

    def loss(self, clips: Any, directions: Any) -> tuple[Tensor, dict[str, Any]]:
        """The mean of 1 - cos of the angle between them, and {"degrees": ...}, its mean."""
        found, lengths = self(clips)
        targets, known = self._taught(
            "directions", [_of_length_one(own) for own in directions], lengths, (3,), found.dtype
        )
        count = constant(known, found)
        cosines = (found * constant(targets, found)).sum(-1)
        loss = ((1 - cosines) * count).sum() / count.sum()
        with there(cosines._data):
            degrees = np.degrees(np.arccos(np.clip(cosines.data, -1, 1)))
            mean = (degrees * count.data).sum() / np.count_nonzero(known)
        return loss, {"degrees": mean}

    def directions(self, clips: Any, *, batch_size: int = 64) -> list[Array]:
        """The direction in each frame of each clip, (T, 3), of length 1."""
        return self._of_frames(clips, batch_size)


def _of_length_one(directions: Any) -> Array:
    """Directions (T, 3); NaN where there is none."""
    found = host_array(directions).astype(float, copy=False)
    size = np.sqrt(np.square(found).sum(axis=-1, keepdims=True))  # of a number, too
    return found / np.where(size > 0, size, np.nan)
