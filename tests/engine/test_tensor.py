"""A Tensor is an array that knows its derivative: what it takes in, gives out, and refuses."""

import ast
import copy
import inspect
import operator
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import ops
from tinygrad_rnn.device import to_device
from tinygrad_rnn.errors import DeviceError, DTypeError, GradientError, ShapeError
from tinygrad_rnn.operators import Operators
from tinygrad_rnn.tensor import Tensor, as_array


def leaf(values=(1.0, 2.0)):
    return tg.tensor(values, requires_grad=True)


# ----- what it takes in -----


def test_python_numbers_become_float32_or_int64_and_arrays_keep_their_type():
    assert tg.tensor(1.5).dtype == np.float32
    assert tg.tensor([[1, 2]]).dtype == np.int64
    assert tg.tensor([True]).dtype == np.bool_
    for dtype in (np.float16, np.float32, np.float64, np.int32, np.uint8, np.complex128):
        assert tg.tensor(np.ones(2, dtype)).dtype == dtype
        assert tg.tensor(dtype(1)).dtype == dtype
    assert tg.tensor([1, 2], dtype=tg.float64).dtype == np.float64


def test_tensor_copies_and_from_numpy_shares():
    a = np.ones(2, np.float32)
    copied, shared = tg.tensor(a), tg.from_numpy(a)
    a[0] = 5
    assert copied.tolist() == [1, 1]
    assert shared.tolist() == [5, 1]


def test_any_byte_order_layout_and_subclass_is_taken():
    big = np.arange(3, dtype=">f4")
    assert tg.tensor(big).dtype == np.dtype("f4")
    assert tg.tensor(np.arange(6.0).reshape(2, 3).T[::-1]).tolist() == [[2, 5], [1, 4], [0, 3]]
    matrix = np.ones((2, 2)).view(type("Odd", (np.ndarray,), {}))
    assert type(tg.from_numpy(matrix)._data) is np.ndarray  # whose * might mean something else


def test_what_holds_no_numbers_is_refused():
    with pytest.raises(DTypeError) as caught:
        tg.tensor(["a"])
    assert str(caught.value) == (
        "tensor: got ['a'] of type <U1, expected booleans or numbers of up to 64 bits."
    )
    with pytest.raises(ShapeError, match="got rows of different lengths, expected equal ones"):
        tg.tensor([[1.0], [1.0, 2.0]])


def test_integers_cannot_require_a_gradient():
    with pytest.raises(DTypeError) as caught:
        tg.tensor([1, 2], requires_grad=True)
    assert str(caught.value) == (
        "requires_grad: the tensor holds int64, expected floating-point numbers: only they have "
        "derivatives. Convert it first, with .astype(tg.float32), or write 1.0 for 1."
    )


def test_a_result_cannot_stop_to_require_a_gradient():
    y = leaf() * 2
    y.requires_grad = True  # it does already
    with pytest.raises(GradientError) as caught:
        y.requires_grad_(False)
    assert str(caught.value) == (
        "requires_grad: the tensor is the result of 'mul', expected a leaf: a result is what it "
        "was computed from. Use detach() to get it without its graph."
    )


# ----- what it gives out -----


def test_data_and_numpy_are_views_that_cannot_be_written():
    x = leaf()
    for view in (x.data, x.numpy(), np.asarray(x)):
        assert np.shares_memory(view, x._data)
        with pytest.raises(ValueError, match="read-only"):
            view[0] = 5
    with pytest.raises(ValueError, match="read-only"):
        x.data += 1
    assert x._data.flags.writeable


def test_asarray_converts_and_copies_on_demand():
    x = leaf()
    assert np.asarray(x, np.float64).dtype == np.float64
    copied = np.array(x)
    copied[0] = 5
    assert x.tolist() == [1, 2]
    with pytest.raises(ValueError, match="cannot become float64 without a copy"):
        np.asarray(x, np.float64, copy=False)


def test_dlpack_goes_both_ways_and_never_lets_anybody_write():
    x = leaf()
    shared = np.from_dlpack(x)
    assert np.shares_memory(shared, x._data)
    assert not shared.flags.writeable
    assert tg.from_dlpack(x).tolist() == [1, 2]
    assert np.shares_memory(tg.from_dlpack(np.ones(3))._data, np.ones(3)) is False
    array = np.ones(3)
    assert np.shares_memory(tg.from_dlpack(array)._data, array)

    class Old:  # a consumer from before read-only memory could be told
        __dlpack_device__ = staticmethod(x.__dlpack_device__)

        @staticmethod
        def __dlpack__(**options):
            return x.__dlpack__()

    assert not np.shares_memory(np.from_dlpack(Old()), x._data)


