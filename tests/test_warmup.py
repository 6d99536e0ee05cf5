"""After warming up, a first training step waits for nothing."""

import subprocess
import sys

# A process of its own: in that of the tests, kernels of other tests would be compiled, too.
PROGRAM = """
import numpy as np
import tinygrad_rnn as tg
from tinygrad_rnn import nn, warmup

names = [name for name, *_ in warmup.warm_up(("float32",))]
assert len(set(names)) == len(names)

from tinygrad_rnn.kernels._jit import BUILDS

for layer in (nn.RNN, nn.LSTM, nn.GRU):
    x = tg.tensor(np.ones((4, 3, 5), np.float32), requires_grad=True)
    y, _ = layer(5, 7, num_layers=2, bidirectional=True)(x, lengths=[4, 0, 2])
    (y.tanh() ** 2).sum().backward()
assert len(BUILDS) == len(names), BUILDS[len(names):]
"""


def test_recurrent_layers_of_any_size_find_their_kernels_ready():
    subprocess.run([sys.executable, "-W", "error", "-c", PROGRAM], check=True)
