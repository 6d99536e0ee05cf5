"""What a layer gives out as its trace: axes, memory, and what is told when nothing is there."""

import gc
import weakref

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.nn.cell_list import H, I
from tinygrad_rnn import inspect, nn
from tinygrad_rnn.errors import GradientError
from tinygrad_rnn.kernels import _memory
from tinygrad_rnn.nn.trace import Trace

T, B = 5, 3


def randn(*shape, **more):
    return tg.randn(*shape, dtype=np.float64, **more)


def lstm(**options):
    tg.seed(3)
    return nn.LSTM(I, H, **options).astype(np.float64)


def test_values_are_those_of_the_layer_and_change_no_bit_of_it():
    layer, x = lstm(), randn(T, B, I, requires_grad=True)
    plain = layer(x)
    loss = lambda y, c: (y * y).sum() + c.sum()
    loss(plain[0], plain[1][1]).backward()
    expected = [x.grad.numpy(), *(w.grad.numpy() for w in layer.parameters())]
    x.grad = None
    layer.zero_grad()
    y, (h, c), trace = layer(x, return_trace=True)
    loss(y, c).backward()
    found = [x.grad.numpy(), *(w.grad.numpy() for w in layer.parameters())]
    for a, b in zip(
        [*found, y.numpy(), h.numpy()], [*expected, plain[0], plain[1][0]], strict=True
    ):
        assert np.array_equal(a, b)
    assert np.array_equal(trace["h"], y)
    assert np.shares_memory(trace["h"].numpy(), y.numpy())
    assert np.array_equal(trace["c"][-1], c[0])
    i, f, g, o = (trace[gate].numpy() for gate in "ifgo")
    before = np.concatenate([np.zeros((1, B, H)), trace["c"].numpy()[:-1]])
    np.testing.assert_allclose(trace["c"], f * before + i * g, atol=1e-12)
    np.testing.assert_allclose(y, o * np.tanh(trace["c"].numpy()), atol=1e-12)
    np.testing.assert_allclose(1 / (1 + np.exp(-trace.pre_activation("o").numpy())), o, atol=1e-12)


@pytest.mark.usefixtures("reference")
def test_axes_are_those_of_x():
    x = randn(T, B, I)
    layer = lstm()
    y, _, trace = layer(x, return_trace=True)
    y.sum().backward()
    swapped = lstm(batch_first=True)
    y2, _, first = swapped(x.swapaxes(0, 1), return_trace=True)
    y2.sum().backward()
    alone = lstm()
    y3, _, one = alone(x[:, 1], return_trace=True)
    y3.sum().backward()
    for ask in (
        lambda t: t["f"], lambda t: t["c"], lambda t: t.pre_activation("g"),
        lambda t: t.gradient("h"), lambda t: t.gradient_norms("c", by_row=True),
    ):  # fmt: skip
        want = ask(trace).numpy()
        np.testing.assert_allclose(ask(first).numpy().swapaxes(0, 1), want, atol=1e-12)
        np.testing.assert_allclose(ask(one), want[:, 1], atol=1e-12)
    assert trace.gradient_norms("h").shape == first.gradient_norms("h").shape == (T,)
    assert first.parts("w_h").shape == (T, H, 4 * H)


@pytest.mark.usefixtures("reference")
def test_layers_and_directions_have_traces_of_their_own():
    layer = lstm(num_layers=2, bidirectional=True)
    y, (_, c), trace = layer(randn(T, B, I), lengths=[5, 2, 0], return_trace=True)
    (y * randn(*y.shape)).sum().backward()
    assert [list(of_layer) for of_layer in trace.layers] == [["forward", "reverse"]] * 2
    for number, of_layer in enumerate(trace.layers):
        for place, (direction, one) in enumerate(of_layer.items()):
            cell = layer.layers[number][direction]
            last = one["c"][-1] if direction == "forward" else one["c"][0]
            assert np.array_equal(last, c[2 * number + place])
            assert not one["f"].numpy()[2:, 1].any()
            assert not one["f"].numpy()[:, 2].any()
            for name, weight in cell.weights().items():
                total = one.parts(name).numpy().sum(axis=0)
                np.testing.assert_allclose(total, weight.grad, atol=1e-12)
    top = trace.layers[1]
    assert np.array_equal(top["reverse"].layers[0]["reverse"]["f"], top["reverse"]["f"])
    np.testing.assert_array_equal(y.numpy()[:2, 1, :H], top["forward"]["h"].numpy()[:2, 1])
    for ask in (lambda: trace["f"], lambda: trace.gradient("h"), lambda: trace.names):
        with pytest.raises(TypeError, match=r"2 layers and 2 directions.*trace.layers\[0\]\['fo"):
            ask()


