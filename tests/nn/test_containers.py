"""Modules in an order, around each other, and of a size that comes later."""

import copy
import pickle

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.nn.small_modules import names
from tinygrad_rnn import nn, ops
from tinygrad_rnn.errors import (
    ArgumentError,
    DTypeError,
    IndexRangeError,
    ModuleError,
    ShapeError,
)
from tinygrad_rnn.testing import check_module
from tinygrad_rnn.testing import strategies as gs

pytestmark = pytest.mark.usefixtures("reference")

SOME = ["gradients", "state_dict", "float32_tracks_float64", "jvp_vjp_adjoint"]


# ----- Sequential and ModuleList -----


def test_modules_are_called_one_after_the_other():
    m = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    x = tg.randn(5, 3)
    assert np.array_equal(m(x), m[2](ops.tanh(m[0](x))))
    assert names(m.named_parameters()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert len(m) == 3
    assert list(m) == [m[0], m[1], m[-1]]
    assert [type(part) for part in m[1:]] == [nn.Tanh, nn.Linear]
    assert m[1:][1] is m[2]


def test_of_several_results_the_next_module_gets_the_first():
    m = nn.Sequential(nn.Embedding(7, 4), nn.GRU(4, 3), nn.LSTM(3, 2))
    y, (h, c) = m(np.zeros((5, 2), int))
    assert y.shape == (5, 2, 2)
    assert h.shape == c.shape == (1, 2, 2)


def test_modules_are_added_under_names_and_replaced():
    m = nn.Sequential(rnn=nn.GRU(4, 3)).add(nn.Linear(3, 2), "out").append(nn.ReLU())
    assert names(m.named_children()) == ["rnn", "out", "2"]
    m[1] = nn.Linear(3, 5)
    assert m(tg.zeros(2, 1, 4)).shape == (2, 1, 5)
    assert np.array_equal(nn.Sequential()(tg.ones(2)), np.ones(2))


def test_a_list_of_modules_is_one_module():
    m = nn.ModuleList([nn.Linear(1, 1) for _ in range(2)]).append(nn.Linear(1, 2))
    m.extend([nn.ReLU()])
    assert names(m.named_parameters())[::2] == ["0.weight", "1.weight", "2.weight"]
    assert len(m[:2]) == 2
    with pytest.raises(NotImplementedError):
        m(1)


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: nn.Sequential(ops.tanh), ModuleError, r"a function, expected.*nn.Activation"),
        (lambda: nn.Sequential(nn.Tanh), ModuleError, r"make one of it, Tanh\(...\)"),
        (lambda: nn.Sequential(add=nn.Tanh()), ModuleError, "'add' is a method"),
        (lambda: nn.Sequential().add(nn.Tanh(), "a.b"), ModuleError, "without dots"),
        (lambda: nn.Sequential(a=nn.Tanh()).add(nn.Tanh(), "a"), ModuleError, "'a' names a Tanh"),
        (lambda: nn.ModuleList([nn.Tanh()])[1], IndexRangeError, "it holds 1 modules"),
        (lambda: nn.Residual(3), ModuleError, "Residual: inner is a int"),
        (lambda: nn.Flatten(2)(np.ones((2, 3))), ShapeError, r"x has shape \(2, 3\)"),
    ],
)
def test_what_does_not_fit_is_refused(call, kind, words):
    with pytest.raises(kind, match=words):
        call()


# ----- wrappers -----


def test_residual_highway_and_dense_are_their_equations():
    x, inner = tg.randn(5, 2, 3), nn.Linear(3, 3)
    assert np.array_equal(nn.Residual(inner)(x), inner(x) + x)
    m = nn.Highway(inner, 3)
    assert names(m.named_parameters())[-2:] == ["gate.w", "gate.b"]
    g = ops.sigmoid(x @ m.gate.w + m.gate.b)
    np.testing.assert_allclose(m(x), g * inner(x) + (1 - g) * x, rtol=1e-5, atol=1e-6)
    m = nn.DenselyConnected(nn.Linear(3, 2))
    assert np.array_equal(m(x), np.concatenate([x.numpy(), m.inner(x).numpy()], -1))


def test_around_a_recurrent_layer_the_state_is_passed_on():
    x, lstm = tg.randn(4, 2, 3), nn.LSTM(3, 3)
    y, state = lstm(x, lengths=[4, 2])
    around, kept = nn.Residual(lstm)(x, lengths=[4, 2])
    assert np.array_equal(around, y + x)
    assert np.array_equal(kept[1], state[1])


@pytest.mark.parametrize("kind", [nn.Residual, lambda inner: nn.Highway(inner, 3)])
def test_what_is_added_has_one_shape(kind):
    with pytest.raises(ShapeError, match=r"Linear makes \(5, 2\) of an x of \(5, 3\)"):
        kind(nn.Linear(3, 2))(tg.ones(5, 3))


