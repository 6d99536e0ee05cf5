"""Persistent kernels on the CPU: the sources themselves, over hardware of the stand-in's threads.

A cluster is launched as one block whose threads stand in ranks; see ``hardware_on_cpu.cuh``.
"""

from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.standin import cuda, installed
from tinygrad_rnn.kernels import recurrence
from tinygrad_rnn.kernels.recurrence import gpu as by_steps
from tinygrad_rnn.kernels.recurrence import run as surround
from tinygrad_rnn.kernels.recurrence.persistent import gpu, sources
from tinygrad_rnn.kernels.recurrence.persistent.planner import Device, plan
from tinygrad_rnn.kernels.recurrence.persistent.recognised import recognised
from tinygrad_rnn.kernels.recurrence.persistent.reference import GRU, LSTM
from tinygrad_rnn.kernels.recurrence.persistent.shape import FullShape
from tinygrad_rnn.kernels.recurrence.tracing import trace
from tinygrad_rnn.ops.recurrence import RULES

HARDWARE = Path(__file__).with_name("hardware_on_cpu.cuh")
HOPPER = Device(capability=90)


@contextmanager
def hardware(monkeypatch, **definitions):
    """Compile with the CPU's hardware; definitions are macros of it."""
    lines = "".join(f"#define {name} {value}\n" for name, value in definitions.items())
    written = sources.text_of.__wrapped__

    def text_of(file):
        real = (sources.FOLDER / "hardware.cuh").read_text()
        return written(file).replace(real, lines + HARDWARE.read_text())

    def extent(shape, tiles):
        if isinstance(shape, FullShape):
            return (tiles,), shape.threads, shape.shared
        return (tiles,), shape.cluster * shape.threads, shape.cluster * shape.shared

    with monkeypatch.context() as patched:
        patched.setattr(sources, "text_of", text_of)
        patched.setattr(gpu, "_extent", extent)
        patched.setattr(cuda, "_SHARED_AT_MOST", 16 * cuda._SHARED_AT_MOST)
        patched.setattr(gpu, "_allow_larger_clusters", lambda function: None)
        forget()
        yield
    forget()


def forget():
    for kept in (gpu._function, gpu._pack_function, gpu._places, gpu._fault_of):
        kept.cache_clear()
    gpu._offsets.clear()


def device(plan):
    """The GPU, but that its steps are those of a plan."""
    walk = partial(gpu.walk, plan)
    return replace(by_steps._GPU, walk=walk, column_sums=lambda rows: rows.sum(axis=0))


def both(plan, xp, program, arrays, needed, *, dtype="float32", **options):
    """What forward and backward give by a plan, and by the CPU's kernels in float64."""
    ours = _results(xp, program, arrays, needed, np.dtype(dtype), device(plan), **options)
    right = _results(np, program, arrays, needed, np.dtype("float64"), None, **options)
    return {name: array.get() for name, array in ours.items()}, right


def _results(xp, program, arrays, needed, dtype, on, **options):
    """What comes out of forward and backward, by name; ``on`` a device, or as arrays tell."""

    def put(array):
        return xp.asarray(array.astype(dtype))

    x, dy = put(arrays["x"]), put(arrays["dy"])
    states, ends = ([put(a) for a in arrays[name]] for name in ("states", "ends"))
    params = {name: put(a) for name, a in arrays["params"].items()}
    forward, backward = recurrence.forward, recurrence.backward
    if on is not None:
        forward, backward = partial(surround.forward, on), partial(surround.backward, on)
    y, finals, run = forward(program, x, states, params, rules=RULES, steps=len(x), **options)
    back = backward(run, dy, ends, needs_x=True, needed=set(needed))
    dx, d_states, _, grads = back
    found = {"y": y, "dx": dx} | {name: grads[name] for name in needed}
    found |= {f"final {i}": a for i, a in enumerate(finals)}
    return found | {f"d_state {i}": a for i, a in enumerate(d_states)}


def drawn(program, T, B, I, H, seed=0):
    """Arrays for a program: weights of spectral radius about 1."""
    rng = np.random.default_rng(seed)
    sizes = {"I": I, "H": H}
    params = {}
    for name, shape in program.params:
        extent = tuple(width.of(sizes) for width in shape)
        scale = 1 / np.sqrt(extent[0]) if len(extent) == 2 else 0.5
        params[name] = scale * rng.standard_normal(extent)
    states = [rng.standard_normal((B, H)) for _ in program.states]
    return {
        "x": rng.standard_normal((T, B, I)), "dy": rng.standard_normal((T, B, H)),
        "states": states, "ends": [rng.standard_normal((B, H)) for _ in states], "params": params,
    }  # fmt: skip


def _all_kernels():
    """Launch every source once, at sizes that fill nothing: for the address sanitizer."""
    import cupy

    mask = np.array([[1, 1, 1], [1, 0, 1]], np.uint8)
    small = Device(capability=90, threads=64)
    for cell, precision, way in ((LSTM(True), "high", "cluster"), (GRU(True), "highest", "cta")):
        program = trace(cell)
        found = plan(recognised(program).kind, 2, 3, 4, 20, "float32", precision,
                     HOPPER if way == "cta" else small, ways=(way,))  # fmt: skip
        arrays, needed = drawn(program, 2, 3, 4, 20), [name for name, _ in program.params]
        with hardware(pytest.MonkeyPatch()):
            on = device(found)
            _results(cupy, program, arrays, needed, np.dtype("float32"), on, mask=mask)


if __name__ == "__main__":
    with installed(devices=1):
        _all_kernels()
