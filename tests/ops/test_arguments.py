"""What an operation cannot use is refused by the name of the call, the argument and its value."""

import math

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import arguments, ops
from tinygrad_rnn.errors import (
    ArgumentError,
    DTypeError,
    GradientError,
    IndexRangeError,
    ShapeError,
)

X = tg.ones(2, 3)
REFUSED = (True, "1", None, math.nan, 1j)


def refused(call, kind, message):
    with pytest.raises(kind) as caught:
        call()
    assert message in str(caught.value)


# ----- axes, shapes and counts -----

AXIS_TAKERS = [
    ops.softmax, ops.log_softmax, ops.logsumexp, ops.sum, ops.mean, ops.var, ops.std, ops.max,
    ops.min, ops.prod, ops.cumsum, ops.norm, ops.flip, ops.unbind, ops.squeeze, ops.argmax,
    ops.argmin,
]  # fmt: skip


@pytest.mark.parametrize("function", AXIS_TAKERS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("axis", [1.0, "a", True, 1j])
def test_an_axis_is_a_whole_number(function, axis):
    message = f"{function.__name__}: axis is {axis!r}, expected a whole number."
    refused(lambda: function(X, axis=axis), ArgumentError, message)


@pytest.mark.parametrize("function", AXIS_TAKERS, ids=lambda f: f.__name__)
def test_an_axis_may_be_numpys_or_a_tensor(function):
    x = tg.ones(1, 3)
    wanted = np.shape(function(x, axis=0))
    for axis in (np.int64(0), np.array(0), tg.tensor(0)):
        assert np.shape(function(x, axis=axis)) == wanted


def test_several_axes_may_be_any_sequence():
    for axes in ([0, 1], (0, -1), {0, 1}, np.array([0, 1]), tg.tensor([0, 1]), range(2)):
        assert X.sum(axis=axes).item() == 6


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: X.reshape("a"), "reshape: a size is 'a', expected a whole number."),
        (lambda: X.reshape(None), "reshape: a size is None, expected"),
        (lambda: X.reshape([2.0, 3]), "reshape: a size is 2.0, expected"),
        (lambda: X.reshape(6.0), "reshape: a size is 6.0, expected"),
        (lambda: X.permute(0, "a"), "permute: an axis is 'a', expected"),
        (lambda: X.transpose(None), "transpose: an axis is None, expected a whole number."),
        (lambda: X.unsqueeze((0, 1)), "unsqueeze: axis is (0, 1), expected a whole number."),
        (lambda: X.swapaxes(0, 1.0), "swapaxes: axis is 1.0, expected a whole number."),
        (lambda: X.split(1.5), "split: the size of a piece is 1.5, expected"),
        (lambda: X.split([1, 1.0]), "split: a size is 1.0, expected"),
        (lambda: X.chunk("a"), "chunk: chunks is 'a', expected a whole number from 1 up."),
        (lambda: X.repeat(1.5, 0), "repeat: repeats is 1.5, expected a whole number from 0 up."),
        (lambda: X.tile(1.5), "tile: a number of times is 1.5, expected"),
    ],
)
def test_sizes_axes_and_counts_are_whole_numbers(call, message):
    refused(call, ArgumentError, message)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: X.transpose(0, 0), "transpose: axes (0, 0), expected each of the 2 axes once."),
        (lambda: X.transpose(0, 5), "transpose: axis 5 of a tensor with 2 axes"),
        (lambda: X.broadcast_to(4, 3), "broadcast_to: shape (2, 3) to (4, 3), expected the same"),
        (lambda: X.broadcast_to(3), "broadcast_to: shape (2, 3) to (3,), expected the same"),
        (lambda: X.broadcast_to(-1, 2, 3), "broadcast_to: a size is -1, expected a whole number f"),
        (lambda: X.expand(4, 3), "expand: shape (2, 3) to (4, 3), expected the same sizes"),
        (lambda: X.expand(3), "expand: shape (2, 3) to (3,), expected the same sizes"),
        (lambda: X.expand(-2, 3), "expand: a size is -2, expected a whole number from -1 up."),
        (lambda: X.expand(-1, 2, 3), "-1 stands only for an axis that exists."),
        (lambda: X.split(0), "split: the size of a piece is 0, expected a whole number from 1 up."),
        (lambda: X.split([1, 2]), "split: sizes [1, 2] do not add up to 2, axis 0."),
        (lambda: X.pad(1), "pad: widths 1 for shape (2, 3), expected a pair of whole numbers"),
        (lambda: X.pad([(1.5, 1), (0, 0)]), "pad: widths [(1.5, 1), (0, 0)] for shape (2, 3)"),
        (lambda: X.pad([(1, 1), (1,)]), "pad: widths [(1, 1), (1,)] for shape (2, 3)"),
        (lambda: X.argmax(5), "argmax: axis 5 of a tensor with 2 axes"),
        (lambda: tg.zeros(2, 0).argmax(1), "argmax: no elements over axes (1,) of shape (2, 0)"),
        (lambda: tg.zeros(2, 0).argmin(), "argmin: no elements over axes (0, 1) of shape (2, 0)"),
        (lambda: tg.zeros(2, 0).norm(math.inf), "norm: no elements over axes (0, 1)"),
        (lambda: X.norm(1, axis=5), "norm: axis 5 of a tensor with 2 axes"),
    ],
)
def test_shapes_and_counts_are_whole_numbers(call, message):
    refused(call, ShapeError, message)