@pytest.mark.usefixtures("reference")
def test_a_list_of_sequences_has_its_trace_side_by_side():
    layer = lstm(batch_first=True)
    long, short = randn(T, I), randn(2, I)
    (y, y_short), _, trace = layer([long, short], return_trace=True)
    y_short.sum().backward()
    assert trace["f"].shape == (T, 2, H)
    assert np.array_equal(trace["h"][:, 0], y)
    assert np.array_equal(trace["h"][:2, 1], y_short)
    assert np.array_equal(trace["h"][4, 1], y_short[-1])
    assert not trace["o"].numpy()[2:, 1].any()
    assert not trace.gradient("f").numpy()[:, 0].any()
    assert trace.gradient("h").numpy()[:2, 1].all()


def test_kernels_and_tensors_tell_the_same_where_gradients_are_cut():
    x, seen = randn(7, B, I), []
    mask = np.arange(7)[:, None] < np.array([7, 4, 5])
    for fused in (True, False):
        layer = lstm(truncate=2, bidirectional=True, fused=fused)
        y, (_, c), trace = layer(x, mask=mask, return_trace=True)
        (y.square().sum() + c.sum()).backward()
        for one in trace.layers[0].values():
            seen.append([one[n].numpy() for n in one] + [one.gradient(n).numpy() for n in one])
            seen[-1].append(one.part_norms("w_h").numpy())
    for mine, other in zip(seen[:2], seen[2:], strict=True):
        for a, b in zip(mine, other, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-10)


@pytest.mark.parametrize("names", [("h", "seen"), ("seen", "h")])
@pytest.mark.parametrize("lagged", [False, True])
def test_a_state_of_constants_has_a_gradient_all_the_same(names, lagged):
    class Late(nn.Cell):
        state, params, input = names, {"w": "H H"}, "H"

        def step(self, x, first, second, p):
            h, seen = (first, second) if names[0] == "h" else (second, first)
            new = (seen @ p.w + h).tanh()
            return (new, x) if names[0] == "h" else (x, new)

        def output(self, first, second):
            return first if names[0] == "h" else second

    found = []
    for fused in ("require", False):
        tg.seed(1)
        layer, x = nn.Recurrent(Late(H, H), fused=fused).astype(np.float64), randn(4, B, H)
        if lagged:
            norms = inspect.gradient_by_lag(layer, x)
            found.append({name: norms[0, "forward", name] for name in names})
            continue
        y, last, trace = layer(x, return_trace=True)
        (y.sum() + sum(s.square().sum() for s in last)).backward()
        found.append({name: trace.gradient_norms(name).numpy() for name in names})
    for name in names:
        assert np.any(found[0][name])
        np.testing.assert_allclose(found[0][name], found[1][name], rtol=1e-10)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("begun", [False, True])
