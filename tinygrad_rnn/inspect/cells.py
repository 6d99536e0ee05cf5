"""The search for units that follow a feature of the text."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_rnn.arguments import whole
from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.inspect.activations import Activations, Row
from tinygrad_rnn.ops import matmul
from tinygrad_rnn.tensor import Tensor

__all__ = ["FoundCell", "correlations", "find_cells"]

Array = NDArray[Any]


@dataclass(frozen=True)
class FoundCell:
    """A unit that follows a feature.

    row, unit    where it stands: ``activations[cell.row][:, cell.unit]``
    correlation  Pearson's, of what it does with the feature, over all steps
    threshold    of a feature that is true or false: where to cut for the best F1; else None
    above        whether the feature is said to hold above the threshold, or below
    f1, precision, recall, accuracy    of saying so
    """

    feature: str
    row: Row
    unit: int
    correlation: float
    threshold: float | None = None
    above: bool = True
    f1: float | None = None
    precision: float | None = None
    recall: float | None = None
    accuracy: float | None = None

    def __str__(self) -> str:
        detects = "" if self.f1 is None else f", F1 {self.f1:.2f}"
        return f"{self.feature}: {self.row}[{self.unit}], r = {self.correlation:+.2f}{detects}"


def find_cells(
    activations: Activations,
    features: Mapping[str, Any],
    k: int = 5,
    *,
    rows: Iterable[Any] | None = None,
) -> dict[str, list[FoundCell]]:
    """Of each feature the k units that follow it most closely, the best first.

        found = inspect.activations(model, text)
        cells = inspect.find_cells(found, inspect.text_features(found.text))
        print(cells["in_quote"][0])

    Closeness is the size of the correlation. A feature of truth values is also told from each of
    these units by a threshold: the cut with the best F1 on this text, so a cell worth believing
    is one that keeps its F1 on another. Features that never change are left out, and units that
    never change follow nothing.

    Args:
        features: Arrays by name, with a number or truth value for each step, or for each
            character of the text; of those the last one of a step's piece counts.
        rows: Where to look: names such as "c", or (layer, name). All states, if not given.
    """
    k = whole("find_cells", "k", k, least=1, too_small=ArgumentError)
    searched = activations.states if rows is None else _chosen(activations, rows)
    if not searched:
        raise ArgumentError("find_cells: rows is empty, expected one row at least, or None.")
    aligned = {name: activations.by_step(name, values) for name, values in features.items()}
    aligned = {name: values for name, values in aligned.items() if np.ptp(values.astype(float)) > 0}
    if not aligned:
        return {}
    places = [(row, unit) for row in searched for unit in range(activations[row].shape[1])]
    table = np.concatenate([correlations(activations[row], aligned) for row in searched])
    found: dict[str, list[FoundCell]] = {}
    for column, (name, values) in enumerate(aligned.items()):
        order = np.argsort(-np.abs(table[:, column]), kind="stable")
        best = [i for i in order[:k] if table[i, column] != 0]
        found[name] = [_judged(activations, name, values, *places[i]) for i in best]
    return found


def correlations(units: Any, features: Mapping[str, Any]) -> Array:
    """Pearson's correlation of every unit (T, H) with every feature (T,): (H, features).

    0 where a unit or a feature never changes.
    """
    named = np.stack([np.asarray(values, dtype=float) for values in features.values()], axis=1)
    a, b = (_standard(np.asarray(rows)).astype(np.float32) for rows in (units, named))
    return np.clip(matmul(Tensor(a).T, Tensor(b)).numpy() / len(a), -1.0, 1.0)


def _standard(rows: Array) -> Array:
    """Columns of mean 0 and variance 1; 0 where a column never changes."""
    centred = rows - rows.mean(axis=0, dtype=np.float64)
    deviation = np.sqrt((centred**2).mean(axis=0))
    changes = np.ptp(rows, axis=0) > 0
    return np.where(changes, centred / np.where(changes & (deviation > 0), deviation, 1.0), 0.0)


def _chosen(activations: Activations, rows: Iterable[Any]) -> list[Row]:
    """The rows that are meant; a name alone means that row of every layer and direction."""
    chosen: list[Row] = []
    for key in rows:
        everywhere = [row for row in activations if row.name == key]
        chosen += everywhere or [activations.row(key)]
    return list(dict.fromkeys(chosen))


def _judged(activations: Activations, name: str, feature: Array, row: Row, unit: int) -> FoundCell:
    """A unit beside a feature, in float64."""
    values = activations[row][:, unit].astype(np.float64)
    r = float((_standard(values) * _standard(feature.astype(np.float64))).mean())
    if feature.dtype != bool:
        return FoundCell(name, row, unit, r)
    return FoundCell(name, row, unit, r, **_detector(values, feature, above=r >= 0))


def _detector(values: Array, feature: Array, above: bool) -> dict[str, Any]:
    """The cut that tells a feature with the best F1, and how well it does."""
    signed = values if above else -values
    order = np.argsort(-signed, kind="stable")
    ranked = signed[order]
    told = np.cumsum(feature[order])  # true positives, if the first n + 1 are said to be positive
    count, positives = np.arange(1, len(ranked) + 1), int(feature.sum())
    cut = np.append(ranked[1:] < ranked[:-1], True)  # equal values fall on the same side
    f1 = np.where(cut, 2 * told / (count + positives), -1.0)
    n = int(np.argmax(f1))
    last = n + 1 == len(ranked)
    threshold = ranked[n] if last else (ranked[n] + ranked[n + 1]) / 2
    return {
        "threshold": float(threshold if above else -threshold),
        "above": above,
        "f1": float(f1[n]),
        "precision": float(told[n] / count[n]),
        "recall": float(told[n] / positives),
        "accuracy": float((len(ranked) - count[n] - positives + 2 * told[n]) / len(ranked)),
    }
