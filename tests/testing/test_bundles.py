"""One test a law: which are made, that they hold for what is right, and fail for what is not."""

import numpy as np
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import nn, ops, testing
from tinygrad_rnn.kernels._twin import use_reference
from tinygrad_rnn.testing import GradientMismatch, LawViolation, SequenceSubject, Untestable
from tinygrad_rnn.testing import strategies as gs

FEW = settings(max_examples=5, deadline=None, database=None, derandomize=True)
QUICK = settings(FEW, phases=[Phase.generate], report_multiple_bugs=False)  # failures stay large


@pytest.fixture(autouse=True)
def reference():
    with use_reference():
        yield


class Own(nn.Cell):
    """A cell that somebody writes."""

    state = ("h",)
    params = {"w_x": "I H", "w_h": "H H", "b": "H"}

    def step(self, x, h, p):
        return 0.5 * h + (x @ p.w_x + h @ p.w_h + p.b).tanh()


def cases(test):
    """What pytest would run, by name."""
    (mark,) = test.pytestmark
    assert mark.args[0] == "case"
    return {str(case): lambda case=case: test(case) for case in mark.args[1]}


# ----- as users write them -----

test_a_cell_of_ones_own = testing.check_sequence_module(
    lambda: nn.Recurrent(Own(2, 3)), settings=FEW
)
test_layers = testing.check_sequence_module(
    {"two": lambda: nn.GRU(2, 3, 2), "both": lambda: nn.LSTM(2, 3, bidirectional=True)},
    ["batch_split", "padding_invariance"],
    settings=FEW,
)
test_linear = testing.check_module(
    nn.Linear,
    inputs=lambda linear: [gs.arrays((2, linear.weight.shape[0]))],
    in_features=st.integers(1, 3),
    out_features=2,
    order=2,
    settings=FEW,
)


# ----- which laws -----


def test_each_law_is_a_case_and_those_that_do_not_fit_are_named():
    names = cases(test_a_cell_of_ones_own)
    assert {"batch_split", "time_split", "unroll", "input_gradient", "truncation"} <= set(names)
    left_out = test_a_cell_of_ones_own.left_out
    assert set(left_out) == {
        "reverse", "layer_stack", "cell_jacobian_is_forget_gate", "saturated_gates_keep_the_state"
    }  # fmt: skip
    assert "directions are not known" in left_out["reverse"]
    assert not set(names) & set(left_out)
    assert list(cases(test_layers)) == [
        "two-batch_split", "two-padding_invariance", "both-batch_split", "both-padding_invariance"
    ]  # fmt: skip
    assert "batch_split" in test_layers.__doc__
    assert {"gradients", "state_dict", "float32_tracks_float64"} <= set(cases(test_linear))


def test_laws_are_chosen_left_out_and_ones_own():
    def finite(subject, draw):
        y, _ = subject.run(tg.tensor(np.ones((2, 1, subject.input_size))))
        assert np.isfinite(y.numpy()).all()

    test = testing.check_sequence_module(
        lambda: Own(2, 3), ["unroll", testing.laws.batch_split, finite], settings=FEW
    )
    assert list(cases(test)) == ["unroll", "batch_split", "finite"]
    for run in cases(test).values():
        run()
    without = testing.check_sequence_module(lambda: Own(2, 3), without=["unroll"])
    assert "unroll" not in cases(without)
    assert without.left_out["unroll"] == "it is among those to leave out"
    own = testing.check_module(nn.Linear, inputs=list, laws="gradients", in_features=2)
    assert list(cases(own)) == ["gradients"]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: testing.check_sequence_module(lambda: Own(2, 3), ["unrol"]),
            ValueError,
            "check_sequence_module: laws names 'unrol', expected some of batch_permutation, ",
        ),
        (
            lambda: testing.check_sequence_module(lambda: Own(2, 3), without=["split"]),
            ValueError,
            "without names 'split'",
        ),
        (
            lambda: testing.check_sequence_module(lambda: Own(2, 3), ["reverse"]),
            Untestable,
            "Own cannot be held to reverse: its two directions are not known",
        ),
        (
            lambda: testing.check_module(nn.Linear, inputs=list, laws=[]),
            ValueError,
            "check_module: no law is left",
        ),
    ],
)
def test_a_wrong_choice_is_refused_where_the_test_is_made(make, error, message):
    with pytest.raises(error, match=message):
        make()


# ----- what is wrong is found -----


class Forgetful(nn.Module):
    """Its padding leaks, and so does the batch."""

    input_size = 2

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(np.ones((2, 3)))

    def forward(self, x, state=None, lengths=None):
        y = ops.cumsum(x @ self.w, axis=0)
        return y - y.mean(axis=1, keepdims=True), y[-1]


def test_a_case_fails_where_its_law_is_broken():
    found = cases(testing.check_sequence_module(Forgetful, without=["no_steps"], settings=QUICK))
    for name in ("batch_split", "padding_invariance", "time_split"):
        with pytest.raises(LawViolation, match=f"Forgetful breaks the law {name}"):
            found[name]()
    found["batch_permutation"]()
    found["input_gradient"]()


def test_weights_are_drawn_unless_they_are_to_stay():
    seen = []

    def look(subject, draw):
        seen.append(subject.params["w"].numpy().copy())

    for own_weights in (True, False):
        test = testing.check_sequence_module(
            Forgetful, [look], own_weights=own_weights, settings=FEW
        )
        cases(test)["look"]()
        assert (own_weights and (np.array(seen) == 1).all()) or len({w.tobytes() for w in seen}) > 1
        seen.clear()


def test_functions_and_subjects_are_factories_too():
    def run(x, state=None):
        return ops.cumsum(x, axis=0), None

    test = testing.check_sequence_module(
        {"function": lambda: run, "subject": lambda: SequenceSubject.of(run, 2)},
        "batch_split",
        input_size=2,
        settings=FEW,
    )
    for held in cases(test).values():
        held()


class Wrong(nn.Linear):
    """Half of a gradient, and a number that no state dict has."""

    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.shift = float(tg.randn(1).numpy()[0])

    def forward(self, x):
        return super().forward(x * 0.5 + x.detach() * 0.5) + self.shift


def test_wrong_modules_fail_in_the_case_that_says_why():
    test = testing.check_module(
        lambda: Wrong(2, 3), inputs=lambda m: [np.ones((4, 2))], settings=QUICK
    )
    found = cases(test)
    with pytest.raises(GradientMismatch):
        found["gradients"]()
    with pytest.raises(LawViolation, match="result 0 of a second module that has loaded"):
        found["state_dict"]()
    found["no_mutation"]()
