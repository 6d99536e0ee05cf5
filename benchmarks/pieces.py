"""Runs of minutes, done in pieces."""

import time

from tinygrad_rnn import training


class Until:
    """Ends a piece of a run after some seconds; what it has come to is in its checkpoints."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds

    def on_step(self, trainer: training.Trainer) -> None:
        if time.monotonic() > self.end:
            trainer.stop("the time of this piece is over")
