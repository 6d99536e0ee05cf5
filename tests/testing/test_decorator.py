"""``@check_gradients`` makes a property test of a function, and says what is wrong with it."""

from typing import Annotated

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import ops
from tinygrad_rnn.errors import DeviceError
from tinygrad_rnn.testing import GradientMismatch, Untestable, check_gradients
from tinygrad_rnn.testing import strategies as gs

QUICK = settings(max_examples=30, database=None, deadline=None, derandomize=True)


@check_gradients(x=gs.arrays((3, 4)), w=gs.arrays((4, 2)), order=2)
def test_a_layer(x, w):
    return ops.tanh(x @ w)


@check_gradients()
def test_strategies_in_annotations(x: Annotated[tg.Tensor, gs.arrays((2, 3))], scale: Annotated[
    float, st.floats(-2, 2)
]):  # fmt: skip
    return {"scaled": x * scale, "sum": x.sum()}


@check_gradients(
    scores=gs.arrays((4, 3)),
    labels=gs.label_batches(3, 4),
    gradient=lambda s, y: np.exp(s) / np.exp(s).sum(1, keepdims=True) - np.eye(3)[y],
)
def test_a_numpy_loss_with_its_gradient(scores, labels):
    shifted = scores - scores.max(1, keepdims=True)
    return (np.log(np.exp(shifted).sum(1)) - shifted[np.arange(4), labels]).sum()


@pytest.mark.parametrize("factor", [1.0, 3.0])
@check_gradients(x=gs.arrays((2,)), dtypes=("float32", "float64"))
def test_other_arguments_are_left_to_pytest(x, factor, pytestconfig):
    assert pytestconfig.rootpath.exists()
    return ops.sin(x) * factor


def test_arguments_with_defaults_keep_them():
    @check_gradients(x=gs.arrays((2, 3)), settings=QUICK)
    def logarithm(x=None, eps=1e-5):
        assert eps == 1e-5
        return ops.log(ops.square(x) + 1 + eps)

    logarithm()


@check_gradients(x=gs.arrays((3,)))
def test_points_on_kinks_are_drawn_again(x):
    return ops.astype(abs(x), np.float64)  # no complex steps: four points cross the kink


def test_the_failure_is_shrunk_and_explained():
    @check_gradients(
        x=gs.arrays(gs.shapes(2, 2, 1)), b=gs.arrays((1,)), settings=QUICK,
        vjp=lambda g, x, b: (g, np.array([g[-1].sum()])),
    )  # fmt: skip
    def bias(x, b):
        return x + b

    with pytest.raises(GradientMismatch) as caught:
        bias()
    text = str(caught.value)
    assert [x.shape for x in caught.value.report.inputs] == [(2, 1), (1,)]
    assert "case           x (2x1, all 0), b (1, all 0)" in text
    assert "worst element  b[0]" in text
    assert "the contribution of the last index of axis 0 of result 0 alone" in text
    assert "in the gradient of b" in text
    assert "assert_gradients(" in text


def test_a_body_without_a_result_and_wrong_strategies_say_so():
    @check_gradients(x=gs.arrays((2,)), settings=QUICK)
    def nothing(x):
        x * 2

    with pytest.raises(Untestable, match="nothing returns nothing to differentiate"):
        nothing()
    with pytest.raises(TypeError, match=r"a strategy for 'y', expected .* other: x"):

        @check_gradients(y=gs.arrays((2,)))
        def other(x):
            return x

    with pytest.raises(TypeError, match="no strategies"):

        @check_gradients()
        def bare(x):
            return x


def test_devices_that_cannot_be_had_do_not_pass():
    @check_gradients(x=gs.arrays((2,)), devices=("cpu", "gpu:99"), settings=QUICK)
    def double(x):
        return x * 2.0

    with pytest.raises(DeviceError):
        double()


def test_laws_hold_as_well():
    seen = []

    @check_gradients(x=gs.arrays((2,)), laws=[lambda s, draw: seen.append(draw(st.just(s.names)))],
                     settings=settings(QUICK, max_examples=3))  # fmt: skip
    def double(x):
        return x * 2.0

    double()
    assert set(seen) == {("x",)}