def test_numbers_come_out_of_single_elements_only():
    one = tg.tensor([[2.5]])
    assert (one.item(), float(one), int(one), f"{one:.2f}", bool(one)) == (
        2.5,
        2.5,
        2,
        "2.50",
        True,
    )
    assert range(9)[tg.tensor(3)] == 3
    with pytest.raises(ShapeError) as caught:
        leaf().item()
    assert str(caught.value) == (
        "item(): the tensor has shape (2,), expected a single element. Reduce it first: with "
        ".sum() or .mean(), or for a condition .all() or .any() of .data."
    )
    for convert in (bool, float, int, lambda t: f"{t:.2f}"):
        for x in (leaf(), tg.zeros(0)):
            with pytest.raises(ShapeError, match="expected a single element"):
                convert(x)
    with pytest.raises(TypeError) as index:
        range(9)[one]
    assert str(index.value) == (
        "index: the tensor holds float32, expected integers: only they can stand for a place. "
        "Convert it with int()."
    )


def test_it_has_a_length_and_rows():
    x = tg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    assert len(x) == 2
    rows = list(x)
    assert [r.tolist() for r in rows] == [[1, 2], [3, 4]]
    rows[1].sum().backward()
    assert x.grad.tolist() == [[0, 0], [1, 1]]
    with pytest.raises(TypeError, match=re.escape("len(): the tensor has no axes")):
        len(tg.tensor(1.0))


def test_it_is_not_written_in_part():
    with pytest.raises(TypeError) as caught:
        leaf()[0] = 1.0
    assert str(caught.value) == (
        "x[index] = value: tensors are not written in part, expected an operation that gives a "
        "new one: x = tg.ops.index_update(x, index, value). All of a leaf is written by "
        "x.assign_(array)."
    )


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (lambda: tg.tensor([1.0, 2.0]), "tensor([1., 2.])"),
        (lambda: tg.tensor([1, 2]), "tensor([1, 2])"),
        (lambda: tg.tensor(1.0, dtype=np.float64), "tensor(1., dtype=float64)"),
        (leaf, "tensor([1., 2.], requires_grad=True)"),
        (lambda: leaf() * 2, "tensor([2., 4.], op=mul)"),
        (lambda: tg.zeros(0, 3), "tensor([], shape=(0, 3))"),
        (lambda: tg.zeros(2, 2), "tensor([[0., 0.],\n        [0., 0.]])"),
        (lambda: tg.nn.Parameter([1.0]), "parameter([1.], requires_grad=True)"),
    ],
)
def test_it_shows_its_numbers_and_what_is_special(made, text):
    assert repr(made()) == text


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


class Elsewhere:
    """Stands in for an array on a GPU."""

    __cuda_array_interface__ = {}
    shape, ndim, size, dtype = (2,), 1, 2, np.dtype(np.float32)

    def __init__(self):
        self.device = type("Device", (), {"id": 0})


def test_devices_are_not_mixed_silently():
    here, there = leaf(), Tensor(Elsewhere())
    assert (here.device, there.device) == ("cpu", "gpu:0")
    for a, b in ((here, there), (there, here)):
        with pytest.raises(DeviceError) as caught:
            a * b
        home = Elsewhere.__module__
        assert str(caught.value) == (
            f"mul: got arrays of {' and '.join(sorted(['numpy', home]))}, expected all on one "
            "device: nothing is moved silently. Move one side with .to()."
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


# ----- writing -----


def test_assign_writes_all_numbers_in_place():
    x = leaf()
    array = x._data
    for value in ([3, 4], np.array([3, 4], np.float32), tg.tensor([3.0, 4.0])):
        x.assign_([0, 0])
        assert x.assign_(value) is x
        assert x._data is array
        assert x.tolist() == [3, 4]
    x.data = [5.0, 6.0]
    assert array.tolist() == [5, 6]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_number_without_axes_is_assigned_as_any_other(dtype):
    """Arithmetic on arrays without axes gives NumPy's scalars, not arrays."""
    x = tg.tensor(dtype(2), requires_grad=True)
    (x * x).backward()
    step = x.data - dtype(0.25) * x.grad.data
    assert isinstance(step, np.generic)
    assert x.assign_(step).item() == 1
    x.data = dtype(5)
    assert (x.item(), x.shape, x.dtype) == (5, (), dtype)
    assert x.assign_(np.sqrt(4.0)).item() == 2  # a Python float, whatever NumPy calls it
    with pytest.raises(DTypeError, match="assign_: got float16"):
        x.assign_(np.float16(1))
    with pytest.raises(ShapeError, match=r"assign_: got float\d\d\[\], expected float\d\d\[1\]"):
        tg.zeros(1, dtype=dtype).assign_(dtype(1))


def test_an_assignment_that_is_refused_leaves_the_version_alone():
    x = tg.tensor(2.0, requires_grad=True)
    y = x * x
    for value in (1j, np.int64(1), "a", [1.0]):
        with pytest.raises((DTypeError, ShapeError)):
            x.assign_(value)
    y.backward()
    assert x.grad.item() == 4


@pytest.mark.parametrize("value", [2j, np.complex64(2j), np.complex128(2j), np.array(2j)])
def test_complex_numbers_are_not_cut(value):
    for x in (tg.tensor(1.0), tg.tensor(1)):
        with pytest.raises(DTypeError, match=r"assign_: got complex\d+\[\], expected"):
            x.assign_(value)
    with pytest.raises(DTypeError, match=r"assign_: got complex128\[2\], expected float32\[2\]"):
        leaf().assign_([1.0, 2j])
    x = tg.tensor(0j)
    assert x.assign_(2j).item() == 2j


def test_assign_takes_overlapping_memory():
    x = leaf((1.0, 2.0, 3.0))
    x.assign_(x.data[::-1])
    assert x.tolist() == [3, 2, 1]


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (np.ones(3, np.float32), ShapeError, "assign_: got float32[3], expected float32[2]"),
        (np.ones(2), DTypeError, "assign_: got float64[2], expected float32[2]"),
        ([1.0], ShapeError, "assign_: got float32[1], expected float32[2]"),
    ],
)
def test_assign_refuses_other_shapes_and_types(value, error, text):
    x = leaf()
    with pytest.raises(error) as caught:
        x.assign_(value)
    assert str(caught.value) == f"{text}: only the numbers of a tensor can change."
    assert x.tolist() == [1, 2]


