"""Hooks see the whole gradient of a tensor once, in order, and may replace it."""

import gc
import weakref

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.errors import GradientError, ShapeError


def leaf():
    return tg.tensor(np.array([1.0, 2.0]), requires_grad=True)


@pytest.mark.parametrize("interior", [False, True])
def test_a_hook_sees_the_whole_gradient_once(interior):
    x = leaf()
    h = x * 1.0 if interior else x
    seen = []
    h.register_hook(lambda g: seen.append(g.tolist()))
    (h * 2 + h * 3 + h).sum().backward()
    assert seen == [[6, 6]]
    assert x.grad.tolist() == [6, 6]


@pytest.mark.parametrize("interior", [False, True])
@pytest.mark.parametrize("create_graph", [False, True])
def test_hooks_run_in_order_and_replace_the_gradient(interior, create_graph):
    x = leaf()
    h = x * 1.0 if interior else x
    h.register_hook(lambda g: g + 1)
    h.register_hook(lambda g: None)
    h.register_hook(lambda g: g * 10)
    (g,) = tg.grad((h * h).sum(), x, create_graph=create_graph)
    assert g.tolist() == [30, 50]
    if create_graph:
        # 20 x + 10 has the derivative 20, and the hooks see that one, too.
        assert tg.grad(g.sum(), x)[0].tolist() == [210, 210]


def test_the_answer_of_a_hook_is_differentiated_too():
    x = leaf()
    x.register_hook(lambda g: g * g)
    (g,) = tg.grad((x * x).sum(), x, create_graph=True)  # (2 x)^2
    (h,) = tg.grad(g.sum(), x)  # 8 x, and the hook squares that as well
    assert g.tolist() == [4, 16]
    assert h.tolist() == [64, 256]


def test_a_hook_is_taken_back_with_its_handle():
    x = leaf()
    seen = []
    first = x.register_hook(lambda g: seen.append("first"))
    x.register_hook(lambda g: seen.append("second"))
    first.remove()
    first.remove()
    (x * 2).sum().backward()
    assert seen == ["second"]


def test_a_hook_is_taken_back_at_the_end_of_a_with_block():
    x = leaf()
    seen = []
    with x.register_hook(seen.append):
        (x * 2).sum().backward()
    (x * 2).sum().backward()
    assert len(seen) == 1


def test_a_hook_may_take_itself_back():
    x = leaf()
    seen = []

    def once(g):
        seen.append(g)
        handle.remove()

    handle = x.register_hook(once)
    (x * 2).sum().backward()
    (x * 2).sum().backward()
    assert len(seen) == 1


def test_hooks_run_in_every_pass_that_reaches_their_tensor():
    x = leaf()
    h = x * 2
    seen = []
    h.register_hook(seen.append)
    y = h.sum()
    y.backward(retain_graph=True)
    tg.grad(y, h, retain_graph=True)
    y.backward()
    assert len(seen) == 3
    (x * 3).sum().backward()
    assert len(seen) == 3


def test_what_a_hook_is_shown_cannot_be_written():
    x, y = leaf(), leaf()
    h = x + y
    h.register_hook(lambda g: g.assign_([0.0, 0.0]))
    seed = np.ones(2)
    with pytest.raises(ValueError, match="read-only"):
        h.backward(seed)
    assert seed.tolist() == [1, 1]


def test_a_hook_has_to_answer_in_kind():
    x = leaf()

    def shorter(g):
        return g[:1]

    x.register_hook(shorter)
    with pytest.raises(ShapeError) as caught:
        (x * 2).sum().backward()
    assert str(caught.value) == (
        f"hook {shorter.__qualname__}: returned a gradient of float64[1], expected float64[2], "
        "like the one it was given. Return None to leave the gradient as it is."
    )
    assert x.grad is None


def test_hooks_are_refused_where_they_would_never_run():
    for act in (lambda t: t.register_hook(print), lambda t: t.retain_grad()):
        with pytest.raises(GradientError, match="does not require a gradient"):
            act(tg.ones(2))
    with pytest.raises(GradientError) as caught:
        tg.ones(2).register_hook(print)
    assert str(caught.value) == (
        "register_hook: the tensor (float32[2]) does not require a gradient, so a hook would "
        "never be called; expected one with requires_grad=True or the result of recorded "
        "operations."
    )


def test_a_result_keeps_its_gradient_when_asked_to():
    x = leaf()
    h = x * x
    assert h.retain_grad() is h
    h.register_hook(lambda g: g * 2)  # registered later, and still seen
    (h * 3).sum().backward(retain_graph=False)
    assert h.grad.tolist() == [6, 6]
    assert x.grad.tolist() == [12, 24]
    assert x.retain_grad() is x  # a leaf gets its own anyway


def test_kept_gradients_add_up_and_are_private():
    x = leaf()
    h = (x * 1.0).retain_grad()
    y = (h + 0.0).retain_grad()
    seed = np.ones(2)
    y.backward(seed, retain_graph=True)
    y.backward(seed, inputs=[h, x])
    assert h.grad.tolist() == [2, 2]
    arrays = [seed, h.grad._data, y.grad._data, x.grad._data]
    for i, array in enumerate(arrays):
        assert array.flags.writeable
        assert not any(np.shares_memory(array, other) for other in arrays[i + 1 :])


def test_kept_gradients_carry_their_graph():
    x = leaf()
    h = (x * x).retain_grad()
    (h * h).sum().backward(create_graph=True)
    assert h.grad.requires_grad


def test_neither_hooks_nor_kept_gradients_keep_a_result_alive():
    x = leaf()
    h = (x * 2).retain_grad()
    h.register_hook(lambda g: g)
    y = h * 3
    dead = weakref.ref(h)
    gc.disable()
    try:
        del h
        assert dead() is None
    finally:
        gc.enable()
    y.sum().backward()
    assert x.grad.tolist() == [6, 6]
