"""Neural network modules: parameters under names, layers, cells, initialisers."""

from tinygrad_rnn.nn import init
from tinygrad_rnn.nn.cell import Cell
from tinygrad_rnn.nn.cells import (
    AutonomousCell,
    GRUCell,
    IndRNNCell,
    LSTMCell,
    LSTMWithoutForgetCell,
    MGUCell,
    NaiveMemoryCell,
    RHNCell,
    RNNCell,
)
from tinygrad_rnn.nn.cells_found import MUT1Cell, MUT2Cell, MUT3Cell, NASCell
from tinygrad_rnn.nn.cells_lstm import LSTMVariantCell, PeepholeLSTMCell
from tinygrad_rnn.nn.embedding import Embedding
from tinygrad_rnn.nn.init import per_gate
from tinygrad_rnn.nn.linear import Linear
from tinygrad_rnn.nn.module import Module
from tinygrad_rnn.nn.parameter import Parameter
from tinygrad_rnn.nn.recurrent import Recurrent
from tinygrad_rnn.nn.rnn import GRU, LSTM, RNN
from tinygrad_rnn.nn.rnn_named import AWDLSTM, LayerNormGRU, LayerNormLSTM, ProjectedLSTM

__all__ = [
    "AWDLSTM", "GRU", "LSTM", "RNN", "AutonomousCell", "Cell", "Embedding", "GRUCell",
    "IndRNNCell", "LSTMCell", "LSTMVariantCell", "LSTMWithoutForgetCell", "LayerNormGRU",
    "LayerNormLSTM", "Linear", "MGUCell", "MUT1Cell", "MUT2Cell", "MUT3Cell", "Module",
    "NASCell", "NaiveMemoryCell", "Parameter", "PeepholeLSTMCell", "ProjectedLSTM", "RHNCell",
    "RNNCell", "Recurrent", "init", "per_gate",
]  # fmt: skip