def test_a_reset_that_no_step_follows_is_in_the_trace(reverse, begun):
    tg.seed(3)
    x, start = randn(5, B, I), randn(1, B, H) if begun else None
    mask = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 0], [1, 0, 0]], np.bool_)
    resets = np.array([[0, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0], [0, 1, 0]], np.bool_)
    if reverse:
        mask, resets = mask[::-1], resets[::-1]
    seen = []
    for fused in (True, False):
        tg.seed(3)
        layer = nn.GRU(I, H, reverse=reverse, fused=fused).astype(np.float64)
        y, final, trace = layer(x, start, mask=mask, resets=resets, return_trace=True)
        (y.sum() + (final * np.arange(1.0, H + 1)).sum()).backward()
        last = trace["h"].numpy()[0 if reverse else -1]
        np.testing.assert_allclose(last, final.numpy().reshape(B, H), atol=1e-12)
        seen.append([trace[n].numpy() for n in trace] + [trace.gradient(n).numpy() for n in trace])
    for mine, other in zip(*seen, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-12)


@pytest.mark.usefixtures("reference")
def test_names_that_are_not_there_are_told():
    _, _, trace = lstm()(randn(T, B, I), return_trace=True)
    assert isinstance(trace, Trace)
    assert list(trace) == ["h", "c", "i", "f", "g", "o"]
    assert "f" in trace
    assert "q" not in trace
    assert repr(trace) == "<trace of 5 steps: h, c, i, f, g, o>"
    with pytest.raises(KeyError, match="no row is called 'q', expected one of h, c, i, f, g, o"):
        trace["q"]
    with pytest.raises(KeyError, match="no weight is called 'w', expected w_x, w_h, b"):
        trace.parts("w")
    with pytest.raises(ValueError, match="'c' is what add gives, expected what an activation gi"):
        trace.pre_activation("c")
    with pytest.raises(TypeError, match="return_trace is 1, expected True or False"):
        lstm()(randn(T, B, I), return_trace=1)


@pytest.mark.usefixtures("reference")
def test_gradients_that_are_not_there_are_told():
    layer, x = lstm(), randn(T, B, I)
    for mode in (tg.no_grad(), tg.inference_mode()):
        with mode:
            _, _, trace = layer(x, return_trace=True)
        assert trace["f"].shape == (T, B, H)
        assert trace.pre_activation("f").shape == (T, B, H)
        with pytest.raises(GradientError, match=r"there are no gradients.*under no_grad"):
            trace.gradient("h")
    _, _, trace = layer(x, return_trace=True)
    with pytest.raises(GradientError, match="no gradient has come back yet, expected a backward"):
        trace.part_norms("w_h")


@pytest.mark.parametrize("fused", [True, False])
def test_the_last_backward_counts(fused):
    layer, x = lstm(fused=fused), randn(T, B, I, requires_grad=True)
    y, (h, _), trace = layer(x, return_trace=True)
    y[1].sum().backward(retain_graph=True)
    first = trace.gradient("h").numpy()
    assert not first[2:].any()
    assert first[:2].any()
    assert not trace.part_norms("w_h").numpy()[2:].any()
    h.sum().backward(retain_graph=True)
    last = trace.gradient("h").numpy()
    assert last[-1].all()
    tg.grad(y[1].sum(), [x], retain_graph=True)
    assert np.array_equal(trace.gradient("h"), first)
    tg.grad(y[3].sum(), [y], retain_graph=True)  # goes no further than y
    tg.grad(h.sum(), [x])
    np.testing.assert_allclose(trace.gradient("h"), last, atol=1e-15)


@pytest.mark.parametrize("fused", [True, False])
def test_a_walk_that_is_recorded_counts_too(fused):
    layer, x = lstm(fused=fused), randn(T, B, I, requires_grad=True)
    y, _, trace = layer(x, return_trace=True)
    (y * y).sum().backward(retain_graph=True)
    want = {name: trace.gradient(name).numpy() for name in trace}
    y.sum().backward(retain_graph=True)
    tg.grad((y * y).sum(), [x], create_graph=True)
    for name in trace:
        np.testing.assert_allclose(trace.gradient(name), want[name], atol=1e-12)


@pytest.mark.usefixtures("reference")
def test_a_layer_that_trains_nothing_still_has_gradients_of_its_rows():
    layer, x = lstm(), randn(T, B, I, requires_grad=True)
    for weight in layer.parameters():
        weight.requires_grad = False
    y, _, trace = layer(x, return_trace=True)
    y.sum().backward()
    assert trace.gradient_norms("c").numpy().all()
    assert trace.part_norms("w_x").numpy().all()