def test_a_result_cannot_be_assigned_to():
    y = leaf() * 2
    with pytest.raises(GradientError) as caught:
        y.assign_([0, 0])
    assert str(caught.value) == (
        "assign_: the tensor is the result of 'mul', expected a leaf: derivatives may need the "
        "numbers of a result as they are. Assign to a leaf, or to a copy, detach().clone()."
    )


def test_a_read_only_array_cannot_be_assigned_to():
    x = Tensor(leaf().data)
    with pytest.raises(
        ValueError, match="assign_: the tensor stands on a read-only array"
    ) as caught:
        x.assign_([0, 0])
    assert str(caught.value).endswith(
        "Was it made from another tensor's .data or .numpy(), or by broadcasting? Copy it first, "
        "with tg.tensor()."
    )


def test_a_gradient_that_is_set_has_to_fit():
    x = leaf()
    x.grad = tg.ones(2)
    x.grad = None
    with pytest.raises(TypeError, match="grad: got ndarray, expected a Tensor or None"):
        x.grad = np.ones(2, np.float32)
    with pytest.raises(ShapeError) as caught:
        x.grad = tg.ones(3)
    assert str(caught.value) == (
        "grad: got float32[3] on cpu, expected float32[2] on cpu, as the tensor is."
    )
    with pytest.raises(DTypeError):
        x.grad = tg.ones(2, dtype=np.float64)


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


# ----- copies -----


def test_leaves_copy_and_pickle():
    x = leaf()
    (x * 3).sum().backward()
    deep = copy.deepcopy(x)
    assert not np.shares_memory(deep._data, x._data)
    assert not np.shares_memory(deep.grad._data, x.grad._data)
    assert (deep.tolist(), deep.grad.tolist(), deep.requires_grad) == ([1, 2], [3, 3], True)
    shallow = copy.copy(x)
    assert shallow._data is x._data
    assert shallow.shared_version() is x.shared_version()
    thawed = pickle.loads(pickle.dumps(x))
    assert (thawed.tolist(), thawed.requires_grad) == ([1, 2], True)
    assert thawed.assign_([0, 0]).tolist() == [0, 0]
    both = copy.deepcopy([x, x])
    assert both[0] is both[1]


@pytest.mark.parametrize(
    ("act", "where"), [(copy.deepcopy, "deepcopy"), (copy.copy, "copy"), (pickle.dumps, "pickle")]
)
def test_results_do_neither(act, where):
    with pytest.raises(GradientError) as caught:
        act(leaf() * 2)
    assert str(caught.value) == (
        f"{where}: the tensor is the result of 'mul', expected a leaf: a graph is neither copied "
        "nor stored. Use detach() for its numbers alone, or clone() for a copy inside the graph."
    )


def test_a_tensor_of_a_tensor_shares_memory_and_version():
    x = leaf()
    y = Tensor(x)
    assert y._data is x._data
    assert y.shared_version() is x.shared_version()
    assert not y.requires_grad
    assert as_array(x) is x._data


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
