"""Training a decoder step by step: told what it should have said, or what it has found itself."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_rnn import ops, random
from tinygrad_rnn.arguments import bounded
from tinygrad_rnn.device import Array, host_array, to_host
from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.kernels._room import empty
from tinygrad_rnn.models.encoder import Memory
from tinygrad_rnn.models.scores import write_scores
from tinygrad_rnn.modes import no_grad
from tinygrad_rnn.tensor import Tensor

__all__ = ["Spoken", "forced", "step_by_step"]


class Spoken(NamedTuple):
    """What the decoder has made of all tokens of a batch, one below the other.

    features (N, W)
    steps (N,)       the step of each token
    rows (N,)        its row
    scores (M, V)    those of the first tokens, which had to be known on the way, if any had
    """

    features: Tensor
    steps: Array
    rows: Array
    scores: Array | None


def step_by_step(model: Any, memory: Memory, read: Array, told: Array, lengths: Array) -> Spoken:
    """What a ``Seq2Seq`` makes step by step, of rows from the longest to the shortest.

    Where a token is not told, the decoder reads what it found likeliest itself. Steps at
    which all rows are told go with the one before them.
    """
    decoder, carried = model.decoder, model.decoder.start(model.bridge(memory), memory)
    prepared, noise = decoder.prepare(memory), random.noise() if model.training else None
    alive = (np.arange(len(read) + 1)[:, None] < lengths).sum(axis=1).tolist()
    alone = (np.flatnonzero(~told[1:].all(axis=1)) + 1).tolist()
    likeliest = read[0]
    found: list[Tensor] = []
    scores, known = None, 0  # and how many are there
    for begin, end, n in _pieces(alive, alone):
        carried = decoder.first_rows(carried, n)
        if prepared is not None and len(prepared.keys) != n:
            prepared = prepared.first_rows(n)
        first = np.where(told[begin, :n], read[begin, :n], likeliest[:n])
        words = np.stack([first, *read[begin + 1 : end, :n]])
        later = None if noise is None else noise.later(begin)
        features, carried = decoder.told(
            model.dropout(model.target_embedding(words)), prepared, carried,
            np.clip(lengths[:n] - begin, 0, end - begin), later,
        )  # fmt: skip
        found += map(model.output_dropout, features)
        if end in alone:
            if scores is None:
                scores = empty((sum(alive[t] for t in alone), model.end + 1), found[-1]._data)
            made = scores[known : known + alive[end]]
            known += len(made)
            with no_grad():
                write_scores(model.out, found[-1][: len(made)], made)
            likeliest = np.zeros(n, np.int64)
            likeliest[: len(made)] = to_host(made.argmax(axis=1))
    first_ones = [(t - 1, 0, alive[t]) for t in alone]
    others = [(t, alive[t + 1] if t + 1 in alone else 0, alive[t]) for t in range(len(read))]
    parts = [(t, a, b) for t, a, b in first_ones + others if a < b]
    return Spoken(
        ops.concat([found[t][a:b] for t, a, b in parts]),
        np.concatenate([np.full(b - a, t) for t, a, b in parts]),
        np.concatenate([np.arange(a, b) for _, a, b in parts]),
        scores,
    )


def _pieces(alive: Sequence[int], alone: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Where pieces of a sentence begin and end, and how many rows go through them.

    A piece begins at each step of ``alone``, and where a sixth of the rows has ended: fewer are
    not worth leaving out, as what all steps look at is then cut anew.
    """
    begin, rows = 0, alive[0]
    for t in range(1, len(alive)):
        few = alive[t] * 6 < rows * 5
        if few or t in alone or t == len(alive) - 1:
            yield begin, t, rows
            begin, rows = t, alive[t] if few else rows


def forced(given: Any, shape: tuple[int, ...]) -> Array | None:
    """What the decoder is told of what it reads (T, B): booleans (T, 1 or B); None for all."""
    told = host_array(given)
    if told.dtype == np.bool_ and told.ndim:
        if told.shape not in (shape, shape[:1]):
            raise ShapeError(
                f"Seq2Seq.loss: teacher_forcing has shape {told.shape}, expected {shape[:1]}, a "
                f"boolean for each step, or {shape}, one for each token, or a number."
            )
        return told.reshape(len(told), -1)
    share = bounded("Seq2Seq.loss", "teacher_forcing", given, least=0, most=1)
    return None if share == 1 else random.generator().random(shape) < share
