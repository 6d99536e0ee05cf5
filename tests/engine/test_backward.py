"""backward() and grad(): every leaf gets its gradient once, whole, and in an array of its own."""

import re
import threading

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import ops
from tinygrad_rnn.errors import DTypeError, GradientError, ShapeError
from tinygrad_rnn.primitive import PRIMITIVES


def leaf(values=(1.0, 2.0)):
    return tg.tensor(np.array(values), requires_grad=True)


def owned(g):
    """Whether a gradient may be written without anybody else noticing."""
    return g._data.flags.writeable and g._data.flags.c_contiguous and g._data.base is None


# ----- values -----


def test_gradients_of_all_paths_add_up():
    a, b = leaf(2.0), leaf(1.0)
    e = (a + b) * (b + 1)
    e.backward()
    assert (a.grad.item(), b.grad.item()) == (2.0, 5.0)  # b + 1, a + 2b + 1


def test_an_array_without_axes_is_an_array_all_the_way():
    """NumPy makes scalars of such arrays in every operation."""
    x = leaf(0.5)
    y = (x * x + x).exp()
    y = (y + y * 3.0).tanh() * x
    seen = []
    y.register_hook(seen.append)
    y.backward()
    assert isinstance(seen[0]._data, np.ndarray)
    assert isinstance(x.grad._data, np.ndarray)
    (again,) = tg.grad(ops.tanh((x * x + x).exp() * 4.0) * x, x)
    np.testing.assert_allclose(x.grad.numpy(), again.numpy())


def test_a_leaf_is_its_own_derivative():
    x = leaf()
    x.backward([3.0, 4.0])
    assert x.grad.tolist() == [3, 4]
    (g,) = tg.grad(x, x, tg.tensor(np.array([5.0, 6.0])))
    assert g.tolist() == [5, 6]


def test_several_outputs_walk_back_together():
    x = leaf()
    y, z = x * 2, x * x
    tg.backward([y, z, y], [np.ones(2), np.ones(2), np.full(2, 10.0)])
    assert x.grad.tolist() == [2 + 2 + 20, 2 + 4 + 20]
    assert tg.grad([(x * 2).sum(), x.sum()], x)[0].tolist() == [3, 3]


def test_one_output_may_lead_to_the_other():
    x = leaf()
    y = x * 2
    z = y * y
    tg.backward([y, z], [np.ones(2), np.ones(2)])
    assert x.grad.tolist() == [2 + 8, 2 + 16]


def test_passes_add_to_grad_and_earlier_gradients_stay_as_they_were():
    x = leaf()
    (x * 3).backward(np.ones(2))
    first = x.grad
    (x * 4).backward(np.ones(2))
    assert x.grad.tolist() == [7, 7]
    assert first.tolist() == [3, 3]


def test_only_the_inputs_named_receive_gradients():
    x, y = leaf(), leaf()
    h = x * y
    z = (h * x).sum()
    z.backward(inputs=[x, h], retain_graph=True)
    assert x.grad.tolist() == [2, 8]  # 2 x y
    assert h.grad.tolist() == [1, 2]
    assert y.grad is None
    z.backward(inputs=[h])
    assert h.grad.tolist() == [2, 4]


def test_grad_touches_no_grad():
    x = leaf()
    h = (x * 2).retain_grad()
    tg.grad(h.sum(), [x, h])
    assert x.grad is None
    assert h.grad is None


def test_grad_takes_results_as_inputs():
    x = leaf()
    h = x * x
    z = (h * h).sum()
    g, gh = tg.grad(z, [x, h])
    np.testing.assert_allclose(gh.numpy(), 2 * h.numpy())
    np.testing.assert_allclose(g.numpy(), 4 * x.numpy() ** 3)


def test_an_input_may_stand_behind_a_graph_that_was_freed():
    x = leaf()
    h = x * x
    h.sum().backward()
    (g,) = tg.grad((h * 3).sum(), h)
    assert g.tolist() == [3, 3]


def test_of_a_shared_part_each_pass_uses_its_own_saved_arrays():
    x = leaf()
    h = x * x
    y, z = h.sum(), (h * 3).sum()
    y.backward(retain_graph=True)
    z.backward()
    assert x.grad.tolist() == [2 + 6, 4 + 12]


def test_rules_of_inputs_that_nobody_wants_are_not_run(monkeypatch):
    called = []
    op = PRIMITIVES["mul"]
    counted = tuple(
        lambda *args, rule=rule, i=i: (called.append(i), rule(*args))[1]
        for i, rule in enumerate(op.rules)
    )
    monkeypatch.setattr(op, "rules", counted)
    x, frozen = leaf(), tg.tensor(np.ones(2))
    (x * frozen).backward(np.ones(2))
    assert called == [0]
    y = leaf()
    tg.grad((x * y).sum(), y)
    assert called == [0, 1]


