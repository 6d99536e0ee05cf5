"""The persistent kernels themselves, run on the CPU: their values are the cell's."""

from contextlib import nullcontext

import numpy as np
import pytest

from tests.kernels.on_gpu import same_bits
from tests.kernels.persistent import on_cpu
from tests.kernels.persistent.on_cpu import both, drawn
from tests.standin import cuda
from tinygrad_rnn.errors import DeviceError
from tinygrad_rnn.kernels import recurrence
from tinygrad_rnn.kernels.recurrence import persistent
from tinygrad_rnn.kernels.recurrence.persistent import gpu
from tinygrad_rnn.kernels.recurrence.persistent.planner import Device, plan
from tinygrad_rnn.kernels.recurrence.persistent.reference import GRU, LSTM, RNN
from tinygrad_rnn.kernels.recurrence.reference import RESET
from tinygrad_rnn.kernels.recurrence.tracing import trace
from tinygrad_rnn.ops.recurrence import RULES

PROGRAMS = {
    "lstm": trace(LSTM(True)), "gru": trace(GRU(True)), "plain gru": trace(GRU(False)),
    "tanh": trace(RNN(True, False)), "relu": trace(RNN(True, True)),
}  # fmt: skip
ROOM = {"highest": 2e-6, "high": 2e-3, "medium": 1.5e-2}  # ||error|| / ||value||
LENGTHS = np.array([7, 3, 1, 0, 5, 6, 2, 2, 4, 1, 1])
MASK = (np.arange(7)[:, None] < LENGTHS).astype(np.uint8)
# As many threads as let a cluster be one block of the stand-in's.
SMALL = Device(capability=90, threads=64)

# Shim compiles are what these cost: a kernel each way for every shape and kind of steps.
TILED = [
    ("gru", 24, "high", "cta", True),
    pytest.param("lstm", 100, "medium", "cluster", True, marks=pytest.mark.slow),
    pytest.param("gru", 72, "high", "cluster", False, marks=pytest.mark.slow),
    pytest.param("tanh", 200, "medium", "cluster", False, marks=pytest.mark.slow),  # of 16 blocks
]


@pytest.fixture(autouse=True)
def _modules(machine):
    on_cpu.forget()
    yield
    on_cpu.forget()


def found_for(kind, B, H, precision, way="cta", device=on_cpu.HOPPER, dtype="float32"):
    found = plan(kind.split()[-1], 7, B, 4, H, dtype, precision, device, ways=(way,))
    assert not isinstance(found, str), found
    return found


def agree(found, kind, arrays, room, **options):
    """Values of both ways; returns ours, in the same order always."""
    import cupy

    program = PROGRAMS[kind]
    needed = [name for name, _ in program.params]
    ours, right = both(found, cupy, program, arrays, needed, **options)
    for name, value in right.items():
        error = np.linalg.norm(ours[name] - value)
        assert error <= room * np.linalg.norm(value), f"{name}: {error / np.linalg.norm(value):.1e}"
    return list(ours.values())


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        ("lstm", "float32"),
        ("gru", "float64"),
        *(pytest.param(kind, "float32", marks=pytest.mark.slow) for kind in ("plain gru", "relu")),
    ],
)
def test_full_precision_is_the_cell(kind, dtype):
    arrays = drawn(PROGRAMS[kind], 7, 11, 4, 20)
    found = found_for(kind, 11, 20, "highest", dtype=dtype)
    assert found.forward.rows == 1
    room = ROOM["highest"] if dtype == "float32" else 1e-13
    results = []
    for order in cuda.ORDERS:
        with cuda.orders(order):
            results.append(agree(found, kind, arrays, room, dtype=dtype, mask=MASK, reverse=True))
    for other in results[1:]:
        same_bits(results[0], other)


