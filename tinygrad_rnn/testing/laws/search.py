"""Laws of beam search.

Each takes ``search(step, state, beam=, bos=, eos=, max_length=)``, which looks for the sequences
of the largest log-probability, without any other weight for their length:

step(tokens (rows,), state) -> (log-probabilities (rows, V), state)
state       arrays with rows first; search picks rows of it as it picks hypotheses
returns     for every row of the first state a list of hypotheses, the best first, each with
            ``tokens`` (without bos; eos at the end, if at all) and ``log_prob``
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tinygrad_rnn.testing.laws.common import Draw, expect, expect_close, random, title_of
from tinygrad_rnn.testing.numeric import Array

__all__ = ["beam1_is_greedy", "beam_score_is_logprob", "beam_wide_is_exhaustive"]

Search = Callable[..., Sequence[Sequence[Any]]]

BOS, EOS, NEVER = 1, 2, -1e9
ROUNDING = 1e-9


class _Chain:
    """A model that remembers all it has read; after ``longest`` tokens there is only eos."""

    def __init__(self, rng: np.random.Generator, words: int, longest: int, sources: int) -> None:
        self.longest = longest
        self.read = 1.5 * rng.standard_normal((words, 3))
        self.keep = 1.5 * rng.standard_normal((3, 3))
        self.say = 1.5 * rng.standard_normal((3, words))
        self.start = np.concatenate([np.zeros((sources, 1)), rng.standard_normal((sources, 3))], 1)

    def step(self, tokens: Any, state: Any) -> tuple[Array, Array]:
        """Log-probabilities (rows, V) of the next token; the state (rows, 4) is step and memory."""
        tokens, state = np.asarray(tokens).reshape(-1), np.asarray(state)
        memory = np.tanh((state[:, 1:, None] * self.keep).sum(axis=1) + self.read[tokens])
        scores = (memory[:, :, None] * self.say).sum(axis=1)
        scores[:, BOS] = NEVER
        over = state[:, 0] >= self.longest - 1
        others = np.arange(scores.shape[1]) != EOS
        scores[over[:, None] & others] = NEVER
        scores = scores - scores.max(axis=1, keepdims=True)
        log_probs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        return log_probs, np.concatenate([state[:, :1] + 1, memory], axis=1)

    def greedy(self, source: int) -> tuple[list[int], float]:
        """The most probable token after each other, until eos."""
        tokens: list[int] = []
        state, last, total = self.start[source : source + 1], BOS, 0.0
        while last != EOS:
            log_probs, state = self.step([last], state)
            last = int(np.argmax(log_probs[0]))
            total += float(log_probs[0, last])
            tokens.append(last)
        return tokens, total

    def log_prob(self, source: int, tokens: Sequence[int]) -> float:
        """What a sequence adds up to."""
        state, last, total = self.start[source : source + 1], BOS, 0.0
        for token in tokens:
            log_probs, state = self.step([last], state)
            total, last = total + float(log_probs[0, token]), token
        return total

    def best(self, source: int) -> tuple[list[int], float]:
        """The most probable of all sequences that end."""
        ended: list[tuple[list[int], float]] = []
        going = [([BOS], 0.0, self.start[source : source + 1])]
        while going:
            tokens, total, state = going.pop()
            log_probs, after = self.step(tokens[-1:], state)
            for token in np.flatnonzero(log_probs[0] > NEVER / 2):
                one = ([*tokens, int(token)], total + float(log_probs[0, token]))
                if token == EOS:
                    ended.append(one)
                else:
                    going.append((*one, after))
        tokens, total = max(ended, key=lambda one: one[1])
        return tokens[1:], total


def beam1_is_greedy(search: Search, draw: Draw) -> None:
    """With a beam of one hypothesis the most probable token is taken at every step."""
    chain, found = _searched(search, draw, lambda chain: 1)
    for source, hypotheses in enumerate(found):
        _expect_best("beam1_is_greedy", search, source, hypotheses, chain.greedy(source))


def beam_wide_is_exhaustive(search: Search, draw: Draw) -> None:
    """With a beam as wide as there are sequences, the best of all is found."""
    chain, found = _searched(search, draw, lambda chain: len(chain.read) ** chain.longest)
    for source, hypotheses in enumerate(found):
        _expect_best("beam_wide_is_exhaustive", search, source, hypotheses, chain.best(source))


def beam_score_is_logprob(search: Search, draw: Draw) -> None:
    """Each log_prob is what the steps give for its tokens; the best hypothesis comes first."""
    law, title = "beam_score_is_logprob", title_of(search)
    beam = draw(st.integers(1, 5))
    chain, found = _searched(search, draw, lambda chain: beam)
    for source, hypotheses in enumerate(found):
        scores = np.array([float(h.log_prob) for h in hypotheses])
        for h, score in zip(hypotheses, scores, strict=True):
            tokens = _ended(h.tokens)
            what = f"the log_prob of {tokens} of source {source}"
            expected = np.array(chain.log_prob(source, tokens))
            expect_close(law, title, what, np.array(score), expected, ROUNDING)
        expect(
            bool((np.diff(scores) <= ROUNDING).all()), law, title, f"hypotheses score {scores}",
            "the largest first",
        )  # fmt: skip


def _searched(
    search: Search, draw: Draw, width: Callable[[_Chain], int]
) -> tuple[_Chain, Sequence[Sequence[Any]]]:
    """A model, and what the search finds in it."""
    words, longest = draw(st.integers(4, 5)), draw(st.integers(1, 3))
    chain = _Chain(random(draw), words, longest, draw(st.integers(1, 3)))
    found = search(
        chain.step, chain.start.copy(), beam=width(chain), bos=BOS, eos=EOS, max_length=longest
    )
    return chain, found


def _expect_best(
    law: str, search: Search, source: int, hypotheses: Sequence[Any], best: tuple[list[int], float]
) -> None:
    title = title_of(search)
    expect(bool(len(hypotheses)), law, title, f"no hypothesis for source {source}", f"{best[0]}")
    tokens = _ended(hypotheses[0].tokens)
    expect(tokens == best[0], law, title, f"the best of source {source} is {tokens}", f"{best[0]}")
    found = np.array(float(hypotheses[0].log_prob))
    expect_close(law, title, f"its log_prob {tokens}", found, np.array(best[1]), ROUNDING)


def _ended(tokens: Any) -> list[int]:
    """The tokens up to eos, which has to be the last; it may be missing."""
    listed = [int(token) for token in np.asarray(tokens).reshape(-1)]
    return listed if listed[-1:] == [EOS] else [*listed, EOS]
