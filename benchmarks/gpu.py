"""Recurrent layers and what surrounds them on a GPU, against PyTorch on the same one.

    python benchmarks/gpu.py [ceilings] [layers] [persistent] [rest]

TINYGRAD_PEER_PYTHON names an interpreter that has PyTorch, if this one has none.

First what the GPU can do at best, then both sides in turns, each in a process of its own, with
one wait for ten calls. PyTorch runs a call at a time, and recorded as a graph; this library
records its recurrences by itself. The bars are ratios to the recorded PyTorch, in the same
precision. Where there is no GPU, it says so and measures nothing.
"""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

from duel import HERE, Result, duel, peer_python, short
from gpu_ceilings import ceilings
from recurrent import geometric_mean
from table import show, table

from tinygrad_rnn.errors import DeviceError
from tinygrad_rnn.kernels import _cuda

OURS, PYTORCH = HERE / "sides" / "gpu_ours.py", HERE / "sides" / "gpu_torch.py"
PERSISTENT = HERE / "sides" / "gpu_persistent.py"
CALLS = 10  # between two waits, as both sides have it

# T, B, H of LSTMs for which PyTorch takes cuDNN's kernels for single steps, in float32; each with
# what it must reach and what is aimed at (training).
LSTMS = {
    "100 1 512": (1.0, 2.5), "35 20 200": (1.0, 2.5), "50 64 512": (1.0, 2.5),
    "35 20 650": (1.0, 2.0), "35 20 1500": (0.9, 1.5), "100 64 1024": (0.9, 1.5),
    "1000 32 2048": (0.9, 1.1), "1024 16 768": (0.5, 0.9),
}  # fmt: skip
OTHERS = {
    "GRU 100 64 512": (1.0, 2.5), "GRU 35 20 650": (1.0, 2.5), "RNN 50 64 512": (1.0, 2.5),
    "RNN 100 64 1024": (1.0, 2.5), "LSTM 50 64 512 bidirectional=True": (1.0, 3.0),
}  # fmt: skip
PACKED = {"LSTM 50 64 512 bidirectional=True lengths=0.2": (1.0, 3.0)}  # no graph of PyTorch's
REST = {
    "words 10000 200 200 2 35 20": (0.7, 1.5), "words 10000 650 650 2 35 20": (0.7, 1.5),
    "losses 700 650 10000": (0.9, 1.2), "losses 700 650 33000": (0.9, 1.2),
    "attention 64 50 50 512": (1.5, 4.0),
}  # fmt: skip
PRECISIONS = {"fp32": {}, "tf32": {"CUPY_TF32": "1"}}  # and what our side has to be told
OF_PERSISTENT = {
    "fp32": {"BENCHMARK_PRECISION": "highest"},
    "tf32": {"BENCHMARK_PRECISION": "high", "CUPY_TF32": "1"},
    "bf16": {"BENCHMARK_PRECISION": "medium", "CUPY_TF32": "1"},  # products with x: of tf32
}
COLUMNS = ["case", "ours, µs", "PyTorch, µs", "PyTorch's graph, µs", "against a call at a time",
           "against the graph", "must", "goal"]  # fmt: skip


def missing() -> str:
    """Say what keeps this from running; empty if nothing does."""
    try:
        _cuda.require("benchmarks/gpu.py")
    except DeviceError as error:
        return str(error)
    return "" if peer() else f"{peer_python()} has no PyTorch that sees a GPU."


