"""Cells: a decoder's step, a user's cell, and the cells of the library beside the LSTM.

python benchmarks/cells.py        (TINYGRAD_PEER_PYTHON=/path/to/python with PyTorch)
"""

import math
import sys

from duel import Result, duel
from recurrent import OURS, against_pytorch
from sides.arguments import arguments
from table import show, table

from tinygrad_rnn import nn

STEPS = [f"step {cell} {B} 512" for cell in ("LSTMCell", "GRUCell") for B in (1, 64)]
USERS = ["35 20 200", "50 32 128"]
SIZE = "35 20 200"
OTHERS = [
    *(f"train {kind} {SIZE}" for kind in ("LSTMCell", "MUT1Cell", "MUT2Cell", "MUT3Cell")),
    f"train NASCell {SIZE}",
    f"train GRUCell {SIZE} reset_after=True",
    f"train GRUCell {SIZE} reset_after=False",
]


def among_ours(cases: list[tuple[str, str]], rounds: int = 9) -> list[Result]:
    """Pairs of cases, both ours."""
    return duel(cases, OURS, OURS, rounds=rounds, seconds=0.15, python=sys.executable)


def decoder() -> list[str]:
    """Rows: one step of a cell by itself, as a decoder does it, without gradients."""
    rows = [result.row(1e6) for result in against_pytorch(STEPS, rounds=15)]
    head = ["B, H of a step", "ours, µs (best)", "PyTorch, µs (best)", "times as fast"]
    return table("Bar: 1.2 times as fast.", head, rows)


def users_cell() -> list[str]:
    """Rows: an LSTM's arithmetic in a user's words and order, against the built-in LSTM."""
    results = among_ours([(f"train Notebook {s}", f"train LSTM {s}") for s in USERS], rounds=15)
    rows = [f"| {r.case} | {r.times()} | **{1 / r.ratio:.2f}** |" for r in results]
    head = ["a user's cell", "its time, ms (best)", "nn.LSTM, ms (best)", "share of the LSTM's"]
    return table("Bar: 1.15 of the LSTM's time.", head, rows)


def products(case: str) -> float:
    """Floating-point operations of all products of a training step.

    Each product forwards comes back as two, for the gradients of its factors.
    """
    _, kind, (T, B, H), _, options = arguments(case)
    cell = getattr(nn, kind)(H, H, **options)
    shapes = dict(cell.program.params)
    lines = [line for line in cell.program.operations if line.name == "matmul"]
    each = sum(math.prod(w.of(cell.sizes) for w in shapes[line["weight"]]) for line in lines)
    return 3 * 2 * T * B * each


def others() -> list[str]:
    """Rows: training by cell, its time an operation beside the LSTM's, and against composite."""
    lstm = OTHERS[0]
    beside = among_ours([(case, lstm) for case in OTHERS])
    slow = among_ours([(case, f"{case} fused=False") for case in OTHERS], rounds=5)
    rows = []
    for fast, pair in zip(beside, slow, strict=True):
        rate = products(fast.case) / fast.ours * 1e-9
        share = products(lstm) / products(fast.case) / fast.ratio
        figures = f"{pair.times()} | **{pair.ratio:.1f}** | {rate:.0f} | **{share:.2f}**"
        rows.append(f"| {fast.case} | {figures} |")
    head = [
        "cell", "ms (best)", "composite, ms (best)", "times as fast", "GFLOP/s in products",
        "time an operation, LSTM = 1",
    ]  # fmt: skip
    bar = "Bars: 5 times as fast as composite; an operation of products in 1.5 of the LSTM's time."
    return table(bar, head, rows)


def sections() -> dict[str, list[str]]:
    """What ``run.py`` writes into RESULTS.md."""
    return {
        "A decoder's step": decoder(),
        "A user's cell": users_cell(),
        "Other cells, training": others(),
    }


if __name__ == "__main__":
    show(sections())
