"""The course of a run as a chart, out of the tables that ``training.CSVLog`` writes."""

import csv
import os
from pathlib import Path

import numpy as np

from tinygrad_rnn.errors import FileFormatError
from tinygrad_rnn.inspect.chart import line_chart

__all__ = ["draw_learning"]

Place = str | os.PathLike[str]
SMOOTH = 10  # rows whose mean a point is


def draw_learning(
    steps: Place, epochs: Place | None = None, *, y: str = "loss", title: str = "Learning"
) -> str:
    """An SVG image of the loss against the steps of a run, on a logarithmic scale.

        inspect.draw_learning("run/steps.csv", "run/epochs.csv", y="nats a token")

    Args:
        steps: The table of ``CSVLog(..., every=n)``; its losses are smoothed a little.
        epochs: That of ``CSVLog(...)``, for the loss of what is not learned from, ``val_loss``.
        y: What the loss is measured in.
    """
    learned = _points(steps, "loss")
    smooth = [
        (step, float(np.mean([loss for _, loss in learned[max(0, n - SMOOTH + 1) : n + 1]])))
        for n, (step, _) in enumerate(learned)
    ]
    curves = {"learned": smooth}
    if epochs is not None:
        curves["new"] = _points(epochs, "val_loss")
    return line_chart(curves, title=title, x="steps", y=y, log_x=True)


def _points(table: Place, column: str) -> list[tuple[float, float]]:
    try:
        rows = list(csv.DictReader(Path(table).read_text("utf-8").splitlines()))
        return [(float(row["step"]), float(row[column])) for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise FileFormatError(
            f"draw_learning: {str(table)!r} is no table with numbers in the columns step and "
            f"{column}, expected one of training.CSVLog."
        ) from error
