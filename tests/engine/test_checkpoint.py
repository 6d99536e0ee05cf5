"""A checkpoint keeps less and gives the same: numbers, gradients and bits."""

import gc
import threading
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import ops
from tinygrad_rnn.errors import GradientError


def leaf(*shape):
    return tg.randn(*shape, dtype=np.float64, requires_grad=True)


def plain(fn, *args, preserve_rng=True, **kwargs):
    return fn(*args, **kwargs)


def same(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def both(run):
    """What a function of the checkpoint to use gives with the real one and with none."""
    results = []
    for checkpoint in (tg.checkpoint, plain):
        tg.seed(1)
        results.append(run(checkpoint))
    return results


@pytest.mark.parametrize("create_graph", [False, True])
def test_arguments_and_what_is_closed_over_get_their_gradients(create_graph):
    x, w, b = leaf(2, 3), leaf(3, 3), leaf(3)

    def run(checkpoint):
        h, scale = x * 1.5, w * 2.0
        h = checkpoint(lambda h: (h @ scale + b).tanh() @ w, h)
        return tg.grad((h * h).sum(), [x, w, b, scale], create_graph=create_graph)

    same(*both(run))


def test_backward_adds_to_grad_once():
    x, w = leaf(2, 2), leaf(2, 2)
    (tg.checkpoint(lambda x: (x @ w).tanh(), x)).sum().backward()
    expected = tg.grad((x @ w).tanh().sum(), [x, w])
    same([x.grad, w.grad], expected)


def test_second_derivatives():
    x, w = leaf(2, 2), leaf(2, 2)

    def run(checkpoint):
        y = checkpoint(lambda x: ((x @ w).tanh() * x).exp(), x * 2.0).sum()
        g = tg.grad(y, [x, w], create_graph=True)
        return tg.grad(sum((a * a).sum() for a in g), [x, w])

    for found, expected in zip(*both(run), strict=True):
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-12)


@given(st.integers(0, 5), st.booleans())
def test_nested_checkpoints_in_a_chain(depth, drop):
    x, w = leaf(1, 3), leaf(3, 3)

    def block(checkpoint, h, depth):
        h = (h @ w).tanh()
        if drop:
            h = ops.dropout(h, 0.3)
        return checkpoint(block, checkpoint, h, depth - 1) + h if depth else h

    def run(checkpoint):
        h = checkpoint(block, checkpoint, x, depth)
        h = checkpoint(block, checkpoint, h, depth)
        return [h, *tg.grad(h.sum(), [x, w])]

    same(*both(run))


def test_random_numbers_are_drawn_again_and_the_stream_goes_on():
    x = leaf(50)

    def run(checkpoint):
        y = checkpoint(ops.dropout, x, 0.5)
        (g,) = tg.grad(y.sum(), x)
        return y, g, tg.rand(3)

    found, expected = both(run)
    same(found, expected)
    assert ((found[0].numpy() != 0) == (found[1].numpy() != 0)).all()
    y = tg.checkpoint(ops.dropout, x, 0.5, preserve_rng=False)
    (g,) = tg.grad(y.sum(), x)
    assert ((y.numpy() != 0) != (g.numpy() != 0)).any()


def test_drawing_again_does_not_disturb_other_threads():
    x = leaf(3)
    entered, drawn = threading.Event(), threading.Event()
    others = []

    def other():
        entered.wait()
        others.append(tg.rand(4).tolist())
        drawn.set()

    def fn(x):
        y = ops.dropout(x, 0.5)
        if threads:
            entered.set()
            drawn.wait()
        return y

    threads = []
    y = tg.checkpoint(fn, x)
    state = tg.random.get_state()
    expected = tg.rand(8).tolist()
    tg.random.set_state(state)
    threads.append(threading.Thread(target=other))
    threads[0].start()
    y.sum().backward()
    threads[0].join()
    assert others[0] + tg.rand(4).tolist() == expected


