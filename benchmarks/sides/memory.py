"""Train over one long sequence in a fresh process; print how far its memory rose, in MB.

    python memory.py {tinygrad_rnn,torch} LSTM 10000 1 256 [recompute=True]

What is subtracted is what is resident before: Python, the library, the weights, and all that 150
steps of the same training have left. x, y and everything that training needs is in the figure.
"""

import sys
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sides.arguments import arguments


def resident(which):
    """Megabytes: ``VmRSS`` as it is, ``VmHWM`` at its highest since the mark was reset."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(which)) * 1024 / 1e6


def main(library, *words):
    _, kind, (T, B, H), _, options = arguments(" ".join(["train", *words]))
    module = import_module(library)
    layer = import_module(f"{library}.nn").__dict__[kind](H, H, **options)

    def train(steps):
        x = module.randn(steps, B, H)
        y, _ = layer(x)
        y.sum().backward()

    train(150)
    Path("/proc/self/clear_refs").write_text("5")  # the highest mark falls to what is resident
    before = resident("VmRSS")
    train(T)
    print(resident("VmHWM") - before)


if __name__ == "__main__":
    main(*sys.argv[1:])
