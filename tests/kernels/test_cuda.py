"""CUDA sources: how they are compiled and launched, and the shim that runs them on the CPU."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.standin import compiling, cuda
from tinygrad_rnn.errors import DeviceError
from tinygrad_rnn.kernels import _cuda

pytestmark = pytest.mark.skipif(bool(cuda.missing()), reason=cuda.missing() or "-")

SOURCE = r"""
extern "C" __global__ void __launch_bounds__(256) sums(const Real* x, long long width, Real* out) {
    Real sum = 0, most = -INFINITY;
    EACH_IN_BLOCK(i, width) {
        sum += x[blockIdx.x * width + i];
        most = max(most, x[blockIdx.x * width + i]);
    }
    sum = block_sum(sum);
    most = block_max(most);
    if (threadIdx.x == 0) out[2 * blockIdx.x] = sum, out[2 * blockIdx.x + 1] = most;
}
extern "C" __global__ void reversed(const int* x, int* out) {
    SHARED_MEMORY(int, kept);
    kept[threadIdx.x] = x[threadIdx.x];
#ifndef WITHOUT_BARRIER
    __syncthreads();
#endif
    out[threadIdx.x] = kept[blockDim.x - 1 - threadIdx.x];
}
extern "C" __global__ void leaves(int last) {
    if (threadIdx.x == last) return;
    __syncthreads();
}
extern "C" __global__ void shuffled(const double* x, double* out, int by, int width) {
    const double mine = x[threadIdx.x];
    out[threadIdx.x] = __shfl_up_sync(WHOLE_WARP, mine, by, width);
    out[threadIdx.x + 32] = __shfl_down_sync(WHOLE_WARP, mine, by, width);
    out[threadIdx.x + 64] = __shfl_xor_sync(WHOLE_WARP, mine, by, width);
    out[threadIdx.x + 96] = __shfl_sync(WHOLE_WARP, mine, by, width);
    out[threadIdx.x + 128] = __ballot_sync(WHOLE_WARP, mine > by);
}
extern "C" __global__ void half_a_warp(int* out) {
    if (threadIdx.x < 16) out[threadIdx.x] = __shfl_xor_sync(WHOLE_WARP, 1, 1);
}
extern "C" __global__ void unwritten(Real* out) {
    __shared__ Real fixed[32];
    SHARED_MEMORY(Real, asked);
    out[threadIdx.x] = fixed[threadIdx.x];
    out[threadIdx.x + 32] = asked[threadIdx.x];
    __syncthreads();
    fixed[threadIdx.x] = asked[threadIdx.x] = 1;
}
extern "C" __global__ void places(unsigned long long* seen, const float* nothing) {
    const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    atomicAdd(&seen[block * 24 + thread], 1ull + (nothing != nullptr));
}
extern "C" __global__ void tiny(const Real* x, Real* out) {
    out[threadIdx.x] = x[threadIdx.x] * Real(0.5);
}
"""


class Array:
    """As much of the stand-in's array as a launch needs."""

    device = SimpleNamespace(id=0)

    def __init__(self, host):
        self._host = host
        self.dtype, self.shape = host.dtype, host.shape


@pytest.fixture
def gpu(monkeypatch):
    """A CuPy of which there is just enough to launch kernels."""
    waits = []
    stream = SimpleNamespace(synchronize=lambda: waits.append(1))
    made = SimpleNamespace(
        ndarray=Array, RawModule=cuda.RawModule, waits=waits,
        cuda=SimpleNamespace(
            runtime=SimpleNamespace(getDevice=lambda: 0), get_current_stream=lambda: stream,
            Device=lambda number: SimpleNamespace(compute_capability="90"),
        ),
    )  # fmt: skip
    monkeypatch.setattr(_cuda, "require", lambda where="gpu": made)
    _cuda.forget()
    yield made
    _cuda.forget()


def kernel(name, real=np.float32, **definitions):
    return _cuda.module(SOURCE, "demo.cu", Real=real, **definitions).get_function(name)


# ----- the shim -----


@pytest.mark.parametrize("order", cuda.ORDERS)
@pytest.mark.parametrize("real", [np.float32, np.float64])
def test_a_block_sums_and_finds_the_most_in_any_order_of_threads(gpu, order, real):
    x = np.random.default_rng(0).standard_normal((3, 700)).astype(real)
    found = []
    for which in (order, "ascending"):
        out = np.full((3, 2), np.nan, real)
        with cuda.orders(which):
            _cuda.launch(kernel("sums", real), (3,), Array(x), np.int64(700), Array(out))
        found.append(out)
    assert np.array_equal(*found)
    np.testing.assert_allclose(found[0][:, 0], x.sum(1, dtype=np.float64), rtol=1e-4)
    np.testing.assert_array_equal(found[0][:, 1], x.max(1))


