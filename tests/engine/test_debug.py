"""A debug session names what made a NaN and where, and finds arrays that were written."""

import asyncio
import inspect
import re
import threading

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import modes, ops
from tinygrad_rnn.errors import DTypeError, GradientError, ShapeError
from tinygrad_rnn.kernels import _memory
from tinygrad_rnn.primitive import PRIMITIVES

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's own, of NaN


def leaf(*values):
    return tg.tensor(np.array(values), requires_grad=True)


def line(function, text):
    """How a message names the line of a function that holds a text."""
    lines, start = inspect.getsourcelines(function)
    number = next(i for i, source in enumerate(lines) if text in source)
    where = f"{__file__}:{start + number}, in {function.__name__}"
    return f"\nThe forward call: {where}\n    {lines[number].strip()}"


# ----- forward -----


def test_what_makes_a_nan_in_forward_is_named():
    def forward():
        y = leaf(1.0, 0.0) * 2.0
        return (y.log() * 3.0).sum()  # here

    with tg.debug(), pytest.raises(GradientError) as caught:
        forward()
    assert str(caught.value) == (
        "log: made -inf at index [1] of operands (float64[2]) without any, expected finite "
        "numbers: one that is not spoils everything computed from it. The likely cause is a "
        "logarithm or a division of 0, an overflow, or too high a learning rate."
        + line(forward, "# here")
    )


@pytest.mark.parametrize(
    "act",
    [
        lambda: leaf(0.0) / 0.0,
        lambda: leaf(0.0) / leaf(0.0),
        lambda: leaf(1e308) * 10.0,
        lambda: leaf(-1.0).sqrt(),
        lambda: leaf(np.inf) - leaf(np.inf),
        lambda: tg.ones(1).log() / 0.0,  # recorded or not
        lambda: leaf(1e300).astype(np.float32),
        lambda: ops.matmul(leaf(1e200), leaf(1e200)),
    ],
)
def test_infinities_from_finite_numbers_and_nan_from_none_raise(act):
    with pytest.raises(GradientError, match=r"made -?(inf|nan) at index"), tg.debug():
        act()


@pytest.mark.parametrize(
    "act",
    [
        lambda: leaf(np.nan) * 2.0,
        lambda: leaf(np.inf, 1.0) * 2.0,
        lambda: ops.softmax(ops.masked_fill(leaf(1.0, 2.0), np.array([True, False]), -np.inf)),
        lambda: ops.pad(leaf(1.0), [(1, 0)], -np.inf),
        lambda: leaf(1.0) * np.inf,
        lambda: leaf(1.0).exp().tanh().sum(),
    ],
)
def test_what_came_in_may_go_on(act):
    with tg.debug():
        act()


# ----- backward -----


def test_what_makes_an_infinity_in_backward_is_named_by_its_forward_line():
    def forward(x):
        h = x.sqrt()  # here
        return (h * 2.0).sum()

    with tg.debug():
        y = forward(leaf(1.0, 0.0))
    with pytest.raises(GradientError) as caught:
        y.backward()  # outside of the session: the node is watched
    assert str(caught.value) == (
        "backward: the gradient of input 0 of 'sqrt' is inf at index [1], expected finite numbers, "
        "as the gradient of its output is finite. The likely cause is a point at which the "
        "function is infinitely steep, as sqrt, log and division are at 0."
        + line(forward, "# here")
    )


def test_with_create_graph_it_is_the_forward_line_as_well():
    def forward(x):
        return x.sqrt()  # here

    x = leaf(0.0)
    with tg.debug(), pytest.raises(GradientError) as caught:
        tg.grad(forward(x), x, create_graph=True)
    assert str(caught.value).startswith("div, in the derivative of 'sqrt': made inf")
    assert str(caught.value).endswith(line(forward, "# here"))


def test_inside_of_a_checkpoint_it_is_the_line_of_the_function():
    def inner(x):
        return (x * 0.0).sqrt()  # here

    with tg.debug():
        y = tg.checkpoint(inner, leaf(1.0)).sum()
    with tg.debug(), pytest.raises(GradientError) as caught:
        y.backward()
    assert str(caught.value).endswith(line(inner, "# here"))


def test_a_wrong_rule_is_named(monkeypatch):
    x = leaf(1.0, 2.0)
    for answer, kind in ((np.ones(3), ShapeError), (np.ones(2, np.float32), DTypeError)):
        monkeypatch.setattr(PRIMITIVES["sin"], "rules", (lambda F, g, out, x, a=answer: a,))
        with tg.debug(trace=False):
            y = (x.sin() * 1.0).sum()
        with pytest.raises(kind) as caught:
            y.backward()
        assert str(caught.value) == (
            f"sin: the derivative rule of input 0 gave a gradient of {answer.dtype}"
            f"{list(answer.shape)}, expected float64[2], like the input. The rule is wrong."
        )


