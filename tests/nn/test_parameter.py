"""A Parameter is a leaf of its own memory that wants a gradient, and stays one when copied."""

import copy
import pickle

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn
from tinygrad_rnn.errors import DTypeError, GradientError


def test_a_parameter_is_a_leaf_that_requires_a_gradient():
    p = nn.Parameter([1.0, 2.0])
    assert isinstance(p, tg.Tensor)
    assert p.is_leaf
    assert p.requires_grad
    (p * p).sum().backward()
    assert p.grad.tolist() == [2.0, 4.0]


def test_it_can_be_made_frozen():
    assert not nn.Parameter([1.0], requires_grad=False).requires_grad


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("wrap", [np.asarray, tg.tensor, nn.Parameter])
def test_arrays_and_tensors_keep_their_type(dtype, wrap):
    p = nn.Parameter(wrap(np.array([1, 2], dtype)))
    assert p.dtype == dtype
    assert p.tolist() == [1, 2]


def test_python_floats_become_float32():
    assert nn.Parameter(0.5).dtype == np.float32


@pytest.mark.parametrize("wrap", [np.asarray, tg.from_numpy, nn.Parameter])
def test_it_owns_its_numbers(wrap):
    source = wrap(np.zeros(3, np.float32))
    p = nn.Parameter(source)
    p.assign_(np.ones(3, np.float32))
    assert np.array_equal(source, np.zeros(3))


def test_its_memory_is_contiguous_writeable_and_starts_on_a_line():
    source = np.arange(12, dtype=np.float32).reshape(3, 4).T
    source.flags.writeable = False
    first = nn.Parameter(source)
    # By chance one array in four starts on a line.
    for p in [first, *(copy.deepcopy(first) for _ in range(20))]:
        assert p._data.flags.c_contiguous
        assert p._data.flags.writeable
        assert p._data.ctypes.data % 64 == 0
        assert np.array_equal(p, source)


def test_a_recorded_result_gives_its_numbers_but_not_its_graph():
    x = tg.tensor([3.0], requires_grad=True)
    p = nn.Parameter(x * x)
    assert p.is_leaf
    (p * 2).backward()
    assert x.grad is None
    assert p.tolist() == [9.0]


def test_integers_have_no_derivative():
    with pytest.raises(DTypeError) as caught:
        nn.Parameter([1, 2])
    assert str(caught.value) == (
        "requires_grad: the tensor holds int64, expected floating-point numbers: only they have "
        "derivatives. Convert it first, with .astype(tg.float32), or write 1.0 for 1."
    )


class Named(nn.Parameter):
    """A subclass whose constructor takes something else."""

    def __init__(self, name):
        super().__init__([1.0, 2.0])


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
@pytest.mark.parametrize("kind", [nn.Parameter, Named])
@pytest.mark.parametrize("frozen", [False, True])
def test_a_copy_is_of_the_same_class_with_memory_of_its_own(copied, kind, frozen):
    p = kind("name") if kind is Named else kind([1.0, 2.0])
    p.requires_grad = not frozen
    q = copied(p)
    assert type(q) is kind
    assert q.requires_grad is not frozen
    p.assign_([5.0, 6.0])
    assert q.tolist() == [1.0, 2.0]


def test_deepcopy_takes_the_gradient_along():
    p = nn.Parameter([1.0, 2.0])
    (p * p).sum().backward()
    q = copy.deepcopy(p)
    p.grad.assign_([0.0, 0.0])
    assert q.grad.tolist() == [2.0, 4.0]


def test_writing_a_parameter_under_a_graph_is_noticed():
    p = nn.Parameter([1.0, 2.0])
    loss = (p * p).sum()
    p.assign_([5.0, 6.0])
    with pytest.raises(GradientError, match="has been changed since"):
        loss.backward()


def test_its_repr_says_what_it_is():
    assert repr(nn.Parameter([1.0])) == "parameter([1.], requires_grad=True)"


def test_what_kernels_keep_of_a_parameter_goes_when_it_changes():
    cell = nn.GRUCell(3, 4)
    x, h = tg.randn(2, 3), tg.randn(2, 4)
    first = cell(x, h).numpy().copy()
    assert cell.w_h.forms()  # a packed copy
    again = cell.w_h.forms()
    assert cell(x, h).numpy().tobytes() == first.tobytes()
    assert cell.w_h.forms() is again
    cell.w_h.assign_(cell.w_h.data * 2)
    assert not cell.w_h.forms()
    changed = cell(x, h).numpy()
    assert not np.allclose(changed, first)
    fresh = nn.GRUCell(3, 4)
    fresh.load_state_dict(cell.state_dict())
    assert fresh(x, h).numpy().tobytes() == changed.tobytes()


class ReadWhileWritten(np.ndarray):
    """Calls ``during`` before any number is written; another thread may run there at any time."""

    def __setitem__(self, index, value):
        self.during()
        super().__setitem__(index, value)


@pytest.mark.parametrize("steps", [1, 4])
def test_what_another_thread_makes_of_a_parameter_while_it_is_written_is_not_kept(steps):
    layer, fresh = nn.GRU(3, 4), nn.GRU(3, 4)
    x = tg.randn(steps, 2, 3)
    for weight in layer.parameters():
        weight._data = weight._data.view(ReadWhileWritten)
        weight._data.during = lambda: [layer(x) for _ in range(3)]
    for weight in layer.parameters():
        weight.assign_(weight.numpy() * 2)
    fresh.load_state_dict(layer.state_dict())
    assert layer(x)[0].numpy().tobytes() == fresh(x)[0].numpy().tobytes()


@pytest.mark.parametrize("frozen", [False, True])
def test_an_operator_does_not_seem_to_train_a_parameter(frozen):
    """Not even before it has a gradient: ``for p in module.parameters(): p -= step``."""
    layer = nn.Linear(2, 3).requires_grad_(not frozen)
    before = layer.weight.tolist()
    for p in layer.parameters():
        with pytest.raises(TypeError, match=r"p \*= y: p is a Parameter \(float32.* p\.assign_\(p"):
            p *= 0.5
    with pytest.raises(TypeError, match="p -= y: p is a Parameter"):
        layer.weight -= tg.ones(2, 3)
    assert layer.weight.tolist() == before


def test_a_parameter_without_axes_is_trained():
    p = nn.Parameter(3.0)
    (p * p).backward()
    p.assign_(p.data - np.float32(0.25) * p.grad.data)
    assert p.item() == 1.5
    with tg.no_grad():
        p.assign_(p - 0.25 * p.grad)
    assert p.item() == 0
