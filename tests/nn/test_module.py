"""A module finds what it holds, lists each object once, and changes all of it or nothing."""

import copy
import pickle
import threading
import weakref

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn, ops
from tinygrad_rnn.errors import DeviceError, DTypeError, GradientError, ModuleError
from tinygrad_rnn.nn import module as module_file


class Cell(nn.Module):
    """Two parameters, a buffer, a smaller module."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(np.ones((2, 3), np.float32))
        self.out = nn.Linear(3, 2)
        self.b = nn.Parameter([0.0, 1.0, 2.0])
        self.register_buffer("mean", tg.zeros(3))

    def forward(self, x):
        return self.out(x @ self.w + self.b - self.mean)


class Holder(nn.Module):
    """Holds whatever it is given."""

    def __init__(self, **members):
        super().__init__()
        for name, member in members.items():
            setattr(self, name, member)


def names(pairs):
    return [name for name, _ in pairs]


# ----- what is found -----


def test_own_parameters_come_before_those_of_smaller_modules():
    assert names(Cell().named_parameters()) == ["w", "b", "out.weight", "out.bias"]
    assert names(Cell().named_parameters("cell", recurse=False)) == ["cell.w", "cell.b"]
    assert len(list(Cell().parameters(recurse=False))) == 2


def test_modules_and_children_are_listed_with_their_names():
    m = Holder(a=Cell(), b=nn.Linear(1, 1))
    assert names(m.named_modules()) == ["", "a", "a.out", "b"]
    assert names(m.named_children()) == ["a", "b"]
    assert list(m.children()) == [m.a, m.b]
    assert list(m.modules()) == [m, m.a, m.a.out, m.b]


def test_buffers_are_listed_but_are_no_parameters():
    m = Holder(cell=Cell())
    assert names(m.named_buffers()) == ["cell.mean"]
    assert list(m.buffers()) == [m.cell.mean]
    assert list(m.buffers(recurse=False)) == []


def test_lists_tuples_and_dicts_are_looked_into():
    m = Holder(
        layers=[nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)],
        nested={"left": (nn.Parameter([1.0]),), "right": [{2: nn.Parameter([2.0])}]},
    )
    m.layers.append(nn.Linear(1, 1, bias=False))
    assert names(m.named_parameters()) == [
        "nested.left.0", "nested.right.0.2",
        "layers.0.weight", "layers.1.weight", "layers.2.weight",
    ]  # fmt: skip
    assert names(m.named_children()) == ["layers.0", "layers.1", "layers.2"]


def test_containers_without_modules_and_plain_tensors_are_left_alone():
    m = Holder(words={"a": 1, ("a", "b"): [2]}, pairs=[("a", "b")], x=tg.ones(3), names={"a", "b"})
    m.circle = [m.pairs]
    m.circle.append(m.circle)
    assert list(m.parameters()) == []
    assert m.state_dict() == {}


def test_a_set_of_modules_has_no_order_to_name_them_by():
    m = Holder(layers={nn.Linear(1, 1)})
    with pytest.raises(ModuleError) as caught:
        list(m.parameters())
    assert str(caught.value) == (
        "'layers' holds a Linear in a set, whose order changes from run to run, and the names in "
        "the state dict with it; use a list or a dict."
    )


@pytest.mark.parametrize("key", ["a.b", ("a", 1), ""])
def test_a_key_that_cannot_be_a_name_is_refused(key):
    m = Holder(layers={key: nn.Linear(1, 1)})
    with pytest.raises(ModuleError) as caught:
        list(m.parameters())
    assert str(caught.value) == (
        f"'layers' holds a parameter or module under the key {key!r}; expected a whole number or "
        "a string without dots, as the key becomes a part of its name."
    )


def test_two_tensors_of_one_name_are_an_error():
    m = Holder(layers={1: nn.Parameter([1.0]), "1": nn.Parameter([2.0])})
    with pytest.raises(ModuleError) as caught:
        m.state_dict()
    assert str(caught.value) == (
        "Holder: two tensors have the name 'layers.1'; a dict may hold them under a number and "
        "under the same number as a string."
    )


def test_what_is_shared_is_listed_once():
    linear = nn.Linear(2, 2)
    m = Holder(a=linear, b=linear, c=nn.Linear(2, 2))
    m.c.weight = linear.weight
    assert names(m.named_parameters()) == ["a.weight", "a.bias", "c.bias"]
    assert names(m.named_modules()) == ["", "a", "c"]
    assert names(m.named_children()) == ["a", "c"]
    assert list(m.state_dict()) == [
        "a.weight", "a.bias", "b.weight", "b.bias", "c.weight", "c.bias"
    ]  # fmt: skip


def test_a_module_that_holds_its_parent_ends_where_the_circle_closes():
    m = Cell()
    m.out.parent = m
    assert names(m.named_modules()) == ["", "out"]
    assert len(list(m.parameters())) == 4
    assert "..." in repr(m)


def test_a_weak_reference_is_not_ownership():
    m = Cell()
    child = Holder(parent=weakref.ref(m))
    assert list(child.parameters()) == []


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


# ----- calling -----


def test_calling_runs_forward():
    m = Cell()
    x = tg.randn(4, 2)
    assert np.array_equal(m(x), m.forward(x))
    assert m(x).shape == (4, 2)


def test_a_module_without_forward_says_so():
    with pytest.raises(NotImplementedError) as caught:
        Holder()(1)
    assert str(caught.value) == (
        "Holder has no method forward, which says what a module computes; define "
        "forward(self, ...)."
    )


def test_hooks_see_the_output_and_may_replace_it():
    m = nn.Linear(2, 2)
    x, seen = tg.ones(1, 2), []
    with m.register_forward_hook(lambda *call: seen.append(call)):
        handle = m.register_forward_hook(lambda module, args, output: 2 * output)
        y = m(x)
        handle.remove()
        z = m(x)
    m(x)
    assert np.array_equal(y, 2 * seen[0][2].data)
    assert np.array_equal(z, seen[1][2])
    assert [(call[0], call[1]) for call in seen] == [(m, (x,))] * 2
    handle.remove()


def test_hooks_of_modules_are_taken_back_like_those_of_tensors():
    m, calls = nn.Linear(2, 2), []
    handle = m.register_forward_hook(lambda *call: late())
    late = handle.remove  # a pass goes on while a hook goes away, here in the hook itself
    m.register_forward_hook(lambda *call: calls.append("second"))
    m(tg.ones(1, 2))
    m(tg.ones(1, 2))
    assert calls == ["second", "second"]
    assert type(handle) is type(tg.ones(1, requires_grad=True).register_hook(abs))
    assert len(m._forward_hooks) == 1


def test_a_module_that_is_a_hook_is_not_owned():
    m = nn.Linear(2, 2)
    m.register_forward_hook(nn.Linear(2, 2))
    assert [name for name, _ in m.named_parameters()] == ["weight", "bias"]


def test_several_threads_compute_what_one_does():
    m = Cell().eval()
    inputs = [tg.randn(8, 2) for _ in range(8)]
    expected = [m(x).numpy() for x in inputs]
    results = [[] for _ in inputs]

    def work(number):
        with tg.inference_mode():
            for _ in range(20):
                results[number].append(m(inputs[number]).numpy())

    threads = [threading.Thread(target=work, args=(n,)) for n in range(len(inputs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for outputs, right in zip(results, expected, strict=True):
        assert len(outputs) == 20
        assert all(np.array_equal(y, right) for y in outputs)


# ----- changing all of it -----


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


# ----- copies and the repr -----


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_whole_apart_and_stay_tied(copied):
    m = Holder(a=nn.Linear(2, 2), b=nn.Linear(2, 2), layers=[Cell()])
    m.b.weight = m.a.weight
    m.eval()
    m.register_forward_hook(lambda *call: None)
    other = copied(m)
    assert names(other.named_parameters()) == names(m.named_parameters())
    assert other.b.weight is other.a.weight
    assert not other.layers[0].training
    assert not other._forward_hooks
    for (name, old), (_, new) in zip(
        [*m.named_parameters(), *m.named_buffers()],
        [*other.named_parameters(), *other.named_buffers()],
        strict=True,
    ):
        assert new is not old, name
        assert type(new) is type(old)
        assert np.array_equal(old, new)
        assert not np.shares_memory(old._data, new._data)


def test_the_repr_is_a_tree():
    m = Holder(layers=[nn.Linear(2, 3), nn.Linear(3, 1, bias=False)], cell=Cell())
    assert repr(m) == (
        "Holder(\n"
        "  (layers.0): Linear(2, 3, bias=True)\n"
        "  (layers.1): Linear(3, 1, bias=False)\n"
        "  (cell): Cell(\n"
        "    w (2, 3), b (3,)\n"
        "    (out): Linear(3, 2, bias=True)\n"
        "  )\n"
        ")"
    )
    assert repr(Holder()) == "Holder()"
