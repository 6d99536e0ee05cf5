"""Writing into a tensor: all its numbers at once, or none."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.errors import DTypeError, GradientError, ShapeError
from tinygrad_rnn.tensor import Tensor


def leaf(values=(1.0, 2.0)):
    return tg.tensor(values, requires_grad=True)


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