def peer() -> str:
    """The versions of PyTorch and its CUDA, or nothing where it sees no GPU."""
    asked = [peer_python(), str(PYTORCH), "found"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()


def setting() -> str:
    """GPU, driver, clocks now, and versions."""
    query = "--query-gpu=name,driver_version,clocks.sm,clocks.mem,temperature.gpu"
    asked = ["nvidia-smi", query, "--format=csv,noheader"]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        said = f"nvidia-smi: {error}"
    cupy = _cuda.require()
    version = cupy.cuda.runtime.runtimeGetVersion()
    return f"{said.strip()} · CuPy {cupy.__version__}, CUDA {version} · PyTorch {peer()}"


# ----- tables -----


def limits() -> list[str]:
    """The ceilings, which are also written to a file for plans to read."""
    found = ceilings()
    Path("gpu_ceilings.json").write_text(json.dumps(found, indent=1) + "\n")
    rows = [f"| {name} | {short(value)} |" for name, value in found.items()]
    return table(f"{setting()}. Best of five rounds.", ["what", "measured"], rows)


def against_pytorch(
    cases: dict[str, tuple[float, float]],
    precision: str = "fp32",
    graphs: bool = True,
    persistent: bool = False,
) -> tuple[list[str], list[Result]]:
    """Rows of cases in turns with PyTorch in both ways; and the results that the bars are for."""
    rows, kept = [], []
    side, told = (PERSISTENT, OF_PERSISTENT) if persistent else (OURS, PRECISIONS)
    for case, bars in cases.items():
        ways = [f"eager {case} precision={precision}"]
        ways += [f"graph {case} precision={precision}"] if graphs else []
        pairs = [(case, way) for way in ways]
        found = duel(pairs, side, PYTORCH, rounds=9, environment=told[precision])
        rows.append(row(case, found, bars))
        kept.append(found[-1])
    return rows, kept


def row(case: str, found: list[Result], bars: tuple[float, float]) -> str:
    """Microseconds of a call, ratios above 1 where ours is faster, and the bars."""
    micro = [f"{1e6 * one / CALLS:.1f}" for one in (found[0].ours, *(r.peer for r in found))]
    ratios = [f"**{one.ratio:.2f}**" for one in found]
    if len(found) < 2:  # no graph
        micro.append("")
        ratios.append("")
    return f"| {' | '.join([case, *micro, *ratios, *map(str, bars)])} |"


def layers(precision: str, persistent: bool = False) -> list[str]:
    """Training and inference of LSTMs, then the other layers."""
    rows = []
    for what in ("train", "infer"):
        named = {f"{what} LSTM {size}": bars for size, bars in LSTMS.items()}
        more, kept = against_pytorch(named, precision, persistent=persistent)
        mean = f"**{geometric_mean(kept):.2f}**"
        rows += [*more, f"| {what} LSTM, geometric mean | | | | | {mean} | | |"]
    for cases, graphs in ((OTHERS, True), (PACKED, False)):
        named = {f"train {case}": bars for case, bars in cases.items()}
        rows += against_pytorch(named, precision, graphs, persistent)[0]
    return table(f"{setting()}. Precision of products: {precision}.", COLUMNS, rows)


def rest() -> list[str]:
    """Whole training steps, the loss of a large vocabulary, attention; and their memory."""
    rows = against_pytorch(REST)[0]
    lines = table(f"{setting()}. Precision of products: fp32.", COLUMNS, rows)
    memory = []
    for case in REST:
        ours = _said(sys.executable, OURS, case)
        theirs = _said(peer_python(), PYTORCH, "peak", f"eager {case}")
        cells = [case, *(f"{int(said) / 2**20:.0f}" for said in (ours, theirs))]
        memory.append(f"| {' | '.join(cells)} |")
    return [*lines, "", *table("Memory held.", ["case", "ours, MiB", "PyTorch, MiB"], memory)]


def algorithms() -> list[str]:
    """Which kernels cuDNN has chosen for the sizes above."""
    rows = []
    for size in LSTMS:
        said = [
            _said(peer_python(), PYTORCH, "algorithm", f"eager train LSTM {size} precision={p}")
            for p in ("fp32", "tf32", "bf16", "fp16")
        ]
        rows.append(f"| {size} | {' | '.join(said)} |")
    return table("By the names of kernels.", ["LSTM", "fp32", "tf32", "bf16", "fp16"], rows)


def _said(python: str, *arguments: object) -> str:
    """What a process prints last."""
    asked = [python, *map(str, arguments)]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return (done.stdout.strip().splitlines() or [f"failed: {done.stderr.strip()[-200:]}"])[-1]


PARTS = {
    "ceilings": {"The GPU at best": limits, "What cuDNN chooses": algorithms},
    "layers": {
        f"Recurrent layers on a GPU, {precision}": partial(layers, precision)
        for precision in PRECISIONS
    },
    "persistent": {
        f"Persistent kernels on a GPU, {precision}": partial(layers, precision, persistent=True)
        for precision in OF_PERSISTENT
    },
    "rest": {"Training steps, losses and attention on a GPU": rest},
}


def sections(parts: list[str] | None = None) -> dict[str, list[str]]:
    """What ``run.py`` writes into RESULTS.md, in the order in which it is measured."""
    if lack := missing():
        raise SystemExit(f"Nothing was measured: {lack}")
    return {title: make() for part in (parts or PARTS) for title, make in PARTS[part].items()}


if __name__ == "__main__":
    show(sections(sys.argv[1:]))
