"""Wrong derivatives are found, and soon: rules of operations, and systems written by hand.

pytest tests/testing/test_mutants.py -s    prints how many examples each one took
python -m tests.testing.mutant_table       makes the table of docs/testing.md
"""

import sys

import numpy as np
import pytest

import tinygrad_rnn.engine.walk
from tests.ops.specs import SPECS
from tests.testing.hunt import cases_of, checking, checking_op, hunt, op_cases
from tests.testing.mutant_table import hunting_ground, middle_of
from tests.testing.mutants import MUTANTS, Mutant, installed
from tests.testing.system_mutants import MUTANTS as EDITS
from tests.testing.systems import SYSTEMS
from tinygrad_rnn.testing import Case, GradientMismatch
from tinygrad_rnn.testing.laws import needs_grad_lattice

EXAMPLES = 20


def found(count, mutant):
    """Whether the middle one of three hunts, each of 20 examples, caught the mutant."""
    assert count is not None, f"{mutant} is not found within {EXAMPLES} examples"
    sys.stdout.write(f"\n{count:3} {mutant}")


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_a_wrong_rule_is_found(mutant):
    with installed(mutant):
        found(middle_of(checking_op(mutant.primitive), op_cases(mutant.primitive)), mutant)


@pytest.mark.slow
@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: f"{edit.system}-{edit.name}")
def test_a_mistake_in_a_system_written_by_hand_is_found(edit):
    found(middle_of(*hunting_ground(edit)), edit.name)


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=lambda system: system.name)
def test_systems_written_by_hand_pass_where_they_are_right(system):
    catch = hunt(checking(system, system.backward), cases_of(system), examples=50)
    assert catch.failure is None


@pytest.mark.parametrize(
    ("system", "name", "sizes"),
    [
        ("lstm", "db from last row only", {"B": 2, "H": 1, "I": 1, "T": 1}),
        ("lstm", "db from t=0 only", {"B": 1, "H": 1, "I": 1, "T": 2}),
        ("lstm", "Wh not transposed", {"B": 1, "H": 2, "I": 1, "T": 1}),
        ("embedding", "repeated ids overwrite", {"E": 1, "N": 2, "V": 1}),
    ],
)
def test_the_smallest_case_names_the_bug(system, name, sizes):
    (edit,) = [edit for edit in EDITS if (edit.system, edit.name) == (system, name)]
    catch = hunt(*hunting_ground(edit), start=3, examples=100, shrink=True)
    assert catch.case[0] == sizes


@pytest.mark.parametrize("name", ["add", "mul", "linear", "where", "index_add"])
def test_a_forgotten_sum_over_broadcast_axes_is_found(name, monkeypatch):
    def first_only(g, shape):
        for _ in range(g.ndim - len(shape)):
            g = g[:1].sum(axis=0)
        return g[tuple(slice(n) for n in shape)]

    monkeypatch.setattr(tinygrad_rnn.engine.walk, "unbroadcast", first_only)
    catch = hunt(checking_op(name), op_cases(name), examples=EXAMPLES)
    if name == "linear":  # its bias is summed by its own rule
        assert catch.failure is None
    else:
        assert isinstance(catch.failure, GradientMismatch)


def test_a_rule_that_writes_into_its_cotangent_is_found():
    def in_place(right, F, g, out, a, b):
        g *= b
        return g * 1.0

    x = np.random.default_rng(0).standard_normal((2, 3))
    with installed(Mutant("in place", "mul", 0, in_place)), pytest.raises(AssertionError):
        needs_grad_lattice(SPECS["mul"].subject(Case((x, x + 1.0))), lambda strategy: 0)


def test_the_rules_are_right_again():
    for name in {mutant.primitive for mutant in MUTANTS}:
        assert hunt(checking_op(name), op_cases(name), examples=5).failure is None
