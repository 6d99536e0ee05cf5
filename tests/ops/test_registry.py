"""No operation goes untested: each has a spec, and its spec really runs it."""

import importlib
import inspect
import pkgutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import tinygrad_rnn
from tests.ops.specs import SPECS
from tinygrad_rnn import ops
from tinygrad_rnn.primitive import PRIMITIVES, Primitive

for module in pkgutil.iter_modules(tinygrad_rnn.__path__, "tinygrad_rnn."):
    if module.ispkg:
        importlib.import_module(module.name)  # registers what it declares


def library_primitives():
    """What the library declares; tests may declare more."""
    for name, op in PRIMITIVES.items():
        rules = op.rules if isinstance(op, Primitive) else (op.backward,)
        modules = {getattr(rule, "func", rule).__module__ for rule in rules if rule is not None}
        if any(module.startswith("tinygrad_rnn.") for module in modules):
            yield name


def nodes_of(outputs):
    """Every node of the graph behind some outputs."""
    seen, stack = {}, [out._node for out in outputs]
    while stack:
        node = stack.pop()
        if type(node).__name__ == "Node" and id(node) not in seen:
            seen[id(node)] = node
            stack.extend(node.parents)
    return seen.values()


@pytest.mark.parametrize("name", sorted(library_primitives()))
def test_every_primitive_has_a_spec(name):
    assert name in SPECS


@pytest.mark.parametrize("name", sorted(ops.__all__))
def test_every_public_operation_has_a_spec(name):
    assert name in SPECS


@pytest.mark.parametrize("name", sorted(SPECS))
def test_every_spec_names_an_operation(name):
    assert name in ops.__all__ or name in PRIMITIVES
    assert SPECS[name].name == name


@pytest.mark.parametrize("spec", SPECS.values(), ids=str)
def test_a_spec_runs_its_primitive(spec):
    """Within the first examples, the graph holds what the spec claims to test."""
    claimed = set(spec.reaches) | ({spec.name} & PRIMITIVES.keys())
    seen = set()

    @settings(max_examples=10, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(spec.sample(1))
    def collect(case):
        for x in case.inputs:
            assert x.dtype == np.float64
            assert np.isfinite(x).all()
        if spec.smooth:  # others record nothing
            seen.update(node.op.name for node in nodes_of(spec.call(case).outputs))

    collect()
    assert claimed <= seen, f"only {sorted(seen)} were recorded"


# ----- what users read of it -----


@pytest.mark.parametrize("name", [*ops.__all__, "recurrence"])
def test_help_says_what_an_operation_is(name):
    operation = getattr(ops, name)
    assert operation.__name__ == name
    assert operation.__module__.startswith("tinygrad_rnn.ops.")
    assert getattr(importlib.import_module(operation.__module__), name) is operation
    assert inspect.getdoc(operation)
    kinds = {p.kind for p in inspect.signature(operation).parameters.values()}
    assert inspect.Parameter.VAR_KEYWORD not in kinds


def test_help_says_what_a_method_is():
    for name in dir(tinygrad_rnn.Tensor):
        if not name.startswith("_"):
            assert inspect.getdoc(getattr(tinygrad_rnn.Tensor, name)), name
    for name in ("__eq__", "__lt__"):
        assert "an array of booleans" in getattr(tinygrad_rnn.Tensor, name).__doc__


def test_only_what_users_call_is_listed():
    for module in (ops, tinygrad_rnn.random):
        listed = {name for name in dir(module) if not name.startswith("_")}
        assert listed - {"recurrence"} == set(module.__all__)


def test_what_has_no_derivative_is_an_array():
    x = tinygrad_rnn.ones(2, 3, requires_grad=True)
    for answer in (x > 0, x == x, x.argmax(), x.argmin(0), x.argmax(1), x.topk(2)[1]):
        assert isinstance(answer, np.ndarray | np.integer)
    assert x[x > 0].shape == (6,)
    assert isinstance(x.topk(2)[0], tinygrad_rnn.Tensor)
