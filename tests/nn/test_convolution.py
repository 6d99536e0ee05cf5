"""Convolution and pooling: sums and largest numbers of windows, whatever their distances."""

from functools import partial

import numpy as np
import pytest
from hypothesis import settings

import tinygrad_rnn as tg
from tinygrad_rnn import nn, ops
from tinygrad_rnn.errors import ArgumentError, DTypeError, ShapeError
from tinygrad_rnn.testing import check_module
from tinygrad_rnn.testing import strategies as gs

X, W = tg.ones(2, 3, 4), tg.ones(3, 3, 2)
FEW = settings(max_examples=5, deadline=None)
SOME = ["gradients", "state_dict", "float32_tracks_float64", "jvp_vjp_adjoint"]

test_conv1d = check_module(
    partial(nn.Conv1d, 2, 4, 3, stride=2, padding=1, groups=2),
    inputs=lambda m: [gs.arrays((2, 2, 5))], order=2, settings=FEW,
)  # fmt: skip
test_conv2d = check_module(
    partial(nn.Conv2d, 2, 3, (2, 3), dilation=(1, 2), padding="same"),
    inputs=lambda m: [gs.arrays((2, 2, 3, 4))], laws=SOME, order=2, settings=FEW,
)  # fmt: skip
test_avg_pool = check_module(
    partial(nn.AvgPool2d, (2, 3), 1, 1), inputs=lambda m: [gs.arrays((1, 2, 3, 4))],
    laws=["gradients", "float32_tracks_float64"], settings=FEW,
)  # fmt: skip


def test_a_convolution_is_its_sum():
    m = nn.Conv1d(2, 3, 2, stride=2, padding=1, dilation=2).astype(np.float64)
    x, w = np.random.default_rng(0).standard_normal((2, 2, 6)), m.weight.numpy()
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1)))
    y = m(x).numpy()
    assert y.shape == (2, 3, 3)
    for b, o, t in np.ndindex(y.shape):
        s = sum(w[o, c, k] * padded[b, c, 2 * t + 2 * k] for c in range(2) for k in range(2))
        np.testing.assert_allclose(y[b, o, t], s + m.bias.numpy()[o])


def test_padding_that_keeps_the_length_has_the_odd_place_behind():
    same, by_hand = nn.Conv1d(1, 2, 4, padding="same"), nn.Conv1d(1, 2, 4)
    by_hand.load_state_dict(same.state_dict())
    x = np.random.default_rng(0).standard_normal((2, 1, 5)).astype(np.float32)
    assert np.array_equal(same(x), by_hand(np.pad(x, ((0, 0), (0, 0), (1, 2)))))


@pytest.mark.parametrize("make", [partial(nn.Conv1d, 2, 4, groups=2), nn.MaxPool1d, nn.AvgPool1d])
def test_of_no_rows_they_make_no_rows(make):
    x = tg.zeros(0, 2, 5, requires_grad=True)
    y = make(kernel_size=3)(x)
    assert (len(y), y.shape[2] > 0) == (0, True)
    y.sum().backward()
    assert x.grad.shape == x.shape


def test_the_largest_alone_has_the_gradient_and_of_equals_the_first():
    x = tg.tensor([[[[1.0, 3.0, 2.0, 2.0], [3.0, 0.0, 2.0, 2.0]]]], requires_grad=True)
    y = nn.MaxPool2d(2)(x)
    assert np.array_equal(y, [[[[3, 2]]]])
    y.sum().backward()
    assert np.array_equal(x.grad, [[[[0, 1, 1, 0], [0, 0, 0, 0]]]])


def test_padding_is_a_number_or_two_for_each_axis():
    x, w = tg.randn(1, 1, 3, 4), tg.randn(2, 1, 2, 2)
    mixed = ops.convolve(x, w, padding=(1, (0, 2)))
    assert np.array_equal(mixed, ops.convolve(x, w, padding=[(1, 1), (0, 2)]))


def test_padding_is_never_the_largest_and_counts_in_a_mean_unless_told_otherwise():
    x = -tg.ones(1, 1, 4)
    assert np.array_equal(nn.MaxPool1d(3, 2, 1)(x), -np.ones((1, 1, 2)))
    np.testing.assert_allclose(nn.AvgPool1d(3, 2, 1)(x)[0, 0], [-2 / 3, -1])
    np.testing.assert_allclose(nn.AvgPool1d(3, 2, 1, count_padding=False)(x)[0, 0], [-1, -1])


