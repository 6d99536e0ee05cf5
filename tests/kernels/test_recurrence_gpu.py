"""Recurrences on a GPU: written CUDA, its products and its replay, against a program's lines.

The CUDA runs on the CPU here (see ``tests/standin``), and on a device under ``-m gpu``.
"""

from itertools import cycle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.kernels.test_cell_options import CALLS, NIGHTLY, B, I, T, generic, takes
from tests.nn.cell_list import CELLS, draw, make
from tests.nn.test_cell_options import OPTIONS
from tests.standin import cuda
from tests.standin.module import Graph
from tinygrad_rnn import nn
from tinygrad_rnn.kernels import matmul as products
from tinygrad_rnn.kernels.noise import Noise
from tinygrad_rnn.kernels.recurrence import gpu, gpu_replay
from tinygrad_rnn.kernels.recurrence.gpu_walk import multiplied

pytestmark = pytest.mark.skipif(bool(cuda.missing()), reason=cuda.missing() or "-")

H = 5
BESIDE = list(zip(CELLS, cycle([None, *OPTIONS]), strict=False))  # each cell with some option
GRAPH = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def put(array, device="gpu"):
    return tg.tensor(array).to(device).requires_grad_()


def results(cell, how, device):
    """Outputs, final states, and the gradients of a weighted sum of them all."""
    x, states = draw(cell, T, B)
    x = None if x is None else put(x, device)
    states = [put(s, device) for s in states]
    y, finals = cell.sequence(x, states, steps=T if x is None else None, **how)
    rng = np.random.default_rng(4)
    outs = [y, *finals]
    loss = sum((out * put(rng.uniform(0.5, 1.5, out.shape), device)).sum() for out in outs)
    named = {f"state {k}": s for k, s in enumerate(states)} | dict(cell.named_parameters())
    named |= {} if x is None else {"x": x}
    grads = tg.grad(loss, list(named.values()))
    found = {f"gradient of {name}": g for name, g in zip(named, grads, strict=True)}
    found |= {"y": y} | {f"final state {k}": s for k, s in enumerate(finals)}
    assert {t.device for t in found.values()} == {tg.tensor(0.0).to(device).device}
    return {name: np.array(t.to("cpu").numpy()) for name, t in found.items()}


def check(name, option, calls=CALLS, bound=1e-11):
    """The kernels against the lines of the program on the CPU, with rows held and put back."""
    cell = generic(make(name, I, H).configure(**OPTIONS.get(option, {})))
    for how in calls:
        how = {**how, "noise": tg.random.noise(first_step=5, rows=[7, 2**32 - 1])}
        cell.to("cpu").fused = False
        expected = results(cell, how, "cpu")
        cell.to("gpu").fused = "require"
        found = results(cell, how, "gpu")
        for what, value in expected.items():
            np.testing.assert_allclose(
                found[what], value, rtol=0, atol=bound * max(1.0, abs(value).max(initial=0)),
                err_msg=f"{name}, {option}, {list(how)}, {what}",
            )  # fmt: skip


@pytest.mark.parametrize(("name", "option"), BESIDE)
def test_written_kernels_compute_what_the_lines_say(on_gpu, name, option):
    if option is None or takes(name, option):
        check(name, option)


@pytest.mark.skipif(not NIGHTLY, reason="compiles kernels for each pair: for the night")
@pytest.mark.parametrize("option", [None, *OPTIONS])
def test_every_cell_with_every_option(on_gpu, option):
    for name in CELLS:
        if option is None or takes(name, option):
            check(name, option)


@pytest.mark.parametrize("order", cuda.ORDERS)
def test_the_order_of_threads_changes_nothing(standin, order):
    with cuda.orders(order):
        check("gru_before", "layer_norm")


# ----- products -----

sizes = st.integers(0, 70)


