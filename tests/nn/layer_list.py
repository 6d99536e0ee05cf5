"""Every layer of ``nn``: how it is made, and what it is called with. A test sees to "every"."""

from functools import partial

import numpy as np

from tests.nn.cell_list import ALIKE, CELLS, make
from tinygrad_rnn import nn

T, B, I, H, S = 4, 3, 6, 4, 5


def numbers(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape)


X, ROW = numbers(T, B, I), numbers(B, I)
IMAGE, SIGNAL = numbers(B, 2, 6, 5), numbers(B, 2, 7)
IDS = np.array([[0, 3, 3], [5, 1, 0]])
LENGTHS, MASK = np.array([4, 0, 2]), np.arange(T)[:, None] < np.array([4, 1, 2])
RESETS = np.zeros((T, B), bool)
RESETS[2, 1:] = True
QUERY, KEYS = numbers(B, 2, H), numbers(B, S, H)
SEEN = np.array([[1, 1, 0, 1, 1], [0] * S, [0, 0, 0, 0, 1]], bool)


def _cell(name):
    cell = make(name)
    if name in ALIKE:
        cell.fused = False
    return cell


# name -> (how it is made, what it is called with[, by keyword])
LAYERS = {
    **{
        name: (getattr(nn, name), (ROW,))
        for name in (
            "ELU", "GELU", "HardSigmoid", "HardTanh", "Identity", "LeakyReLU", "LogSoftmax",
            "ReLU", "SiLU", "Sigmoid", "Softmax", "Softplus", "Softsign", "Tanh",
        )
    },
    "Activation": (partial(nn.Activation, "gelu"), (ROW,)),
    "Linear": (partial(nn.Linear, I, 5), (X,)),
    "Linear without bias": (partial(nn.Linear, I, 5, bias=False), (ROW,)),
    "Dense": (partial(nn.Dense, 5, I, "tanh"), (X,)),
    "Embedding": (partial(nn.Embedding, 7, H), (IDS,)),
    "Embedding, padded, of words that drop": (
        partial(nn.Embedding, 7, H, padding_id=0, word_dropout=0.5), (IDS,),
    ),
    "TiedLinear": (lambda: nn.TiedLinear(nn.Embedding(7, I)), (X,)),
    "Flatten": (nn.Flatten, (IMAGE,)),
    "LayerNorm": (partial(nn.LayerNorm, I), (X,)),
    "LayerNorm of two axes": (partial(nn.LayerNorm, (B, I)), (X,)),
    "BatchNorm": (partial(nn.BatchNorm, 2), (IMAGE,)),
    "BatchNorm of all so far": (partial(nn.BatchNorm, I, momentum=None), (ROW,)),
    "BatchNorm in use": (lambda: nn.BatchNorm(2).eval(), (SIGNAL,)),
    "Dropout": (nn.Dropout, (X,)),
    "LockedDropout": (nn.LockedDropout, (X,)),
    "Conv1d": (partial(nn.Conv1d, 2, 4, 3, stride=2, padding=1, groups=2), (SIGNAL,)),
    "Conv2d": (partial(nn.Conv2d, 2, 3, (3, 2), dilation=2, padding=(2, 0)), (IMAGE,)),
    "MaxPool1d": (partial(nn.MaxPool1d, 3, 2, 1), (SIGNAL,)),
    "MaxPool2d": (partial(nn.MaxPool2d, 2), (IMAGE,)),
    "AvgPool1d": (partial(nn.AvgPool1d, 3, 2, 1, count_padding=False), (SIGNAL,)),
    "AvgPool2d": (partial(nn.AvgPool2d, 2, padding=1), (IMAGE,)),
    "Sequential": (lambda: nn.Sequential(nn.Linear(I, 5), nn.Tanh(), nn.LayerNorm(5)), (X,)),
    "Residual": (lambda: nn.Residual(nn.Linear(I, I)), (X,)),
    "Highway": (lambda: nn.Highway(nn.Linear(I, I), I), (X,)),
    "DenselyConnected": (lambda: nn.DenselyConnected(nn.GRU(I, H)), (X,)),
    # recurrent layers
    "RNN": (partial(nn.RNN, I, H), (X,)),
    "GRU": (partial(nn.GRU, I, H, 2, bidirectional=True, dropout=0.3), (X,)),
    "LSTM": (partial(nn.LSTM, I, H), (X, (numbers(1, B, H), numbers(1, B, H + 0) / 2))),
    "LSTM without a batch": (partial(nn.LSTM, I, H), (numbers(T, I),)),
    "LSTM, rows first": (partial(nn.LSTM, I, H, batch_first=True), (numbers(B, T, I),)),
    "lengths": (partial(nn.LSTM, I, H, bidirectional=True), (X,), {"lengths": LENGTHS}),
    "a mask": (partial(nn.GRU, I, H, reverse=True), (X,), {"mask": MASK}),
    "resets": (
        partial(nn.LSTM, I, H, initial_state="learned", truncate=2), (X,),
        {"resets": RESETS, "lengths": LENGTHS},
    ),
    "a list of sequences": (
        partial(nn.GRU, I, H, bidirectional=True), ([numbers(3, I), numbers(1, I)],),
        {"resets": [np.array([False, True, False]), np.array([True])]},
    ),
    "no sequences": (partial(nn.GRU, I, H), ([],)),
    "no steps": (partial(nn.GRU, I, H), (numbers(0, B, I),)),
    "last": (
        partial(nn.GRU, I, [H, H], output="last", connect="highway"), (X,),
        {"lengths": LENGTHS},
    ),
    "dense": (partial(nn.GRU, I, H, 2, connect="dense", merge="mul", bidirectional=True), (X,)),
    "in pieces": (partial(nn.LSTM, I, H, recompute=2), (X,)),
    "of rows by name": (
        partial(nn.LSTM, I, H, recurrent_dropout=0.4), (X,), {"row_ids": np.array([7, 1, 3])},
    ),
    "every option": (
        partial(
            nn.LSTM, I, H, 2, dropout=0.2, output_dropout=0.2, input_dropout=0.2, locked=True,
            recurrent_dropout=0.3, weight_drop=0.3, zoneout=0.2, layer_norm=True,
        ), (X,), {"lengths": LENGTHS},
    ),
    "Recurrent without input": (
        lambda: nn.Recurrent(nn.AutonomousCell(H)), (None, numbers(1, B, H)), {"steps": T},
    ),
    "AWDLSTM": (partial(nn.AWDLSTM, I, H, 2), (X,)),
    "LayerNormGRU": (partial(nn.LayerNormGRU, I, H), (X,)),
    "LayerNormLSTM": (partial(nn.LayerNormLSTM, I, H), (X,)),
    "ProjectedLSTM": (partial(nn.ProjectedLSTM, I, H, 2), (X,)),
    # attention
    "dot": (partial(nn.Attention, "dot"), (QUERY, KEYS)),
    "scaled_dot, single": (partial(nn.Attention, "scaled_dot"), (QUERY[:, 0], KEYS, KEYS, SEEN)),
    "general": (
        partial(nn.Attention, "general", H, H), (QUERY, KEYS), {"lengths": np.array([5, 1, 0])},
    ),
    "additive": (partial(nn.Attention, "additive", H, H, 3), (QUERY, KEYS, None, SEEN)),
    "multi_head, causal": (
        partial(nn.Attention, "multi_head", H, num_heads=2, causal=True, dropout=0.2),
        (KEYS, KEYS, KEYS, SEEN),
    ),
    "numbers as a mask": (
        partial(nn.Attention, "dot", batch_first=False), (numbers(2, B, H), numbers(S, B, H)),
        {"mask": np.array([0.5, -np.inf, 0.0])[None].repeat(S, 0).astype(np.float64)},
    ),
    # cells, one step; those that differ from another in one function compile nothing
    **{name: (partial(_cell, name), None) for name in CELLS},
}  # fmt: skip


def of(name):
    """A layer in float64, what it is called with by place, and what by keyword."""
    make_one, given, *options = LAYERS[name]
    layer = make_one().astype(np.float64)
    if given is None:
        states = tuple(numbers(B, n) for n in layer.state_sizes.values())
        given = (numbers(B, layer.input_size) if layer.input else None,)
        given += (states if len(states) > 1 else states[0],)
    return layer, given, options[0] if options else {}
