"""Operators of tensors: what they take and refuse, and that declared is bound."""

import ast
import inspect
import operator
import re
from pathlib import Path

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import ops
from tinygrad_rnn.device import to_device
from tinygrad_rnn.errors import DeviceError, DTypeError, ShapeError
from tinygrad_rnn.operators import Operators
from tinygrad_rnn.tensor import Tensor


def leaf(values=(1.0, 2.0)):
    return tg.tensor(values, requires_grad=True)


# ----- operators -----


def test_comparisons_give_arrays_and_identity_is_for_dictionaries():
    x, y = leaf(), leaf()
    assert type(x == y) is np.ndarray
    assert (x == y).all()
    assert (x == None) is False  # noqa: E711
    assert {x: 1, y: 2}[y] == 2
    assert ((x > 1.5) == [False, True]).all()


def test_an_array_on_the_left_leaves_the_operation_to_the_tensor():
    x = leaf()
    a = np.array([3.0, 4.0], np.float32)
    for result, value in ((a * x, [3, 8]), (a - x, [2, 2]), (a @ x, 11), (a / x, [3, 2])):
        assert isinstance(result, Tensor)
        assert result.requires_grad
        assert result.tolist() == value
    assert isinstance(np.multiply(a, x), Tensor)  # which is what NumPy makes of a * x


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", [np.bool_, np.int8, np.int64, np.uint64])
def test_integers_follow_the_floating_point_operand(dtype, kind):
    x = tg.tensor(np.array([1, 2], dtype), requires_grad=True)
    n = tg.tensor(np.array([1, 0], kind))
    given = (x * n, n * x, x + n, n - x, x / (n + 1), ops.where(x > 1, x, n), ops.maximum(n, x))
    for y in (*given, ops.concat([x, n]), ops.stack([n, x]), x @ n, x * n.numpy()):
        assert y.dtype == dtype
        assert y.requires_grad


@pytest.mark.parametrize("kind", [np.bool_, np.int32, np.int64])
def test_integers_alone_become_float32_where_there_are_fractions(kind):
    n = tg.tensor(np.array([1, 1], kind))
    for y in (n / n, n.mean(), n.exp(), n.sqrt(), n * 0.5, n + 1.0, n**-1.0, n.softmax()):
        assert y.dtype == np.float32
    for y in (n * n, n.sum(), n * 2, n.abs(), n.maximum(n)):
        assert y.dtype.kind in "bi"


def test_integers_without_a_common_type_do_not_become_float64():
    a, b = tg.tensor([1]), tg.tensor(np.array([1], np.uint64))
    assert (tg.tensor([1]) + tg.tensor(np.array([1], np.int8))).dtype == np.int64
    for call in (lambda: a + b, lambda: ops.concat([a, b])):
        with pytest.raises(DTypeError, match="got int64 and uint64, expected integers that one"):
            call()
    assert (a / b).dtype == np.float32


def test_scalars_keep_the_type_of_the_tensor():
    x = leaf()
    numbers = 2, 2.5, True, np.float64(0.5), np.sqrt(2)
    for number in numbers:
        for result in (x * number, number * x, x + number, number / x, x**number):
            assert result.dtype == np.float32
            assert result.requires_grad
    np.testing.assert_array_equal((x * -0.0).data, [-0.0, -0.0])
    assert np.signbit((x * -0.0).data).all()
    assert not np.signbit((x * 0.0).data).any()
    assert not np.signbit((x * 0).data).any()


def test_types_are_not_mixed_silently():
    with pytest.raises(DTypeError) as caught:
        leaf() * tg.ones(2, dtype=np.float64)
    assert str(caught.value) == (
        "mul: got float32 and float64, expected one type of floating-point numbers: nothing is "
        "converted silently. Convert one side with .astype(); NumPy makes float64 unless told "
        "otherwise."
    )
    assert (leaf() * tg.tensor([1, 2])).dtype == np.float32  # integers follow


def test_shapes_that_do_not_fit_are_named():
    for a, b in ((leaf(), tg.ones(3)), (tg.ones(2), leaf((1, 2, 3.0))), (tg.ones(2), tg.ones(3))):
        with pytest.raises(ShapeError) as caught:
            a + b
        assert str(caught.value) == (
            f"add: got float32[{a.shape[0]}] and float32[{b.shape[0]}], expected shapes that "
            "broadcast: counted from the last axis, sizes are equal or one of them is 1."
        )


def test_devices_are_not_mixed_silently(on_gpu):
    here, there = leaf(), leaf().to("gpu")
    assert (here.device, there.device) == ("cpu", "gpu:0")
    for a, b in ((here, there), (there, here), (there, np.ones(2, np.float32))):
        with pytest.raises(DeviceError) as caught:
            a * b
        assert str(caught.value) == (
            "mul: got arrays of cpu and gpu:0, expected all on one device: numbers are never "
            "moved silently. Move one side with .to()."
        )
    with pytest.raises(DeviceError, match="expected all on one device"):  # before their types
        there * tg.ones(2, dtype=np.float64)
    with pytest.raises(DeviceError, match='expected "cpu", "gpu" or "gpu:N"'):
        to_device(here._data, "cuda")


