"""What @kernel, @helper and @intrinsic promise whoever writes or calls one."""

import ast
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from tests.kernels.lowered import double_arithmetic
from tinygrad_rnn.kernels import _entry, _jit, _llvm, _numba
from tinygrad_rnn.kernels._jit import (
    BUILDS,
    DISABLED,
    FASTMATH,
    NO_FASTMATH,
    binding,
    helper,
    intrinsic,
    ir,
    kernel,
    types,
)

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [
    path
    for folder in ("kernels", "tinygrad_rnn", "examples", "benchmarks")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
compiled = pytest.mark.skipif(DISABLED, reason="nothing is compiled under NUMBA_DISABLE_JIT=1")
x86 = pytest.mark.skipif(_numba.ARCHITECTURE != "x86", reason="asks for an x86 CPU")


@helper
def square(x):
    return x * x


@kernel("intp, intp, const(T[::1]), T[::1]")
def squares(start, stop, x, y):
    for i in range(start, stop):
        y[i] = square(x[i])


@kernel("const(T[:, :]), T")
def largest(x, least):
    """Return the largest number of a matrix."""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            if x[i, j] > least:
                least = x[i, j]
    return least


@kernel("intp, intp")
def plus(a, b):
    return a + b


@kernel("T[::1], intp")
def square_then_fail(x, bad):
    for i in range(len(x)):
        x[i] = x[i] * x[i]
        if i == bad:
            raise ArithmeticError("at the bad one")


def swap_halves_in_python(x):
    return (int(x) >> 32) | (int(x) & 0xFFFFFFFF) << 32


@intrinsic(twin=swap_halves_in_python)
def swap_halves(typingctx, x):
    def codegen(context, builder, signature, args):
        half = ir.Constant(ir.IntType(64), 32)
        return builder.or_(builder.lshr(args[0], half), builder.shl(args[0], half))

    return types.intp(types.intp), codegen


@kernel("intp[::1]")
def swap_all(x):
    for i in range(len(x)):
        x[i] = swap_halves(x[i])


@kernel("intp, intp, const(T[::1]), T[::1]")
def divide(start, stop, x, y):
    x, y = x[start:stop], y[start:stop]  # LLVM needs to know that no index is negative
    for i in range(len(x)):
        y[i] = y[i] / x[i]


# --- calling ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_first_array_chooses_the_element_type(dtype):
    x = np.arange(5, dtype=dtype)
    y = np.empty_like(x)
    squares(0, 5, x, y)
    np.testing.assert_array_equal(y, x * x)


def test_read_only_arrays_are_welcome_where_the_signature_says_const():
    x, y = np.arange(5.0), np.empty(5)
    x.flags.writeable = False
    squares(0, 5, x, y)
    np.testing.assert_array_equal(y, x * x)


def test_another_element_type_is_refused_by_name():
    with pytest.raises(
        TypeError, match="squares: given an array of int64, expected float32 or float64"
    ):
        squares(0, 5, np.arange(5), np.arange(5))


@compiled
def test_another_layout_is_refused():
    with pytest.raises(TypeError):
        squares(0, 5, np.arange(10.0)[::2], np.empty(5))


def test_a_kernel_of_no_slice_may_return_a_number_and_take_scalars_of_its_type():
    x = np.array([[1, 7], [3, 4]], "float32")
    assert largest(x.T, 0) == 7
    assert largest(x, 9.5) == 9.5


def test_a_kernel_may_have_no_element_type():
    assert plus(2, 3) == 5


@compiled
def test_a_kernel_of_a_slice_returns_nothing():
    @kernel("intp, intp, T[::1]")
    def wrong(start, stop, x):
        return x[start]

    with pytest.raises(TypeError, match="a kernel of a slice returns nothing"):
        wrong(0, 1, np.ones(1))


def test_an_intrinsic_has_a_twin_in_python():
    x = np.array([1, 1 << 32, 3])
    swap_all(x)
    assert x.tolist() == [1 << 32, 1, 3 << 32]
    assert swap_halves_in_python(1 << 32) == 1


def test_division_by_zero_gives_infinity_and_nan_without_a_word():
    y = np.array([1.0, -1.0, 0.0, 5.0])
    divide(0, 4, np.array([0.0, 0.0, 0.0, 2.0]), y)
    np.testing.assert_array_equal(y, [np.inf, -np.inf, np.nan, 2.5])


# --- denormals ----------------------------------------------------------------------------

TINY = pytest.mark.parametrize(("dtype", "tiny"), [("float32", 1e-20), ("float64", 1e-160)])


def caller_keeps_denormals(dtype, tiny):
    x = np.array([tiny], dtype)
    return bool((x * x > 0).all())


@compiled
@TINY
def test_denormals_are_flushed_inside_and_the_mode_is_given_back(dtype, tiny):
    x = np.array([tiny], dtype)
    y = np.ones_like(x)
    squares(0, 1, x, y)
    assert y[0] == 0
    assert caller_keeps_denormals(dtype, tiny)


@compiled
@TINY
def test_the_mode_is_given_back_when_the_body_raises(dtype, tiny):
    x = np.full(3, tiny, dtype)
    with pytest.raises(ArithmeticError, match="at the bad one"):
        square_then_fail(x, 1)
    assert x.tolist() == [0, 0, x[2]]
    assert caller_keeps_denormals(dtype, tiny)


@compiled
@pytest.mark.parametrize("architecture", ["x86", "arm"])
def test_the_change_of_mode_can_be_lowered(architecture, monkeypatch):
    monkeypatch.setattr(_entry, "ARCHITECTURE", architecture)
    module = ir.Module()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), []), "f")
    builder = ir.IRBuilder(function.append_basic_block())
    _entry._flush_denormals(builder)()
    builder.ret_void()
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    triple = {"x86": "x86_64-unknown-linux-gnu", "arm": "aarch64-unknown-linux-gnu"}[architecture]
    machine = binding.Target.from_triple(triple).create_target_machine()
    text = machine.emit_assembly(binding.parse_assembly(str(module)))
    assert text.lower().count({"x86": "ldmxcsr", "arm": "msr\tfpcr"}[architecture]) == 2


