"""A module finds what it holds, lists each object once, calls its hooks, and copies whole."""

import copy
import pickle
import threading
import weakref

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.nn.small_modules import Cell, Holder, names
from tinygrad_rnn import nn
from tinygrad_rnn.errors import ModuleError

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
