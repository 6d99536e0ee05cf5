"""``benchmarks/gpu.py``, as far as it goes without a GPU: all of it but the figures."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests.standin import cuda

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
SMALL = [
    "train LSTM 3 2 4", "infer GRU 3 2 4", "train RNN 3 2 4 bidirectional=True lengths=0.5",
    "words 9 4 4 2 3 2", "losses 5 4 9", "attention 2 3 4 5",
]  # fmt: skip


@pytest.fixture
def benchmark(monkeypatch):
    """Import a module of the folder, whose names are forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(BENCHMARKS)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(BENCHMARKS) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


def needs_shim():
    if cuda.missing():
        pytest.skip(cuda.missing())


def test_without_a_gpu_it_says_so_and_measures_nothing():
    code = (
        "import sys, runpy; sys.modules['cupy'] = None; sys.argv = ['gpu.py'];"
        "sys.path.insert(0, '.'); runpy.run_path('gpu.py', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=BENCHMARKS, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("Nothing was measured: benchmarks/gpu.py: ")


def test_ceilings_are_all_there(standin, benchmark, monkeypatch):
    needs_shim()
    ceilings = benchmark("gpu_ceilings")
    monkeypatch.setattr(ceilings.seconds, "__defaults__", (1e-4, 1))
    monkeypatch.setattr(ceilings.host_seconds, "__defaults__", (2,))
    found = ceilings.ceilings(size=1 << 16, width=8, links=3)
    assert all(value > 0 for value in found.values())
    assert {"copy, GB/s", "a kernel in a graph, µs", "host: a launch of ours, µs"} <= set(found)


@pytest.mark.parametrize("case", SMALL)
def test_our_side_runs_every_kind_of_case(standin, benchmark, monkeypatch, case):
    needs_shim()
    monkeypatch.setenv("BENCHMARK_CALLS", "1")
    benchmark("sides.gpu_ours").case(case)()
    assert case.split()[0] in {"train", "infer"} or any(
        name.split()[0] == case.split()[0] for name in benchmark("gpu").REST
    )


def test_persistent_kernels_run_where_they_have_a_plan(standin, benchmark, monkeypatch, capsys):
    needs_shim()
    monkeypatch.setenv("BENCHMARK_CALLS", "1")
    side, gpu = benchmark("sides.gpu_persistent"), importlib.import_module(
        "tinygrad_rnn.kernels.recurrence.gpu"
    )  # fmt: skip
    for name in ("forward", "backward"):
        monkeypatch.setattr(gpu, name, getattr(gpu, name))  # put back afterwards
    with cuda.launches() as seen:
        side.case("train GRU 3 2 4")()
    assert {launch.source for launch in seen} >= {"fma_forward.cu", "fma_backward.cu"}
    assert "recurrence.cu" not in {launch.source for launch in seen}
    monkeypatch.setattr(side, "PRECISION", "some")
    side.case("infer LSTM 3 2 4")()
    assert capsys.readouterr().err.startswith("By steps: ")


def test_tables_put_bars_beside_ratios(standin, benchmark, monkeypatch):
    gpu, result = benchmark("gpu"), benchmark("duel").Result
    asked = []

    def duel(pairs, ours, peer, *, rounds, environment):
        asked.extend((*pair, environment) for pair in pairs)
        return [result(mine, 1e-3, 2e-3, 1e-3, 2e-3, 2.0) for mine, _ in pairs]

    monkeypatch.setattr(gpu, "duel", duel)
    monkeypatch.setattr(gpu, "peer", lambda: "2.11, CUDA 13.0")
    monkeypatch.setattr(gpu, "setting", lambda: "some GPU")
    monkeypatch.setattr(gpu, "_said", lambda *words: "1048576")
    found = gpu.sections(["layers", "persistent", "rest"])
    assert ("train GRU 100 64 512", "graph train GRU 100 64 512 precision=tf32",
            {"CUPY_TF32": "1"}) in asked  # fmt: skip
    assert {"BENCHMARK_PRECISION": "medium", "CUPY_TF32": "1"} in [told for *_, told in asked]
    lines = found["Recurrent layers on a GPU, fp32"]
    assert (
        "| train LSTM 35 20 200 | 100.0 | 200.0 | 200.0 | **2.00** | **2.00** | 1.0 | 2.5 |"
        in lines
    )
    assert "| train LSTM, geometric mean | | | | | **2.00** | | |" in lines
    (packed,) = (line for line in lines if "lengths=0.2" in line)
    assert packed.endswith("| 100.0 | 200.0 |  | **2.00** |  | 1.0 | 3.0 |")
    assert (
        "| losses 700 650 10000 | 1 | 1 |" in found["Training steps, losses and attention on a GPU"]
    )
    for line in lines[2:]:
        assert line.count("|") == 9
