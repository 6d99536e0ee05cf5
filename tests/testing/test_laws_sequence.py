"""Every law of sequences passes what is right and finds what breaks it."""

import copy
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import nn, ops
from tinygrad_rnn.kernels._twin import use_reference
from tinygrad_rnn.testing import GradientCheckError, LawViolation, SequenceSubject, Untestable
from tinygrad_rnn.testing.laws.sequence import SEQUENCE_LAWS
from tinygrad_rnn.testing.laws.state import STATE_LAWS
from tinygrad_rnn.testing.sequence_subject import ABILITIES

I, H = 3, 2
LAWS = {**SEQUENCE_LAWS, **STATE_LAWS}


@pytest.fixture(autouse=True)
def reference():
    with use_reference():
        yield


def held(law, subject, examples=30):
    """None, or the error of an example that breaks the law."""

    @settings(max_examples=examples, deadline=None, database=None, derandomize=True,
              report_multiple_bugs=False, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(st.data())
    def check(data):
        law(subject, data.draw)

    try:
        check()
    except GradientCheckError as error:
        return error
    return None


# ----- one unit, and what can be wrong with it -----

# Each mistake, and the laws that it breaks; where there is one, it breaks no other.
MISTAKES = {
    "rows are numbered": ["batch_permutation", "batch_split"],
    "batch norm": ["batch_split"],
    "padding gets into the gradient": ["padding_invariance", "mask_equals_truncate"],
    "norm over time": ["padding_invariance", "mask_equals_truncate", "time_split", "unroll"],
    "outputs go on behind the end": ["padded_outputs_are_zero"],
    "a row without steps takes one": ["zero_length", "time_split"],
    "no steps leave a state of zeros": ["no_steps"],
    "the state is not carried": ["time_split", "unroll", "packed_equals_padded"],
    "the state is remembered with its graph": ["truncation"],
    "the gradient of the state is cut": ["state_gradient", "time_split"],
    "the gradient of the state is halved": ["state_gradient", "input_gradient"],
    "the gradient of the input is halved": ["input_gradient"],
}
ALONE = {mistake for mistake, laws in MISTAKES.items() if len(laws) == 1} - {"batch norm"}


class Leaky(nn.Module):
    """h = tanh(x w + u h), written out; ``wrong`` names the mistake."""

    input_size = I

    def __init__(self, wrong=""):
        super().__init__()
        rng = np.random.default_rng(1)
        self.w = nn.Parameter(rng.standard_normal((I, H)))
        self.u = nn.Parameter(rng.uniform(0.5, 1.0, H))
        self.wrong = wrong

    def forward(self, x, state=None, lengths=None):
        T, B = x.shape[:2]
        on = np.ones((T, B), bool) if lengths is None else np.arange(T)[:, None] < lengths
        if self.wrong == "a row without steps takes one" and T:
            on = on | (np.arange(T)[:, None] < 1)
        if self.wrong != "padding gets into the gradient":
            x = ops.where(on[..., None], x, 0.0)
        h = tg.zeros(B, H, dtype=np.float64) if state is None else state
        h = self._start(h, state, T)
        outputs = []
        for t in range(T):
            h = ops.where(on[t][:, None], self._step(x[t], h), h)
            outputs.append(h)
        y = ops.stack(outputs) if T else tg.tensor(np.zeros((0, B, H)))
        self.__dict__["_kept"] = (h,)
        return self._changed(y, x, on), h

    def _start(self, h, state, T):
        if self.wrong == "no steps leave a state of zeros" and not T:
            return h * 0.0
        if self.wrong == "the state is not carried":
            return h * 0.0
        if self.wrong == "the gradient of the state is cut":
            return h.detach()
        if self.wrong == "the gradient of the state is halved":
            return (h + h.detach()) * 0.5
        if self.wrong == "the state is remembered with its graph":
            kept = self.__dict__.get("_kept")
            detached = state is not None and not h.requires_grad
            if kept and detached and np.array_equal(kept[0].detach(), h):
                return kept[0]
        return h

    def _step(self, x, h):
        return ops.tanh(x @ self.w + h * self.u)

    def _changed(self, y, x, on):
        if self.wrong == "the gradient of the input is halved":
            y = y + (x - x.detach()).sum(axis=-1, keepdims=True)
        if self.wrong == "rows are numbered":
            y = y * np.arange(1, y.shape[1] + 1)[:, None]
        if self.wrong == "batch norm":
            y = y - y.mean(axis=1, keepdims=True)
        if self.wrong == "norm over time" and len(y):
            y = y / (1.0 + y.square().sum(axis=0, keepdims=True))
        if self.wrong != "outputs go on behind the end":
            y = ops.where(on[..., None], y, 0.0)
        return y


@pytest.mark.slow
@pytest.mark.parametrize("name", LAWS)
def test_what_is_right_keeps_every_law(name):
    law = LAWS[name]
    subjects = [
        SequenceSubject.of(Leaky()),
        SequenceSubject.of(nn.LSTM(I, H, 2)),
        SequenceSubject.of(nn.GRU(I, H, 2, bidirectional=True, initial_state="learned")),
        SequenceSubject.of(nn.LSTM(I, [H, 3], bidirectional=True, merge="sum", batch_first=True)),
        SequenceSubject.of(nn.GRU(I, H, reverse=True)),
        SequenceSubject.of(nn.LSTMCell(I, H)),
        SequenceSubject.of(nn.Recurrent(nn.AutonomousCell(H), stateful=True)),
    ]
    fitting = [subject for subject in subjects if set(law.needs) <= subject.can]
    assert fitting
    for subject in fitting:
        error = held(law, subject, examples=1 if law.slow else 10)
        assert error is None, error


@pytest.mark.parametrize(
    ("mistake", "name"), [(m, name) for m, names in MISTAKES.items() for name in names]
)
def test_a_mistake_breaks_its_law(mistake, name):
    error = held(LAWS[name], SequenceSubject.of(Leaky(mistake)))
    assert error is not None
    if name not in ("state_gradient", "input_gradient"):  # those report as gradient checks do
        assert isinstance(error, LawViolation)
        assert str(error).startswith(f"Leaky breaks the law {name}: ")


@pytest.mark.parametrize("mistake", sorted(ALONE))
def test_other_laws_do_not_mind(mistake):
    subject = SequenceSubject.of(Leaky(mistake))
    for name, law in LAWS.items():
        if name not in MISTAKES[mistake] and set(law.needs) <= subject.can:
            assert held(law, subject, examples=5) is None, name


# ----- steps, directions, layers and gates of one's own -----


def test_a_step_that_is_another_than_in_a_run():
    subject = SequenceSubject.of(Leaky())

    def step(x, states):
        h = ops.tanh(x @ subject.module.w + states[0] * subject.module.u)
        return h, [h]

    assert held(LAWS["unroll"], replace(subject, step=step)) is None
    without_u = replace(subject, step=lambda x, states: step(x, [s * 0.0 for s in states]))
    assert held(LAWS["unroll"], without_u) is not None


def turned(unit, by_length):
    """A unit that reads rows from their end, or padding and all."""

    def run(x, state=None, lengths=None):
        T, B = x.shape[:2]
        n = np.full(B, T) if lengths is None or not by_length else lengths
        t = np.arange(T)[:, None]
        order = np.where(t < n, n - 1 - t, t), np.arange(B)
        y, h = unit(x[order], state, lengths)
        return y[order], h

    return run


@pytest.mark.parametrize("by_length", [True, False])
def test_backwards_is_within_the_length_of_a_row(by_length):
    unit, back = Leaky(), turned(Leaky(), by_length)

    def run(x, state=None, lengths=None):
        a, h = unit(x, None if state is None else state[0], lengths)
        b, h_b = back(x, None if state is None else state[1], lengths)
        return ops.concat([a, b], axis=-1), (h, h_b)

    parts = [SequenceSubject.of(part) for part in (Leaky(), Leaky())]
    subject = SequenceSubject.of(run, I, directions=parts, cannot=["forward"])
    assert subject.can == {"directions", "state", "lengths", "gradients"}
    assert (held(LAWS["reverse"], subject) is None) == by_length


def test_layers_that_are_not_what_is_run():
    layer = SequenceSubject.of(nn.GRU(I, I, 2))
    below, above = layer.layers()
    assert held(LAWS["layer_stack"], layer) is None
    swapped = replace(layer, layers=lambda: [above, below])
    assert held(LAWS["layer_stack"], swapped) is not None


def test_peepholes_are_another_way_for_the_memory():
    plain, peephole = nn.LSTMCell(I, H), nn.PeepholeLSTMCell(I, H)
    gate = SequenceSubject.of(plain)
    assert held(LAWS["cell_jacobian_is_forget_gate"], gate) is None
    peephole.load_state_dict({**peephole.state_dict(), **plain.state_dict()})
    wrong = SequenceSubject.of(peephole, forget_gate=gate.forget_gate, memory=1)
    error = held(LAWS["cell_jacobian_is_forget_gate"], wrong)
    assert "unit" in str(error)
    assert "by the memory before" in str(error)


def test_a_gate_that_is_not_quite_shut_forgets():
    cell = nn.LSTMCell(I, H)

    def ajar():
        other = copy.deepcopy(cell).astype(np.float64)
        other.b.assign_(np.repeat([-100.0, 8.0, 0.0, 0.0], H))
        return SequenceSubject.of(other)

    right = SequenceSubject.of(cell)
    wrong = replace(right, saturated=ajar)
    law = LAWS["saturated_gates_keep_the_state"]
    assert held(law, right, examples=1) is None
    assert "after 1000 steps" in str(held(law, wrong, examples=1))


# ----- functions, arrays, and what cannot be held to a law -----


def cumulated(x, state=None):
    """In plain NumPy, and of sequences that are all as long."""
    y = np.cumsum(x, axis=0) + (0.0 if state is None else state)
    return y, y[-1] if len(x) else state


def test_functions_of_arrays_are_held_to_laws_of_values():
    subject = SequenceSubject.of_arrays(cumulated, I)
    assert subject.can == {"state", "forward"}
    for name in ("batch_permutation", "batch_split", "time_split", "unroll", "no_steps"):
        assert held(LAWS[name], subject) is None
    wrong = SequenceSubject.of_arrays(lambda x, state=None: (x - x.mean(axis=1)[:, None], None), I)
    assert wrong.can == {"forward"}
    assert held(LAWS["batch_split"], wrong) is not None


@pytest.mark.parametrize("name", LAWS)
def test_what_a_subject_cannot_do_is_said(name):
    law = LAWS[name]
    subject = SequenceSubject.of_arrays(cumulated, I, cannot=["forward", "state"])
    assert not subject.can
    if not law.needs:
        assert held(law, subject) is None
        return
    with pytest.raises(Untestable, match=f"cumulated cannot be held to {name}: ") as caught:
        law(subject, None)
    assert ABILITIES[law.needs[0]] in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "law"),
    [
        (None, None),
        ({"rows": None}, "batch_split"),
        ({"rows": None}, "batch_permutation"),
        ({"rows": None}, "packed_equals_padded"),
        ({"first_step": 0}, "time_split"),
        ({"first_step": 0}, "unroll"),
        ({"first_step": 0}, "mask_equals_truncate"),
        ({"first_step": 0}, "reverse"),
    ],
)
def test_what_is_dropped_follows_rows_and_steps(wrong, law):
    def dropping(x, state=None, lengths=None, mask=None, noise=None, back=False):
        noise = replace(noise, **wrong) if wrong else noise
        T, B, size = x.shape
        mask = np.ones((T, B), bool) if mask is None else mask
        mask = mask if lengths is None else np.arange(T)[:, None] < lengths
        x = ops.where(mask[..., None], x, 0.0)
        kept = x * (noise.at(0, range(T), B, size, x.numpy()) > 0.5)
        y = ops.cumsum(kept[::-1], axis=0)[::-1] if back else ops.cumsum(kept, axis=0)
        h = x[0] * 0.0 if state is None else state
        return ops.where(mask[..., None], y + h, 0.0), h + kept.sum(axis=0)

    names = ["batch_split", "batch_permutation", "time_split", "unroll", "mask_equals_truncate",
             "packed_equals_padded", "truncation"]  # fmt: skip
    forwards = SequenceSubject.of(dropping, I)
    both = SequenceSubject.of(
        partial(dropping, back=True), I, directions=lambda: [(forwards, True)]
    )
    assert "noise" in forwards.can
    if law is None:
        for name in names:
            assert held(LAWS[name], forwards) is None, name
        assert held(LAWS["reverse"], both) is None
    else:
        assert held(LAWS[law], both if law == "reverse" else forwards) is not None