def test_several_outputs_in_any_structure():
    x, w = leaf(2), leaf(2)

    def fn(x, *, factor, label):
        h = (x * w).tanh()
        return {"h": h, "rest": (h * factor, [w]), "label": label, "constant": tg.ones(1)}

    def run(checkpoint):
        out = checkpoint(fn, x, factor=3.0, label="name")
        assert out["label"] == "name"
        assert not out["constant"].requires_grad
        assert out["rest"][1][0] is w  # what was there before is handed through
        unused = tg.grad(out["h"].sum(), [x, w])
        out = checkpoint(fn, x, factor=3.0, label="name")
        total = (out["h"] * out["rest"][0] + out["rest"][1][0]).sum()
        return [*unused, *tg.grad(total, [x, w])]

    same(*both(run))


def test_an_input_may_lead_to_another():
    x = leaf(3)

    def run(checkpoint):
        h = x * x
        y = checkpoint(lambda a, b: (a * b + h).sin(), x, h)
        return tg.grad(y.sum(), [x, h])

    same(*both(run))


def test_only_what_is_wanted_is_computed():
    x, w = leaf(2), leaf(2)
    y = tg.checkpoint(lambda x: x * w, x)
    (g,) = tg.grad(y.sum(), w, retain_graph=True)
    same([g], [x])
    (h,) = tg.grad(y.sum(), x)
    same([h], [w])
    assert w.grad is None


def test_without_recording_it_is_a_plain_call():
    x = leaf(2)
    runs = []

    def fn(x):
        runs.append(x)
        return x * 2

    with tg.no_grad():
        assert not tg.checkpoint(fn, x).requires_grad
    assert not tg.checkpoint(fn, tg.ones(2)).requires_grad
    assert len(runs) == 2
    y = tg.checkpoint(fn, x).sum()
    with tg.inference_mode():  # the second run is recorded even here
        y.backward()
    assert len(runs) == 4
    assert x.grad.tolist() == [2, 2]


def test_what_was_computed_on_the_way_is_not_kept():
    inside = []

    def fn(x):
        h = x.exp()
        inside.append(weakref.ref(h))
        return h.tanh()

    x = leaf(4)
    gc.disable()
    try:
        y = tg.checkpoint(fn, x)
        assert inside[0]() is None
        node = weakref.ref(y._node)
        y.sum().backward()
        assert inside[1]() is None
        del y
        assert node() is None
    finally:
        gc.enable()


def test_arrays_that_were_changed_before_the_second_run_are_noticed():
    for change in (0, 1, 2):
        x, w, c = leaf(2), leaf(2), tg.ones(2, dtype=np.float64)
        h = x * 1.0
        y = tg.checkpoint(lambda h, w=w, c=c: (h + w + c).tanh(), h)
        (h.detach(), w, c)[change].assign_([0.0, 0.0])
        with pytest.raises(
            GradientError,
            match=r"the input \d .* of 'checkpoint' has been changed|"
            r"the input \d of 'checkpoint' has been changed",
        ):
            y.sum().backward()


def test_it_can_be_walked_again_if_it_is_retained():
    x = leaf(2)
    y = tg.checkpoint(ops.sin, x).sum()
    y.backward(retain_graph=True)
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.cos(x.numpy()))
    with pytest.raises(GradientError, match="has no saved arrays"):
        y.backward()


def test_a_function_that_changes_its_mind_is_noticed():
    sizes = iter((2, 1))
    y = tg.checkpoint(lambda x: x[: next(sizes)] * 2, leaf(3))
    with pytest.raises(GradientError) as caught:
        y.sum().backward()
    assert str(caught.value) == (
        "checkpoint: run again, the function gave outputs of shape [(1,)], expected those of the "
        "first time, [(2,)]: backward repeats it. It must depend on nothing that changes in "
        "between."
    )


def test_a_graph_inside_is_freed_with_the_pass():
    x = leaf(2)
    kept = []

    def fn(x):
        h = x.exp()
        kept.append(h)
        return h * h

    tg.checkpoint(fn, x).sum().backward()
    with pytest.raises(GradientError, match="has no saved arrays"):
        kept[1].sum().backward()
