"""After warming up, a first training step waits for nothing."""

import subprocess
import sys

import pytest

from tinygrad_rnn import warmup

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


def test_the_help_says_what_it_does_and_what_its_argument_means(capsys):
    with pytest.raises(SystemExit):
        warmup.main(["--help"])
    said = capsys.readouterr().out
    for part in ("kept in the cache folder", "your own cells", "--all", "float64 as well", "cache"):
        assert part in said
