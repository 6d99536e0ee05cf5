"""A module changes all of what it holds, or nothing."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.nn.small_modules import Cell, Holder
from tinygrad_rnn import nn
from tinygrad_rnn.errors import DeviceError, DTypeError, GradientError
from tinygrad_rnn.nn import module as module_file


def test_train_and_eval_reach_everything_and_return_the_module():
    m = Holder(layers=[Cell()], cell=Cell())
    assert m.eval() is m
    assert not any(inner.training for inner in m.modules())
    assert m.train() is m
    assert all(inner.training for inner in m.modules())


def test_gradients_are_forgotten_and_parameters_frozen():
    m = Cell()
    m(tg.ones(1, 2)).sum().backward()
    assert all(p.grad is not None for p in m.parameters())
    m.zero_grad()
    assert all(p.grad is None for p in m.parameters())
    assert m.requires_grad_(False) is m
    assert not m(tg.ones(1, 2)).requires_grad
    m.requires_grad_()
    assert m(tg.ones(1, 2)).requires_grad


def test_apply_visits_every_module_once():
    linear, seen = nn.Linear(1, 1), []
    m = Holder(a=linear, b=[linear])
    assert m.apply(seen.append) is m
    assert seen == [m, linear]


def test_astype_converts_floats_in_place():
    m = Cell()
    m.register_buffer("count", np.zeros(2, np.int64))
    before = [*m.parameters(), *m.buffers()]
    m(tg.ones(1, 2)).sum().backward()
    assert m.astype("float64") is m
    after = [*m.parameters(), *m.buffers()]
    assert all(a is b for a, b in zip(before, after, strict=True))
    assert [t.dtype for t in after] == ["float64"] * 5 + ["int64"]
    assert all(p.grad.dtype == "float64" for p in m.parameters())
    y = m(tg.ones(1, 2, dtype=np.float64))
    y.sum().backward()
    assert y.dtype == "float64"


def test_astype_to_the_same_type_changes_nothing():
    m = Cell()
    y = m(tg.ones(1, 2))
    arrays = [p._data for p in m.parameters()]
    m.astype(np.float32).to("cpu")
    assert all(p._data is a for p, a in zip(m.parameters(), arrays, strict=True))
    y.sum().backward()


def test_astype_takes_types_that_have_derivatives():
    with pytest.raises(DTypeError) as caught:
        Cell().astype(np.int32)
    assert str(caught.value) == (
        "astype: Cell was to be converted to int32, expected float16, float32 or float64: weights "
        "are numbers that have derivatives."
    )


def test_a_product_from_before_a_conversion_says_that_its_weight_has_changed():
    m = Cell()
    loss = (tg.ones(1, 2, requires_grad=True) @ m.w).sum()
    m.astype(np.float64)
    with pytest.raises(GradientError, match=r"input 1 .* of 'matmul' has been changed since"):
        loss.backward()


def test_a_sum_from_before_a_conversion_keeps_nothing_but_its_leaf_notices():
    m = Cell()
    loss = (tg.ones(3) + m.b).sum()
    m.astype(np.float64)
    with pytest.raises(GradientError, match="moved or converted since the forward pass"):
        loss.backward()


def test_to_moves_parameters_buffers_and_gradients(monkeypatch):
    m = Cell()
    m(tg.ones(1, 2)).sum().backward()
    asked = []

    def moved(array, device):
        asked.append(device)
        return array + 1

    before = {name: t.numpy().copy() for name, t in m._state().items()}
    grads = [p.grad.numpy().copy() for p in m.parameters()]
    monkeypatch.setattr(module_file, "to_device", moved)
    m.to("gpu")
    assert set(asked) == {"gpu:0"}
    for name, tensor in m._state().items():
        assert np.array_equal(tensor, before[name] + 1)
    for p, old in zip(m.parameters(), grads, strict=True):
        assert np.array_equal(p.grad, old + 1)


def test_a_move_that_fails_half_way_changes_nothing(monkeypatch):
    m = Cell()
    calls = []

    def full(array, device):
        calls.append(device)
        if len(calls) == 3:
            raise MemoryError
        return array + 1

    before = m.state_dict()
    monkeypatch.setattr(module_file, "to_device", full)
    with pytest.raises(MemoryError):
        m.to("gpu")
    for name, array in m.state_dict().items():
        assert np.array_equal(array, before[name])


def test_to_names_a_device_that_there_is_not():
    with pytest.raises(DeviceError, match='expected "cpu", "gpu" or "gpu:N"'):
        Cell().to("cuda")