def test_a_missing_barrier_shows_in_some_order(gpu):
    x = np.arange(96, dtype=np.int32)
    for definitions in ({}, {"WITHOUT_BARRIER": 1}):
        same = []
        for order in cuda.ORDERS:
            out = np.zeros(96, np.int32)
            with cuda.orders(order):
                function = kernel("reversed", **definitions)
                _cuda.launch(function, (1,), Array(x), Array(out), block=96, shared=4 * 96)
            same.append(np.array_equal(out, x[::-1]))
        assert any(same) is (not definitions)
        assert all(same) is (not definitions)


def test_threads_that_part_ways_before_a_barrier_are_an_error(gpu):
    line = 1 + next(i for i, text in enumerate(SOURCE.splitlines()) if "== last" in text)
    with pytest.raises(DeviceError, match="leaves") as raised:
        _cuda.launch(kernel("leaves"), (2,), np.int32(5), block=64)
    assert (
        f"threads part ways in block (0, 0, 0): thread 0 waits for the block at demo.cu:{line + 1},"
        " and thread 5 has returned." in str(raised.value)
    )
    out = np.zeros(32, np.int32)
    with pytest.raises(DeviceError, match="thread 0 waits for lanes ffffffff of its warp"):
        _cuda.launch(kernel("half_a_warp"), (1,), Array(out), block=32)
    with pytest.raises(DeviceError, match="but the block has only 16 threads"):
        _cuda.launch(kernel("half_a_warp"), (1,), Array(out), block=16)
    _cuda.launch(kernel("leaves"), (2,), np.int32(-1), block=64)  # the next launch is sound


@pytest.mark.parametrize("width", [32, 8])
@pytest.mark.parametrize("by", [1, 5, 16])
def test_lanes_exchange_as_cuda_says(gpu, by, width):
    x = np.random.default_rng(1).integers(0, 32, 32).astype(np.float64)
    out = np.full((5, 32), np.nan)
    args = Array(x), Array(out), np.int32(by), np.int32(width)
    with cuda.orders(3):
        _cuda.launch(kernel("shuffled"), (1,), *args, block=32)
    lane = np.arange(32)
    first = lane // width * width
    for row, source in enumerate([lane - by, lane + by, lane ^ by, first + by % width]):
        # Only xor may read from sections before its own.
        inside = (source >= (0 if row == 2 else first)) & (source < first + width)
        np.testing.assert_array_equal(out[row], x[np.where(inside, source, lane)])
    assert (out[4] == sum(1 << int(i) for i in np.nonzero(x > by)[0])).all()


def test_shared_memory_begins_as_garbage_in_every_block(gpu):
    out = np.zeros(64, np.float32)
    _cuda.launch(kernel("unwritten"), (2,), Array(out), block=32, shared=128)
    assert np.isnan(out).all()


@pytest.mark.parametrize("order", cuda.ORDERS)
def test_every_thread_of_every_block_runs_once(gpu, order):
    seen = np.zeros((5 * 3 * 2, 24), np.uint64)
    with cuda.orders(order):
        _cuda.launch(kernel("places"), (5, 3, 2), Array(seen), None, block=(2, 4, 3))
    assert (seen == 1).all()


def test_numbers_below_the_normal_range_are_zeros_in_float32(gpu):
    for real, small, kept in ((np.float32, 2e-38, 0), (np.float64, 3e-308, 1.5e-308)):
        out = np.full(1, np.nan, real)
        args = Array(np.array([small], real)), Array(out)
        _cuda.launch(kernel("tiny", real), (1,), *args, block=1)
        np.testing.assert_allclose(out[0], kept, rtol=1e-15, atol=0)


def test_arguments_have_to_be_of_the_very_types(gpu):
    function, out = kernel("sums"), Array(np.zeros(2, np.float32))
    x = np.zeros((1, 8), np.float32)
    for wrong, message in [
        ((Array(x), 8, out), "argument 1 is 8"),
        ((Array(x), np.int32(8), out), "expected a int64"),
        ((Array(x), np.float64(8), out), "expected a int64"),
        ((Array(x[:, ::2]), np.int64(4), out), "not C-contiguous"),
        ((Array(x.astype(float)), np.int64(8), out), "array of float64"),
        ((x, np.int64(8), out), "expected a CuPy array"),
        ((np.int64(8), np.int64(8), out), "expected an array"),
        ((Array(x), np.int64(8)), "given 2 arguments, expected 3"),
    ]:
        with pytest.raises(TypeError, match=message):
            _cuda.launch(function, (1,), *wrong)


