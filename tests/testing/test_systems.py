"""The systems written by hand are right, and their mutants are wrong."""

import numpy as np
import pytest

from tests.testing.system import draw_cotangents, draw_inputs, draw_sizes, floating_inputs
from tests.testing.system_mutants import MUTANTS, Edit, mutated
from tests.testing.systems import SYSTEMS

TINY = 1e-30
CASES = 30


def cases(system, seed=0):
    """Random inputs and cotangents of many sizes, with all lengths 0 among them."""
    rng = np.random.default_rng(seed)
    for case in range(CASES):
        inputs = draw_inputs(system, draw_sizes(system, rng), rng)
        if "lengths" in inputs and case % 5 == 0:
            inputs["lengths"][:] = 0
        yield inputs, draw_cotangents(system, inputs, rng), rng


def complex_step(system, inputs, cotangents, name, direction):
    """The derivative of sum(cotangents * outputs) as one input moves in a direction."""
    moved = inputs | {name: inputs[name] + 1j * TINY * direction}
    outputs = system.forward(**moved)
    return sum((c * y.imag).sum() for c, y in zip(cotangents, outputs, strict=True)) / TINY


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=SYSTEMS)
def test_backward_is_what_a_complex_step_measures(system):
    for inputs, cotangents, rng in cases(system):
        gradients = system.backward(cotangents, **inputs)
        directions = {name: rng.standard_normal(g.shape) for name, g in gradients.items()}
        size = sum(np.abs(gradients[name] * u).sum() for name, u in directions.items())
        for name, u in directions.items():
            measured = complex_step(system, inputs, cotangents, name, u)
            assert abs(measured - (gradients[name] * u).sum()) <= 1e-12 * size, name


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=SYSTEMS)
def test_every_floating_input_has_a_gradient_of_its_shape(system):
    for inputs, cotangents, _ in cases(system):
        gradients = system.backward(cotangents, **inputs)
        assert set(gradients) == set(floating_inputs(system))
        for name, gradient in gradients.items():
            assert gradient.shape == inputs[name].shape, name
            assert gradient.dtype == np.float64, name


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=SYSTEMS)
def test_neither_pass_changes_what_it_is_given(system):
    for inputs, cotangents, _ in cases(system):
        given = [*inputs.values(), *cotangents]
        copies = [a.copy() for a in given]
        for array in given:
            array.setflags(write=False)
        system.forward(**inputs)
        system.backward(cotangents, **inputs)
        for array, copy in zip(given, copies, strict=True):
            np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("name", ["lstm", "bidirectional"])
def test_padding_is_neither_seen_nor_put_out(name):
    system = SYSTEMS[name]
    for inputs, cotangents, rng in cases(system):
        padding = np.arange(len(inputs["x"]))[:, None] >= inputs["lengths"]
        outputs = system.forward(**inputs)
        assert not outputs[0][padding].any()
        assert not system.backward(cotangents, **inputs)["x"][padding].any()
        other = inputs | {"x": inputs["x"] + padding[..., None] * rng.standard_normal()}
        for y, expected in zip(system.forward(**other), outputs, strict=True):
            np.testing.assert_array_equal(y, expected)


MUTANT_IDS = [f"{edit.system}: {edit.name}" for edit in MUTANTS]

# The mistakes that a check of an LSTM by hand is asked to find, by these names.
LSTM_MISTAKES = {
    "i and g gates swapped", "cell carry dropped", "df uses c_t instead of c_{t-1}",
    "dWh uses h_t", "db from last row only", "db from t=0 only", "Wh not transposed",
    "Wh gate blocks swapped", "tanh' replaced by sigmoid'", "mask ignored", "cell carry not masked",
}  # fmt: skip


def test_mutants_are_many_and_named_apart():
    assert len(set(MUTANT_IDS)) == len(MUTANTS) >= 60
    assert {edit.name for edit in MUTANTS if edit.system == "lstm"} >= LSTM_MISTAKES
    for name in SYSTEMS:
        assert sum(edit.system == name for edit in MUTANTS) >= 3, name


@pytest.mark.parametrize("edit", MUTANTS, ids=MUTANT_IDS)
def test_a_mutant_runs_everywhere_and_is_wrong(edit):
    """It is wrong by more than rounding in at least one of the cases."""
    system, wrong = SYSTEMS[edit.system], mutated(edit)
    differences = []
    for inputs, cotangents, _ in cases(system):
        right, mutant = (f(cotangents, **inputs) for f in (system.backward, wrong))
        assert list(mutant) == list(right)
        for name, gradient in right.items():
            assert mutant[name].shape == gradient.shape, name
            differences.append(np.abs(mutant[name] - gradient).max())
    assert max(differences) > 1e-6


@pytest.mark.parametrize(("old", "times"), [("dh_new", 3), ("of nobody", 0)])
def test_an_edit_must_name_one_place(old, times):
    with pytest.raises(ValueError) as caught:
        mutated(Edit("lstm", "a slip", old, ""))
    assert str(caught.value) == (
        f"lstm, 'a slip': {old!r} stands {times} times in lstm_backward, expected exactly once, "
        "so that it says which place is meant."
    )