# --- vectors and types --------------------------------------------------------------------


@x86
@pytest.mark.parametrize(
    ("cpu", "features", "bits"),
    [
        ("generic", "", 128),
        ("haswell", "", 256),
        ("skylake-avx512", "", 512),
        ("haswell", "+avx512f,+avx512vl", 512),
        ("skylake-avx512", "-avx512f", 256),
    ],
)
def test_the_width_of_vectors_is_that_of_the_cpu_asked_for(cpu, features, bits):
    assert _llvm.vector_bits(cpu, features) == bits


@compiled
def test_float64_in_a_float32_kernel_is_found():
    @kernel("intp, intp, T[::1]")
    def halves(start, stop, x):
        for i in range(start, stop):
            x[i] = 0.1 * x[i]

    assert any("double" in line for line in double_arithmetic(halves))
    assert double_arithmetic(squares) == []


@compiled
def test_numbers_do_not_depend_on_where_in_a_vector_they_stand():
    x = np.random.default_rng(0).normal(size=67).astype("float32")
    together, apart = np.ones_like(x), np.ones_like(x)
    divide(0, 67, x, together)
    for i in range(67):
        divide(i, i + 1, x, apart)
    assert together.tobytes() == apart.tobytes()


# --- building -----------------------------------------------------------------------------


