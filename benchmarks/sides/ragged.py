"""Ragged examples of both sides: sentences of tokens, and a label for each."""

import numpy as np

COUNT, BATCH, TOKENS, POOL = 10_000, 64, 2048, 100


def examples():
    """Token arrays, labels, lengths: from 1 to 200, like words of sentences."""
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.lognormal(3, 0.6, COUNT), 1, 200).astype(int)
    return [rng.integers(0, 30_000, n) for n in lengths], rng.integers(0, 2, COUNT), lengths
