"""Rows and channels come out with mean 0 and variance 1; running values follow batches."""

import numpy as np
import pytest
from hypothesis import settings

import tinygrad_rnn as tg
from tests.nn.small_modules import names
from tinygrad_rnn import nn
from tinygrad_rnn.errors import ArgumentError, DTypeError, ShapeError
from tinygrad_rnn.testing import check_module
from tinygrad_rnn.testing import strategies as gs

pytestmark = pytest.mark.usefixtures("reference")

FEW = settings(max_examples=6, deadline=None)

test_layer_norm = check_module(
    lambda: nn.LayerNorm(4, eps=0.1),
    inputs=lambda m: [gs.arrays((2, 3, 4))],
    order=2,
    settings=FEW,
    # Other threads compute with compiled kernels, whose last bit is another than the definition's.
    without=["grad_mode_isolated_per_thread"],
)
test_batch_norm = check_module(
    lambda: nn.BatchNorm(3, eps=0.1),
    inputs=lambda m: [gs.arrays((4, 3, 2))],
    order=2,
    settings=FEW,
    # Running values follow, and are no parameters that would be given as float32.
    without=["no_mutation", "grad_mode_isolated_per_thread", "float32_tracks_float64"],
)


def test_rows_are_brought_to_mean_0_and_variance_1():
    x = tg.randn(5, 3, 40) * 3.0 + 2.0
    y = nn.LayerNorm(40)(x).numpy()
    np.testing.assert_allclose(y.mean(-1), 0, atol=1e-6)
    np.testing.assert_allclose(y.var(-1), 1, atol=1e-3)
    y = nn.LayerNorm((3, 40))(x).numpy()
    np.testing.assert_allclose(y.mean((1, 2)), 0, atol=1e-6)


def test_running_values_follow_those_of_batches_and_serve_in_use():
    m = nn.BatchNorm(2, momentum=0.25)
    assert names(m.named_buffers()) == ["running_mean", "running_var", "num_batches_tracked"]
    x = tg.randn(50, 2, 4) * 2.0 + 1.0
    y = m(x).numpy()
    np.testing.assert_allclose(y.mean((0, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(y.var((0, 2)), 1, atol=1e-3)
    np.testing.assert_allclose(m.running_mean, 0.25 * x.numpy().mean((0, 2)), rtol=1e-5)
    np.testing.assert_allclose(
        m.running_var, 0.75 + 0.25 * x.numpy().var((0, 2), ddof=1), rtol=1e-5
    )
    m.eval()
    assert int(m.num_batches_tracked.item()) == 1
    again = m(x)
    expected = (x.numpy() - m.running_mean.numpy()[:, None]) / np.sqrt(
        m.running_var.numpy()[:, None] + 1e-5
    )
    np.testing.assert_allclose(again, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(m(x[:1]), again[:1], rtol=1e-5)  # a row does not see its batch
    m.reset_parameters()
    assert not m.running_mean.numpy().any()


def test_without_momentum_running_values_are_means_over_batches():
    m, batches = nn.BatchNorm(2, momentum=None), [tg.randn(8, 2) for _ in range(3)]
    for x in batches:
        m(x)
    np.testing.assert_allclose(
        m.running_mean, np.mean([x.numpy().mean(0) for x in batches], axis=0), atol=1e-6
    )


def test_running_values_move_with_the_module_and_lie_in_its_state():
    m = nn.BatchNorm(2).astype(np.float64)
    m(tg.randn(4, 2, dtype=np.float64))
    other = nn.BatchNorm(2).astype(np.float64)
    other.load_state_dict(m.state_dict())
    assert np.array_equal(other.running_var, m.running_var)
    assert other.num_batches_tracked.dtype == np.int64
    assert list(nn.BatchNorm(2, affine=False, track=False).state_dict()) == []


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: nn.LayerNorm(3)(tg.ones(2, 4)), ShapeError, r"x has shape \(2, 4\).*\(..., 3\)"),
        (lambda: nn.LayerNorm((2, 3))(tg.ones(3)), ShapeError, r"expected \(..., 2, 3\)"),
        (lambda: nn.LayerNorm(0), ShapeError, "size is 0"),
        (lambda: nn.LayerNorm(3)(np.ones(3)), DTypeError, "x holds float64"),
        (lambda: nn.BatchNorm(3)(tg.ones(2, 4)), ShapeError, r"expected \(B, 3, ...\)"),
        (lambda: nn.BatchNorm(3)(tg.ones(1, 3)), ShapeError, "one value for each channel"),
        (lambda: nn.BatchNorm(3, momentum=2), ArgumentError, "momentum is 2"),
    ],
)
def test_what_does_not_fit_is_refused(call, kind, words):
    with pytest.raises(kind, match=words):
        call()


def test_running_values_take_no_step_towards_what_is_not_finite():
    m = nn.BatchNorm(2)
    m(tg.randn(8, 2))
    before = m.state_dict()
    m(np.array([[1.0, np.nan], [2.0, 3.0]], np.float32))
    assert all(np.array_equal(array, before[name]) for name, array in m.state_dict().items())
