"""An array goes to the implementation that computes where it lives."""

import subprocess
import sys
import threading
import types
import warnings
from pathlib import Path

import numpy as np
import pytest

from tinygrad_rnn.errors import DeviceError
from tinygrad_rnn.kernels import _cuda, _twin
from tinygrad_rnn.kernels._twin import twin, use_reference

FAMILY = "family_of_twins"


@pytest.fixture(autouse=True)
def _family(tmp_path, monkeypatch):
    """Make a family of kernels that says which of its modules it is."""
    folder = tmp_path / FAMILY
    folder.mkdir()
    (folder / "__init__.py").touch()
    for name in ("cpu", "gpu", "reference"):
        (folder / f"{name}.py").write_text(f"NAME = {name!r}\n")
        monkeypatch.setattr(_twin, f"_{name}", _twin._Modules(name))
    monkeypatch.syspath_prepend(tmp_path)
    forget()
    yield
    forget()
    for name in [name for name in sys.modules if name.startswith(FAMILY)]:
        del sys.modules[name]


def forget():
    _twin._numba_works.cache_clear()
    _cuda._missing.cache_clear()


def chosen(array):
    return twin(FAMILY, array).NAME


@pytest.mark.parametrize(
    ("dtype", "name"),
    [
        ("float32", "cpu"),
        ("float64", "cpu"),
        ("int64", "cpu"),
        ("uint8", "cpu"),
        ("bool", "cpu"),
        ("complex64", "reference"),
        ("complex128", "reference"),
        ("float16", "reference"),
        ("longdouble", "reference"),
        ("object", "reference"),
    ],
)
def test_numpy_goes_to_the_cpu_if_kernels_take_its_type_and_to_the_reference_if_not(dtype, name):
    for _ in range(2):
        assert chosen(np.zeros(2, dtype)) == name


def test_a_subclass_of_numpy_goes_where_numpy_goes():
    class Ours(np.ndarray):
        pass

    assert chosen(np.zeros(2).view(Ours)) == "cpu"
    assert chosen(np.zeros(2, complex).view(Ours)) == "reference"


def test_the_reference_can_be_asked_for_in_one_context_only():
    elsewhere = []
    with use_reference():
        assert chosen(np.zeros(2)) == "reference"
        thread = threading.Thread(target=lambda: elsewhere.append(chosen(np.zeros(2))))
        thread.start()
        thread.join()
        with use_reference():
            pass
        assert chosen(np.zeros(2)) == "reference"
    assert chosen(np.zeros(2)) == "cpu"
    assert elsewhere == ["cpu"]


def test_without_numba_the_reference_computes_and_one_warning_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "tinygrad_rnn.kernels._jit", None)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert chosen(np.zeros(2)) == "reference"
        monkeypatch.setattr(_twin, "_cpu", _twin._Modules("cpu"))  # as another family would
        assert chosen(np.zeros(2)) == "reference"
    (warning,) = said
    assert issubclass(warning.category, RuntimeWarning)
    assert str(warning.message).startswith("Numba cannot be used (ModuleNotFoundError: ")
    assert str(warning.message).endswith("; computing with NumPy instead, slowly.")


def test_without_numba_recurrent_layers_run_step_by_step():
    code = """
import sys; sys.modules["numba"] = None
import numpy as np, tinygrad_rnn as tg
layers, x = tg.nn.LSTM(2, 3), tg.randn(4, 1, 2)
y = layers(x)[0]
y.sum().backward()
with tg.no_grad():
    for _ in range(3):
        np.testing.assert_array_equal(layers(x)[0], y.detach())
print(layers.plan)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, "composite\n"), run.stderr
    assert "Numba cannot be used" in run.stderr


def test_an_error_in_a_cpu_module_is_not_taken_for_a_missing_numba(tmp_path):
    (tmp_path / FAMILY / "cpu.py").write_text("import a_module_that_nobody_has\n")
    with pytest.raises(ModuleNotFoundError, match="a_module_that_nobody_has"):
        chosen(np.zeros(2))


def test_what_is_no_array_is_refused():
    with pytest.raises(DeviceError) as error:
        chosen([1.0, 2.0])
    assert str(error.value) == (
        "family_of_twins: given a builtins.list, expected a NumPy or CuPy array."
    )


# --- CuPy ---------------------------------------------------------------------------------


def pretend_cupy(monkeypatch, count):
    """Stand in for CuPy with ``count`` devices; an exception stands for a missing driver."""

    def devices():
        if isinstance(count, Exception):
            raise count
        return count

    cupy = types.ModuleType("cupy")
    cupy.__spec__ = types.SimpleNamespace(name="cupy")
    cupy.cuda = types.SimpleNamespace(runtime=types.SimpleNamespace(getDeviceCount=devices))
    cupy.ndarray = type("ndarray", (), {"__module__": "cupy"})
    cupy.RawModule = lambda code, options: (code, options)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    forget()
    return cupy


def test_cupy_goes_to_the_gpu(monkeypatch):
    cupy = pretend_cupy(monkeypatch, 1)
    assert _cuda.require() is cupy
    assert chosen(cupy.ndarray()) == "gpu"


def test_a_missing_cupy_is_named_with_its_install_line(monkeypatch):
    monkeypatch.setattr(_cuda.importlib.util, "find_spec", lambda name: None)
    forget()
    with pytest.raises(DeviceError) as error:
        _cuda.require("matmul")
    assert str(error.value) == (
        "matmul: the GPU needs CuPy; install it with: pip install 'tinygrad-rnn[gpu]'."
    )


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (0, "gpu: CuPy is installed but this machine shows no CUDA device."),
        (
            RuntimeError("no driver"),
            "gpu: CuPy is installed but finds no usable CUDA driver or device (no driver).",
        ),
    ],
)
def test_a_missing_device_is_named(monkeypatch, count, message):
    pretend_cupy(monkeypatch, count)
    with pytest.raises(DeviceError) as error:
        _cuda.require()
    assert str(error.value) == message


def test_a_cuda_source_is_compiled_once(monkeypatch, tmp_path):
    pretend_cupy(monkeypatch, 1)
    source = tmp_path / "kernel.cu"
    source.write_text("extern C")
    module = _cuda.load(source)
    assert module.text.endswith('#line 1 "kernel.cu"\nextern C')
    assert module.options == ("--std=c++17",)
    assert _cuda.load(Path(str(source))) is module