@given(rows=sizes, depth=sizes, columns=sizes, data=st.data())
@GRAPH
def test_a_product_has_the_bits_of_the_cpu_and_of_each_row_alone(
    on_gpu, rows, depth, columns, data
):
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    dtype = data.draw(st.sampled_from([np.float32, np.float64]))
    a, w, bias = (
        rng.standard_normal(shape).astype(dtype)
        for shape in ((rows, depth), (depth, columns), (columns,))
    )
    start = data.draw(st.sampled_from(["nothing", "bias", "sums"]))
    turned = data.draw(st.booleans())
    expected = rng.standard_normal((rows, columns)).astype(dtype)
    xp = gpu._cuda.require()
    out, there = xp.asarray(expected), xp.asarray(np.ascontiguousarray(w.T) if turned else w)
    products.matmul(a, w, out=expected, bias=bias if start == "bias" else None,
                    accumulate=start == "sums")  # fmt: skip
    begin = {"nothing": (None, 0, 0), "bias": (xp.asarray(bias), 0, 0), "sums": (out, 0, columns)}
    strides = (1, depth) if turned else (columns, 1)
    multiplied(
        gpu._steps, (xp.asarray(a), 0, depth), (there, 0, *strides), begin[start],
        (out, 0, columns), rows, depth, columns,
    ).go()  # fmt: skip
    np.testing.assert_array_equal(out.get(), expected)
    if rows:
        r = data.draw(st.integers(0, rows - 1))
        alone = xp.asarray(expected[r : r + 1] * 0)
        begin = {"nothing": (None, 0, 0), "bias": (xp.asarray(bias), 0, 0)}
        if start in begin:
            multiplied(
                gpu._steps, (xp.asarray(a), r * depth, depth), (there, 0, *strides), begin[start],
                (alone, 0, columns), 1, depth, columns,
            ).go()  # fmt: skip
            np.testing.assert_array_equal(alone.get()[0], expected[r])


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 200])
def test_sums_of_columns_are_those_of_the_cpu(on_gpu, count):
    from tinygrad_rnn.kernels.recurrence.cpu_sums import column_sums

    rows = np.random.default_rng(count).standard_normal((count, 130)).astype(np.float32)
    found = gpu._column_sums(gpu._cuda.require().asarray(rows)).get()
    np.testing.assert_array_equal(found, column_sums(rows))


# ----- whole layers -----


def trained(layer, device, x, how):
    """What a layer gives and the gradients of its weights."""
    layer.to(device)
    y, state = layer(put(x, device), **how)
    states = state if isinstance(state, tuple) else (state,)
    loss = (y * y).sum() + sum(s.sum() for s in states)
    grads = tg.grad(loss, list(layer.parameters()))
    return [np.array(t.to("cpu").numpy()) for t in (y, *states, *grads)]


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_a_layer_with_everything_is_that_of_the_cpu(on_gpu, kind):
    tg.seed(0)
    layer = kind(3, 4, num_layers=2, bidirectional=True).astype(np.float64)
    x = np.random.default_rng(0).standard_normal((9, 5, 3))
    for how in ({}, {"lengths": [9, 4, 0, 7, 1]}):
        expected = trained(layer, "cpu", x, how)
        for found, value in zip(trained(layer, "gpu", x, how), expected, strict=True):
            np.testing.assert_allclose(found, value, rtol=0, atol=1e-11 * max(1, abs(value).max()))


def test_float32_is_close_to_float64(on_gpu):
    tg.seed(0)
    layer = nn.LSTM(3, 40)
    x = np.random.default_rng(0).standard_normal((20, 4, 3)).astype(np.float32)
    found = trained(layer, "gpu", x, {})
    exact = trained(layer.to("cpu").astype(np.float64), "cpu", x.astype(np.float64), {})
    for one, value in zip(found, exact, strict=True):
        assert one.dtype == np.float32
        bound = 16 * np.finfo(np.float32).eps * np.sqrt(20 * 40) * max(1, abs(value).max())
        np.testing.assert_allclose(one, value, rtol=0, atol=bound)


