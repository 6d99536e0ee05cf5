"""Steps made of steps: ensembles of models, and a language model's opinion."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.arguments import bounded, choice, function_of, shortened
from tinygrad_rnn.decoding.protocol import Step, next_rows
from tinygrad_rnn.decoding.rules import normalised
from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import ArgumentError, ShapeError

__all__ = ["ensemble", "fuse"]


def ensemble(
    steps: Sequence[Step], how: str = "log_prob", weights: Sequence[float] | None = None
) -> Step:
    """One step of several models, whose state is the tuple of theirs.

        step = decoding.ensemble([first.step, second.step])
        best = decoding.beam_search(step, (first_state, second_state), bos=1, eos=2)

    Args:
        steps: The models, over the same tokens.
        how: "log_prob" takes the mean of log-probabilities, renormalised, by which each model
            can forbid; "prob" the mean of probabilities, by which each can allow.
        weights: Of the models, in any unit; equal ones if None.
    """
    steps = [function_of("ensemble", f"steps[{n}]", one) for n, one in enumerate(steps)]
    choice("ensemble", "how", how, ("log_prob", "prob"))
    if not steps:
        raise ArgumentError("ensemble: steps is empty, expected a step at least.")
    given = [1.0] * len(steps) if weights is None else list(weights)
    if len(given) != len(steps):
        raise ArgumentError(
            f"ensemble: weights is {shortened(given)}, expected one for each of {len(steps)} steps."
        )
    share = np.array(
        [
            bounded("ensemble", f"weights[{n}]", w, above=0.0, below=np.inf)
            for n, w in enumerate(given)
        ]
    )
    share /= share.max()  # first, or the sum of large ones would be too large
    share /= share.sum()

    def step(tokens: Array, state: Any) -> tuple[Any, ...]:
        rows, states, more = _all_rows("ensemble", steps, tokens, state)
        if how == "log_prob":
            mixed = sum(part * w for part, w in zip(rows, share, strict=True))
            impossible = np.flatnonzero(mixed.max(axis=1) == -np.inf)
            if len(impossible):
                raise ArgumentError(
                    f"ensemble: no token is possible to all models in row {impossible[0]}; "
                    'how="prob" lets each of them allow.'
                )
            return normalised(mixed), states, more
        best = np.maximum.reduce(rows)
        shift = np.where(best > -np.inf, best, 0.0)
        with np.errstate(divide="ignore"):
            total = sum(np.exp(part - shift) * w for part, w in zip(rows, share, strict=True))
            return np.log(total) + shift, states, more

    return step


def fuse(step: Step, lm_step: Step, weight: float) -> Step:
    """A step of a model and a language model: log P + weight · log P of the latter.

    That is shallow fusion (Gülçehre et al. 2015); the state is the tuple of both. What it
    gives is not renormalised, which no search minds. Rows of the language model that forbid
    all that the model allows leave nothing, which is an error.
    """
    steps = [function_of("fuse", "step", step), function_of("fuse", "lm_step", lm_step)]
    weight = bounded("fuse", "weight", weight, least=0.0, below=np.inf)

    def fused(tokens: Array, state: Any) -> tuple[Any, ...]:
        (rows, more_rows), states, more = _all_rows("fuse", steps, tokens, state)
        return rows + weight * more_rows if weight else rows, states, more

    return fused


def _all_rows(
    where: str, steps: Sequence[Step], tokens: Array, state: Any
) -> tuple[list[Array], tuple[Any, ...], dict[str, Any]]:
    """What all steps give; of what they tell besides, the first's."""
    if not isinstance(state, tuple | list) or len(state) != len(steps):
        raise ArgumentError(
            f"{where}: the state is {shortened(state)}, expected a tuple of {len(steps)}, one for "
            "each step."
        )
    found = [
        next_rows(where, step, tokens, one, check=False)
        for step, one in zip(steps, state, strict=True)
    ]
    widths = {rows.shape[1] for rows, _, _ in found}
    if len(widths) > 1:
        raise ShapeError(
            f"{where}: the steps gave log-probabilities of {sorted(widths)} tokens, expected the "
            "same vocabulary."
        )
    rows, states, more = zip(*found, strict=True)
    return list(rows), tuple(states), more[0]
