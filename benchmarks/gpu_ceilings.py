"""What a GPU can do at best: memory, products, launches, and what the host pays for them.

Numbers that kernels and plans are to be judged by; ``gpu.py`` prints them first.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tinygrad_rnn.kernels import _cuda

SOURCE = r"""
extern "C" __global__ void nothing(Real* x) {
    if (threadIdx.x == 0 && blockIdx.x == 0) x[0] = Real(1);
}

// Reads all numbers so many times; what it writes depends on each.
extern "C" __global__ void read_again(const Real* x, long long count, int times, Real* sums) {
    Real sum = 0;
    for (int t = 0; t < times; ++t) EACH(i, count) sum += x[i];
    sums[blockIdx.x * (long long)blockDim.x + threadIdx.x] = sum;
}
"""


def seconds(work: Callable[[], Any], least: float = 0.2, rounds: int = 5) -> float:
    """Seconds a call, the best of some rounds with one wait each."""
    xp = _cuda.require()
    stream = xp.cuda.get_current_stream()
    work()
    stream.synchronize()
    times, best = 1, float("inf")
    while True:
        begin = time.perf_counter()
        for _ in range(times):
            work()
        stream.synchronize()
        took = time.perf_counter() - begin
        if took >= least / rounds:
            break
        times *= 2
    for _ in range(rounds):
        begin = time.perf_counter()
        for _ in range(times):
            work()
        stream.synchronize()
        best = min(best, time.perf_counter() - begin)
    return best / times


def host_seconds(work: Callable[[], Any], times: int = 200) -> float:
    """Seconds that the host needs for a call; the device is waited for outside."""
    xp = _cuda.require()
    best = float("inf")
    for _ in range(5):
        xp.cuda.get_current_stream().synchronize()
        begin = time.perf_counter()
        for _ in range(times):
            work()
        best = min(best, time.perf_counter() - begin)
    xp.cuda.get_current_stream().synchronize()
    return best / times


def kernel(name: str) -> _cuda.Function:
    return _cuda.module(SOURCE, "ceilings.cu", Real=np.float32).get_function(name)


def ceilings(size: int = 1 << 30, width: int = 8192, links: int = 1000) -> dict[str, float]:
    """All of them, by name and unit.

    size   bytes of the array that is copied; a 64th of it is read from the cache
    width  of the matrices that are multiplied
    links  launches in a graph
    """
    xp = _cuda.require()
    found = memory(xp, size)
    for dtype in (np.float32, np.float64, np.float16):
        a, b = (xp.ones((width, width), dtype) for _ in range(2))
        took = seconds(partial(xp.matmul, a, b))
        found[f"product of {np.dtype(dtype).name}, TFLOP/s"] = 2e-12 * width**3 / took
    return found | launches(xp, links)


def memory(xp: Any, size: int) -> dict[str, float]:
    """Copies within the device and to it, and reads of what its cache holds."""
    one, other = (xp.zeros(size // 4, np.float32) for _ in range(2))
    found = {"copy, GB/s": 2e-9 * one.nbytes / seconds(partial(xp.copyto, other, one))}
    some, times, threads = one[: size // 256], 20, 132 * 8 * 256
    sums, function = xp.empty(threads, np.float32), kernel("read_again")
    args = some, np.int64(some.size), np.int32(times), sums
    took = seconds(lambda: _cuda.launch(function, (threads // 256,), *args))
    found["read from the cache, GB/s"] = 1e-9 * some.nbytes * times / took
    host = np.zeros(some.size, np.float32)
    found["from the host, pageable, GB/s"] = 1e-9 * host.nbytes / seconds(lambda: some.set(host))
    return found


def launches(xp: Any, links: int) -> dict[str, float]:
    """What a launch costs: on the device in a graph, and on the host in each way."""
    x, function = xp.zeros(1024, np.float32), kernel("nothing")
    stream = xp.cuda.Stream(non_blocking=True)
    with stream:
        stream.begin_capture()
        for _ in range(links):
            _cuda.launch(function, (1,), x, block=32)
        graph = stream.end_capture()
        graph.launch(stream)
        stream.synchronize()
        chain = seconds(lambda: graph.launch(stream))
        of_graph = host_seconds(lambda: graph.launch(stream), 20)
    args, small = (x,), xp.ones((32, 32), np.float32)
    ways = {
        "a launch of ours": lambda: _cuda.launch(function, (1,), x, block=32),
        "a launch of CuPy's RawKernel": lambda: function.raw((1,), (32,), args),
        "an operation of CuPy's": lambda: xp.add(x, x, out=x),
        "a product of CuPy's": partial(xp.matmul, small, small),
        "a wait for nothing": xp.cuda.get_current_stream().synchronize,
    }
    found = {"a kernel in a graph, µs": 1e6 * chain / links, "host: a graph, µs": 1e6 * of_graph}
    return found | {f"host: {name}, µs": 1e6 * host_seconds(way) for name, way in ways.items()}
