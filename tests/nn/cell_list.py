"""Every cell, with its equations in NumPy: one row for each, and all tests cover it."""

from functools import partial

import numpy as np

from tests.nn import equations
from tinygrad_rnn import nn

I, H = 3, 4

# name -> (how it is made from I and H, its equations)
CELLS = {
    "rnn_tanh": (nn.RNNCell, equations.rnn(np.tanh)),
    "rnn_relu": (partial(nn.RNNCell, nonlinearity="relu"), equations.rnn(equations.relu)),
    "rnn_sigmoid": (partial(nn.RNNCell, nonlinearity="sigmoid"), equations.rnn(equations.sigma)),
    "rnn_identity": (partial(nn.RNNCell, nonlinearity="identity"), equations.rnn(lambda z: z)),
    "rnn_first": (partial(nn.RNNCell, nonlinearity_first=True), equations.pascanu(np.tanh)),
    "indrnn": (nn.IndRNNCell, equations.indrnn),
    "autonomous": (lambda i, h, **o: nn.AutonomousCell(h, **o), equations.autonomous),
    "naive_memory": (nn.NaiveMemoryCell, equations.naive_memory),
    "lstm_without_forget": (nn.LSTMWithoutForgetCell, equations.lstm_without_forget),
    "lstm": (nn.LSTMCell, equations.lstm),
    "lstm_peephole": (nn.PeepholeLSTMCell, equations.greff("V")),
    **{
        f"lstm_{v}": (partial(nn.LSTMVariantCell, variant=v), equations.greff(v))
        for v in ("V", "NIG", "NFG", "NOG", "NIAF", "NOAF", "CIFG", "NP", "FGR")
    },
    "gru": (nn.GRUCell, equations.gru_after),
    "gru_before": (partial(nn.GRUCell, reset_after=False), equations.gru_before),
    "mgu": (nn.MGUCell, equations.mgu),
    "mut1": (nn.MUT1Cell, equations.mut1),
    "mut1_wide": (lambda i, h, **o: nn.MUT1Cell(h, h, **o), equations.mut1),
    "mut2": (nn.MUT2Cell, equations.mut2),
    "mut2_wide": (lambda i, h, **o: nn.MUT2Cell(h, h, **o), equations.mut2),
    "mut3": (nn.MUT3Cell, equations.mut3),
    "nas": (nn.NASCell, equations.nas),
    "rhn": (partial(nn.RHNCell, depth=2), equations.rhn(2)),
}

# Those that differ from another in one function.
ALIKE = {"rnn_sigmoid", "rnn_identity", "lstm_V", "lstm_NIG", "lstm_NIAF", "lstm_NOAF", "lstm_NP"}


def make(name, i=I, h=H, **options):
    """A cell in float64 whose weights are all away from 0, of spectral radius about 1."""
    cell = CELLS[name][0](i, h, **options).astype(np.float64)
    rng = np.random.default_rng(len(name) + 7 * i + h)
    for weight in cell.parameters():
        scale = weight.shape[0] ** -0.5 if weight.ndim == 2 else 0.5
        weight.assign_(scale * rng.standard_normal(weight.shape))
    return cell


def draw(cell, T, B, seed=0):
    """x (T, B, I) or None, and states (B, width)."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((T, B, cell.input_size)) if cell.input_size else None
    return x, [rng.standard_normal((B, n)) for n in cell.state_sizes.values()]


def blocks(cell):
    """What the NumPy equations read weights with."""

    def block(name, number=0):
        if name not in cell.params:
            return 0.0
        array = getattr(cell, name).numpy()
        count = cell.params[name].split()[-1].removesuffix("H") or 1
        return np.split(array, int(count), axis=-1)[number]

    return block
