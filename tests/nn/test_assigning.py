"""What a module's attributes take: parameters, modules and buffers, or a refusal."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.nn.small_modules import Cell, names
from tinygrad_rnn import nn, ops
from tinygrad_rnn.errors import GradientError, ModuleError

# ----- assigning -----


def test_nothing_has_to_be_set_up_before_the_first_assignment():
    class Late(nn.Module):
        def __init__(self):
            self.w = nn.Parameter([1.0])
            self.register_buffer("mean", tg.zeros(1))

    assert list(Late().state_dict()) == ["w", "mean"]
    assert Late().training


@pytest.mark.parametrize("base", [False, True])
def test_assigning_again_replaces(base):
    m = Cell()
    m.w = w = nn.Parameter([5.0])
    m.out = out = Cell() if base else None
    assert m.w is w
    assert m.out is out
    assert "out.w" in m.state_dict() or not base
    m.w = None
    m.w = nn.Linear(1, 1)
    assert "w.bias" in m.state_dict()


def test_a_parameter_takes_no_plain_value():
    m = Cell()
    with pytest.raises(ModuleError) as caught:
        m.w = tg.zeros(2, 3)
    assert str(caught.value) == (
        "Cell: 'w' names a Parameter, given a Tensor, expected a Parameter, a Module or None; to "
        "write its numbers, use module.w.assign_(...)."
    )
    assert isinstance(m.w, nn.Parameter)
    with pytest.raises(AttributeError):
        m.w = [m.w]


def test_a_module_takes_no_plain_value_until_it_is_deleted():
    m = Cell()
    with pytest.raises(ModuleError) as caught:
        m.out = ops.tanh
    assert str(caught.value) == (
        "Cell: 'out' names a Linear, given a function, expected a Parameter, a Module or None; to "
        "put something else there, delete it first: del module.out."
    )
    del m.out
    m.out = ops.tanh
    assert names(m.named_parameters()) == ["w", "b"]


@pytest.mark.parametrize("name", ["a.b", ""])
def test_a_name_with_a_dot_is_refused(name):
    with pytest.raises(ModuleError) as caught:
        setattr(Cell(), name, nn.Parameter([1.0]))
    assert str(caught.value) == (
        f"Cell: {name!r} cannot name a Parameter; expected a string without dots, because in a "
        "state dict a dot stands between a module and what it holds."
    )


def test_a_name_that_would_hide_a_method_is_refused():
    with pytest.raises(ModuleError) as caught:
        Cell().train = nn.Linear(1, 1)
    assert str(caught.value) == "Cell: 'train' cannot name a Linear: it would hide Module.train."
    with pytest.raises(ModuleError, match=r"hide Module\.training"):
        Cell().register_buffer("training", tg.zeros(1))


def test_registering_asks_for_a_free_name_and_the_right_kind():
    m = Cell()
    m.register_parameter("v", nn.Parameter([1.0]))
    m.register_parameter("u", None)
    m.add_module("inner", nn.Linear(1, 1))
    assert m.u is None
    assert "v" in m.state_dict()
    assert "inner.weight" in m.state_dict()
    with pytest.raises(ModuleError) as caught:
        m.add_module("v", nn.Linear(1, 1))
    assert str(caught.value) == (
        "Cell: 'v' names a Parameter already; choose another name, or delete it first: "
        "del module.v."
    )
    with pytest.raises(ModuleError) as caught:
        m.register_parameter("z", tg.zeros(1))
    assert str(caught.value) == "Cell: 'z' was to name a Parameter, given a Tensor."


# ----- buffers -----


def test_a_buffer_takes_new_tensors_and_none():
    m = Cell()
    m.mean = new = tg.ones(3)
    assert list(m.buffers()) == [new]
    m.mean = None
    assert list(m.buffers()) == []
    m.mean = new
    assert list(m.state_dict()) == ["w", "b", "mean", "out.weight", "out.bias"]


def test_a_buffer_that_is_not_persistent_is_not_in_the_state_dict():
    m = Cell()
    m.register_buffer("mask", np.zeros(2), persistent=False)
    assert "mask" not in m.state_dict()
    assert names(m.named_buffers()) == ["mean", "mask"]
    m.register_buffer("mask", np.zeros(2))
    assert "mask" in m.state_dict()


def test_an_array_registered_as_a_buffer_is_copied():
    source = np.zeros(2)
    m = Cell()
    m.register_buffer("mask", source)
    source[...] = 1
    assert m.mask.tolist() == [0, 0]


def test_a_deleted_buffer_is_forgotten():
    m = Cell()
    del m.mean
    m.mean = tg.zeros(3)
    assert list(m.buffers()) == []
    m = Cell()
    m.mean = nn.Parameter([1.0])
    assert list(m.buffers()) == []
    assert "mean" in names(m.named_parameters())
    m.mean = nn.Linear(1, 1)
    assert list(m.buffers()) == []
    m = Cell()
    m.mean = nn.Linear(1, 1)
    assert list(m.buffers()) == []
    assert "mean.bias" in m.state_dict()


def test_a_buffer_takes_nothing_else():
    m = Cell()
    with pytest.raises(ModuleError) as caught:
        m.mean = 0.5
    assert str(caught.value) == (
        "Cell: 'mean' names a buffer, given a float, expected a Tensor that is no Parameter, or "
        "None; to use the name for something else, delete it first: del module.mean."
    )
    with pytest.raises(ModuleError):
        m.register_buffer("p", nn.Parameter([1.0]))
    with pytest.raises(ModuleError, match="names a Parameter already"):
        m.register_buffer("w", tg.zeros(1))


def test_a_buffer_that_would_drag_a_graph_along_is_refused():
    m = Cell()
    with pytest.raises(GradientError) as caught:
        m.mean = m.mean + m.b
    assert str(caught.value) == (
        "Cell: 'mean' names a buffer, given a recorded result, whose graph would grow with every "
        "step; compute it under no_grad(), or detach() it."
    )
    with tg.no_grad():
        m.mean = m.mean + m.b
    assert m.mean.tolist() == [0, 1, 2]
