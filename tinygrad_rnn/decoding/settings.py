"""The arguments of ``beam_search``: their types, and those of some of the sources."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Required, TypedDict

import numpy as np

from tinygrad_rnn.decoding.lengths import LengthRule
from tinygrad_rnn.decoding.rules import Rule
from tinygrad_rnn.errors import ShapeError

__all__ = ["Settings", "is_list", "of_sources"]


class Settings(TypedDict, total=False):
    """The arguments of ``beam_search`` that go on as they are, for who checks types."""

    bos: Required[Any]
    eos: Required[int | None]
    beam: int
    max_length: int
    min_length: int
    length_rule: str | LengthRule
    n_best: int
    early_stopping: bool | str
    coverage_penalty: float
    no_repeat_ngram: int
    rules: Sequence[Rule]
    prefix: Any
    constraints: Any
    groups: int
    diversity: float
    stochastic: bool
    seed: int | None
    row_ids: Any


def of_sources(
    where: str, settings: Mapping[str, Any], rows: Iterable[int], sources: int
) -> dict[str, Any]:
    """Settings for some of the sources, as a search of these alone needs them.

    A prefix and constraints may be told for each source, in lists of what is for all; names are.
    """
    found, rows = dict(settings), list(rows)
    for name, depth in (("row_ids", 0), ("prefix", 1), ("constraints", 2)):
        given: Any = settings.get(name)
        if not is_list(given) or not len(given) or _ends_within(given, depth):
            continue
        if len(given) != sources:
            raise ShapeError(
                f"{where}: {name} is told for {len(given)} sources, expected {sources}, or one "
                "for all."
            )
        found[name] = [given[row] for row in rows]
    return found


def is_list(given: Any) -> bool:
    """Whether it is a list of tokens, or of such lists; a text is none."""
    return isinstance(given, Sequence | np.ndarray) and not isinstance(given, str)


def _ends_within(given: Any, depth: int) -> bool:
    """Whether something stands so many lists deep, or less, that is no list."""
    if not is_list(given):
        return True
    return depth > 0 and any(_ends_within(item, depth - 1) for item in given)
