"""One small operation in a chain of 500, forward and backward."""

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import ops

LENGTH = 500
W = tg.tensor(np.full(4, 0.999, np.float32))
M = tg.tensor(np.eye(4, dtype=np.float32))
OPS = {
    "y * w": lambda y: y * W,
    "y + w": lambda y: y + W,
    "y * y": lambda y: y * y,
    "y * 0.999": lambda y: y * 0.999,
    "tanh(y)": ops.tanh,
    "sigmoid(y)": ops.sigmoid,
    "exp(y)": ops.exp,
    "relu(y)": ops.relu,
    "y @ m": lambda y: y @ M,
    "y.sum(-1, keepdims)": lambda y: y.sum(axis=-1, keepdims=True),
    "y.reshape": lambda y: y.reshape(2, 2),
}


def case(name):
    op = OPS[name]
    shape = (1, 4) if "@" in name or "sum" in name else (2, 2) if "reshape" in name else (4,)
    start = np.full(shape, 0.5 if "exp" not in name else -1e9, np.float32)

    def work():
        x = tg.Tensor(start, requires_grad=True)
        y = x
        for _ in range(LENGTH):
            y = op(y)
        y.backward(np.ones(y.shape, np.float32))

    return work