test_wrappers = check_module(
    lambda: nn.Sequential(
        nn.Highway(nn.Linear(3, 3), 3), nn.DenselyConnected(nn.Residual(nn.Dense(3, 3, "tanh")))
    ),
    inputs=lambda m: [gs.arrays((2, 3))],
    laws=SOME,
)


# ----- activations -----


def test_an_activation_by_name_by_function_and_as_a_class():
    x = tg.randn(3, 4)
    for module, function in (
        (nn.Activation("relu"), ops.relu), (nn.Activation(ops.gelu), ops.gelu),
        (nn.GELU(), ops.gelu), (nn.Softmax(0), lambda x: ops.softmax(x, 0)),
        (nn.Activation("log_softmax"), ops.log_softmax), (nn.Identity(), lambda x: x),
        (nn.LeakyReLU(0.3), lambda x: ops.leaky_relu(x, 0.3)),
        (nn.ELU(2.0), lambda x: ops.elu(x, 2.0)),
    ):  # fmt: skip
        assert np.array_equal(module(x), function(x))
        assert np.array_equal(pickle.loads(pickle.dumps(module))(x), function(x))
    assert repr(nn.Sequential(nn.ReLU(), nn.Activation("tanh"), nn.LeakyReLU())) == (
        "Sequential(\n  (0): ReLU()\n  (1): Activation('tanh')\n  (2): LeakyReLU(slope=0.01)\n)"
    )
    with pytest.raises(ValueError, match=r"function is 'relax', expected tanh, relu.*, softmax"):
        nn.Activation("relax")


# ----- a size that comes later -----


def test_dense_takes_its_input_size_from_the_first_input():
    m = nn.Sequential(nn.Dense(4, activation="relu"), nn.Dense(2))
    for ask in (m.parameters, m.state_dict, m.freeze, lambda: m.astype(np.float64)):
        with pytest.raises(ModuleError, match=r"Dense: 0 has no weights yet.*give input_dim="):
            list(ask())
    x = tg.randn(5, 3)
    assert m(x).shape == (5, 2)
    assert [p.shape for p in m.parameters()] == [(3, 4), (4,), (4, 2), (2,)]
    expected = ops.relu(x @ m[0].weight + m[0].bias) @ m[1].weight + m[1].bias
    np.testing.assert_allclose(m(x), expected, rtol=1e-5)
    assert not m[0].bias.numpy().any()


def test_dense_is_made_at_once_if_the_size_is_known():
    m = nn.Dense(units=64, input_dim=100)
    assert m.weight.shape == (100, 64)
    assert abs(m.weight.numpy()).max() <= np.sqrt(6 / 164)
    assert repr(m) == "Dense(64, input_dim=100, bias=True)"
    assert repr(nn.Dense(2, bias=False)) == "Dense(2, bias=False)"
    assert names(nn.Dense(2, 3, bias=False).named_parameters()) == ["weight"]
    with pytest.raises(ModuleError, match="it has weights for input_dim=100 already"):
        m.build(3)
    with pytest.raises(ShapeError, match=r"x has shape \(2, 3\), expected \(..., I\) with I = 100"):
        m(tg.ones(2, 3))
    with pytest.raises(DTypeError, match="x holds float64, but the weights float32"):
        m(np.ones((2, 100)))


def test_the_first_input_also_says_the_element_type():
    m = nn.Dense(2)
    copied = copy.deepcopy(m)
    assert m(np.ones((1, 3))).dtype == np.float64
    with pytest.raises(ModuleError):
        copied.state_dict()
    assert nn.Dense(2)(np.ones((1, 3), int)).dtype == np.float32


# ----- freezing -----


def test_what_is_frozen_has_no_gradient_until_it_is_trained_again():
    m = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
    m[0].freeze()
    m(tg.ones(1, 3)).sum().backward()
    assert m[0].weight.grad is None
    assert m[1].weight.grad is not None
    m.unfreeze()
    m(tg.ones(1, 3)).sum().backward()
    assert m[0].weight.grad is not None


def test_a_flattened_tensor_keeps_its_rows():
    x = tg.tensor(np.arange(24).reshape(2, 3, 4))
    assert np.array_equal(nn.Flatten()(x), np.arange(24).reshape(2, 12))
    assert nn.Flatten(0, 1)(x).shape == (6, 4)
    assert nn.Flatten()(tg.zeros(0, 3, 2)).shape == (0, 6)


def test_an_empty_chain_takes_one_input():
    with pytest.raises(ArgumentError, match="it is empty and was given 2 inputs"):
        nn.Sequential()(1, 2)
