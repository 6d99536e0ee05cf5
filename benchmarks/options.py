"""What options of recurrent layers cost: beside the plain layer, and beside PyTorch's way.

python benchmarks/options.py        (TINYGRAD_PEER_PYTHON=/path/to/python with PyTorch)

The ratio of an option to the plain layer comes from one process, which has both; ours and
PyTorch's take turns. Writes docs/cliff.svg as well.
"""

import statistics
import subprocess
import sys

from cliff_chart import Bar, draw
from duel import HERE, peer_python
from recurrent import OURS, PYTORCH
from sides.arguments import arguments
from table import show, table
from together import Times, Together

KINDS, SIZES = ["LSTM", "GRU"], ["35 20 200", "50 64 512"]
SMALL, LARGE = SIZES
ROUNDS = {SMALL: 9, LARGE: 5}
OPTIONS = {
    "plain": "",
    "input dropout, each step": "input_dropout=0.3",
    "input dropout, locked": "input_dropout=0.3 locked=True",
    "weight drop": "weight_drop=0.3",
    "projection, per operation": "proj_size={half}",
    "recurrent dropout, locked": "recurrent_dropout=0.3",
    "recurrent dropout, each step": "recurrent_dropout=0.3 locked=False",
    "zoneout": "zoneout=0.1",
    "layer norm": "layer_norm=True",
    "clipped states": "state_clip=3.0",
    "hard activations": "activation='hard_tanh' gate_activation='hard_sigmoid'",
}
RAGGED = "lengths=0.2"  # uniform from there to T, unsorted
DERIVATIVES = HERE / "sides" / "derivatives_ours.py", HERE / "sides" / "derivatives_torch.py"
CHART = HERE.parent / "docs" / "cliff.svg"
LONG = "LSTM 10000 1 256"


# ----- the cliff -----


def pytorch_way(kind: str, option: str) -> str:
    """Whether PyTorch's own layer has the option, or works with it, or a loop is needed."""
    own = ("plain", "weight drop", "input dropout")
    if kind == "LSTM":
        own += ("projection",)
    return "own" if option.startswith(own) else "loop"


def operations(kind: str, H: int, P: int) -> int:
    """Multiplications of weights in a step, where what recurs is P of H wide."""
    gates = {"LSTM": 4, "GRU": 3}[kind] * H
    return gates * H + gates * P + (H * P if P < H else 0)