def test_a_size_may_be_numpys_or_a_tensor():
    for size in (np.int64(6), tg.tensor(6)):
        assert X.reshape(size).shape == (6,)
    assert [piece.shape for piece in X.split(np.int64(1))] == [(1, 3), (1, 3)]
    assert [piece.shape for piece in tg.zeros(2, 0).split(1, axis=1)] == [(2, 0)]


# ----- numbers -----


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: X.var(ddof="a"), "var: ddof is 'a', expected a number."),
        (lambda: X.std(ddof=None), "std: ddof is None, expected a number."),
        (lambda: X.norm("fro"), "norm: ord is 'fro', expected a number."),
        (lambda: X.pad([(1, 1), (0, 0)], None), "pad: value is None, expected a number."),
        (lambda: X.pad([(1, 1), (0, 0)], tg.ones()), "pad: value is tensor(1.), expected a number"),
        (lambda: X.masked_fill(X.data > 0, None), "masked_fill: value is None, expected a number."),
        (lambda: ops.leaky_relu(X, None), "leaky_relu: slope is None, expected a number."),
        (lambda: ops.elu(X, "a"), "elu: alpha is 'a', expected a number."),
        (lambda: X.clip("a", 1), "clip: low is 'a', expected a number."),
        (lambda: X.clip([0], [1]), "clip: low is [0], expected a number."),
        (lambda: X.clip(0, X), "clip: high is tensor([["),
        (lambda: ops.layer_norm(X, eps=None), "layer_norm: eps is None, expected a number f"),
        (lambda: ops.dropout(X, "a"), "dropout: rate is 'a', expected a number from 0 to below 1."),
        (lambda: ops.dropout(X, 0.5, True, 3), "dropout: generator is 3, expected a numpy.random"),
        (lambda: ops.concat(3), "concat: got 3, expected a sequence of tensors."),
        (lambda: ops.concat([X, X], -1), "concat: got a sequence of tensors and -1 behind it; an"),
        (lambda: ops.stack(None), "stack: got None, expected a sequence of tensors."),
    ],
)
def test_numbers_and_sequences_are_what_they_should_be(call, message):
    refused(call, TypeError, message)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: X[[5]], IndexRangeError, "getitem: got float32[2, 3]: index 5 is out of bounds"),
        (lambda: X["a"], IndexRangeError, "getitem: got float32[2, 3]: only integers, slices"),
        (lambda: X[[0.0]], DTypeError, "getitem: the index holds float32, expected integers"),
        (lambda: X.gather(0, [[5]]), IndexRangeError,
         "gather: index of shape (1, 1) along axis 0 of (2, 3): the index holds 5, expected -2"),
        (lambda: X.take_along_axis([[0], [0], [0]]), IndexRangeError,
         "take_along_axis: index of shape (3, 1) along axis 1 of (2, 3): expected shapes"),
        (lambda: X.scatter_add(0, [[5]], [[1.0]]), IndexRangeError,
         "scatter_add: index of shape (1, 1) along axis 0 of (2, 3): the index holds 5"),
        (lambda: tg.ones(2, requires_grad=True).index_update([5], 1.0), IndexRangeError,
         "index_update: got float32[2]: index 5 is out of bounds"),
        (lambda: X.index_update(5, tg.ones(1, 1, 3)), IndexRangeError, "index_update: got float32"),
        (lambda: X.topk("a"), ArgumentError, "topk: k is 'a', expected a whole number."),
        (lambda: X.topk(1.5), ArgumentError, "topk: k is 1.5, expected a whole number."),
        (lambda: ops.embedding(tg.ones(), [0]), ShapeError, "embedding: the weight is a single"),
        (lambda: X.masked_fill([True, False], 0.0), ShapeError,
         "masked_fill: the mask has shape (2,), x (2, 3) and value (), expected"),
        (lambda: ops.einsum(None, X), TypeError, "einsum: equation is None, expected letters"),
        (lambda: ops.einsum("......", X), ShapeError, "einsum: '......' in '......' is not made"),
        (lambda: ops.linear(X, tg.ones(5, 4)), ShapeError, "linear: x has shape (2, 3), w (5, 4);"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named_as_it_was_called(call, kind, message):
    refused(call, kind, message)


def test_an_empty_list_is_an_empty_index():
    assert ops.embedding(tg.ones(5, 4), []).shape == (0, 4)
    assert ops.embedding(tg.ones(5, 4), [[], []]).shape == (2, 0, 4)
    assert X.gather(0, [[]]).shape == (1, 0)


def test_dropout_of_whole_numbers_is_scaled_as_a_fraction():
    y = ops.dropout(np.full(100, 3), 0.3)
    assert y.dtype == np.float32
    assert {round(v, 4) for v in y.tolist()} == {0.0, round(3 / 0.7, 4)}


def test_a_norm_of_order_nan_is_refused():
    refused(lambda: X.norm(math.nan), ValueError, "norm: ord is nan, expected a positive number")


def test_whole_numbers_are_padded_with_what_was_given():
    x = tg.arange(2)
    assert x.pad([(1, 0)], 7.0).dtype == np.int64
    assert x.pad([(1, 0)], 1.5).tolist() == [1.5, 0, 1]
    assert x.pad([(1, 0)], -math.inf).tolist() == [-math.inf, 0, 1]


def test_small_integers_are_counted_in_wide_ones_as_in_numpy():
    x = np.array([100, 100], np.int8)
    assert ops.cumsum(x).tolist() == [100, 200]
    assert ops.prod(x).item() == 10_000
    assert ops.cumsum([True, True]).tolist() == [1, 2]
    assert ops.prod([True, True]).dtype == np.prod([True]).dtype


# ----- operands -----

NAMED = ["exp", "relu", "softmax", "sum", "reshape", "getitem", "layer_norm", "embedding", "gelu"]


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("value", [None, "abc", {}])
def test_what_holds_no_numbers_is_refused_by_the_operation(name, value):
    function = getattr(ops, name)
    more = {"reshape": (1,), "getitem": (0,), "embedding": ([0],)}.get(name, ())
    refused(lambda: function(value, *more), DTypeError, f"{name}: got {value!r}")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: X + None, "add: got None, expected booleans or numbers of up to 64 bits."),
        (lambda: "a" * X, "mul: got 'a' of type <U1, expected booleans or numbers"),
        (lambda: X @ None, "matmul: got None"),
        (lambda: ops.maximum(X, None), "maximum: got None"),
        (lambda: ops.where([True], X, None), "where: got None"),
        (lambda: ops.index_update(X, 0, None), "index_update: got None"),
        (lambda: ops.einsum("i", None), "einsum: got None"),
        (lambda: ops.exp(np.ones(2, np.longdouble)), "of type float128, expected"),
        (lambda: ops.exp(10**30), "expected booleans or numbers of up to 64 bits"),
        (lambda: ops.sum(np.ma.array([1.0, 2.0], mask=[True, False])), "sum: got a masked array"),
    ],
)
def test_operands_are_numbers(call, message):
    refused(call, DTypeError, message)