@compiled
def test_each_element_type_is_built_once_when_first_asked_for():
    @kernel("intp, intp, T[::1]")
    def fresh(start, stop, x):
        x[start] = stop

    def mine():
        return [build.dtype for build in BUILDS if build.name == fresh.name]

    assert mine() == []
    threads = [threading.Thread(target=fresh, args=(0, 1, np.ones(1))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert mine() == ["float64"]
    fresh.compile()
    assert mine() == ["float64", "float32"]


@compiled
def test_closures_of_one_factory_are_not_taken_for_each_other():
    def make(factor):
        @helper
        def scaled(x):
            return x * factor

        @kernel("intp, intp, T[::1]")
        def scale(start, stop, x):
            for i in range(start, stop):
                x[i] = scaled(x[i])

        return scaled, scale

    (helper_2, scale_2), (helper_3, scale_3) = make(2), make(3)
    x = np.ones(1)
    scale_2(0, 1, x)
    scale_3(0, 1, x)
    assert x[0] == 6
    # Names are all that the linker sees of what other processes compiled.
    assert helper_2.py_func.__qualname__ != helper_3.py_func.__qualname__


def test_generated_source_becomes_kernels():
    text = """
from tinygrad_rnn.kernels._jit import kernel

@kernel("intp, intp, T[::1]")
def add_two(start, stop, x):
    for i in range(start, stop):
        x[i] += 2
"""
    module = _jit.load_source("adding", text)
    x = np.zeros(3)
    module.add_two(0, 3, x)
    assert x.tolist() == [2, 2, 2]
    assert _jit.load_source("adding", text) is module
    assert _jit.load_source("adding", text.replace("2", "3")) is not module
    assert "adding_" in module.__file__


def run_python(program, **environment):
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "TINYGRAD_QUIET": "1", **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_library_loads_neither_numba_nor_cupy():
    loaded = run_python("import sys, tinygrad_rnn; print(*sys.modules)").split()
    assert "tinygrad_rnn" in loaded
    assert not {"numba", "llvmlite", "cupy", "tinygrad_rnn.kernels._numba"} & set(loaded)


BOTH_WAYS = """
import threading
import numpy as np
from tinygrad_rnn.kernels import _jit, _pool
from tinygrad_rnn.kernels._jit import helper, kernel

@helper
def half(x):
    return x / 2

@kernel("intp, intp, intp, const(T[::1]), T[::1]")
def halve(start, stop, past, x, y):
    for i in range(start, stop):
        y[i] = half(x[i + past])

_pool.set_num_threads(2)
x, y = np.arange(100.0), np.empty(100)
_pool.parallel(halve, 100, 0, x, y)
assert (y == x / 2).all()
try:
    _pool.parallel(halve, 100, 5, x, y)
except IndexError:
    print("IndexError")
print((x * 1e-160 * 1e-160)[1] > 0, len(_jit.BUILDS))
"""


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"NUMBA_DISABLE_JIT": "1"}, "IndexError\nTrue 0\n"),
        ({"NUMBA_DISABLE_JIT": "0", "NUMBA_BOUNDSCHECK": "1"}, "IndexError\nTrue 2\n"),
    ],
    ids=["python", "bounds checked"],
)
def test_kernels_run_as_python_and_with_bounds_checked(tmp_path, environment, said):
    (tmp_path / "both_ways.py").write_text(BOTH_WAYS)
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import both_ways"
    assert run_python(program, **environment, TINYGRAD_CACHE_DIR=str(tmp_path / "cache")) == said


# --- rules for all sources ----------------------------------------------------------------


def test_only_one_file_imports_numba():
    for path in SOURCES:
        names = []
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names.append(node.module or "")
        found = {name.split(".")[0] for name in names} & {"numba", "llvmlite"}
        assert not found or path.name == "_numba.py", f"{path} imports {found}"


def test_fast_math_never_assumes_that_there_is_no_nan_or_infinity():
    assert {"nsz", "arcp", "contract", "afn", "reassoc"} == FASTMATH
    assert set() == NO_FASTMATH
    passing_on = ("_jit.py", "_numba.py")
    for path in SOURCES:
        text = path.read_text()
        if path.name != "_numba.py":
            assert "nnan" not in text
            assert "ninf" not in text
        for node in ast.walk(ast.parse(text)):
            passed = isinstance(node, ast.keyword) and node.arg == "fastmath"
            if passed and path.name not in passing_on:
                assert ast.unparse(node.value).split(".")[-1] in ("FASTMATH", "NO_FASTMATH"), path
