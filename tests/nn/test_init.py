"""Initialisers draw what they promise, from one seed, on any number of threads."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import nn
from tinygrad_rnn.errors import DTypeError, ShapeError
from tinygrad_rnn.kernels import _pool
from tinygrad_rnn.nn import init

DRAWN = {
    "uniform_": init.uniform_,
    "normal_": init.normal_,
    "xavier_uniform_": init.xavier_uniform_,
    "xavier_normal_": init.xavier_normal_,
    "he_uniform_": init.he_uniform_,
    "he_normal_": init.he_normal_,
    "lecun_uniform_": init.lecun_uniform_,
    "lecun_normal_": init.lecun_normal_,
    "orthogonal_": init.orthogonal_,
    "sparse_": lambda w: init.sparse_(w, 0.25),
}
FIXED = {
    "constant_": lambda w: init.constant_(w, 2.5),
    "zeros_": init.zeros_,
    "ones_": init.ones_,
    "identity_": init.identity_,
}
drawn = pytest.mark.parametrize("fill", DRAWN.values(), ids=DRAWN)
every = pytest.mark.parametrize("fill", [*DRAWN.values(), *FIXED.values()], ids=[*DRAWN, *FIXED])


def weight(*shape, dtype=np.float32):
    return nn.Parameter(np.full(shape, 9, dtype))


# ----- laws of all of them -----


@every
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_same_parameter_comes_back_filled(fill, dtype):
    w = weight(6, 4, dtype=dtype)
    memory, version = w._data, w._version.changed
    assert fill(w) is w
    assert w._data is memory
    assert w._version.changed > version
    assert w.dtype == dtype
    assert w.requires_grad
    assert not (w.data == 9).any()


@drawn
def test_equal_seeds_give_equal_numbers_on_any_number_of_threads(fill):
    values, usual = [], _pool.num_threads()
    try:
        for threads in (1, 2):
            _pool.set_num_threads(threads)
            tg.seed(3)
            values.append([fill(weight(96, 80)).numpy() for _ in range(2)])
    finally:
        _pool.set_num_threads(usual)
    assert np.array_equal(values[0], values[1])
    assert not np.array_equal(values[0][0], values[0][1])


def test_every_initialiser_is_in_a_table():
    public = {name for name in init.__all__ if name.endswith("_")}
    assert public - {"kaiming_uniform_", "kaiming_normal_"} == set(DRAWN) | set(FIXED)


# ----- numbers -----


def test_uniform_fills_its_interval():
    w = init.uniform_(weight(100, 100), -3, 5).numpy()
    assert -3 <= w.min() < -2.99
    assert 4.99 < w.max() <= 5
    assert abs(w.mean() - 1) < 4 * 8 / math.sqrt(12 * w.size)


def test_normal_has_its_mean_and_deviation():
    w = init.normal_(weight(100, 100), 2, 0.5).numpy()
    assert abs(w.mean() - 2) < 4 * 0.5 / 100
    assert abs(w.std() - 0.5) < 4 * 0.5 / math.sqrt(2 * w.size)


def test_constants():
    assert (init.constant_(weight(2, 3), 2.5).data == 2.5).all()
    assert (init.zeros_(weight(2)).data == 0).all()
    assert (init.ones_(tg.tensor([3, 4])).data == 1).all()


# ----- variances -----

fan = st.integers(30, 60)
gains = st.one_of(st.floats(0.1, 3), st.sampled_from(["tanh", "relu", "linear"]))
families = st.sampled_from(["xavier", "he", "lecun"])


@given(families, st.sampled_from(["uniform", "normal"]), fan, fan, gains, st.integers(1, 4))
def test_the_variance_is_what_the_paper_says(family, law, inputs, outputs, gain, gates):
    w = weight(inputs, outputs * (gates if family == "xavier" else 1))
    options = {"gates": gates} if family == "xavier" else {}
    getattr(init, f"{family}_{law}_")(w, gain=gain, **options)
    number = init.calculate_gain(gain) if isinstance(gain, str) else gain
    variance = number**2 / ((inputs + outputs) / 2 if family == "xavier" else inputs)
    values = w.numpy().astype(np.float64)
    # The standard errors of the mean and of the variance of n numbers; kurtosis 3 or 1.8.
    n, kurtosis = values.size, 3 if law == "normal" else 1.8
    assert abs(values.mean()) < 5 * math.sqrt(variance / n)
    assert abs(values.var() / variance - 1) < 5 * math.sqrt((kurtosis - 1) / n)
    if law == "uniform":
        assert np.abs(values).max() <= math.sqrt(3 * variance) * (1 + 1e-6)


def test_he_keeps_activations_or_gradients():
    inward = init.he_normal_(weight(400, 100)).numpy()
    outward = init.he_normal_(weight(400, 100), mode="fan_out").numpy()
    gated = init.he_normal_(weight(400, 100), mode="fan_out", gates=4).numpy()
    for values, variance in ((inward, 2 / 400), (outward, 2 / 100), (gated, 2 / 25)):
        assert values.var() == pytest.approx(variance, rel=0.05)


@pytest.mark.parametrize("fill", [init.xavier_uniform_, init.he_uniform_, init.lecun_uniform_])
def test_a_caller_may_say_the_fans(fill):
    tg.seed(0)
    plain = fill(weight(4, 3)).numpy()
    tg.seed(0)
    fans = {"fan_in": 16, "fan_out": 12} if fill is init.xavier_uniform_ else {"fan_in": 16}
    assert np.allclose(2 * fill(weight(4, 3), **fans).numpy(), plain)


def test_a_bias_may_be_drawn_where_both_fans_are_given():
    w = init.xavier_uniform_(weight(1000), fan_in=3, fan_out=3).numpy()
    assert 0.99 < np.abs(w).max() <= 1


def test_fans_are_those_of_in_out_and_of_a_convolution():
    assert init.fans((3, 5)) == (3, 5)
    assert init.fans((8, 3, 5)) == (15, 40)
    assert init.fans((8, 3, 5, 2)) == (30, 80)


def test_pytorchs_names_are_the_same_functions():
    assert init.kaiming_uniform_ is init.he_uniform_
    assert init.kaiming_normal_ is init.he_normal_


def test_gains():
    assert init.calculate_gain("linear") == init.calculate_gain("sigmoid") == 1
    assert init.calculate_gain("identity") == 1
    assert init.calculate_gain("tanh") == 5 / 3
    assert init.calculate_gain("relu") == math.sqrt(2)
    assert init.calculate_gain("selu") == 0.75
    assert init.calculate_gain("leaky_relu") == math.sqrt(2 / (1 + 0.01**2))
    assert init.calculate_gain("leaky_relu", 1.0) == 1


# ----- structured matrices -----


def gram(matrix, width=None):
    """The products of the shorter side's vectors with each other, in float64."""
    matrix = matrix.numpy().astype(np.float64)
    rows, columns = matrix.shape
    return matrix.T @ matrix if rows >= columns else matrix @ matrix.T


