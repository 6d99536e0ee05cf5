"""Runs of minutes, done in pieces."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tinygrad_rnn import training


class Until:
    """Ends a piece of a run after some seconds; what it has come to is in its checkpoints."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds

    def on_step(self, trainer: training.Trainer) -> None:
        if time.monotonic() > self.end:
            trainer.stop("the time of this piece is over")


def keep(found: dict, done: Path) -> None:
    """Write what a run came to, by which it is known to be over: all of it, or nothing."""
    unfinished = done.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(found))
    unfinished.replace(done)