def test_many_rows_a_block_have_the_bits_of_one():
    kind, arrays = "lstm", drawn(PROGRAMS["lstm"], 4, 11, 4, 20)
    one = found_for(kind, 11, 20, "highest")
    four = found_for(kind, 11, 20, "highest", device=Device(capability=80, processors=3))
    assert (one.rows, four.rows) == (1, 4)
    room = ROOM["highest"]
    same_bits(agree(one, kind, arrays, room), agree(four, kind, arrays, room))


@pytest.mark.parametrize(("kind", "H", "precision", "way", "packed"), TILED)
def test_tiles_are_the_cell_in_any_order(kind, H, precision, way, packed, monkeypatch):
    arrays = drawn(PROGRAMS[kind], 7, 11, 4, H)
    found = found_for(kind, 11, H, precision, way, SMALL if way == "cluster" else on_cpu.HOPPER)
    options = {"mask": MASK, "reverse": True} if packed else {}
    results = []
    with on_cpu.hardware(monkeypatch):
        for order in ("ascending", "descending", 1):
            with cuda.orders(order):
                results.append(agree(found, kind, arrays, ROOM[precision], **options))
    for other in results[1:]:
        same_bits(results[0], other)


def test_both_directions_and_one_step(monkeypatch):
    arrays = drawn(PROGRAMS["lstm"], 7, 11, 4, 100)
    found = found_for("lstm", 11, 100, "medium", "cluster", SMALL)
    with on_cpu.hardware(monkeypatch):
        agree(found, "lstm", arrays, ROOM["medium"], mask=MASK)
        one = arrays | {name: arrays[name][:1] for name in ("x", "dy")}
        mask = np.ones((1, 11), np.uint8)
        mask[0, 3] = 0
        agree(found, "lstm", one, ROOM["medium"], mask=mask)


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [0, 4])
@pytest.mark.parametrize("kind", ["lstm", "gru", "tanh"])  # rounded, relu may bend elsewhere
def test_late_and_early_messages(kind, at_once, monkeypatch):
    arrays = drawn(PROGRAMS[kind], 7, 11, 4, 100)
    for precision in ("medium", "high"):
        found = found_for(kind, 11, 100, precision, "cluster", SMALL)
        with on_cpu.hardware(monkeypatch, DELIVERY=at_once):
            for seed in range(3):
                with cuda.orders(seed):
                    agree(found, kind, arrays, ROOM[precision], mask=MASK, reverse=seed % 2 > 0)


def test_a_lost_message_is_an_error_and_no_number(monkeypatch):
    """Nothing waits for ever: the kernel ends, gives NaN, and says so where it is asked."""
    import cupy

    arrays = drawn(PROGRAMS["lstm"], 7, 3, 4, 72)
    found = found_for("lstm", 3, 72, "medium", "cluster", SMALL)
    needed = ["w_h"]
    with on_cpu.hardware(monkeypatch, LOSE=40, PATIENCE_HERE=60):
        ours, _ = both(found, cupy, PROGRAMS["lstm"], arrays, needed)
        assert np.isnan(ours["y"][-1]).all()
        assert np.isnan(ours["w_h"]).any()
        with pytest.raises(DeviceError, match=r"gpu:0 waited in vain .* its results are NaN"):
            gpu.check(0)
        gpu.check(0)  # said once


def test_packed_weights_are_kept_with_their_numbers(monkeypatch):
    import cupy

    found = found_for("gru", 11, 24, "high")
    weight = cupy.asarray(np.ones((24, 72), np.float32))
    with on_cpu.hardware(monkeypatch):

        class Run:
            params = {"w_h": weight}
            forms = {"w_h": {}}

        first = gpu._weights(found.forward, Run, "w_h")
        assert gpu._weights(found.forward, Run, "w_h") is first
        assert gpu._weights(found.backward, Run, "w_h") is not first
        Run.forms = {}
        assert gpu._weights(found.forward, Run, "w_h") is not first