@given(st.integers(0, 80), st.integers(0, 80), st.floats(0.1, 3))
def test_orthogonal_times_its_transpose_is_the_gain_squared(rows, columns, gain):
    w = init.orthogonal_(weight(rows, columns), gain)
    identity = gain**2 * np.eye(min(rows, columns))
    assert np.allclose(gram(w), identity, rtol=0, atol=1e-6 * max(1, gain**2))


@pytest.mark.parametrize("n", [1, 2, 31, 32, 33, 200])
def test_orthogonal_is_so_to_the_last_bit_in_float64(n):
    w = init.orthogonal_(weight(n, n, dtype=np.float64))
    assert np.allclose(gram(w), np.eye(n), rtol=0, atol=4e-16 * max(8, n))


def test_a_recurrent_weight_gets_one_orthogonal_block_a_gate():
    w = init.orthogonal_(weight(24, 96), "tanh", gates=4).numpy().astype(np.float64)
    blocks = np.split(w, 4, axis=1)
    for block in blocks:
        assert np.allclose(block.T @ block, 25 / 9 * np.eye(24), atol=1e-6)
    assert not np.allclose(blocks[0], blocks[1])


def test_more_axes_are_read_as_out_and_the_rest():
    w = init.orthogonal_(weight(6, 2, 3, 2)).numpy().astype(np.float64).reshape(6, 12)
    assert np.allclose(w @ w.T, np.eye(6), atol=1e-6)


