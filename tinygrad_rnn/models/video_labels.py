"""What goes on in each frame of a clip, or in all of it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_rnn import losses, nn
from tinygrad_rnn.arguments import choice
from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.models.clip_reader import ClipReader
from tinygrad_rnn.models.clips import mean_of
from tinygrad_rnn.models.labels import named, names_of, numbers_of, right_share
from tinygrad_rnn.models.layers import CellChoice
from tinygrad_rnn.models.some_rows import some_rows
from tinygrad_rnn.models.speaker import IGNORED
from tinygrad_rnn.tensor import Tensor, constant
from tinygrad_rnn.training.run_state import evaluating

__all__ = ["VideoLabels"]


class VideoLabels(ClipReader):
    """What goes on in every frame of a clip, or in all of it.

        h_1 ... h_T = layers(f_1 ... f_T)              f_t: features of frame t
        P(label of t) = softmax(h_t w + b)             of="frame"
        P(label) = softmax(h_T w + b)                  of="clip"

        model = models.VideoLabels(["runs", "jumps"], encoder, 128, features=64, of="frame")
        loss, values = model.loss(clips, [["runs", "runs", "jumps"], ...])
        model.labels(clips)

    Args:
        labels: Their names.
        encoder: Any module that makes (N, D) of frames (N, C, H, W). None: clips are such features
            themselves, (T, D).
        hidden_size: The width of the layers.
        features: D.
        of: "frame" or "clip".
        cell: As for ``LanguageModel``; None looks at each frame alone, and of a clip at the mean
            of them: h_t = relu(f_t w' + b').
        bidirectional: Whether layers also read backwards; for frames only.
        dropout: The share of what is read, and of what scores are made of.
        options: Those of recurrent layers.
    """

    def __init__(
        self,
        labels: Sequence[str],
        encoder: nn.Module | None,
        hidden_size: int,
        *,
        features: int,
        of: str = "clip",
        cell: CellChoice | None = "LSTM",
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        **options: Any,
    ) -> None:
        names = names_of("VideoLabels", labels)
        if choice("VideoLabels", "of", of, ("frame", "clip")) == "clip" and bidirectional:
            raise ArgumentError(
                "VideoLabels: bidirectional with of='clip', expected it with layers that label "
                "frames: a clip has its label when its last frame is there."
            )
        super().__init__(
            len(names), encoder, hidden_size, features=features, cell=cell, num_layers=num_layers,
            bidirectional=bidirectional, dropout=dropout, **options,
        )  # fmt: skip
        self.names, self.of = names, of

    def forward(self, clips: Any) -> tuple[Tensor, Array]:
        """Scores (T, B, K) of frames or (B, K) of clips, and how many frames each has."""
        hidden, lengths = self.hidden(clips)
        if self.of == "clip":
            if self.layers is None:
                there = np.arange(len(hidden))[:, None] < lengths
                hidden = mean_of(hidden * constant(there[..., None], hidden), lengths)
            else:
                hidden = hidden[lengths - 1, np.arange(len(lengths))]
        return self.out(self.dropout(hidden)), lengths

    def loss(self, clips: Any, labels: Any) -> tuple[Tensor, dict[str, Any]]:
        """The mean cross-entropy, of frames or clips, and {"accuracy": ...}.

        Args:
            labels: A name for each clip; or for each clip a list, one name for each frame.
        """
        scores, lengths = self(clips)
        part = "frame of the clip" if self.of == "frame" else None
        targets = numbers_of("VideoLabels.loss", self.names, labels, lengths, "clips", part)
        loss = losses.cross_entropy(scores, targets, ignore_index=IGNORED)
        return loss, {"accuracy": right_share(scores, targets)}

    def labels(self, clips: Any, *, batch_size: int = 64) -> list[Any]:
        """The likeliest name for each clip, or for each of its frames."""
        found: list[Any] = []
        with evaluating(self):
            for rows in some_rows("VideoLabels.labels", len(clips), batch_size):
                scores, lengths = self(clips[rows])
                found += named(self.names, scores.numpy(), lengths)
        return found