def cliff_of(kind: str, size: str) -> tuple[list[str], dict[str, list[Bar]]]:
    """Rows of the table, and bars of the chart, for one layer and size."""
    plain, H = f"train {kind} {size}", int(size.split()[-1])
    rows: list[str] = []
    bars: dict[str, list[Bar]] = {}
    with Together(OURS, PYTORCH, ROUNDS[size]) as measured:
        for option, given in OPTIONS.items():
            cases = [plain, f"{plain} {given.format(half=H // 2)}".strip()]
            times = measured(cases, cases)
            share = 1.0
            if option.startswith("projection"):
                share = operations(kind, H, H) / operations(kind, H, H // 2)
            ours, peer = times.ratio(1, 0) * share, times.ratio(3, 2) * share
            bars[option] = [
                Bar("ours", times.median(1) * 1e3, ours),
                Bar(pytorch_way(kind, option), times.median(3) * 1e3, peer),
            ]
            rows.append(
                f"| {kind} {size}, {option} | {times.cell(1)} | **{ours:.2f}** "
                f"| {times.cell(3)} | {peer:.2f} | {times.ratio(3, 1):.2f} |"
            )
            print(rows[-1], flush=True)
    return rows, bars


def cliff() -> list[str]:
    """Rows: training with each option; a picture of them, too."""
    rows, panels = [], {}
    for size in SIZES:
        for kind in KINDS:
            lines, panels[kind, size] = cliff_of(kind, size)
            rows += lines
    CHART.write_text(draw(panels))
    head = [
        "training with", "ours, ms (best)", "of our plain layer's time", "PyTorch, ms (best)",
        "of its plain layer's", "times as fast",
    ]  # fmt: skip
    bar = (
        "Bar: 1.5 of the plain layer's time; goal: 1.2. Projection is to half the width, and its "
        "ratios are per operation. [The picture](../docs/cliff.svg)"
    )
    return table(bar, head, rows)


# ----- beside it -----


def ragged() -> list[str]:
    """Rows: sequences of different lengths, beside a full batch and PyTorch's packed ones."""
    rows = []
    for size in SIZES:
        with Together(OURS, PYTORCH, ROUNDS[size]) as measured:
            for kind in KINDS:
                full = f"train {kind} {size}"
                cases = [full, f"{full} {RAGGED}"]
                times = measured(cases, cases)
                row = (
                    f"| {kind} {size} | {times.cell(1)} | **{times.ratio(1, 0):.2f}** "
                    f"| {times.cell(3)} | {times.ratio(3, 2):.2f} | **{times.ratio(3, 1):.2f}** |"
                )
                print(row, flush=True)
                rows.append(row)
    head = [
        "lengths from 0.2 T to T", "ours, ms (best)", "of our full batch's time",
        "PyTorch, packed, ms (best)", "of its full batch's", "times as fast",
    ]  # fmt: skip
    return table("Bar: 0.8 of the full batch's time (0.6 of the steps are left).", head, rows)


def beyond() -> list[str]:
    """Rows: what a trace, gradients of rows, and second derivatives cost."""
    rows = []

    def row(what: str, bar: str, times: Times, ours: tuple[int, int]) -> None:
        peer = times.cell(-1) if len(times.rounds) > 2 else ""
        ratio = f"**{times.ratio(*ours):.3g}** | {bar}"
        rows.append(
            f"| {what} | {times.cell(ours[0])} | {times.cell(ours[1])} | {ratio} | {peer} |"
        )
        print(rows[-1], flush=True)

    for size in SIZES:
        with Together(OURS, PYTORCH, 5 * ROUNDS[size]) as measured:
            for kind in KINDS:
                plain = f"train {kind} {size}"
                times = measured([plain, f"{plain} return_trace=True"])
                row(f"{kind} {size}, a trace / none", "1.02", times, (1, 0))
    with Together(*DERIVATIVES, ROUNDS[SMALL]) as measured:
        for kind in KINDS:
            case = f"{kind} {SMALL}"
            times = measured([f"gradient {case}", f"samples {case}"], [f"samples {case}"])
            row(f"{case}, gradients of every row / of their sum", "2", times, (1, 0))
            for what, name in (
                ("second", "second derivatives"),
                ("penalty", "forward and both derivatives"),
            ):
                fused = f"{what} {case}"
                times = measured([f"{fused} fused=False", fused], [fused])
                row(f"{case}, {name} / composite", "1.2", times, (1, 0))
    head = ["one / the other", "one, ms (best)", "the other, ms (best)", "ratio", "bar",
            "one in PyTorch, ms (best)"]  # fmt: skip
    return table("PyTorch takes the gradients of rows one by one.", head, rows)


def peak(library: str, options: str = "") -> float:
    """Megabytes that training over a long sequence needs on top of what was there."""
    python = peer_python() if library == "torch" else sys.executable
    side = [python, str(HERE / "sides" / "memory.py"), library, *LONG.split(), *options.split()]
    peaks = []
    for _ in range(3):
        run = subprocess.run(side, check=True, capture_output=True, text=True)
        peaks.append(float(run.stdout))
    return statistics.median(peaks)


def memory() -> list[str]:
    """Rows: the peak over 10,000 steps, and the time that recomputing takes."""
    again = "recompute=True"
    shares = []
    with Together(OURS, PYTORCH, ROUNDS[LARGE]) as measured:
        for kind in KINDS:
            plain = f"train {kind} {LARGE}"
            shares.append(f"{measured([plain, f'{plain} {again}']).ratio(1, 0):.2f}")
    _, _, (T, B, H), _, _ = arguments(f"train {LONG}")
    least = 2 * T * B * H * 4 / 1e6
    rows = [
        f"| plain | **{peak('tinygrad_rnn'):.0f}** | 1 | 1 |",
        f"| `{again}` | **{peak('tinygrad_rnn', again):.0f}** | {' | '.join(shares)} |",
        f"| PyTorch | {peak('torch'):.0f} | | |",
    ]
    print("\n".join(rows), flush=True)
    head = [
        f"training an {LONG}", "peak memory, MB", f"time at {LARGE}, LSTM, plain = 1", "GRU"
    ]  # fmt: skip
    text = (
        f"x and y alone are {least:.0f} MB. Subtracted is what was resident before: Python, the "
        "library, weights, what training over 150 steps has left. The median of three processes."
    )
    return table(text, head, rows)


def sections() -> dict[str, list[str]]:
    """What ``run.py`` writes into RESULTS.md."""
    return {
        "What options cost": cliff(),
        "Sequences of different lengths": ragged(),
        "Traces and more derivatives": beyond(),
        "Memory of a long sequence": memory(),
    }


if __name__ == "__main__":
    show(sections())