def test_parameters_are_drawn_evenly_within_one_over_the_root_of_the_inputs():
    m = nn.Conv2d(4, 50, 5)
    for p in m.parameters():
        assert 0.09 < np.abs(p.numpy()).max() <= 0.1


def test_their_reprs():
    assert repr(nn.Conv2d(3, 4, 3, padding=1)) == (
        "Conv2d(3, 4, kernel_size=(3, 3), padding=(1, 1), bias=True)"
    )
    assert repr(nn.Conv1d(3, 4, 4, padding="same")) == (
        "Conv1d(3, 4, kernel_size=(4,), padding=((1, 2),), bias=True)"
    )
    assert repr(nn.MaxPool1d(2)) == "MaxPool1d((2,), stride=(2,), padding=(0,))"


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: nn.Conv1d(3, 4, 2, groups=2), ShapeError, "Conv1d: groups is 2"),
        (lambda: nn.Conv2d(3, 4, (2, 2, 2)), ShapeError, "kernel_size is .* or 2 of them"),
        (lambda: nn.Conv1d(3, 4, 0), ShapeError, "kernel_size is 0"),
        (lambda: nn.Conv1d(3, 4, 2.5), ArgumentError, "kernel_size is 2.5"),
        (lambda: nn.Conv1d(3, 4, 2, 2, "same"), ShapeError, "'same' with a stride"),
        (lambda: nn.Conv1d(3, 4, 2)(tg.ones(2, 4, 3)), ShapeError, r"\(B, C, L\) with C = 3"),
        (lambda: nn.Conv1d(3, 4, 5)(tg.ones(2, 3, 4)), ShapeError, r"expected \(5,\) at least"),
        (lambda: nn.Conv1d(3, 4, 2)(np.ones((2, 3, 4))), DTypeError, "Conv1d: x holds float64"),
        (lambda: nn.Conv1d(1, 1, 2, padding="valid"), ArgumentError, "expected 'same', or"),
        (lambda: ops.convolve(X, W, groups=2), ShapeError, r"C, \*sizes\) and \(O, C / 2"),
        (lambda: ops.convolve(X[0], W[0]), ShapeError, "of one or two sizes"),
        (lambda: ops.convolve(tg.ones(2, 6, 4), W, groups=2), ShapeError, "expected 2 groups"),
        (lambda: ops.convolve(X, W, tg.ones(2)), ShapeError, r"b has .*, expected \(3,\)"),
        (lambda: ops.convolve(X, W, stride=(1, 2)), ShapeError, "stride is .*, or 1 of them"),
        (lambda: ops.convolve(X, W, padding=[(1, 2, 3)]), ShapeError, "number or two: before"),
        (lambda: ops.convolve(X, W, padding=-1), ShapeError, "padding is -1"),
        (lambda: ops.convolve(X, W, dilation=4), ShapeError, r"x is \(4,\) .* spans \(5,\)"),
        (lambda: ops.convolve(X, W.numpy()[..., :0]), ShapeError, "a kernel of one place"),
        (lambda: ops.max_pool(tg.ones(3, 4), 2), ShapeError, r"expected \(B, C, \*sizes\)"),
        (lambda: ops.max_pool(X, 2, padding=2), ShapeError, "max_pool: padding is 2"),
        (lambda: ops.max_pool(X, 5), ShapeError, r"from \(5,\) up"),
        (lambda: ops.max_pool(X[..., :0], 2, padding=1), ShapeError, "sizes of 1 at least"),
        (lambda: nn.MaxPool2d(2, padding=2), ShapeError, "at most half of the kernel"),
        (lambda: nn.MaxPool2d(2)(tg.ones(2, 3, 4)), ShapeError, r"expected \(B, C, H, W\)"),
        (lambda: nn.AvgPool1d(4)(tg.ones(2, 3, 3)), ShapeError, r"sizes from \(4,\) up"),
    ],
)
def test_what_does_not_fit_is_refused(call, kind, words):
    with pytest.raises(kind, match=words):
        call()
