"""What cannot be made, compared or differentiated is refused in words of the caller."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn
from tinygrad_rnn.errors import ArgumentError, DTypeError, ShapeError, TinygradError
from tinygrad_rnn.nn import init

X = tg.ones(2, 3)
G = tg.ones(2, 3, requires_grad=True)


def total(x):
    return x.sum()


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: tg.zeros(-1), ShapeError, "zeros: a size is -1, expected a whole number from 0"),
        (lambda: tg.zeros("23"), ArgumentError, "zeros: a size is '23', expected"),
        (lambda: tg.ones(2.0, 3), ArgumentError, "ones: a size is 2.0, expected"),
        (lambda: tg.rand(None), ArgumentError, "rand: a size is None, expected"),
        (lambda: tg.zeros(2, dtype="foo"), DTypeError, "zeros: dtype is 'foo', expected a type"),
        (lambda: tg.tensor(1, dtype=object), DTypeError, "tensor: dtype is <class 'object'>"),
        (lambda: tg.randn(2, dtype=int), DTypeError, "expected a type of floating-point numbers"),
        (lambda: tg.full(2, None), TypeError, "full: value is None, expected a number."),
        (lambda: tg.full(2, G.sum()), TypeError, "full: value is tensor("),
        (lambda: tg.eye(1.5), ArgumentError, "eye: n is 1.5, expected a whole number from 0 up."),
        (lambda: tg.arange("a"), TypeError, "arange: a bound is 'a', expected a number."),
        (lambda: tg.arange(0, 1, 0), ShapeError, "arange: got (0, 1, 0), expected (stop)"),
        (lambda: tg.arange(np.inf), ShapeError, "arange: got (inf,), expected (stop)"),
        (lambda: tg.linspace(0, 1, 1.5), ArgumentError, "linspace: count is 1.5, expected a whole"),
        (lambda: tg.zeros_like(None), DTypeError, "zeros_like: got None, expected"),
        (lambda: tg.from_numpy([1]), TypeError, "from_numpy: got [1], expected a NumPy array"),
        (lambda: tg.from_dlpack(3), TypeError, "from_dlpack: got 3, expected an array that"),
        (lambda: tg.seed(1.5), ArgumentError, "seed: value is 1.5, expected a whole number from"),
        (lambda: tg.seed(-1), ArgumentError, "seed: value is -1, expected a whole number from 0"),
        (lambda: tg.seed(None), ArgumentError, "seed: value is None, expected a whole number"),
        (lambda: tg.ones(4) in X, ShapeError, "eq: shapes (2, 3) and (4,) do not broadcast"),
        (lambda: tg.ones(4) == X, ShapeError, "eq: shapes (4,) and (2, 3) do not broadcast"),
        (lambda: X < [1, 2], ShapeError, "lt: shapes (2, 3) and (2,) do not broadcast"),
        (lambda: tg.tensor(1).assign_(2.5), DTypeError, "assign_: got float32[], expected int64[]"),
        (lambda: X.assign_("a"), DTypeError, "assign_: got 'a'"),
        (lambda: G.register_hook(3), TypeError, "register_hook: hook is 3, expected a function."),
    ],
)
def test_tensors_are_made_and_compared_with_numbers(call, kind, message):
    with pytest.raises(kind) as caught:
        call()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: tg.grad(3.0, G), TypeError, "grad(): outputs is 3.0, expected a Tensor or a list"),
        (lambda: tg.grad(G.sum(), 3), TypeError, "grad(): inputs is 3, expected a Tensor or a"),
        (lambda: tg.grad([G.sum()], G, 1.0), TypeError, "grad(): gradients is 1.0, expected"),
        (lambda: tg.grad(G.sum(), G, "a"), DTypeError, "grad(): got 'a'"),
        (lambda: tg.backward(None), TypeError, "backward(): outputs is None, expected a Tensor"),
        (lambda: G.sum().backward(None, True), TypeError, "Tensor.backward() takes from 1 to 2"),
        (lambda: tg.checkpoint(3), TypeError, "checkpoint(): fn is 3, expected a function."),
        (lambda: tg.vjp(3, G), TypeError, "vjp(): fn is 3, expected a function."),
        (lambda: tg.jvp(3, G, G), TypeError, "jvp(): fn is 3, expected a function."),
        (lambda: tg.hvp("f", G, G), TypeError, "hvp(): fn is 'f', expected a function."),
        (lambda: tg.jacobian(None, G), TypeError, "jacobian(): fn is None, expected a function."),
        (lambda: tg.per_sample_grads(3, G), TypeError, "per_sample_grads(): the losses are 3"),
        (lambda: tg.jvp(lambda x: tg.tensor([1]), X, X), DTypeError, "an output holds int64"),
        (lambda: tg.jvp(lambda x: x.argmax(), X, X), TypeError, "jvp(): the output holds a int64"),
        (lambda: tg.per_sample_grads(G.sum(1), 3), TypeError, "per_sample_grads(): parameters is"),
        (lambda: tg.per_sample_grads(G.sum(1), [3]), TypeError, "parameters holds a int"),
    ],
)
def test_derivatives_are_of_tensors_by_tensors(call, kind, message):
    with pytest.raises(kind) as caught:
        call()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: init.uniform_(X, "a"), TypeError, "uniform_: low is 'a', expected a number."),
        (lambda: init.normal_(X, 0, None), TypeError, "normal_: std is None, expected a number."),
        (lambda: init.constant_(X, None), TypeError, "constant_: value is None, expected a"),
        (lambda: init.zeros_(3), TypeError, "zeros_: given a int, expected a Tensor to fill."),
        (lambda: init.identity_(3), TypeError, "identity_: given a int, expected a Tensor"),
        (lambda: init.sparse_(X, "a"), TypeError, "sparse_: sparsity is 'a', expected a"),
        (lambda: init.orthogonal_(X, gates=1.5), ArgumentError, "orthogonal_: gates is 1.5"),
        (lambda: init.xavier_normal_(X, fan_in=-1), ShapeError, "xavier_normal_: fan_in is -1"),
        (lambda: nn.Linear(2, 3).astype("foo"), DTypeError, "astype: dtype is 'foo', expected"),
        (lambda: nn.Linear(2, 3).apply(3), TypeError, "apply: function is 3, expected a function."),
        (lambda: nn.Linear(2, 3).register_forward_hook(3), TypeError, "hook is 3, expected a func"),
    ],
)
def test_modules_and_initialisers_take_numbers_and_functions(call, kind, message):
    with pytest.raises(kind) as caught:
        call()
    assert message in str(caught.value)


def test_what_has_no_numbers_is_unequal():
    for other in (None, "a", object(), {}):
        assert (other == X) is False
        assert (other != X) is True


def test_in_asks_for_a_number_as_in_an_array():
    x = tg.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert 1.0 in x
    assert 5 not in x
    assert np.float32(4) in x
    assert x[1] in x
    assert None not in x
    assert "a" not in x
    assert 1 not in tg.zeros(0)
    assert x in [x]


@pytest.mark.parametrize("broken", [3, None, "a", {}, {"bit_generator": "PCG64"}, "partly", "long"])
@pytest.mark.parametrize("where", ["set_state", "fork"])
def test_a_wrong_state_of_the_generator_leaves_it_where_it_is(broken, where):
    tg.seed(3)
    state = tg.random.get_state()
    if broken == "partly":
        broken = {key: value for key, value in state.items() if key != "uinteger"}
    elif broken == "long":
        broken = {**state, "buffer": 3}

    def put():
        if where == "set_state":
            tg.random.set_state(broken)
        else:
            with tg.random.fork(broken):
                pass

    if broken is None and where == "fork":
        return  # from where the library's generator is
    with pytest.raises(ArgumentError) as caught:
        put()
    assert f"random.{where}: state is " in str(caught.value)
    assert "expected one that random.get_state() has given" in str(caught.value)
    drawn = tg.rand(3).tolist()
    tg.seed(3)
    assert tg.rand(3).tolist() == drawn


def test_an_argument_of_the_wrong_kind_is_a_type_and_a_value_error():
    for kind in (TypeError, ValueError, TinygradError):
        with pytest.raises(kind, match=r"LSTM: hidden_size is 4\.0, expected a whole number"):
            nn.LSTM(3, 4.0)
        with pytest.raises(kind, match="LSTM: dropout is 'a', expected a number from 0"):
            nn.LSTM(3, 4, dropout="a")
        with pytest.raises(kind, match=r"sum: axis is 1\.5, expected a whole number"):
            X.sum(1.5)
    with pytest.raises(ShapeError, match="LSTM: hidden_size is 0"):
        nn.LSTM(3, 0)


def test_no_type_is_the_librarys_own():
    assert tg.zeros(2, dtype=None).dtype == tg.rand(2, dtype=None).dtype == np.float32
    assert tg.arange(np.float32(2.5)).dtype == np.float32


def test_inputs_may_come_from_a_generator():
    (g,) = tg.grad(G.sum(), (x for x in [G]))
    assert g.shape == G.shape


def test_numpys_functions_give_numpys_answers():
    x = tg.arange(6.0).reshape(2, 3)
    a = x.numpy()
    for function in (np.sum, np.mean, np.max, np.prod, np.std, np.all, np.squeeze, np.ravel):
        np.testing.assert_array_equal(function(x), function(a))
        assert not isinstance(function(x), tg.Tensor)
    assert np.concatenate([x, x], axis=1).shape == (2, 6)
    np.testing.assert_array_equal(np.sum(x, axis=0, dtype=float), a.sum(0))


def test_a_jacobian_by_nothing_is_empty():
    assert tg.jacobian(lambda: tg.ones(2)) == ()
