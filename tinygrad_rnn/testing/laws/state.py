"""Laws of the state that is carried: over splits, truncation, and a thousand steps."""

from itertools import chain
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tinygrad_rnn import ops
from tinygrad_rnn.modes import enable_grad
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.testing import strategies as gs
from tinygrad_rnn.testing.checks import check_subject
from tinygrad_rnn.testing.comparison import generic_like
from tinygrad_rnn.testing.laws.common import Draw, expect_close
from tinygrad_rnn.testing.laws.over_time import (
    Case,
    Results,
    SequenceLaw,
    agree,
    close,
    drawn,
    leaves_of,
    pulled,
    sequence_law,
    valid,
)
from tinygrad_rnn.testing.numeric import Array
from tinygrad_rnn.testing.sequence_subject import SequenceSubject, States
from tinygrad_rnn.testing.subject import Subject
from tinygrad_rnn.testing.substitution import substituted

__all__ = [
    "STATE_LAWS", "cell_jacobian_is_forget_gate", "input_gradient",
    "saturated_gates_keep_the_state", "state_gradient", "time_split", "truncation",
]  # fmt: skip

MANY = 1000  # steps that a memory is kept for
STAYS = 1e-9  # what a thousand roundings may add up to


def _chunk(
    subject: SequenceSubject, case: Case, x: Tensor, states: States | None, start: int, steps: int
) -> tuple[Tensor, States]:
    """Some of the steps of a case."""
    how: dict[str, Any] = case.dropping(start=start)
    if case.lengths is not None:
        how["lengths"] = np.clip(case.lengths - start, 0, steps)
    y, finals = subject.run(x[start : start + steps], states, **how)
    return valid(y, case.mask[start : start + steps]), finals


@sequence_law("state", "forward")
def time_split(subject: SequenceSubject, draw: Draw) -> None:
    """A run in chunks, each from the state that the one before left, is the run in one."""
    case = drawn(subject, draw, time=(2, 6))
    chunks = draw(gs.partitions(len(case.x)))

    def named(y: Tensor, states: States) -> Results:
        return {"y": y} | {f"final state {i}": s for i, s in enumerate(states)}

    def in_chunks(x: Tensor, states: States | None) -> Results:
        outputs, start = [], 0
        for steps in chunks:
            y, states = _chunk(subject, case, x, states, start, steps)
            outputs.append(y)
            start += steps
        return named(ops.concat(outputs), states or [])

    def in_one(x: Tensor, states: States | None) -> Results:
        return named(*_chunk(subject, case, x, states, 0, len(case.x)))

    agree("time_split", subject, draw, case, in_chunks, in_one)


# ----- truncated backpropagation -----


@sequence_law("state", "forward", "gradients")
def truncation(subject: SequenceSubject, draw: Draw) -> None:
    """Detaching the state every k steps is truncated backpropagation, and for k >= T the whole.

    The gradient of an input is that by the outputs of its own chunk, and the gradient of a
    parameter the sum of those of the chunks, each run by itself.
    """
    case = drawn(subject, draw, time=(2, 5), given=True)
    T = len(case.x)
    k = draw(st.integers(1, T + 1))
    chunks = [(start, min(k, T - start)) for start in range(0, T, k)]
    rng = np.random.default_rng(draw(gs.seeds()))
    x, running = leaves_of(subject, case)
    initial, before, outputs = running, [], []
    with enable_grad():
        for start, steps in chunks:
            before.append([np.array(s.numpy()) for s in running or []])
            y, finals = _chunk(subject, case, x, running, start, steps)
            outputs.append([y])
            running = [s.detach() for s in finals]
        outputs[-1] += finals
    weights = [[generic_like(rng, out) for out in part] for part in outputs]
    found = pulled(subject, [*chain(*outputs)], [*chain(*weights)], x, initial)
    expected = {name: np.zeros(gradient.shape) for name, gradient in found.items()}
    for number, (start, steps) in enumerate(chunks):
        whole = _of_chunk(subject, case, weights[number], 0, start, steps)
        expected["x"][start : start + steps] = whole["x"][start : start + steps]
        if number == 0:
            expected |= {name: g for name, g in whole.items() if name.startswith("state")}
        own = case._replace(states=before[number])
        alone = _of_chunk(subject, own, weights[number], start, start, steps)
        for name in alone:
            if name.startswith("parameter"):
                expected[name] = expected[name] + alone[name]
    for name, gradient in expected.items():
        close("truncation", subject, f"the gradient of {name}", found[name], gradient)


def _of_chunk(
    subject: SequenceSubject, case: Case, weights: list[Array], first: int, start: int, steps: int
) -> dict[str, Array]:
    """The gradients by the outputs of one chunk, in a run from step ``first`` on."""
    x, states = leaves_of(subject, case)
    with enable_grad():
        y, finals = _chunk(subject, case, x, states, first, start + steps - first)
    outputs = [y[start - first :], *finals][: len(weights)]
    return pulled(subject, outputs, weights, x, states)


