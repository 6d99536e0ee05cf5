"""Every general law holds for right functions, and finds a function that breaks it."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.testing.broken_laws import BROKEN, KEPT
from tinygrad_rnn import nn, ops
from tinygrad_rnn.testing import LawViolation, Untestable, check_gradients, laws
from tinygrad_rnn.testing import strategies as gs
from tinygrad_rnn.testing.laws import extents, general, surroundings
from tinygrad_rnn.testing.subject import of_function, of_module

FILES = (general, surroundings, extents)
NAMES = [name for file in FILES for name in file.__all__]


def test_every_law_has_a_function_that_breaks_it():
    assert {broken.name for broken in BROKEN} == set(NAMES)
    assert set(NAMES) <= set(laws.__all__)


@pytest.fixture
def nothing_kept():
    """The function that keeps its results keeps none for the next test."""
    yield
    KEPT.clear()


@pytest.mark.slow
@pytest.mark.parametrize("broken", BROKEN, ids=str)
@pytest.mark.usefixtures("nothing_kept")
def test_a_law_finds_what_breaks_it(broken):
    @settings(suppress_health_check=list(HealthCheck), report_multiple_bugs=False)
    @given(st.data())
    def search(data):
        with np.errstate(all="ignore"):
            broken.law(broken.subject, data.draw)

    with pytest.raises(LawViolation, match=broken.says) as caught:
        search()
    assert caught.value.law == broken.name
    assert str(caught.value).startswith(f"{broken.subject.title} breaks the law {broken.name}: ")


def _dense(x, w, b):
    h = ops.tanh(x @ w + b)
    return h, {"sum": h.sum(axis=0)}


def _sigmoid(x):
    return 0.5 * (1 + np.tanh(x / 2))


def _sigmoid_vjp(g, x):
    y = _sigmoid(x)
    return g * y * (1 - y)


SUBJECTS = [
    of_function(_dense, [np.ones((4, 3)), np.full((3, 2), 0.5), np.arange(2.0)]),
    of_function(_sigmoid, [np.linspace(-2, 2, 6).reshape(2, 3)], vjp=_sigmoid_vjp),
    of_module(nn.LSTM(2, 3), [np.linspace(-1, 1, 12).reshape(3, 2, 2)]),
    of_function(lambda x: ops.softmax(x, 0), [np.array([0.5, -1.0, 2.0])]),
]
TAKES_MORE = {"embedding_equals_one_hot", "broadcast_equals_explicit", "repeated_weight"}


@pytest.mark.parametrize("name", [name for name in NAMES if name not in TAKES_MORE])
@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.title)
@settings(max_examples=5)
@given(st.data())
def test_right_functions_keep_every_law(name, subject, data):
    if name == "jvp_vjp_adjoint" and subject.by_hand:
        with pytest.raises(Untestable, match="has no forward derivative"):
            laws.jvp_vjp_adjoint(subject, data.draw)
        return
    getattr(laws, name)(subject, data.draw)


@given(st.data(), gs.broadcastable(3))
def test_broadcasting_and_repetition_are_right(data, shapes):
    inputs = [data.draw(gs.arrays(shape)) for shape in shapes]
    subject = of_function(lambda a, b, c: (a * b + c, ops.maximum(a + b, c)), inputs)
    laws.broadcast_equals_explicit(subject, data.draw)
    laws.repeated_weight(subject, data.draw)


@given(st.data(), gs.matmul_operands(vectors=False))
def test_stacks_of_matrices_broadcast(data, shapes):
    subject = of_function(ops.matmul, [data.draw(gs.arrays(shape)) for shape in shapes])
    laws.broadcast_equals_explicit(subject, data.draw, core=2)


def _steps(*weights):
    h = ops.tanh(np.eye(2) @ weights[0])
    for w in weights[1:]:
        h = ops.tanh(h @ w + 0.5)
    return h


@given(st.data(), st.integers(2, 4))
def test_a_weight_used_at_each_step_gets_the_sum(data, steps):
    subject = of_function(_steps, [data.draw(gs.arrays((2, 2))) for _ in range(steps)])
    laws.repeated_weight(subject, data.draw)


@given(st.data())
def test_embeddings_are_products_with_one_hot_rows(data):
    ids = np.array(data.draw(st.lists(st.integers(-3, 2), max_size=4)), int)
    table = data.draw(gs.arrays((3, data.draw(st.integers(0, 3)))))
    subject = of_function(lambda weight: ops.embedding(weight, ids % 3), [table])
    laws.embedding_equals_one_hot(subject, data.draw, ids=ids)


def test_a_refusal_that_explains_keeps_the_law():
    subject = of_function(lambda x: ops.mean(x, axis=0), [np.ones((3, 2))])
    laws.empty_and_singleton(subject, _always(0))
    with pytest.raises(LawViolation, match="raised ZeroDivisionError"):
        laws.empty_and_singleton(
            of_function(lambda x: x.sum() * (1 / len(x)), [np.ones((3, 2))]), _always(0)
        )


def _always(size):
    """A draw that cuts the axes of length 3 to this size."""
    answers = iter([3, size, 0])
    return lambda strategy: next(answers)


@pytest.mark.parametrize("name", sorted(set(NAMES) - TAKES_MORE))
@pytest.mark.parametrize("fn", [lambda x: None, lambda x: x > 0, lambda x: x.numpy()])
@settings(max_examples=1)
@given(st.data())
def test_a_law_of_nothing_does_not_hold(name, fn, data):
    with pytest.raises(Untestable, match="returns nothing to differentiate"):
        getattr(laws, name)(of_function(fn, [np.ones(3)]), data.draw)


def test_laws_serve_the_decorator():
    @check_gradients(x=gs.arrays((2, 3)), laws=[laws.no_mutation, laws.layout_invariance])
    def holds(x):
        return ops.tanh(x)

    holds()

    @check_gradients(x=gs.arrays((2, 3)), laws=[laws.deterministic])
    def broken(x):
        return x * tg.num_threads()

    with pytest.raises(LawViolation, match="broken breaks the law deterministic"):
        broken()
