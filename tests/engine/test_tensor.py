"""A Tensor is an array that knows its derivative: what it takes in, gives out, and copies."""

import copy
import pickle
import re

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.errors import DTypeError, GradientError, ShapeError
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