def test_orthogonal_matrices_are_spread_evenly():
    """Of an even (Haar) spread in 3 dimensions the trace has mean 0 and variance 1."""
    traces = [np.trace(init.orthogonal_(weight(3, 3)).numpy()) for _ in range(2000)]
    assert abs(np.mean(traces)) < 4 / math.sqrt(2000)
    assert abs(np.var(traces) - 1) < 4 * math.sqrt(2 / 2000)


def test_nearly_parallel_vectors_come_out_at_right_angles():
    from tinygrad_rnn.nn.orthogonal import orthonormal_rows

    rows = 1 + 1e-6 * tg.random.standard_normal((70, 70), np.float64)
    q = orthonormal_rows(rows)
    assert np.allclose(q @ q.T, np.eye(70), rtol=0, atol=1e-13)
    assert (np.diagonal(rows @ q.T) > 0).all()


def test_identity_is_cut_or_padded_and_repeated_for_gates():
    assert np.array_equal(init.identity_(weight(2, 3), 2.0), [[2, 0, 0], [0, 2, 0]])
    assert np.array_equal(init.identity_(weight(2, 4), gates=2), [[1, 0, 1, 0], [0, 1, 0, 1]])


@given(st.integers(0, 30), st.integers(0, 8), st.floats(0, 1))
def test_sparse_cuts_the_same_number_of_inputs_of_every_output(rows, columns, sparsity):
    w = init.sparse_(weight(rows, columns), sparsity).numpy()
    assert ((w == 0).sum(axis=0) == math.ceil(sparsity * rows)).all()


def test_sparse_draws_the_rest():
    w = init.sparse_(weight(200, 50), 0.5, std=0.1).numpy()
    kept = w[w != 0]
    assert kept.size == 5000
    assert abs(kept.std() - 0.1) < 4 * 0.1 / math.sqrt(2 * 5000)
    assert len({tuple(column) for column in (w == 0).T}) == 50


# ----- what cannot be done -----

matrix = "expected a matrix whose last axis is a multiple of gates."
ERRORS = {
    "uniform_: given a ndarray, expected a Tensor to fill.": (
        TypeError, lambda: init.uniform_(np.zeros(3))),
    "normal_: the tensor holds int64, expected floating-point numbers.": (
        DTypeError, lambda: init.normal_(tg.tensor([1]))),
    "fans: shape (3,) has 1 axes, expected (in, out) or (out, in, *kernel); initialise a bias with "
    "zeros_, or pass fan_in= and fan_out=.": (
        ShapeError, lambda: init.xavier_normal_(weight(3))),
    "orthogonal_: shape (3,) has 1 axes, expected 2 or more.": (
        ShapeError, lambda: init.orthogonal_(weight(3))),
    f"orthogonal_: shape (3, 10) cannot be cut into gates=4 equal parts, {matrix}": (
        ShapeError, lambda: init.orthogonal_(weight(3, 10), gates=4)),
    f"xavier_uniform_: shape (2, 3, 4) cannot be cut into gates=2 equal parts, {matrix}": (
        ShapeError, lambda: init.xavier_uniform_(weight(2, 3, 4), gates=2)),
    "identity_: shape (2, 3, 4) has 3 axes, expected 2.": (
        ShapeError, lambda: init.identity_(weight(2, 3, 4))),
    "sparse_: sparsity is 1.5, expected a number from 0 to 1.": (
        ValueError, lambda: init.sparse_(weight(2, 3), 1.5)),
    "he_normal_: mode is 'sum', expected one of ('fan_in', 'fan_out').": (
        ValueError, lambda: init.he_normal_(weight(2, 3), mode="sum")),
    "calculate_gain: there is no gain for 'gelu'; expected one of linear, identity, sigmoid, tanh, "
    "relu, selu, leaky_relu, or give gain= as a number.": (
        ValueError, lambda: init.xavier_normal_(weight(2, 3), gain="gelu")),
}  # fmt: skip


@pytest.mark.parametrize("text", ERRORS)
def test_what_cannot_be_done_is_said(text):
    kind, call = ERRORS[text]
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == text
