"""NumPy's functions take Tensors as arrays, and never lose a gradient that somebody wants."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn, ops
from tinygrad_rnn.errors import DTypeError, GradientError
from tinygrad_rnn.tensor.numpy_calls import _OURS

A = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)

# By the operation of tg.ops that the error names.
WITH_DERIVATIVE = {
    "exp": np.exp,
    "log": np.log,
    "maximum": lambda x: np.maximum(x, 0),
    "abs": np.abs,
    "concat": lambda x: np.concatenate([A, x]),
    "stack": lambda x: np.stack((x, x)),
    "mean": np.mean,
    "sum": np.sum,
    "max": np.max,
    "norm": np.linalg.norm,
    "where": lambda x: np.where(A > 2, x, A),
    "einsum": lambda x: np.einsum("ij,jk", x, A),
    "reshape": np.ravel,
    "clip": lambda x: np.clip(x, 0, 1),
    "matmul": lambda x: np.dot(x, A),
    "clone": np.copy,
    "div": lambda x: np.divide(x, 2, out=A.copy()),
}
WITHOUT_ONE_OF_OURS = [np.floor, np.sort, np.add.reduce, np.linalg.inv, lambda x: np.modf(x)]
WITHOUT_DERIVATIVE = [
    np.isfinite, np.argmax, np.argsort, np.shape, np.ndim, np.array2string, np.any,
    np.count_nonzero, lambda x: np.array_equal(x, A), lambda x: np.allclose(x, A),
    lambda x: np.less(x, 2),
]  # fmt: skip


@pytest.mark.parametrize("name", WITH_DERIVATIVE)
def test_a_gradient_is_not_lost_in_a_function_of_numpy(name):
    for x in (tg.tensor(A, requires_grad=True), nn.Parameter(A), nn.Parameter(A) * 1):
        with pytest.raises(GradientError, match=rf"^np\.\w+: .* Use tg\.ops\.{name}\(\); or"):
            WITH_DERIVATIVE[name](x)
    assert name in ops.__all__


def test_the_error_says_what_was_given_and_what_to_write():
    with pytest.raises(GradientError) as caught:
        np.concatenate([A, tg.tensor(A, requires_grad=True)])
    assert str(caught.value) == (
        "np.concatenate: got a tensor that requires a gradient (float32[2, 2]), expected numbers "
        "alone: NumPy's functions know no derivatives, so the gradient would be lost. Use "
        "tg.ops.concat(); or, where no gradient is wanted, give it x.detach()."
    )


@pytest.mark.parametrize("function", WITHOUT_ONE_OF_OURS)
def test_nor_in_one_that_has_no_counterpart(function):
    with pytest.raises(GradientError, match=r"Use functions of tg\.ops; or, where no gradient is"):
        function(tg.tensor(A, requires_grad=True))


@pytest.mark.parametrize("function", [*WITH_DERIVATIVE.values(), *WITHOUT_ONE_OF_OURS])
def test_without_a_gradient_the_answer_is_numpys(function):
    wanting = tg.tensor(A, requires_grad=True)
    with tg.no_grad():
        answers = [function(tg.tensor(A)), function(wanting.detach()), function(wanting)]
    for answer in answers:
        assert not isinstance(answer, tg.Tensor)
        np.testing.assert_array_equal(answer, function(A))


@pytest.mark.parametrize("function", WITHOUT_DERIVATIVE)
def test_what_has_no_derivative_is_answered_anyway(function):
    assert np.all(function(nn.Parameter(A)) == function(A))


def test_the_numbers_alone_are_asked_for_by_name():
    x = tg.tensor(A, requires_grad=True)
    for numbers in (np.asarray(x), np.array(x), x.numpy(), x.data):
        assert type(numbers) is np.ndarray
        np.testing.assert_array_equal(numbers, A)


OPERATORS = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b,
    "/": lambda a, b: a / b, "**": lambda a, b: a**b, "@": lambda a, b: a @ b,
}  # fmt: skip
COMPARISONS = {
    "==": lambda a, b: a == b, "!=": lambda a, b: a != b, "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
}  # fmt: skip


@pytest.mark.parametrize("symbol", OPERATORS)
def test_operators_beside_arrays_are_those_of_tensors(symbol):
    x = tg.tensor(A.T.copy(), requires_grad=True)
    operator = OPERATORS[symbol]
    others = [A] if symbol == "@" else [A, np.float32(2), np.float64(2), A[0]]
    for other in others:
        for a, b in ((other, x), (x, other)):
            y = operator(a, b)
            assert isinstance(y, tg.Tensor)
            assert y.dtype == np.float32
            np.testing.assert_allclose(y.numpy(), operator(np.asarray(a), np.asarray(b)), 1e-6)
            (g,) = tg.grad(y.sum(), x)
            assert g.shape == x.shape
    with pytest.raises(DTypeError, match="got float32 and float64"):
        operator(A.astype(np.float64), x)


@pytest.mark.parametrize("symbol", COMPARISONS)
def test_comparisons_beside_arrays_are_arrays_of_booleans(symbol):
    x = tg.tensor(A.T.copy(), requires_grad=True)
    compare = COMPARISONS[symbol]
    for other in (A, np.float32(2), np.float64(2), A[0]):
        for a, b in ((other, x), (x, other)):
            answer = compare(a, b)
            assert type(answer) is np.ndarray
            np.testing.assert_array_equal(answer, compare(np.asarray(a), np.asarray(b)))
    assert not (np.array(["a", "b"]) == x).any()


def test_an_array_is_written_in_place_by_numbers_alone():
    a = A.copy()
    same = a
    a += tg.tensor(A)
    assert a is same
    np.testing.assert_array_equal(a, 2 * A)
    with pytest.raises(GradientError, match=r"^np\.add: got a tensor that requires a gradient"):
        a += tg.tensor(A, requires_grad=True)


def test_cupy_leaves_operators_to_the_tensor():
    """It asks the object; NumPy asks the type."""
    assert tg.tensor(A).__array_ufunc__ is None


def test_every_name_that_an_error_may_give_is_an_operation():
    assert set(_OURS.values()) <= set(ops.__all__)
    methods = {name for name in {*np.__all__, *np.linalg.__all__} if hasattr(tg.Tensor, name)}
    no_floats = {"dtype", "shape", "ndim", "size"}
    assert methods - no_floats - set(_OURS) <= set(ops.__all__)


@pytest.mark.parametrize("make", [tg.tensor, tg.Tensor, nn.Parameter])
def test_losses_in_a_list_are_joined_by_an_operation(make):
    x = tg.ones(2, requires_grad=True)
    losses = [x.sum(), (x * x).sum()]
    for given in (losses, (losses, losses)):
        with pytest.raises(GradientError) as caught:
            make(given)
        assert str(caught.value).endswith(
            "that holds tensors which require a gradient, expected one tensor: gradients do not "
            "pass through a list. Join them first, with tg.ops.stack(), or detach() them."
        )
    with tg.no_grad():
        assert make(losses).tolist() == [2, 2]
    assert make([loss.detach() for loss in losses]).tolist() == [2, 2]