def test_nothing_waits_for_the_device(machine, monkeypatch):
    import cupy

    arrays = drawn(PROGRAMS["lstm"], 7, 11, 4, 20)
    found = found_for("lstm", 11, 20, "highest")
    program = PROGRAMS["lstm"]
    before = None

    def counted(plan_, run, values, *, backwards, walk=gpu.walk):
        nonlocal before
        before = machine.synchronised
        walk(plan_, run, values, backwards=backwards)
        assert machine.synchronised == before

    monkeypatch.setattr(gpu, "walk", counted)
    both(found, cupy, program, arrays, ["w_h"], mask=MASK)
    assert before is not None


@pytest.mark.parametrize("inside", [True, False])
def test_persistent_kernels_are_used_where_asked_for(inside):
    import cupy

    program, arrays = PROGRAMS["lstm"], drawn(PROGRAMS["lstm"], 7, 11, 4, 20)
    x, dy = (cupy.asarray(arrays[name].astype("f")) for name in ("x", "dy"))
    states = [cupy.asarray(a.astype("f")) for a in arrays["states"]]
    params = {name: cupy.asarray(a.astype("f")) for name, a in arrays["params"].items()}
    results = []
    for asked in (False, True):
        with persistent.using() if asked else nullcontext(), cuda.launches() as seen:
            y, _, run = recurrence.forward(program, x, states, params, rules=RULES, steps=7)
            if inside:
                back = recurrence.backward(run, dy, [None, None], needs_x=True, needed={"w_h"})
        if not inside:
            with cuda.launches() as more:
                back = recurrence.backward(run, dy, [None, None], needs_x=True, needed={"w_h"})
            seen += more
        sources = {launch.source for launch in seen}
        assert ({"fma_forward.cu", "fma_backward.cu"} <= sources) == asked
        assert ("recurrence.cu" in sources) != asked
        results.append([a.get() for a in (y, back[0], *back[1], back[3]["w_h"])])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5 * np.abs(one).max())


def test_gradients_of_all_states_go_by_steps():
    """Of what the persistent forward kept: both read and write the same arrays."""
    import cupy

    program, arrays = PROGRAMS["gru"], drawn(PROGRAMS["gru"], 5, 3, 4, 20)
    x, dy = (cupy.asarray(arrays[name].astype("f")) for name in ("x", "dy"))
    states = [cupy.asarray(a.astype("f")) for a in arrays["states"]]
    params = {name: cupy.asarray(a.astype("f")) for name, a in arrays["params"].items()}
    found = []
    for asked in (False, True):
        with persistent.using() if asked else nullcontext():
            _, _, run = recurrence.forward(program, x, states, params, rules=RULES, steps=5)
            later = [cupy.zeros((5, 3, 20), "f")]
            recurrence.backward(run, dy, [None], needs_x=False, needed=set(), later=later)
        found.append([a.get() for a in later])
    np.testing.assert_allclose(*found, atol=1e-5)


def test_why_there_is_none_is_said_once():
    import cupy

    program = trace(LSTM(True))
    arrays = drawn(program, 2, 3, 4, 20)
    x, *states = (cupy.asarray(a.astype("f")) for a in (arrays["x"], *arrays["states"]))
    params = {name: cupy.asarray(a.astype("f")) for name, a in arrays["params"].items()}
    mask = np.ones((2, 3), np.uint8)
    mask[1, 1] |= RESET
    persistent._say_once.cache_clear()
    with persistent.using():
        with pytest.warns(RuntimeWarning, match="states are put back or cut off inside. It is run"):
            recurrence.forward(program, x, states, params, rules=RULES, steps=2, mask=mask)
        recurrence.forward(program, x, states, params, rules=RULES, steps=2, mask=mask)


@pytest.mark.slow
def test_the_sanitizer_finds_nothing():
    code = "import runpy; runpy.run_module('tests.kernels.persistent.on_cpu', run_name='__main__')"
    done = cuda.run_sanitized(code)
    assert done.returncode == 0, done.stderr[-4000:]