@pytest.mark.parametrize("shape", [(0,), (2, 0), (0, 3), (1, 0, 2)])
def test_axes_without_elements_are_like_any_other(shape):
    x = tg.zeros(*shape, requires_grad=True)
    y = (x * 2 + 1).tanh()
    assert y.shape == shape
    y.sum().backward()
    assert x.grad.shape == shape


def test_operands_may_be_read_only_and_in_any_order():
    base = np.arange(6, dtype=np.float32).reshape(2, 3)
    base.flags.writeable = False
    x = Tensor(base.T, requires_grad=True)
    (x * x).sum().backward()
    assert x.grad.tolist() == (2 * base.T).tolist()
    assert x.grad._data.flags.c_contiguous
    assert x.grad._data.flags.writeable


# ----- names that are bound anew -----

IN_PLACE = {
    "+": operator.iadd, "-": operator.isub, "*": operator.imul, "/": operator.itruediv,
    "**": operator.ipow, "@": operator.imatmul,
}  # fmt: skip


@pytest.mark.parametrize("symbol", IN_PLACE)
def test_an_operator_does_not_seem_to_train_a_leaf(symbol):
    x = leaf()
    (x * x).sum().backward()
    step = tg.ones(2)
    for context in (tg.no_grad(), tg.enable_grad()):
        with context, pytest.raises(TypeError) as caught:
            IN_PLACE[symbol](x, step)
    assert str(caught.value) == (
        f"p {symbol}= y: p is a Tensor (float32[2]) that is trained, expected a call that writes "
        "its numbers: operators give new tensors, so the name would stand for another one and the "
        f"Tensor stay as it is. Write `with tg.no_grad(): p.assign_(p {symbol} y)`, such as "
        f"p.assign_(p - lr * p.grad); or, for a new tensor, `q = p {symbol} y`."
    )
    with tg.no_grad():
        x.assign_(x - 0.25 * x.grad)
    assert x.tolist() == [0.5, 1.0]


@pytest.mark.parametrize("symbol", IN_PLACE)
def test_a_result_or_a_constant_gives_its_name_to_a_new_tensor(symbol):
    """As every object does that cannot be changed: ``loss += x``."""
    y = leaf()
    by_hand = {"+": y + y, "-": y - y, "*": y * y, "/": y / y, "**": y**y, "@": y @ y}[symbol]
    for start in (leaf(), leaf() * 1, tg.tensor([1.0, 2.0])):
        x = IN_PLACE[symbol](start, y)
        assert x is not start
        assert start.tolist() == [1, 2]
        assert x.tolist() == by_hand.tolist()
        x.sum().backward()
        assert y.grad is not None
        y.grad = None


def test_a_sum_may_grow_from_a_number_or_an_array():
    x = leaf()
    for total in (0, 0.0, tg.tensor(0.0)):
        for _ in range(3):
            total += x.sum()
        (g,) = tg.grad(total, x)
        assert g.tolist() == [3, 3]


# ----- declared is bound -----


def _declared():
    tree = ast.parse(inspect.getsource(Operators))
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_operator_that_is_bound_is_declared():
    own = set()
    for name in ("tensor", "protocols"):
        tree = ast.parse(Path(inspect.getfile(Tensor)).with_name(f"{name}.py").read_text())
        for kind in (n for n in ast.walk(tree) if isinstance(n, ast.ClassDef)):
            for node in kind.body:
                targets = node.targets if isinstance(node, ast.Assign) else [node]
                own |= {getattr(t, "name", None) or getattr(t, "id", None) for t in targets}
    made = {
        name
        for name in vars(Tensor)
        if re.fullmatch(r"__(module|doc|slots|annot.*|static.*|first.*)__", name)
    }
    assert set(_declared()) == set(vars(Tensor)) - own - made - set(Tensor.__slots__)


@pytest.mark.parametrize("name", sorted(_declared()))
def test_declarations_have_the_parameters_of_what_is_bound(name):
    bound = getattr(Tensor, name)
    if isinstance(bound, property) or name.startswith("__") or name in ("concat", "flatten"):
        return
    signature = inspect.signature(bound)
    given = [p for p in list(signature.parameters.values())[1:] if p.kind is not p.VAR_KEYWORD]
    args = _declared()[name].args
    names = [a.arg for a in args.args[1:]] + ([args.vararg.arg] if args.vararg else [])
    names += [a.arg for a in args.kwonlyargs]
    assert names == [p.name for p in given]
    defaults = [ast.literal_eval(d) for d in [*args.defaults, *args.kw_defaults] if d]
    assert defaults == [p.default for p in given if p.default is not p.empty]


def test_methods_are_the_functions_of_ops():
    x = tg.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert x.T.tolist() == [[1, 3], [2, 4]]
    assert (x.sum(axis=0) == ops.sum(x, axis=0)).all()
    assert (+x) is x
    assert (abs(-x) == x).all()
    assert x.concat(x, axis=1).shape == (2, 4)