def test_states_of_any_form():
    def run(x, state=None):
        a, (b, *_) = state or (tg.zeros(2, x.shape[1], 1, dtype=np.float64),
                               [x[0] * 0.0])  # fmt: skip
        y = ops.cumsum(x, axis=0) + b
        return y + a.sum(axis=0), (a, [b + x.sum(axis=0)])

    subject = SequenceSubject.of(run, I)
    assert subject.shapes == ((2, 1, 1), (1, I))
    for name in ("batch_permutation", "batch_split", "time_split", "truncation", "state_gradient"):
        assert held(LAWS[name], subject) is None


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SequenceSubject.of(3), TypeError, "given a int, expected a recurrent layer"),
        (lambda: SequenceSubject.of(lambda x: x), TypeError, "input_size is missing"),
        (lambda: SequenceSubject.of(lambda x: x, I), Untestable, r"a Tensor, expected \(y, state"),
        (
            lambda: SequenceSubject.of(lambda x: (x, x[0, 0]), I),
            Untestable,
            r"has a state without rows: for one row it has the shape \(3,\)",
        ),
        (lambda: SequenceSubject.of(nn.GRU(I, H, output="last")), Untestable, "output='last'"),
        (lambda: SequenceSubject.of(nn.GRU(I, H), gates=1), TypeError, "'gates' is not known"),
        (lambda: SequenceSubject.of(nn.GRU(I, H), cannot=["run"]), ValueError, "names 'run'"),
        (lambda: SequenceSubject.of_arrays(nn.GRU(I, H), I), TypeError, "given the module GRU"),
    ],
)
def test_what_is_no_subject_is_said(make, error, message):
    with pytest.raises(error, match=message):
        make()