def test_what_only_unwanted_rules_take_is_not_kept():
    x, frozen = leaf(), tg.tensor(np.ones(2))
    assert [a is not None for a in (x * frozen)._node.saved] == [False, True]
    assert [a is not None for a in (x * x)._node.saved] == [True, True]
    assert (x + frozen)._node.saved == (None, None)


def test_overflow_in_a_derivative_is_an_answer_and_no_warning():
    x = tg.tensor([0.0, 1e-30], requires_grad=True)
    x.sqrt().sum().backward()
    assert np.isinf(x.grad.numpy()[0])
    (g,) = tg.grad(x.sqrt().sum(), x, create_graph=True)
    assert np.isinf(g.numpy()[0])


# ----- whose arrays they are -----


def test_nobody_shares_the_array_of_a_gradient():
    a, b = leaf(), leaf()
    seed = np.ones(2)
    h = a + b  # passes one gradient to both
    h.backward(seed, retain_graph=True)
    assert all(map(owned, (a.grad, b.grad)))
    assert not np.shares_memory(a.grad._data, b.grad._data)
    seed[:] = 9
    assert a.grad.tolist() == b.grad.tolist() == [1, 1]
    ga, gb, gh, again = tg.grad(h, [a, b, h, a], seed)
    assert all(map(owned, (ga, gb, gh, again)))
    ga.assign_([0, 0])
    assert gb.tolist() == gh.tolist() == again.tolist() == [9, 9]


def test_gradients_that_are_views_are_copied():
    x = tg.tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
    for y in (x.sum(), x.T.sum(axis=0).sum(), x.reshape(3, 2).T[0].sum()):
        x.grad = None
        y.backward()
        assert owned(x.grad)
    (x.T * 2.0).backward(np.asfortranarray(np.ones((3, 2))))
    assert owned(x.grad)


def test_two_threads_that_walk_back_to_one_leaf_lose_nothing():
    x = leaf()
    rounds, threads = 200, 4
    start = threading.Barrier(threads)

    def work():
        start.wait()
        for _ in range(rounds):
            (x * 1.0).backward(np.ones(2))

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert x.grad.tolist() == [rounds * threads] * 2


def test_sparse_gradients_of_reads_add_up_in_place():
    x = tg.tensor(np.zeros((50, 2)), requires_grad=True)
    rows = [x[t] for t in range(50)]
    total = sum(rows[1:], rows[0]) + x[0] + x.sum(axis=0)
    total.backward(np.ones(2))
    assert x.grad.tolist() == [[3, 3]] + [[2, 2]] * 49


# ----- create_graph -----


def test_derivatives_of_every_order():
    x = leaf((0.5, 1.5))
    y, k = (x * x * x * x).sum(), 4.0
    for order in range(1, 5):
        (g,) = tg.grad(y, x, create_graph=True)
        k = np.prod(np.arange(4, 4 - order, -1.0))
        np.testing.assert_allclose(g.numpy(), k * x.numpy() ** (4 - order), rtol=1e-12)
        y = g.sum()


def test_grad_carries_its_graph_into_further_passes():
    x = leaf()
    (x * x).sum().backward(create_graph=True)
    assert x.grad.requires_grad
    (x * 3).sum().backward()
    assert x.grad.tolist() == [5, 7]
    penalty = leaf()
    (penalty * penalty).sum().backward(create_graph=True)
    g, penalty.grad = penalty.grad, None
    (g * g).sum().backward()
    assert penalty.grad.tolist() == [8, 16]


def test_gradients_that_need_no_graph_are_private_even_with_create_graph():
    a, b = leaf(), leaf()
    seed = tg.tensor(np.ones(2))
    (a + b).backward(seed, create_graph=True)
    assert a.grad is not b.grad
    assert a.grad is not seed
    (a * 2).sum().backward()
    assert (a.grad.tolist(), b.grad.tolist(), seed.tolist()) == ([3, 3], [1, 1], [1, 1])


def test_a_seed_can_be_differentiated_by():
    x = leaf()
    u = leaf()
    (g,) = tg.grad(x * x, x, u, create_graph=True)
    (j,) = tg.grad(g, u, np.ones(2))
    assert j.tolist() == [2, 4]


def test_the_mode_of_the_caller_does_not_matter():
    x = leaf()
    y = (x * x).sum()
    with tg.no_grad():
        (g,) = tg.grad(y, x, create_graph=True)
    assert g.requires_grad
    total = g.sum()
    with tg.inference_mode():
        (h,) = tg.grad(total, x, create_graph=True)
    assert h.tolist() == [2, 2]


