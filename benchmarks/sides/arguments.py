"""Names of recurrent cases: "train LSTM 35 20 200 num_layers=2 loss=last lengths=0.2"."""

from ast import literal_eval
from itertools import cycle

import numpy as np


def arguments(name):
    """What is done, the kind, the sizes, whether the loss is on the last step, other options.

    ``lengths`` among them is the share of T that the shortest sequences have.
    """
    what, kind, *rest = name.split()
    sizes = [int(word) for word in rest if "=" not in word]
    options = dict(word.split("=") for word in rest if "=" in word)
    last_only = options.pop("loss", "all") == "last"
    return what, kind, sizes, last_only, {key: literal_eval(v) for key, v in options.items()}


def draw_lengths(options, T, B):
    """The lengths of one batch after the other, uniform and in no order; None for full batches."""
    share = options.pop("lengths", 1)
    if share == 1:
        return cycle([None])
    rng = np.random.default_rng(1)
    return cycle([rng.integers(round(share * T), T + 1, B) for _ in range(16)])