def test_other_errors_of_backward_name_the_forward_line():
    def forward(x):
        return x * x  # here

    with tg.debug():
        x = leaf(1.0)
        y = forward(x)
        y.backward(retain_graph=True)
        x.assign_([2.0])
        with pytest.raises(GradientError) as changed:
            y.backward()
        x = leaf(1.0)
        y = forward(x)
        y.backward()
        with pytest.raises(GradientError) as freed:
            y.backward()
    for caught in (changed, freed):
        assert str(caught.value).endswith(line(forward, "# here"))


# ----- memory -----


def test_arrays_written_behind_the_back_of_the_library_are_noticed():
    a = np.array([3.0, 4.0])
    x = leaf(1.0, 2.0)
    with tg.debug(trace=False):
        y = (x * a).sum()
        shared = (x * tg.from_numpy(a)).sum()
    a[0] = 5
    for output in (y, shared):
        with pytest.raises(GradientError) as caught:
            output.backward()
        assert str(caught.value) == (
            "backward: the input 1 (float64[2]) of 'mul' holds other numbers than in the forward "
            "pass, expected the same: the derivative is computed from them. The likely cause is a "
            "NumPy array that a tensor stands on (from_numpy, or an operand) and that was changed "
            "in place. Change it after backward(), or give a copy."
        )
    with tg.debug():
        z = x.exp()
        z._data[0] = 0
        with pytest.raises(
            GradientError, match=r"the output \(float64\[2\]\) of 'exp' holds other"
        ):
            z.sum().backward()


def test_an_optimisers_step_while_a_graph_is_held_is_no_error():
    x = leaf(1.0)
    with tg.debug():
        y = (x * x).sum()
        y.backward(retain_graph=True)
        x.assign_([2.0])  # y is still alive, and nobody walks back from it again
        (x * x).sum().backward()
    assert x.grad.tolist() == [6]


def test_memory_is_poisoned_while_any_session_wants_it():
    assert not _memory._cache.poison
    with tg.debug(nan=False):
        assert _memory._cache.poison
        with tg.debug(poison=False):
            assert _memory._cache.poison
        with tg.debug():
            pass
        assert _memory._cache.poison
    assert not _memory._cache.poison
    with tg.debug(poison=False):
        assert not _memory._cache.poison


# ----- sessions -----


def makes_nan():
    return leaf(-1.0).sqrt()


def test_sessions_nest_and_end():
    with tg.debug():
        with tg.debug(nan=False):
            makes_nan()
        with pytest.raises(GradientError):
            makes_nan()
    makes_nan()
    assert modes.recording.get() is True


def test_recording_is_switched_inside_a_session():
    with tg.debug():
        with tg.no_grad():
            assert not (leaf(1.0) * 2.0).requires_grad
            with pytest.raises(GradientError):  # watched all the same
                makes_nan()
            with tg.enable_grad():
                assert (leaf(1.0) * 2.0).requires_grad
        with tg.inference_mode(), tg.enable_grad():
            assert not (leaf(1.0) * 2.0).requires_grad
    with tg.no_grad(), tg.debug():
        assert not tg.is_grad_enabled()


def test_a_session_decorates_functions():
    @tg.debug(trace=False)
    def function():
        return makes_nan()

    with pytest.raises(GradientError):
        function()
    makes_nan()


def test_a_session_belongs_to_its_thread_and_task():
    results = []
    inside, done = threading.Event(), threading.Event()

    def other():
        inside.wait()
        results.append(makes_nan().requires_grad)
        done.set()

    thread = threading.Thread(target=other)
    thread.start()
    with tg.debug():
        inside.set()
        done.wait()
    thread.join()

    async def watched():
        with tg.debug():
            await asyncio.sleep(0)
            with pytest.raises(GradientError):
                makes_nan()

    async def free():
        await asyncio.sleep(0)
        results.append(makes_nan().requires_grad)

    async def main():
        await asyncio.gather(watched(), free())

    asyncio.run(main())
    assert results == [True, True]


def test_a_session_changes_no_number():
    def run():
        tg.seed(3)
        w = tg.randn(4, 4, requires_grad=True)
        h = tg.randn(2, 4)
        for _ in range(3):
            h = tg.checkpoint(lambda h: ops.dropout((h @ w).tanh() + h, 0.5), h)
        first, second = h[:, :2], h[:, 2:]
        loss = (first * second).sum() + ops.concat([first, second], axis=1).mean()
        g = tg.grad(loss, w, create_graph=True)[0]
        return [loss, g, tg.grad(g.square().sum(), w)[0]]

    plain = run()
    with tg.debug():
        watched = run()
    for a, b in zip(plain, watched, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_the_place_is_the_first_line_outside_of_the_library():
    with tg.debug(), pytest.raises(GradientError) as caught:
        tg.jvp(lambda x: ops.norm(x) / 0.0, leaf(1.0), leaf(1.0))
    assert re.search(r"test_debug\.py:\d+, in <lambda>\n", str(caught.value))