# ----- refusals -----


def test_a_gradient_is_needed_for_more_than_one_number():
    with pytest.raises(ShapeError) as caught:
        (leaf() * 2).backward()
    assert str(caught.value) == (
        "backward(): got an output of shape (2,) and no gradient for it, expected a single "
        "number, whose gradient is 1. Reduce it first, with .sum() or .mean(), or pass a gradient "
        "of its shape."
    )
    (leaf((3.0,)) * 2).backward()  # one number in one axis


def test_an_output_has_to_be_recorded():
    for output in (tg.ones(1), leaf().detach().sum()):
        with pytest.raises(GradientError) as caught:
            output.backward()
        assert str(caught.value) == (
            f"backward(): the output ({output.dtype}{list(output.shape)}) does not depend on "
            "anything that requires a gradient, expected the result of recorded operations. Was "
            "it made under no_grad(), or detached, or are all its inputs constants?"
        )


def test_a_freed_graph_is_named():
    y = (leaf() * leaf()).sum()
    y.backward()
    with pytest.raises(GradientError) as caught:
        y.backward()
    assert str(caught.value) == (
        "backward: 'sum' has no saved arrays any more, expected those of the forward pass: an "
        "earlier backward() or grad() used and freed this graph. Pass retain_graph=True to the "
        "earlier call, or run the forward pass again. In a recurrent network the likely cause is a "
        "state carried over from the chunk before: detach() it, or let the layer carry it, with "
        "stateful=True."
    )


def test_a_seed_has_to_be_like_its_output():
    y = leaf() * 2
    with pytest.raises(ShapeError) as caught:
        y.backward(np.ones(3))
    assert str(caught.value) == (
        "backward(): got a gradient of float64[3] for an output of float64[2], expected both "
        "alike: there is one derivative for each number of the output."
    )
    with pytest.raises(DTypeError):
        y.backward(np.ones(2, np.float32))
    with pytest.raises(ShapeError) as several:
        tg.grad([y, y], leaf(), [np.ones(2)])
    assert str(several.value) == "grad(): got 1 gradients, expected 2, one for each output."
    with pytest.raises(TypeError) as kind:
        tg.backward([3.0])
    assert str(kind.value) == (
        "backward(): got an output of type float, expected a Tensor. Several outputs go into one "
        "list."
    )


def test_an_unused_input_is_named():
    x, y = leaf(), leaf()
    with pytest.raises(GradientError) as caught:
        tg.grad((x * 2).sum(), [x, y])
    assert str(caught.value) == (
        "grad(): the outputs do not depend on input 1 (float64[2]), expected a tensor that they "
        "were computed from. Was it replaced by a copy, or detached on the way? allow_unused=True "
        "gives None for it."
    )
    assert tg.grad((x * 2).sum(), [x, y], allow_unused=True)[1] is None


@pytest.mark.parametrize("call", [tg.grad, lambda y, x: y.backward(inputs=x)])
def test_an_input_has_to_require_a_gradient(call):
    x = leaf()
    where = "grad()" if call is tg.grad else "backward()"
    with pytest.raises(GradientError) as caught:
        call((x * 2).sum(), [x, tg.ones(3)])
    assert str(caught.value) == (
        f"{where}: input 1 (float32[3]) does not require a gradient, expected a leaf with "
        "requires_grad=True or the result of recorded operations. Set requires_grad before it is "
        "used: what is computed earlier is not recorded."
    )


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (np.ones(3), ShapeError, "expected one of its shape. The derivative rule"),
        (np.ones(2, np.float32), GradientError, "expected one of its type and device."),
    ],
)
def test_a_wrong_rule_is_noticed_at_the_leaf(monkeypatch, answer, error, text):
    monkeypatch.setattr(PRIMITIVES["sin"], "rules", (lambda F, g, out, x: answer,))
    x = leaf()
    with pytest.raises(error, match=re.escape(text)):
        x.sin().backward(np.ones(2))
    assert x.grad is None


def test_an_error_on_the_way_leaves_every_grad_alone(monkeypatch):
    def broken(F, g, out, x):
        raise ZeroDivisionError

    monkeypatch.setattr(PRIMITIVES["sin"], "rules", (broken,))
    x, y = leaf(), leaf()
    with pytest.raises(ZeroDivisionError):
        (x.sin() + y).sum().backward()
    assert x.grad is None
    assert y.grad is None


def test_an_error_in_a_hook_of_one_leaf_leaves_every_grad_alone():
    x, y = leaf(), leaf()
    y.register_hook(lambda g: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        (x + y).sum().backward()
    assert x.grad is None
