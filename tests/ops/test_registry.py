"""No operation goes untested: each has a spec, and its spec really runs it."""

import importlib
import pkgutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import tinygrad_rnn
from tests.ops.checks import nodes_of, run
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
        seen.update(node.op.name for node in nodes_of(run(spec, case)[1]))

    collect()
    assert claimed <= seen, f"only {sorted(seen)} were recorded"
