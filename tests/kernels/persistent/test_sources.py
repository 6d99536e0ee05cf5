"""What NVRTC makes of the persistent kernels: all in registers, and which instructions."""

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import nvrtc
from tests.kernels.persistent.on_cpu import HOPPER
from tinygrad_rnn.kernels import _cuda
from tinygrad_rnn.kernels.recurrence.persistent import sources
from tinygrad_rnn.kernels.recurrence.persistent.planner import Device, plan
from tinygrad_rnn.kernels.recurrence.persistent.shape import FullShape

pytestmark = pytest.mark.skipif(bool(nvrtc.missing()), reason=nvrtc.missing() or "-")

USUAL = [
    ("lstm", 512, "medium", "cluster"), ("gru", 256, "high", "cluster"),
    ("lstm", 64, "medium", "cta"), ("lstm", 64, "highest", "cta"),
]  # fmt: skip
MORE = [
    ("lstm", 200, "medium", "cluster"), ("lstm", 650, "medium", "cluster"),
    ("lstm", 512, "high", "cluster"), ("lstm", 200, "high", "cluster"),
    ("gru", 512, "medium", "cluster"), ("gru", 650, "medium", "cluster"),
    ("gru", 512, "high", "cluster"), ("tanh", 1024, "medium", "cluster"),
    ("relu", 512, "high", "cluster"), ("gru", 128, "medium", "cta"), ("tanh", 64, "high", "cta"),
    ("gru", 100, "highest", "cta"), ("lstm", 100, "highest", "cta"),
]  # fmt: skip


def compiled(shape, packed, arch):
    """The kernel of a shape."""
    definitions = shape.definitions(packed=packed)
    text = _cuda.full_text(sources.text_of(shape.file), shape.file)
    options = ("--std=c++17", *(f"-D{name}={value}" for name, value in definitions.items()))
    return nvrtc.compiled(text, options, arch)


def check(kind, H, precision, way, kinds):
    found = plan(kind, 35, 20, H, H, "float32", precision, HOPPER, ways=(way,))
    assert not isinstance(found, str), found
    for shape in (found.forward, found.backward):
        for packed in kinds:
            what = f"{shape.file} {kind} {H} {precision} {packed}"
            made = compiled(shape, packed, "sm_90")
            (kernel,) = made.kernels.values()
            assert not made.warnings, what
            assert kernel.stack == kernel.spilled == kernel.shared == 0, what
            each = -(-shape.threads // 128)  # warps of a quarter of the processor
            assert kernel.registers * each * 128 <= HOPPER.registers, what
            assert kernel.registers <= 255, what


@pytest.mark.parametrize(("kind", "H", "precision", "way"), USUAL)
def test_a_kernel_keeps_all_in_registers(kind, H, precision, way):
    check(kind, H, precision, way, [True])  # of rows of any lengths, which takes more


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "H", "precision", "way"), MORE)
def test_more_kernels_keep_all_in_registers(kind, H, precision, way):
    check(kind, H, precision, way, [True, False])


@pytest.mark.parametrize("precision", ["medium", "highest"])
def test_one_block_needs_no_newer_gpu(precision):
    older = Device(capability=80, processors=108, shared=163 << 10)
    found = plan("gru", 35, 20, 64, 64, "float32", precision, older)
    for shape in (found.forward, found.backward):
        made = compiled(shape, False, "sm_80")
        (kernel,) = made.kernels.values()
        assert not made.warnings
        assert kernel.stack == kernel.spilled == 0


def test_packing_compiles():
    shape = plan("lstm", 35, 20, 64, 64, "float32", "high", HOPPER).forward
    text = _cuda.full_text(sources.text_of("pack.cu"), "pack.cu")
    options = [f"-D{name}={value}" for name, value in sources.packing(shape).items()]
    assert not nvrtc.compiled(text, ("--std=c++17", *options), "sm_80").warnings


# ----- instructions -----


def disassembler():
    """The tool of NVIDIA's that lists instructions, from the path or a package; None."""
    spec = importlib.util.find_spec("nvidia")
    for folder in (spec and spec.submodule_search_locations) or ():
        if found := sorted(Path(folder).glob("*/bin/nvdisasm")):
            return str(found[-1])
    return shutil.which("nvdisasm")


def instructions(shape, tmp_path):
    path = tmp_path / "kernel.cubin"
    path.write_bytes(compiled(shape, True, "sm_90").cubin)
    listed = subprocess.run(
        [disassembler(), "-c", str(path)], capture_output=True, text=True, check=True
    )
    return re.findall(r"^\s*/\*[0-9a-f]+\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)", listed.stdout, re.M)


@pytest.mark.skipif(not disassembler(), reason="nvdisasm is not installed")
def test_tensor_cores_and_messages_are_used(tmp_path):
    found = plan("lstm", 35, 20, 512, 512, "float32", "medium", HOPPER, ways=("cluster",))
    for shape in (found.forward, found.backward):
        names = instructions(shape, tmp_path)
        multiplied = [name for name in names if name.startswith("HMMA.16816.F32.BF16")]
        assert len(multiplied) == 2 * 2 * shape.fragments  # two steps are written out
        assert any(name.startswith("STAS") for name in names)
        assert not any(name.startswith(("LDL", "STL")) for name in names)
    tf32 = plan("gru", 35, 20, 64, 64, "float32", "high", HOPPER, ways=("cta",)).forward
    names = instructions(tf32, tmp_path)
    assert sum(name.startswith("HMMA.1688.F32.TF32") for name in names) == 4 * tf32.fragments
    assert not any(name.startswith("STAS") for name in names)
    full = plan("gru", 35, 20, 64, 64, "float32", "highest", HOPPER).forward
    assert isinstance(full, FullShape)
    names = instructions(full, tmp_path)
    assert not any(name.startswith("HMMA") for name in names)
    assert sum(name.startswith("FFMA") for name in names) >= 2 * 4 * full.fragments
