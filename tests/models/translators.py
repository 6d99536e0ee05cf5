"""Small models of every kind, and one that has words."""

import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import models, text

S, V = 9, 7  # tokens of source and target
SOURCES = [[1, 2, 3], [4], [], [5, 6, 7, 8, 0]]
TARGETS = [[1, 2], [3], [4, 5, 6, 6], []]
KINDS = {
    "additive": {},
    "none": {"attention": None, "bridge": "last", "encoder_size": 3},
    "dot": {"attention": "dot", "encoder_size": 3, "cell": "LSTM", "bridge": "last"},
    "general": {"attention": "general", "read_out": "tanh", "tied": True, "bridge": "average"},
    "location": {"attention": "location", "longest": 8, "bridge": "zero", "cell": "RNN"},
    "gate": {"read_out": "tanh", "context_gate": True, "encoder_layers": 2, "decoder_layers": 2},
    "deep": {"read_out": "deep", "tied": True, "bidirectional": False, "decoder_layers": 2},
    "deep_tanh": {"read_out": "deep_tanh"},
    "feeding": {"input_feeding": True, "read_out": "tanh", "cell": "RNN"},
    "context": {
        "input_feeding": "context",
        "read_out": "deep",
        "cell": "LSTM",
        "bridge": "zero",
        "initial_state": "learned",
    },
    "conditional": {
        "input_feeding": "conditional",
        "read_out": "deep_tanh",
        "decoder_layers": 2,
        "tied": True,
    },
    "conditional LSTM": {"input_feeding": "conditional", "cell": "LSTM", "coverage": True},
    "monotonic": {"local": "monotonic", "window": 1},
    "predictive": {"local": "predictive", "window": 2, "attention": "general"},
    "coverage": {"coverage": True},
    "coverage and feeding": {"coverage": True, "input_feeding": True, "attention": "general"},
    "blind feeding": {"attention": None, "input_feeding": True},
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def model_of(kind="additive", source=S, target=V, **options):
    tg.seed(0)
    return models.Seq2Seq(source, target, 4, 6, **{**KINDS[kind], **options}).astype(tg.float64)


ENGLISH = text.Words.of("the dog sleeps . the cat eats .")
FRENCH = text.Words.of("le chien dort . le chat mange .")


def speaker(**options):
    tg.seed(3)
    return models.Seq2Seq(ENGLISH, FRENCH, 4, 6, **options)
