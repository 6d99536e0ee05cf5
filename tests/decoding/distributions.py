"""Rows of log-probabilities, and models that give them, for tests of decoding."""

from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import strategies as st

from tinygrad_rnn import decoding
from tinygrad_rnn.decoding.plan import Plan

__all__ = ["TableModel", "beam_of", "distributions", "normalised", "shown"]


def normalised(weights):
    with np.errstate(divide="ignore"):
        return np.log(weights / weights.sum(axis=1, keepdims=True))


@st.composite
def distributions(draw):
    """Log-probabilities, with ties and tokens that cannot be."""
    count, width = draw(st.integers(1, 4)), draw(st.integers(1, 9))
    weights = np.array(
        draw(st.lists(st.integers(0, 6), min_size=count * width, max_size=count * width)), float
    ).reshape(count, width)
    weights[:, draw(st.integers(0, width - 1))] += 1
    return normalised(weights**2)


class TableModel:
    """What comes next depends on the newest token and the sum of all before."""

    def __init__(self, size, seed=0, ties=False):
        self.size = size
        draw = np.random.default_rng(seed)
        weights = draw.random((size * size, size)) ** 4
        if ties:  # and tokens that cannot be
            weights = draw.integers(0, 3, weights.shape).astype(float)
            weights[weights.sum(axis=1) == 0] = 1.0
        self.table = normalised(weights)
        self.calls = []

    def start(self, rows):
        return {"sum": np.zeros(rows, np.int64), "names": [f"row {n}" for n in range(rows)]}

    def step(self, tokens, state):
        self.calls.append(state["names"])
        total = (state["sum"] + tokens) % self.size
        return self.table[tokens * self.size + total], {**state, "sum": total}

    def log_probs(self, tokens):
        """Of each token of one row but the first."""
        totals = np.cumsum(tokens) % self.size
        before = tokens[:-1] * self.size + totals[:-1]
        return self.table[before, tokens[1:]]


def beam_of(model, settings, **more):
    """What a beam search finds with a ``TableModel``."""
    return decoding.beam_search(model.step, model.start(len(settings["bos"])), **settings, **more)


@contextmanager
def to_the_end():
    """Searches stop at the longest alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Plan, "done", lambda plan, found, kept, length: found.finished_count < 0)
        yield


def shown(found):
    """Hypotheses as what can be compared."""
    return [
        [(one.tokens.tolist(), one.score, one.log_prob, one.finished) for one in hypotheses]
        for hypotheses in found
    ]