def test_the_source_is_that_of_where_the_weights_are(standin):
    layer = nn.LSTM(3, 4)
    assert "def backward" in layer.kernel_source()
    assert "__global__ void back_segment_1_H(" in layer.to("gpu").kernel_source()


def test_nothing_waits_for_the_device(standin):
    layer = nn.GRU(3, 4, num_layers=2).to("gpu")
    x = put(np.ones((6, 2, 3), np.float32))
    before = standin.synchronised
    y, _ = layer(x, lengths=[6, 3])
    tg.grad(y.sum(), list(layer.parameters()))
    assert standin.synchronised == before


def test_memory_for_speed_and_a_trace(on_gpu):
    """Pieces that are run again, and what every step leaves behind."""
    tg.seed(0)
    layer = nn.LSTM(3, 4, recompute=3).astype(np.float64)
    x = np.random.default_rng(0).standard_normal((7, 2, 3))
    expected = trained(layer, "cpu", x, {"lengths": [7, 5]})
    for found, value in zip(trained(layer, "gpu", x, {"lengths": [7, 5]}), expected, strict=True):
        np.testing.assert_allclose(found, value, rtol=0, atol=1e-12)
    _, _, here = layer.to("cpu")(put(x, "cpu"), lengths=[7, 5], return_trace=True)
    _, _, there = layer.to("gpu")(put(x), lengths=[7, 5], return_trace=True)
    for name in ("h", "c", "i", "f"):
        np.testing.assert_allclose(
            gpu._cuda.require().asnumpy(there[name]), here[name], rtol=0, atol=1e-12
        )


# ----- replay -----


@pytest.fixture
def replayed(monkeypatch):
    """How many graphs have been launched."""
    gpu_replay.forget()
    seen = []
    launch = Graph.launch
    monkeypatch.setattr(Graph, "launch", lambda g, stream=None: (seen.append(g), launch(g))[1])
    yield seen
    gpu_replay.forget()


def test_a_run_like_an_earlier_one_is_replayed(standin, replayed, monkeypatch):
    """In the same places it does what its launches do, with whatever numbers stand there."""
    kind, ways = standin.cupy.ndarray, []

    def four_times(walk, backwards):
        arrays = [v for v in walk.values.values() if isinstance(v, kind) and v.dtype.char == "d"]
        weights = list(walk.weights.values())
        before, earlier = [a.copy() for a in arrays], []
        for run in range(4):
            for array, start in zip(arrays, before, strict=True):
                array[...] = start
            weights[0] *= -1  # as a step of an optimiser would
            launched(walk, backwards)
            after = [a.copy() for a in arrays]
            earlier.append(after)
            for one, other in zip(after, earlier[run % 2], strict=True):
                np.testing.assert_array_equal(one.get(), other.get())
        ways.append(backwards)

    launched = gpu_replay.launched
    monkeypatch.setattr(gpu, "launched", four_times)
    cell = nn.LSTMCell(3, 4).astype(np.float64).configure(input_dropout=0.3).to("gpu")
    x, states = put(np.ones((9, 2, 3))), [put(np.zeros((2, 4))) for _ in range(2)]
    y, _ = cell.sequence(x, states, noise=Noise(5))
    tg.grad((y * y).sum(), list(cell.parameters()))
    assert ways == [False, True]
    assert len(replayed) == 6, "all but the first of each way"


def test_another_schedule_or_another_place_is_no_replay(standin, replayed):
    layer = nn.GRU(3, 4).to("gpu")
    with tg.no_grad():
        for length in range(9):
            layer(put(np.ones((9, 2, 3), np.float32)), lengths=[9, length])
    assert not replayed


def test_a_debug_session_replays_nothing(standin, replayed):
    layer, x = nn.GRU(3, 4).to("gpu"), put(np.ones((9, 2, 3), np.float32))
    with tg.debug(), tg.no_grad():
        for _ in range(4):
            layer(x)
    assert not replayed