# ----- numeric derivatives -----


@sequence_law("state", "gradients", slow=True)
def state_gradient(subject: SequenceSubject, draw: Draw) -> None:
    """Backward gives the derivatives by every initial state, as steps over values have them."""
    case = drawn(subject, draw, pad="noise", given=True)
    primals = {f"state {i}": s for i, s in enumerate(case.states or [])}
    _numeric(subject, case, primals, draw(gs.seeds()))


@sequence_law("gradients", slow=True)
def input_gradient(subject: SequenceSubject, draw: Draw) -> None:
    """Backward gives the derivatives by the input, the initial states and the parameters."""
    case = drawn(subject, draw, pad="noise", time=(1, 4), batch=(1, 3))
    primals = {"x": case.x} if case.x.size else {}
    primals |= {f"state {i}": s for i, s in enumerate(case.states or [])}
    if subject.module is not None:
        primals |= {name: np.array(p.numpy()) for name, p in subject.params.items()}
    if primals:
        _numeric(subject, case, primals, draw(gs.seeds()))


def _numeric(subject: SequenceSubject, case: Case, primals: dict[str, Array], seed: int) -> None:
    """Compare the derivatives by some of what a run reads with numeric ones."""

    def run(*moving: Any) -> Any:
        given = dict(zip(primals, moving, strict=True))
        kind = moving[0].dtype
        x = given.get("x", Tensor(case.x.astype(kind)))
        states = None
        if case.states is not None:
            fixed = [Tensor(s.astype(kind)) for s in case.states]
            states = [given.get(f"state {i}", s) for i, s in enumerate(fixed)]
        if subject.module is None:
            y, finals = _chunk(subject, case, x, states, 0, len(case.x))
        else:
            own = {name: given[name] for name in subject.params if name in given}
            with substituted(subject.module, own, kind):
                y, finals = _chunk(subject, case, x, states, 0, len(case.x))
        return (y, *finals)

    check_subject(Subject(subject.title, run, tuple(primals), tuple(primals.values())), seed=seed)


# ----- gates -----


@sequence_law("forget_gate", "state", "gradients")
def cell_jacobian_is_forget_gate(subject: SequenceSubject, draw: Draw) -> None:
    """The memory of a step depends on that before it by the forget gate alone: diag(f)."""
    case = drawn(subject, draw, time=(1, 1), ragged=False, given=True)
    assert subject.forget_gate is not None
    before = [Tensor(s) for s in case.states or []]
    f = np.asarray(subject.forget_gate(Tensor(case.x[0]), before))
    for unit in range(f.shape[-1]):
        x, states = leaves_of(subject, case)
        with enable_grad():
            if subject.step is None:
                _, finals = subject.run(x, states, **case.dropping())
            else:
                _, finals = subject.step(x[0], states or [], **case.dropping())
            memory = finals[subject.memory][..., unit]
        row = pulled(subject, [memory], [np.ones(memory.shape)], x, states)
        expected = np.zeros(f.shape)
        expected[..., unit] = f[..., unit]
        what = f"the gradient of unit {unit} of the memory by the memory before"
        found = row[f"state {subject.memory}"].reshape(f.shape)
        close("cell_jacobian_is_forget_gate", subject, what, found, expected)


@sequence_law("saturated", "state", slow=True)
def saturated_gates_keep_the_state(subject: SequenceSubject, draw: Draw) -> None:
    """With its gates shut a memory stays as it is for a thousand steps, and so does its gradient.

    The constant error carousel.
    """
    assert subject.saturated is not None
    shut = subject.saturated()
    case = drawn(shut, draw, time=(1, 1), batch=(1, 2), ragged=False, given=True)
    rng = np.random.default_rng(draw(gs.seeds()))
    long = case._replace(x=rng.standard_normal((MANY, *case.x.shape[1:])))
    x, states = leaves_of(shut, long)
    assert states is not None
    with enable_grad():
        memory = shut.run(x, states, **long.dropping())[1][subject.memory]
    law, before = "saturated_gates_keep_the_state", states[subject.memory].numpy()
    expect_close(law, shut.title, f"the memory after {MANY} steps", memory.numpy(), before, STAYS)
    if "gradients" in shut.can:
        weights = generic_like(rng, memory)
        found = pulled(shut, [memory], [weights], x, states)[f"state {subject.memory}"]
        expect_close(law, shut.title, "the gradient of the memory before", found, weights, STAYS)


STATE_LAWS: dict[str, SequenceLaw] = {
    law.__name__: law
    for law in (
        time_split, truncation, state_gradient, input_gradient, cell_jacobian_is_forget_gate,
        saturated_gates_keep_the_state,
    )
}  # fmt: skip
