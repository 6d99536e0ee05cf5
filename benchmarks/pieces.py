"""Runs of minutes, done in pieces, and figures of several of them."""

import statistics
import time

from tinygrad_rnn import training


class Until:
    """Ends a piece of a run after some seconds; what it has come to is in its checkpoints."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds

    def on_step(self, trainer: training.Trainer) -> None:
        if time.monotonic() > self.end:
            trainer.stop("the time of this piece is over")


def spread(shares: list[float], form: str = "{:.1%}") -> str:
    """The mean and, of several, the least and the most."""
    mean = form.format(statistics.mean(shares))
    ends = f" ({form.format(min(shares))} to {form.format(max(shares))})"
    return mean + ends if len(shares) > 1 else mean