def test_nothing_masked_is_a_plain_array():
    assert ops.sum(np.ma.array([1.0, 2.0])).item() == 3


def test_a_list_does_not_lose_gradients():
    x = tg.ones(2, requires_grad=True)
    for call in (
        lambda: ops.sum([x, x]), lambda: X[:, :2] + [x, x], lambda: ops.concat([[x[0], x[1]], [1]]),
    ):  # fmt: skip
        refused(call, GradientError, "which require a gradient, expected one tensor: gradients do")
    assert ops.sum([x.detach(), X[0, :2]]).item() == 4
    refused(lambda: tg.tensor([x[0], x[1]]), GradientError, "Join them first, with tg.ops.stack()")


@pytest.mark.parametrize("dtype", ["foo", object, str, None, "S3", "longdouble", "M8[s]", [1]])
def test_an_element_type_is_one_of_numbers(dtype):
    refused(lambda: X.astype(dtype), DTypeError, "astype: dtype is ")


def test_astype_keeps_to_the_machines_byte_order():
    assert X.astype(">f4").dtype.isnative


@pytest.mark.parametrize(
    ("bounds", "inside", "outside", "words"),
    [
        ({}, (-math.inf, 0, 3.5), (), ""),
        ({"least": 0}, (0, math.inf), (-1,), " from 0 up"),
        ({"above": 0}, (1e-9, math.inf), (0, -1), " above 0"),
        ({"least": 0, "most": 1}, (0, 1), (-1e-9, 1.1), " from 0 to 1"),
        ({"least": 0, "below": 1}, (0, np.float32(0.5)), (-1, 1), " from 0 to below 1"),
        ({"least": 0, "below": math.inf}, (0, np.int64(9)), (-1, math.inf), " from 0 up"),
    ],
)
def test_a_setting_lies_within_its_bounds(bounds, inside, outside, words):
    for value in inside:
        found = arguments.bounded("f", "n", value, **bounds)
        assert type(found) is float
        assert found == value
    for value in (*outside, *REFUSED):
        message = f"f: n is {value!r}, expected a number{words}."
        refused(lambda v=value: arguments.bounded("f", "n", v, **bounds), ArgumentError, message)


def test_a_choice_is_one_of_a_few():
    for value in (True, None, "a"):
        assert arguments.choice("f", "n", value, (True, None, "a")) is value
    for value in (1, "b", ["a"], np.array(["a", "b"])):
        with pytest.raises(ArgumentError, match=r"^f: n is .*, expected one of"):
            arguments.choice("f", "n", value, (True, None, "a"))
