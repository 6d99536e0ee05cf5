"""Where time is easily lost: gradients that vanish, and what is not the products.

python benchmarks/limits.py        (TINYGRAD_PEER_PYTHON=/path/to/python with PyTorch)
"""

import sys

from cells import among_ours, products
from duel import HERE, duel, short
from recurrent import KINDS, OURS, against_pytorch
from sides.peak import flops
from table import show, table

from tinygrad_rnn.kernels._pool import num_threads

LONG, LARGE = "400 20 200", "50 64 512"


def vanishing() -> list[str]:
    """Rows: backward over many steps, from a loss on the last one.

    Its gradients shrink to where float32 loses precision, and arithmetic down there can be a
    hundred times slower.
    """
    last = [f"backward {kind} {LONG} loss=last" for kind in KINDS]
    every = [f"backward {kind} {LONG}" for kind in KINDS]
    ours = among_ours(list(zip(last, every, strict=True)), rounds=9)
    peers = against_pytorch(last, rounds=3)
    rows = [
        f"| {r.case} | {r.times()} | **{1 / r.ratio:.2f}** "
        f"| {short(p.peer * 1e3)} ({short(p.peer_best * 1e3)}) | **{p.ratio:.1f}** |"
        for r, p in zip(ours, peers, strict=True)
    ]
    head = [
        "backward alone", "ms (best)", "loss on every step, ms (best)", "share of that",
        "PyTorch, loss on the last, ms (best)", "times as fast",
    ]  # fmt: skip
    bar = (
        "Bar: 1.1 of the time with the loss on every step. PyTorch as it starts; on a "
        "Xeon torch.set_flush_denormal(True) makes that about a tenth of the time."
    )
    return table(bar, head, rows)


def share_of_peak() -> list[str]:
    """Rows: how much of the machine's rate an LSTM's training step turns into products."""
    case = f"train LSTMCell {LARGE}"
    peak = HERE / "sides" / "peak.py"
    [result] = duel([(case, "float32")], OURS, peak, rounds=15, python=sys.executable)
    work, most = products(case), flops("float32", num_threads())
    rates = f"{work / result.ours * 1e-9:.0f} | {most / result.peer * 1e-9:.0f}"
    row = f"| {case} | {rates} | **{result.ratio * work / most:.2f}** |"
    head = ["training", "GFLOP/s in products", "GFLOP/s between registers", "share"]
    return table("Bar: 0.6; goal: 0.8.", head, [row])


def sections() -> dict[str, list[str]]:
    """What ``run.py`` writes into RESULTS.md."""
    return {
        "Gradients that vanish": vanishing(),
        "Share of the machine's peak": share_of_peak(),
    }


if __name__ == "__main__":
    show(sections())
