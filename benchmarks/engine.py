"""What the engine costs: small operations against PyTorch eager, importing, memory.

python benchmarks/engine.py        (TINYGRAD_PEER_PYTHON=/path/to/python with PyTorch)
"""

import os
import statistics
import subprocess
import sys
import time

from duel import HERE, duel, peer_python
from table import show, table

SMALL = [
    "y * w", "y + w", "y * y", "y * 0.999", "tanh(y)", "sigmoid(y)", "exp(y)", "relu(y)",
    "y.reshape", "y.sum(-1, keepdims)", "y @ m",
]  # fmt: skip


def small_operations() -> list[str]:
    """Rows: milliseconds of a chain of 500, forward and backward."""
    results = duel(
        SMALL,
        HERE / "sides" / "small_ops_ours.py",
        HERE / "sides" / "small_ops_torch.py",
        rounds=11,
    )
    head = ["chain of 500, four float32", "ours, ms (best)", "PyTorch, ms (best)", "times as fast"]
    bar = "Bar: 1.67 times as fast, which is 0.6 of PyTorch's time."
    return table(bar, head, [result.row() for result in results])


def _import_time(python: str, module: str) -> float:
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    run = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    return float(run.stdout)


def importing(rounds: int = 11) -> list[str]:
    """Rows: seconds that a fresh process takes to import."""
    sides = [
        ("numpy", sys.executable, "numpy"),
        ("tinygrad_rnn", sys.executable, "tinygrad_rnn"),
        ("torch", peer_python(), "torch"),
    ]
    times: dict[str, list[float]] = {name: [] for name, _, _ in sides}
    for _ in range(rounds):
        for name, python, module in sides:
            times[name].append(_import_time(python, module))
    middle = {name: statistics.median(values) for name, values in times.items()}
    over = statistics.median(
        ours - bare for ours, bare in zip(times["tinygrad_rnn"], times["numpy"], strict=True)
    )
    rows = [
        *(f"| {name} | {value:.3f} |" for name, value in middle.items()),
        f"| tinygrad_rnn over NumPy's own | **{over:.3f}** |",
        f"| share of PyTorch's | **{middle['tinygrad_rnn'] / middle['torch']:.2f}** |",
    ]
    return table("Bar: 0.1 s over NumPy's own.", ["import, fresh process", "median, s"], rows)


def _resident() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def memory(passes: int = 10_000) -> list[str]:
    """Rows: resident memory along many passes of a small network."""
    import tinygrad_rnn as tg

    tg.seed(0)
    w, v = tg.randn(32, 64, requires_grad=True), tg.randn(64, 8, requires_grad=True)
    x = tg.randn(16, 32)

    def once() -> None:
        w.grad = v.grad = None
        ((x @ w).tanh() @ v).softmax().sum().backward()

    for _ in range(500):
        once()
    begin, start = _resident(), time.perf_counter()
    for _ in range(passes):
        once()
    grown = (_resident() - begin) / 1024
    each = (time.perf_counter() - start) / passes
    head = ["forward and backward passes", "growth of resident memory, KiB", "µs a pass"]
    return table("Bar: 0.", head, [f"| {passes} | **{grown:.0f}** | {each * 1e6:.0f} |"])


def sections() -> dict[str, list[str]]:
    """What ``run.py`` writes into RESULTS.md."""
    return {
        "Small operations": small_operations(),
        "Importing": importing(),
        "Memory": memory(),
    }


if __name__ == "__main__":
    show(sections())
