"""An array that a derivative needs and that was changed since is noticed, however it was changed.

What the derivative does not need may change: that is no error and gives no wrong number.
"""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import ops
from tinygrad_rnn.errors import GradientError
from tinygrad_rnn.tensor import Tensor


def leaf():
    return tg.tensor(np.array([1.0, 2.0]), requires_grad=True)


CHANGES = {
    "assign_": lambda t: t.assign_([5.0, 6.0]),
    "data": lambda t: setattr(t, "data", [5.0, 6.0]),
    "detach": lambda t: t.detach().assign_([5.0, 6.0]),
    "detach twice": lambda t: t.detach().detach().assign_([5.0, 6.0]),
    "Tensor": lambda t: Tensor(t).assign_([5.0, 6.0]),
    "a view": lambda t: t.detach()[:1].assign_([5.0]),
    "a view of a view": lambda t: t.detach().reshape(2, 1)[1:].assign_([[5.0]]),
    "a view under no_grad": lambda t: _under_no_grad(lambda: t[:1].assign_([5.0])),
}


def _under_no_grad(act):
    with tg.no_grad():
        act()


def test_the_message_says_what_changed_and_why_it_matters():
    x = leaf()
    y = (x * x).sum()
    x.assign_([5.0, 6.0])
    with pytest.raises(GradientError) as caught:
        y.backward()
    assert str(caught.value) == (
        "backward: the input 0 (float64[2]) of 'mul' has been changed since the forward pass, "
        "expected the numbers of then: the derivative is computed from them. The likely cause is "
        "assign_(), setting .data, an optimiser's step, or moving or converting a module, on the "
        "tensor itself or on one that shares its memory (detach(), a view). Do that after "
        "backward(), or give the operation a copy, with clone()."
    )
    assert x.grad is None


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("create_graph", [False, True])
def test_a_changed_input_is_noticed(change, create_graph):
    x, y = leaf(), leaf()
    z = (x * y).sum()
    change(x)
    with pytest.raises(GradientError, match=r"input 0 .* of 'mul' has been changed"):
        tg.grad(z, [x, y], create_graph=create_graph)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("create_graph", [False, True])
def test_a_changed_constant_is_noticed(change, create_graph):
    x, c = leaf(), tg.tensor(np.array([3.0, 4.0]))
    z = (x * c).sum()
    change(c)
    with pytest.raises(GradientError, match=r"input 1 .* of 'mul' has been changed"):
        tg.grad(z, x, create_graph=create_graph)


@pytest.mark.parametrize("change", [CHANGES[k] for k in ("detach", "a view", "Tensor")])
@pytest.mark.parametrize("create_graph", [False, True])
def test_a_changed_output_is_noticed(change, create_graph):
    x = leaf()
    y = x.exp()
    z = y.sum()
    change(y)
    with pytest.raises(GradientError, match=r"the output .* of 'exp' has been changed"):
        tg.grad(z, x, create_graph=create_graph)


def test_a_changed_result_is_noticed_by_what_used_it():
    x = leaf()
    y = x + 1.0
    z = (y * y).sum()
    y.detach().assign_([0.0, 0.0])
    with pytest.raises(GradientError, match="input 0"):
        z.backward()


def test_views_and_what_they_view_share_their_changes():
    x = leaf()
    y = x + 1.0
    view = y.reshape(2, 1)
    z = (view * view).sum()
    y.detach().assign_([0.0, 0.0])
    with pytest.raises(GradientError, match="input 0"):
        z.backward()
    a = tg.tensor(np.array([3.0, 4.0]))
    w = (leaf() * a).sum()
    a[1:].assign_([0.0])
    with pytest.raises(GradientError, match="input 1"):
        w.backward()


def test_a_change_before_the_forward_pass_is_none():
    x = leaf()
    x.assign_([3.0, 4.0])
    y = (x * x).sum()
    leaf().assign_([0.0, 0.0])  # somebody else's
    y.backward()
    assert x.grad.tolist() == [6, 8]


def test_a_change_after_backward_is_none():
    x = leaf()
    (x * x).sum().backward()
    x.assign_([3.0, 4.0])
    (x * x).sum().backward()
    assert x.grad.tolist() == [2 + 6, 4 + 8]


def test_a_change_of_what_no_rule_needs_is_none():
    x, c = leaf(), tg.tensor(np.array([3.0, 4.0]))
    z = (x * c + c).sum()
    x.assign_([7.0, 8.0])
    z.backward()
    assert x.grad.tolist() == [3, 4]
    y = leaf()
    total = (y + c).sum()
    c.assign_([0.0, 0.0])
    total.backward()
    assert y.grad.tolist() == [1, 1]


def test_a_copy_protects_from_changes():
    x = leaf()
    z = (x.clone() * 1.0) * x.clone()
    x.assign_([7.0, 8.0])
    z.backward(np.ones(2))
    assert x.grad.tolist() == [2, 4]


@pytest.mark.parametrize("other", [leaf, lambda: leaf().detach()], ids=["leaf", "constant"])
def test_a_change_between_two_derivatives_is_noticed(other):
    x, c, seed = leaf(), other(), leaf()
    (g,) = tg.grad(x * c, x, seed, create_graph=True)  # seed * c: only the derivative keeps c
    c.assign_([7.0, 8.0])
    with pytest.raises(GradientError, match=r"input 1 .* of 'mul' has been changed"):
        tg.grad(g, seed, np.ones(2))


def test_an_accumulated_gradient_is_a_new_array():
    x = leaf()
    (x * 2).sum().backward()
    g = x.grad
    y = leaf()
    z = (y * g).sum()
    (x * 2).sum().backward()  # adds to x.grad, not to g
    z.backward()
    assert y.grad.tolist() == [2, 2]


def test_reads_that_copy_share_no_changes():
    x = tg.tensor(np.arange(4.0))
    w = tg.ones(2, dtype=np.float64, requires_grad=True)
    z = (w * x[[0, 2]]).sum()
    x.assign_(np.zeros(4))
    z.backward()
    assert w.grad.tolist() == [0, 2]


def test_a_leaf_whose_array_was_replaced_is_noticed():
    x = leaf()
    y = ops.sin(x).sum()
    x._data = x._data.copy()  # as moving a module to a GPU does
    with pytest.raises(GradientError) as caught:
        tg.grad(y, x, create_graph=True)
    assert str(caught.value) == (
        "backward: 'sin' needs a leaf (float64[2]) with the array that it had in the forward "
        "pass, but the leaf has been moved or given another array since. Run the forward pass "
        "again."
    )