def test_what_is_computed_again_needs_the_numbers_of_then():
    layer, x = lstm(), randn(T, B, I)
    y, _, trace = layer(x, return_trace=True)
    y.sum().backward()
    z, norms = trace.pre_activation("f").numpy(), trace.part_norms("w_h").numpy()
    layer.layers[0]["forward"].w_h.assign_(layer.layers[0]["forward"].w_h * 2)
    assert trace["f"].numpy().all()
    assert trace.gradient("c").numpy().any()
    for ask in (lambda: trace.pre_activation("f"), lambda: trace.parts("w_h")):
        with pytest.raises(GradientError, match="w_h has been changed since the call"):
            ask()
    layer = lstm()
    y, _, trace = layer(x, return_trace=True)
    y.sum().backward()
    x.assign_(x * 2)
    assert trace["f"].numpy().all()
    for ask in (lambda: trace.pre_activation("f"), lambda: trace.part_norms("b")):
        with pytest.raises(GradientError, match="x has been changed since the call"):
            ask()
    x.assign_(x / 2)
    y, _, trace = layer(x, return_trace=True)
    y.sum().backward()
    np.testing.assert_allclose(trace.pre_activation("f"), z, atol=1e-12)
    np.testing.assert_allclose(trace.part_norms("w_h"), norms, atol=1e-12)


def test_values_cannot_be_written():
    _, _, trace = lstm()(randn(T, B, I), return_trace=True)
    for name in ("h", "f"):
        assert not trace[name].requires_grad
        with pytest.raises(ValueError, match="stands on a read-only array"):
            trace[name].assign_(np.zeros((T, B, H)))


@pytest.mark.parametrize("steps", [0, 1])
@pytest.mark.parametrize("fused", [True, False])
def test_few_steps(steps, fused):
    layer, x = lstm(fused=fused), randn(steps, B, I, requires_grad=True)
    y, (h, c), trace = layer(x, return_trace=True)
    (y.sum() + h.sum() + c.sum()).backward()
    assert trace["f"].shape == trace.gradient("f").shape == (steps, B, H)
    assert trace["h"].shape == trace.gradient("h").shape == (steps, B, H)
    assert trace.gradient_norms("h").shape == trace.part_norms("b").shape == (steps,)
    assert trace.parts("w_h").shape == (steps, H, 4 * H)


# ----- memory -----


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("fused", [True, False])
def test_a_trace_keeps_no_graph_and_a_graph_keeps_no_trace(fused):
    layer, x = lstm(fused=fused), randn(T, B, I)
    y, _, trace = layer(x, return_trace=True)
    node = weakref.ref(y._node)
    record = weakref.ref(trace._record)
    y.sum().backward(retain_graph=True)
    del trace
    assert record() is None
    y.sum().backward()
    y, _, trace = layer(x, return_trace=True)
    node = weakref.ref(y._node)
    y.sum().backward()
    assert trace.gradient("f").numpy().any()
    del y
    assert node() is None


@pytest.mark.usefixtures("no_collector")
def test_a_view_keeps_its_memory_and_what_is_dropped_is_used_again():
    layer, x = nn.LSTM(I, 64), tg.randn(40, 16, I)
    with tg.no_grad():
        layer(x)
        _memory.empty_cache()
        y, final, trace = layer(x, return_trace=True)
        gates = trace["f"]
        want = gates.numpy().copy()
        del y, final, trace
        size = 40 * 16 * 4 * 64 * 4
        kept = _memory.cached_bytes()
        _memory.poison()
        try:
            for _ in range(3):
                layer(x * 2)
            assert np.array_equal(gates, want)
            before = _memory.cached_bytes()
            del gates
            assert _memory.cached_bytes() - before >= size
        finally:
            _memory.poison(False)
    assert kept < size
