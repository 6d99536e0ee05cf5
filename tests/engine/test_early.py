"""Leaves are handed out while the walk goes on: each once, whole, as early as can be."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import nn, ops
from tinygrad_rnn.engine import backward_each
from tinygrad_rnn.errors import GradientError


def leaf(*shape):
    return tg.randn(*shape, dtype=np.float64, requires_grad=True)


def received(loss, gradient=None):
    found = []
    backward_each(loss, lambda leaf, g: found.append((leaf, np.array(g))), gradient)
    assert len({id(leaf) for leaf, _ in found}) == len(found), "a leaf came twice"
    return found


def check_equals_backward(make):
    """``make()`` gives a loss and its leaves, the same each time."""
    loss, leaves = make()
    found = dict(received(loss))
    assert all(leaf.grad is None for leaf in leaves)
    make()[0].backward()
    for each in leaves:
        if each.grad is None:
            assert each not in found
        else:
            np.testing.assert_array_equal(found[each], each.grad.numpy())


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=8))
@settings(max_examples=30)
def test_any_graph_gives_what_backward_gives(pairs):
    leaves = [leaf(2) for _ in range(4)]

    def make():
        total = leaves[pairs[0][0]]
        for a, b in pairs:
            total = ops.tanh(total) * leaves[a] + leaves[b]
        return total.sum(), leaves

    check_equals_backward(make)


@pytest.mark.parametrize("kind", ["plain", "checkpoint", "layer norm"])
def test_walks_within_the_walk_hand_in_before_a_leaf_is_done(kind):
    w, x, b = leaf(3, 3), leaf(2, 3), leaf(3)

    def inner(y):
        return ops.tanh(y @ w + b)

    def make():
        y = x @ w
        y = tg.checkpoint(inner, y) if kind == "checkpoint" else inner(y)
        if kind == "layer norm":
            y = ops.layer_norm(y, b, b)
        return (y * b).sum(), [w, x, b]

    check_equals_backward(make)


def test_a_recurrent_model_with_tied_weights(reference):
    tg.seed(0)
    table = nn.Embedding(7, 4)
    model = nn.Sequential(table, nn.LSTM(4, 4, num_layers=2), nn.TiedLinear(table))
    model.astype(np.float64)
    ids = np.array([[1, 2], [3, 4], [5, 6]])

    def make():
        return ops.square(model(ids)).mean(), list(model.parameters())

    check_equals_backward(make)
    order = [leaf for leaf, _ in received(make()[0])]
    names = {p: name for name, p in model.named_parameters()}
    told = [names[p] for p in order]
    assert told.index("2.bias") == 0, told
    assert names[table.weight] == told[-1], "tied weights are whole only where the text is read"


def test_a_leaf_is_handed_out_before_the_walk_goes_on():
    first, last = leaf(3), leaf(3)
    middle = ops.tanh(first)
    seen = []
    middle.register_hook(lambda g: seen.append("walk is at the middle"))
    loss = (ops.exp(middle) * last).sum()
    backward_each(loss, lambda each, g: seen.append("last" if each is last else "first"))
    assert seen == ["last", "walk is at the middle", "first"]


def test_hooks_of_leaves_and_the_graph_is_used_up():
    w = leaf(3)
    w.register_hook(lambda g: g * 2)
    loss = (w * w).sum()
    ((_, g),) = received(loss)
    np.testing.assert_array_equal(g, 4 * w.numpy())
    with pytest.raises(GradientError, match="freed"):
        received(loss)


def test_a_leaf_by_itself_and_a_gradient_that_is_given():
    w = leaf(1)
    ((found, g),) = received(w)
    assert found is w
    assert g == [1.0]
    ((_, g),) = received(ops.exp(w), np.array([3.0]))
    np.testing.assert_allclose(g, 3 * np.exp(w.numpy()))


def test_what_needs_no_gradient_is_refused():
    with pytest.raises(GradientError, match="does not depend on anything"):
        backward_each(tg.ones(1), lambda leaf, g: None)
