"""Graphs die by reference counting alone, saved arrays die with the pass, and nothing grows."""

import dis
import gc
import sys
import tracemalloc
import weakref

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import ops
from tinygrad_rnn.engine import FREED
from tinygrad_rnn.primitive import PRIMITIVES, declare


@pytest.fixture(autouse=True)
def _no_collector():
    gc.collect()
    gc.disable()
    yield
    tracemalloc.stop()
    gc.enable()


def leaf(*shape):
    return tg.randn(*shape, dtype=np.float64, requires_grad=True)


def nodes(root):
    """Weak references to every node of a graph."""
    found, stack = {}, [root._node]
    while stack:
        node = stack.pop()
        if id(node) not in found:
            found[id(node)] = weakref.ref(node)
            stack.extend(p for p in node.parents if type(p) is type(node))
    return list(found.values())


def network(x, w):
    h = x
    for _ in range(3):
        h = (h @ w + 1.0).tanh() * h[0:1] + h.sum(axis=0)
    return ops.softmax(h).reshape(-1)[1:].mean()


def alive(references):
    return [r for r in references if r() is not None]


@pytest.mark.parametrize("after", ["nothing", "backward", "retained", "grad", "create_graph"])
def test_a_graph_dies_with_its_last_result(after):
    x, w = leaf(2, 3), leaf(3, 3)
    y = network(x, w)
    references = nodes(y)
    if after == "create_graph":
        (g,) = tg.grad(y, w, create_graph=True)
        references += nodes(g)
        tg.grad(g.sum(), x)
        del g
    elif after == "grad":
        tg.grad(y, [x, w])
    elif after != "nothing":
        y.backward(retain_graph=after == "retained")
    assert alive(references)
    del y
    assert not alive(references)


def test_a_graph_dies_even_if_grad_was_made_of_it_once():
    x, w = leaf(2, 3), leaf(3, 3)
    y = network(x, w)
    y.backward(create_graph=True)
    references = nodes(y) + nodes(w.grad)
    del y
    assert alive(references)  # grad is differentiable
    x.grad = w.grad = None
    assert not alive(references)


def test_transforms_and_checkpoints_leave_nothing_behind():
    x, w = leaf(2, 3), leaf(3, 3)
    seen = []

    def fn(x):
        y = network(x, w)
        seen.extend(nodes(y))
        return y

    one = tg.tensor(1.0, dtype=np.float64)
    tg.vjp(fn, x)[1](one)
    tg.jvp(fn, x, x)
    tg.hvp(fn, x, x)
    tg.jacobian(fn, x)
    tg.checkpoint(fn, x).backward()
    with tg.debug():
        tg.checkpoint(fn, x).backward()
        str(tg.graph(fn(x)))
    assert seen
    assert not alive(seen)


def test_an_error_in_backward_leaves_nothing_behind():
    x, w = leaf(2, 3), leaf(3, 3)
    y = network(x, w)
    references = nodes(y)
    w.register_hook(lambda g: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        y.backward()
    del y
    assert not alive(references)


class Array(np.ndarray):
    """An array that can be watched dying."""


def test_saved_arrays_are_let_go_when_their_derivative_is_done():
    x = leaf(4)
    hidden = x * 2.0
    watched = hidden._data = hidden._data.view(Array)
    dead = weakref.ref(watched)
    del watched
    y = hidden * hidden
    z = y.sum()
    del hidden, y
    assert dead() is not None
    z.backward()
    assert dead() is None
    assert z._node.saved is FREED


def test_a_read_by_index_lets_go_of_its_index():
    x = leaf(4)
    read = x[np.array([0, 2])]
    dead = weakref.ref(read._node.attrs["index"])
    y = read.sum()
    del read
    assert dead() is not None
    y.backward()
    assert dead() is None


def test_retained_arrays_stay():
    x = leaf(4)
    y = (x * 2.0).exp().sum()
    y.backward(retain_graph=True)
    y.backward()
    assert y._node.saved is FREED


def test_the_first_gradient_does_not_outlive_its_node():
    """Gradients inside are let go as the walk goes on, not at its end."""
    x = leaf(1000)
    y = x
    for _ in range(200):
        y = y * 1.0
    y = y.sum()
    tracemalloc.start()
    y.backward()
    _, peak = tracemalloc.get_traced_memory()
    assert peak < 40 * 8000  # of 200 gradients


@pytest.mark.parametrize("create_graph", [False, True])
def test_passes_do_not_grow_memory(create_graph):
    x, w = leaf(2, 3), leaf(3, 3)

    def once():
        y = network(x, w)
        (g,) = tg.grad(y, w, create_graph=create_graph)
        if create_graph:
            g.sum().backward()
        else:
            network(x, w).backward()
        x.grad = w.grad = None

    for _ in range(5):
        once()
    gc.collect()
    tracemalloc.start()
    once()
    assert gc.collect() == 0  # no cycles; and Python's own lists of free tuples are emptied
    before, _ = tracemalloc.get_traced_memory()
    passes = 200
    for _ in range(passes):
        once()
    assert gc.collect() == 0
    after, _ = tracemalloc.get_traced_memory()
    # NumPy keeps some small blocks for itself, fewer and fewer; a node and its array take 300.
    assert after - before < 150 * passes


def test_numbers_beside_tensors_are_kept_within_bounds():
    x = tg.ones(1)
    for i in range(3000):
        x * (i + 0.5)
    assert all(len(known) <= 1001 for known in declare._numbers.values())


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_deep_graph_is_built_walked_and_dies_without_recursion(create_graph):
    depth = 20 * sys.getrecursionlimit()
    x = tg.ones(1, requires_grad=True)
    y = x
    for _ in range(depth):
        y = y + x
    (g,) = tg.grad(y, x, create_graph=create_graph)
    assert g.item() == depth + 1
    del y, g


@pytest.mark.slow
def test_a_million_operations():
    x = tg.ones(1, requires_grad=True)
    y = x
    for _ in range(1_000_000):
        y = -y
    y.backward()
    assert x.grad.item() == 1
    del y


def test_a_wide_graph_gathers_in_place():
    x = leaf(10_000)
    h = x * 1.0
    y = sum((h * float(i) for i in range(50)), h)
    y = y.sum()
    tracemalloc.start()
    y.backward()
    _, peak = tracemalloc.get_traced_memory()
    assert peak < 12 * 80_000  # of 50 gradients for h


# ----- what rules declare -----


RULES = [
    pytest.param(op.rules, id=name)
    for name, op in PRIMITIVES.items()
    if op.rules and op.call.__module__.startswith("tinygrad_rnn.")  # tests declare some, too
]


@pytest.mark.parametrize("rules", RULES)
def test_a_rule_uses_what_it_names_and_leaves_alone_what_it_does_not(rules):
    """What a rule names is kept for it, used or not; what begins with _ is not there."""
    for rule in filter(None, rules):
        code = getattr(rule, "func", rule).__code__
        operands = code.co_varnames[: min(code.co_argcount, 3 + len(rules))]  # F, g, out, inputs
        used = set(code.co_cellvars)
        for instruction in dis.get_instructions(code):
            given = instruction.argval
            used.update(given if isinstance(given, tuple) else (given,))
        assert [x for x in operands if x.startswith("_") == (x in used)] == []
