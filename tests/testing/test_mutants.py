"""The generic checks of operations find wrong derivatives, and find them soon.

pytest tests/testing/test_mutants.py -s    prints how many examples each one took
"""

import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

import tinygrad_rnn.engine.walk
from tests.ops.checks import check_derivatives, check_needs, check_subgradients
from tests.ops.spec import Case
from tests.ops.specs import SPECS
from tests.testing.mutants import MUTANTS, Mutant, installed
from tinygrad_rnn.testing import GradientMismatch

EXAMPLES = 20


def examples_until_found(spec, examples=EXAMPLES, start=0):
    """How many examples the generic checks need to fail, and how they do; None if they pass."""
    count = 0

    @seed(start)
    @settings(max_examples=examples, deadline=None, database=None,
              phases=[Phase.generate], suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(spec.sample(1))
    def check(case):
        nonlocal count
        if failure:
            raise AssertionError  # found already: be quick
        count += 1
        try:
            check_derivatives(spec, case)
            if spec.dodge and spec.bounded:
                check_subgradients(spec, case)
        except Exception as error:
            failure.append(error)
            raise

    failure = []
    try:
        check()
    except Exception:
        return count, failure[0]
    return None, None


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_a_wrong_rule_is_found(mutant, record_property):
    """In the middle one of three runs: what Hypothesis draws depends on the modules loaded."""
    with installed(mutant):
        runs = [examples_until_found(SPECS[mutant.primitive], start=start) for start in range(3)]
    count, failure = sorted(runs, key=lambda run: run[0] or sys.maxsize)[1]
    assert count is not None, f"{mutant} is not found within {EXAMPLES} examples"
    record_property("examples", count)
    sys.stdout.write(f"\n{count:3} {mutant!s:50} {type(failure).__name__}")
    if not isinstance(failure, AssertionError):
        raise AssertionError("found by accident") from failure


@pytest.mark.parametrize("name", ["add", "mul", "linear", "where", "index_add"])
def test_a_forgotten_sum_over_broadcast_axes_is_found(name, monkeypatch):
    def first_only(g, shape):
        for _ in range(g.ndim - len(shape)):
            g = g[:1].sum(axis=0)
        return g[tuple(slice(n) for n in shape)]

    monkeypatch.setattr(tinygrad_rnn.engine.walk, "unbroadcast", first_only)
    count, failure = examples_until_found(SPECS[name])
    if name == "linear":  # its bias is summed by its own rule
        assert count is None
    else:
        assert isinstance(failure, GradientMismatch)


def test_a_rule_that_writes_into_its_cotangent_is_found():
    def in_place(right, F, g, out, a, b):
        g *= b
        return g * 1.0

    x = np.random.default_rng(0).standard_normal((2, 3))
    with installed(Mutant("in place", "mul", 0, in_place)), pytest.raises(AssertionError):
        check_needs(SPECS["mul"], Case((x, x + 1.0)))


def test_the_rules_are_right_again():
    for name in {mutant.primitive for mutant in MUTANTS}:
        count, failure = examples_until_found(SPECS[name], 5)
        assert count is None, failure
