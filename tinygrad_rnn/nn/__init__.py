"""Neural network modules: parameters under names, layers, cells, initialisers."""

from tinygrad_rnn.nn import init
from tinygrad_rnn.nn.activations import (
    ELU,
    GELU,
    Activation,
    HardSigmoid,
    HardTanh,
    Identity,
    LeakyReLU,
    LogSoftmax,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Softsign,
    Tanh,
)
from tinygrad_rnn.nn.attention import Attention
from tinygrad_rnn.nn.attention_scores import Score
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
from tinygrad_rnn.nn.containers import ModuleList, Sequential
from tinygrad_rnn.nn.convolution import Conv1d, Conv2d
from tinygrad_rnn.nn.dense import Dense
from tinygrad_rnn.nn.dropout import Dropout, LockedDropout, WordDropout
from tinygrad_rnn.nn.embedding import Embedding, TiedLinear
from tinygrad_rnn.nn.flatten import Flatten
from tinygrad_rnn.nn.init import per_gate
from tinygrad_rnn.nn.linear import Linear
from tinygrad_rnn.nn.module import Module
from tinygrad_rnn.nn.normalization import BatchNorm, LayerNorm
from tinygrad_rnn.nn.parameter import Parameter
from tinygrad_rnn.nn.pooling import AvgPool1d, AvgPool2d, MaxPool1d, MaxPool2d
from tinygrad_rnn.nn.pretrained import read_vectors
from tinygrad_rnn.nn.recurrent import Recurrent
from tinygrad_rnn.nn.rnn import GRU, LSTM, RNN
from tinygrad_rnn.nn.rnn_named import AWDLSTM, LayerNormGRU, LayerNormLSTM, ProjectedLSTM
from tinygrad_rnn.nn.wrappers import DenselyConnected, Highway, Residual

__all__ = [
    "AWDLSTM", "ELU", "GELU", "GRU", "LSTM", "RNN", "Activation", "Attention", "AutonomousCell",
    "AvgPool1d", "AvgPool2d", "BatchNorm", "Cell", "Conv1d", "Conv2d", "Dense", "DenselyConnected",
    "Dropout", "Embedding", "Flatten", "GRUCell", "HardSigmoid", "HardTanh", "Highway", "Identity",
    "IndRNNCell", "LSTMCell", "LSTMVariantCell", "LSTMWithoutForgetCell", "LayerNorm",
    "LayerNormGRU", "LayerNormLSTM", "LeakyReLU", "Linear", "LockedDropout", "LogSoftmax",
    "MGUCell", "MUT1Cell", "MUT2Cell", "MUT3Cell", "MaxPool1d", "MaxPool2d", "Module",
    "ModuleList", "NASCell", "NaiveMemoryCell", "Parameter", "PeepholeLSTMCell", "ProjectedLSTM",
    "RHNCell", "RNNCell", "ReLU", "Recurrent", "Residual", "Score", "Sequential", "SiLU",
    "Sigmoid", "Softmax", "Softplus", "Softsign", "Tanh", "TiedLinear", "WordDropout", "init",
    "per_gate", "read_vectors",
]  # fmt: skip