def test_what_cuda_refuses_is_refused(gpu):
    function = kernel("tiny")
    x = Array(np.zeros(8, np.float32))
    for block, shared in ((1025, 0), (8, 300 * 1024), (0, 0)):
        with pytest.raises(DeviceError, match="INVALID_VALUE"):
            _cuda.launch(function, (1,), x, x, block=block, shared=shared)
    with pytest.raises(DeviceError, match="launch bound of sums is 256"):
        _cuda.launch(kernel("sums"), (1,), x, np.int64(8), x, block=288)
    with pytest.raises(cuda.CUDADriverError, match="not found"):
        kernel("nothing")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\nextern \"C\" __global__ void f(float* x) { x[0] = y; }", "bad.cu:2"),
        ("\nextern \"C\" __global__ void f(float* x) { atomicAdd(x, 1.0f); }", "deleted function"),
        ("__global__ void f(float* x) {}", "not written as"),
    ],
)  # fmt: skip
def test_a_source_that_is_wrong_does_not_compile(gpu, text, message):
    with pytest.raises(compiling.CompileException, match=message):
        _cuda.module(text, "bad.cu").get_function("f")


def test_reading_past_an_array_is_reported_with_the_line():
    done = cuda.run_sanitized(
        "import numpy as np\n"
        "from tests.kernels.test_cuda import Array\n"
        "from tests.standin import cuda\n"
        "from tinygrad_rnn.kernels._cuda import full_text\n"
        "text = 'extern \"C\" __global__ void f(const int* x, int* out) {\\n'"
        "       '    out[threadIdx.x] = x[threadIdx.x];\\n}'\n"
        "f = cuda.RawModule(code=full_text(text, 'off.cu')).get_function('f')\n"
        "x, out = np.zeros(63, np.int32), np.zeros(64, np.int32)\n"
        "f((1,), (63,), (Array(x), Array(out)))\n"
        "print('so far all is well', flush=True)\n"
        "f((1,), (64,), (Array(x), Array(out)))\n"
    )
    assert done.returncode != 0
    assert "so far all is well" in done.stdout
    assert "heap-buffer-overflow" in done.stderr
    assert re.search(r"in f off\.cu:2|off\.cu:2", done.stderr)


# ----- launches -----


def test_a_number_for_a_grid_is_how_many_threads_are_wanted(gpu):
    x = Array(np.zeros(512, np.float32))
    with cuda.launches() as seen:
        _cuda.launch(kernel("tiny"), 257, x, x)
        _cuda.launch(kernel("tiny"), 0, x, x)
        _cuda.launch(kernel("tiny"), (0, 3), x, x)
    assert [launch[:5] for launch in seen] == [("demo.cu", "tiny", (2, 1, 1), (256, 1, 1), 0)]


def test_the_same_text_and_definitions_are_one_module(gpu):
    assert kernel("sums") is kernel("sums", np.dtype("f"))
    assert kernel("sums") is not kernel("sums", np.float64)
    assert kernel("sums").raw is not kernel("tiny").raw


def test_a_kernel_runs_where_its_arrays_are(machine):
    cupy = machine.cupy
    with cupy.cuda.Device(1):
        x, out = cupy.ones(300, np.float32), cupy.empty(300, np.float32)
    _cuda.launch(kernel("tiny"), 300 - 44, x, out)
    assert (out.get()[:256] == 0.5).all()
    with pytest.raises(DeviceError, match=r"launched on device 1 with arrays of \[0, 1\]"):
        _cuda.launch(kernel("tiny"), 256, x, cupy.empty(300, np.float32))


def test_a_debug_session_waits_for_launches_and_an_error_names_its_own(gpu):
    x = Array(np.zeros(8, np.float32))
    _cuda.launch(kernel("tiny"), (1,), x, x, block=8)
    assert not gpu.waits
    with tg.debug():
        _cuda.launch(kernel("tiny"), (1,), x, x, block=8)
        assert len(gpu.waits) == 1
        with pytest.raises(DeviceError) as raised:
            _cuda.launch(kernel("leaves"), (2, 1), np.int32(3), block=64, shared=16)
    assert str(raised.value).startswith(
        "demo.cu: the kernel 'leaves', launched in blocks [2, 1] of threads [64] with 16 bytes of "
        "shared memory on (np.int32(3)), failed: CUDA_ERROR_LAUNCH_FAILED"
    )
    assert "tg.debug()" not in str(raised.value)
    with pytest.raises(DeviceError, match=r"It may be of an earlier launch; tg.debug\(\) tells"):
        _cuda.launch(kernel("leaves"), (2, 1), np.int32(3), block=64)


def test_a_gpu_too_old_is_said_once(gpu):
    gpu.cuda.Device = lambda number: SimpleNamespace(compute_capability="86")
    assert _cuda.suits(80, "nothing")
    with pytest.warns(RuntimeWarning, match=re.escape(
        "This GPU has compute capability 8.6, and 9.0 is needed for clusters; single steps are run."
    )):  # fmt: skip
        assert not _cuda.suits(90, "clusters; single steps are run")
    assert not _cuda.suits(90, "clusters; single steps are run")  # a warning is an error here
    with pytest.raises(DeviceError, match=re.escape(
        "demo.cu: this GPU has compute capability 8.6, expected 9.0 or more, which the kernel "
        "'sums' needs."
    )):  # fmt: skip
        _cuda.module(SOURCE, "demo.cu", 90, Real=np.float32).get_function("sums")
