"""What holds for every CUDA source: whole, in the package, clean on NVRTC and on the CPU."""

import re
from collections.abc import Iterator
from math import prod
from pathlib import Path

import pytest

from tests import nvrtc
from tests.kernels.gpu_calls import CALLS, call_all
from tests.nn.cell_list import ALIKE, CELLS, make
from tests.standin import compiling, cuda, installed
from tinygrad_rnn.kernels import _cuda
from tinygrad_rnn.kernels.recurrence import gpu
from tinygrad_rnn.ops.recurrence import RULES

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(
    path.relative_to(ROOT / "kernels").as_posix()
    for path in (ROOT / "kernels").rglob("*.cu")
    if path.parent.name != "persistent"  # one kernel for each shape: tests/kernels/persistent
)
ARCHITECTURES = ("sm_80", "sm_90")

# No kernel spills, has a stack or loads from local memory. How many registers a thread may have:
# 64 let a block of 1024 run, and as many threads as there can be of smaller ones.
REGISTERS = 64
OF_A_CELL = 96  # some cells have many rows; blocks of theirs are of 256 threads at most
MORE_REGISTERS: dict[str, int] = {}  # by source and kernel, with the reason

# Sources that compute in double although Real is float, with the reason.
IN_DOUBLE = {"update/update.cu": "sums of squares over all parameters, whatever their type"}

needs_shim = pytest.mark.skipif(bool(cuda.missing()), reason=cuda.missing() or "-")
needs_nvrtc = pytest.mark.skipif(bool(nvrtc.missing()), reason=nvrtc.missing() or "-")


@pytest.fixture(scope="module")
def seen() -> Iterator[dict[str, list[cuda.Launch]]]:
    """The launches of each of the calls."""
    found = {}
    for name in CALLS:
        with installed(devices=2), cuda.launches() as launches:
            call_all(names=[name])
        found[name] = launches
    return found


def own(seen, name):
    """The launches that are of a source itself, not of another that it needs."""
    short = name.rpartition("/")[2]
    return [launch for launch in seen[name] if launch.source == short]


def test_every_source_is_called():
    """One that is not has to be added to ``tests/kernels/gpu_calls.py``."""
    assert set(FILES) == {name for name in CALLS if "/" in name}
    assert len({name.rpartition("/")[2] for name in FILES}) == len(FILES)  # errors name it


@pytest.mark.parametrize("name", FILES)
def test_a_source_is_loaded_by_what_stands_beside_it(name):
    path = ROOT / "kernels" / name
    users = [p for p in path.parent.glob("gpu*.py") if f'"{path.name}"' in p.read_text()]
    assert users, f"no gpu.py beside {name} loads it"


@needs_shim
@pytest.mark.parametrize("name", list(CALLS))
def test_every_kernel_of_a_source_runs(seen, name):
    launches = own(seen, name)
    texts = {(launch.code, launch.options) for launch in launches}
    kernels = {kernel for text in texts for kernel in compiling.compiled(*text)[1]}
    launched = {launch.name for launch in launches}
    assert launched
    if name in FILES:  # what is written for a cell has kernels for resets, too
        assert launched == kernels


@pytest.mark.slow
@needs_shim
def test_every_source_is_clean_under_the_address_sanitizer():
    code = "import runpy; runpy.run_module('tests.kernels.gpu_calls', run_name='__main__')"
    done = cuda.run_sanitized(code)
    assert done.returncode == 0, done.stderr[-4000:]


# ----- NVRTC -----


@needs_shim
@needs_nvrtc
@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("name", list(CALLS))
def test_a_source_compiles_without_a_warning(seen, name, arch):
    for code, options in {(launch.code, launch.options) for launch in own(seen, name)}:
        made = nvrtc.compiled(code, options, arch)
        warnings = [line for line in made.warnings if "double precision" not in line]
        assert not warnings, options
        if name not in IN_DOUBLE:
            assert made.warnings == warnings, f"{options}: float32 is computed in double"


@needs_shim
@needs_nvrtc
@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("name", list(CALLS))
def test_a_kernel_takes_no_more_than_it_may(seen, name, arch):
    for launch in own(seen, name):
        kernel = nvrtc.compiled(launch.code, launch.options, arch).kernels[launch.name]
        what = f"{launch.name} {launch.options}: {kernel}"
        assert kernel.stack == kernel.spilled == 0, what
        most = MORE_REGISTERS.get(f"{launch.source}:{launch.name}", REGISTERS)
        assert kernel.registers <= most, what
        assert kernel.registers * prod(launch.block) <= 65536, what
        assert kernel.shared + launch.shared <= (227 if launch.shared > 48 << 10 else 48) << 10


@needs_nvrtc
@pytest.mark.parametrize("cell", [name for name in CELLS if name not in ALIKE])
def test_what_is_written_for_a_cell_compiles(cell):
    """For every cell, with some options that write more of it."""
    options = {"zoneout": 0.3, "layer_norm": True, "state_clip": 0.5}
    options |= {} if cell == "autonomous" else {"input_dropout": 0.4}
    text = gpu.source_of(make(cell).configure(**options).program, RULES)
    made = nvrtc.compiled(_cuda.full_text(text, "recurrence.cu"), ("-DReal=float",), "sm_90")
    assert not made.warnings
    for name, kernel in made.kernels.items():
        assert kernel.stack == kernel.spilled == 0, name
        assert kernel.registers <= OF_A_CELL, f"{name}: {kernel}"


@needs_nvrtc
def test_nvrtc_names_the_line_of_what_is_wrong_and_tells_what_spills():
    text = 'extern "C" __global__ void f(Real* x) {\n    x[0] = y;\n}'
    with pytest.raises(nvrtc.CompileError, match=re.escape('bad.cu(2): error: identifier "y"')):
        nvrtc.compiled(_cuda.full_text(text, "bad.cu"), ("-DReal=float",), "sm_90")
    text = """extern "C" __global__ void f(Real* x, const int* at) {
    Real kept[64];
    for (int i = 0; i < 64; ++i) kept[i] = x[i] * 0.1;
    for (int i = 0; i < 64; ++i) x[i] = kept[at[i]];
}"""
    made = nvrtc.compiled(_cuda.full_text(text, "bad.cu"), ("-DReal=float",), "sm_90")
    assert made.kernels["f"].stack == 256
    assert any("Local memory used" in line for line in made.warnings)
    assert any("double precision" in line for line in made.warnings)
