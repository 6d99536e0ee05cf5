"""Decoding: sequences of tokens from anything that tells what comes next.

    log_probs, state = step(tokens, state)

    tokens (rows,)        int64: the newest token of each row
    log_probs (rows, V)   log-probabilities of the token after it: a NumPy array, a Tensor, or
                          ``LogProbs`` of scores, of which a beam search writes out the best
    state                 any tree of arrays with rows first; see ``protocol.py``

A step may give a third value, {"attention": (rows, S)}: what each row has looked at.

What a row gets depends on no other row: neither on how many there are nor on which have ended.
"""

from tinygrad_rnn.decoding.beam import beam_search
from tinygrad_rnn.decoding.combined import ensemble, fuse
from tinygrad_rnn.decoding.exhaustive import exhaustive
from tinygrad_rnn.decoding.greedy import greedy
from tinygrad_rnn.decoding.hypotheses import Hypothesis
from tinygrad_rnn.decoding.lengths import GNMT, LengthRule, Power
from tinygrad_rnn.decoding.log_probs import LogProbs
from tinygrad_rnn.decoding.loop import Samples
from tinygrad_rnn.decoding.masks import Banned, Forced, NoRepeatNgram
from tinygrad_rnn.decoding.protocol import Step, take
from tinygrad_rnn.decoding.rules import (
    MinP,
    RepetitionPenalty,
    Rule,
    Temperature,
    TopK,
    TopP,
    Typical,
)
from tinygrad_rnn.decoding.sampling import sample, stream
from tinygrad_rnn.decoding.scoring import score

__all__ = [
    "GNMT",
    "Banned",
    "Forced",
    "Hypothesis",
    "LengthRule",
    "LogProbs",
    "MinP",
    "NoRepeatNgram",
    "Power",
    "RepetitionPenalty",
    "Rule",
    "Samples",
    "Step",
    "Temperature",
    "TopK",
    "TopP",
    "Typical",
    "beam_search",
    "ensemble",
    "exhaustive",
    "fuse",
    "greedy",
    "sample",
    "score",
    "stream",
    "take",
]
