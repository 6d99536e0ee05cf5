"""Laws of whatever runs over time: rows, padding, splits of the steps, directions and layers.

Each takes a SequenceSubject and Hypothesis' draw:

    @given(st.data())
    def test_my_layer_carries_its_state(data):
        laws.time_split(SequenceSubject.of(MyLayer(3, 4)), data.draw)

A subject that cannot do what a law is about, such as taking lengths, raises Untestable.
``check_sequence_module`` makes a test of each law that a module can be held to.
"""

from typing import Any

import numpy as np
from hypothesis import strategies as st

from tinygrad_rnn import ops
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.testing.faults import LawViolation
from tinygrad_rnn.testing.laws.common import Draw
from tinygrad_rnn.testing.laws.over_time import (
    Case,
    Results,
    SequenceLaw,
    agree,
    drawn,
    rows_of,
    sequence_law,
    valid,
)
from tinygrad_rnn.testing.numeric import Array
from tinygrad_rnn.testing.sequence_subject import SequenceSubject, States

__all__ = [
    "SEQUENCE_LAWS", "batch_permutation", "batch_split", "layer_stack", "mask_equals_truncate",
    "no_steps", "packed_equals_padded", "padded_outputs_are_zero", "padding_invariance",
    "reverse", "unroll", "zero_length",
]  # fmt: skip


def _named(y: Tensor, states: States) -> Results:
    return {"y": y} | {f"final state {i}": s for i, s in enumerate(states)}


def _run(
    subject: SequenceSubject, x: Tensor, states: States | None, lengths: Array | None, **noise: Any
) -> Results:
    """A run whose outputs behind the ends of rows do not count."""
    how = noise if lengths is None else {"lengths": lengths, **noise}
    y, finals = subject.run(x, states, **how)
    if lengths is not None:
        y = valid(y, np.arange(len(x))[:, None] < lengths)
    return _named(y, finals)


# ----- rows of a batch -----


@sequence_law()
def batch_permutation(subject: SequenceSubject, draw: Draw) -> None:
    """Rows in another order give the same results in that order."""
    case = drawn(subject, draw, batch=(2, 4))
    order = np.array(draw(st.permutations(range(case.x.shape[1]))))
    back = np.argsort(order)
    lengths = None if case.lengths is None else case.lengths[order]

    def permuted(x: Tensor, states: States | None) -> Results:
        found = _run(subject, x[:, order], rows_of(states, order), lengths, **case.dropping(order))
        return {name: result[..., back, :] for name, result in found.items()}

    def plain(x: Tensor, states: States | None) -> Results:
        return _run(subject, x, states, case.lengths, **case.dropping())

    agree("batch_permutation", subject, draw, case, permuted, plain)


@sequence_law()
def batch_split(subject: SequenceSubject, draw: Draw) -> None:
    """A row does not depend on the rows beside it: two halves are as good as one batch."""
    case = drawn(subject, draw, batch=(2, 4))
    B = case.x.shape[1]
    k = draw(st.integers(1, B - 1))

    def halves(x: Tensor, states: States | None) -> Results:
        parts = []
        for rows in (slice(0, k), slice(k, B)):
            lengths = None if case.lengths is None else case.lengths[rows]
            how = case.dropping(rows)
            parts.append(_run(subject, x[:, rows], rows_of(states, rows), lengths, **how))
        return {name: ops.concat([part[name] for part in parts], axis=-2) for name in parts[0]}

    def whole(x: Tensor, states: States | None) -> Results:
        return _run(subject, x, states, case.lengths, **case.dropping())

    agree("batch_split", subject, draw, case, halves, whole)


# ----- padding -----


@sequence_law("lengths")
def padding_invariance(subject: SequenceSubject, draw: Draw) -> None:
    """Whatever stands behind the ends of rows changes nothing, and its gradient is exactly 0."""
    case = drawn(subject, draw, ragged=True)
    T, B, size = case.x.shape
    more = draw(st.integers(1, 3))
    fill = draw(st.sampled_from([np.nan, np.inf, -np.inf, 1e30, 7.0]))
    longer = case._replace(x=np.concatenate([case.x, np.full((more, B, size), fill)]))
    assert case.lengths is not None

    def padded(x: Tensor, states: States | None) -> Results:
        found = _run(subject, x, states, case.lengths, **case.dropping())
        return {**found, "y": found["y"][:T]}

    def clean(x: Tensor, states: States | None) -> Results:
        return _run(subject, valid(x[:T], case.mask), states, case.lengths, **case.dropping())

    found = agree("padding_invariance", subject, draw, longer, padded, clean)
    leaked = found["x"][~longer.mask] if found else np.zeros(0)
    if np.any(leaked):  # NaN, too
        raise LawViolation(
            "padding_invariance", subject.title,
            f"the gradient of padding is {leaked[leaked != 0][0]:.6g} in places", "exactly 0",
        )  # fmt: skip


@sequence_law("lengths")
def padded_outputs_are_zero(subject: SequenceSubject, draw: Draw) -> None:
    """Behind the ends of rows the outputs are 0."""
    case = drawn(subject, draw, ragged=True)
    states = None if case.states is None else [Tensor(s) for s in case.states]
    y, _ = subject.run(Tensor(case.x), states, lengths=case.lengths, **case.dropping())
    behind = y.numpy()[~case.mask]
    if np.any(behind):
        raise LawViolation(
            "padded_outputs_are_zero", subject.title,
            f"an output behind the end of a row is {behind[behind != 0][0]:.6g}", "0",
        )  # fmt: skip


@sequence_law("lengths")
def mask_equals_truncate(subject: SequenceSubject, draw: Draw) -> None:
    """A masked row is the row alone, cut to the steps that it has.

    Where the subject takes masks, they also have gaps and padding in front; no gaps where it
    drops things by the numbers of its steps, and cannot be run in pieces.
    """
    case = drawn(subject, draw, ragged=True, shortest=1)
    mask, how = case.mask, {"lengths": case.lengths}
    if "mask" in subject.can and draw(st.booleans()):
        case = drawn(subject, draw, ragged=False)
        T, B = case.mask.shape
        steps = st.lists(st.booleans(), min_size=T, max_size=T).filter(any)
        mask = np.array([draw(steps) for _ in range(B)]).T
        if case.noise is not None and "forward" not in subject.can:
            mask = np.maximum.accumulate(mask) & np.maximum.accumulate(mask[::-1])[::-1]
        case, how = case._replace(x=np.where(mask[..., None], case.x, np.nan)), {"mask": mask}

    def masked(x: Tensor, states: States | None) -> Results:
        y, finals = subject.run(x, states, **how, **case.dropping())
        found: Results = {}
        for b in range(mask.shape[1]):
            ends = rows_of(finals, slice(b, b + 1)) or []
            found |= _of_row(b, y[mask[:, b]][:, b : b + 1], ends)
        return found

    def truncated(x: Tensor, states: States | None) -> Results:
        found: Results = {}
        for b in range(mask.shape[1]):
            alone = rows_of(states, slice(b, b + 1))
            found |= _of_row(b, *_cut(subject, case, x, alone, b, mask[:, b]))
        return found

    agree("mask_equals_truncate", subject, draw, case, masked, truncated)


def _cut(
    subject: SequenceSubject, case: Case, x: Tensor, states: States | None, b: int, mask: Array
) -> tuple[Tensor, States]:
    """A row alone, over the steps that it has: in one run, or each stretch by its numbers."""
    if case.noise is None:
        return subject.run(x[mask][:, b : b + 1], states)
    places = np.flatnonzero(mask)
    outputs = []
    for stretch in np.split(places, np.flatnonzero(np.diff(places) > 1) + 1):
        row = x[stretch][:, b : b + 1]
        y, states = subject.run(row, states, **case.dropping([b], int(stretch[0])))
        outputs.append(y)
    return ops.concat(outputs), states or []


def _of_row(b: int, y: Tensor, states: States) -> Results:
    return {f"{name} of row {b}": result for name, result in _named(y, states).items()}


@sequence_law("lengths", "state", "forward")
def packed_equals_padded(subject: SequenceSubject, draw: Draw) -> None:
    """A padded batch is what packed sequences give: rows sorted by length leave one by one."""
    case = drawn(subject, draw, ragged=True, shortest=1, given=True)
    assert case.lengths is not None
    order = np.argsort(-case.lengths, kind="stable")
    back, lengths = np.argsort(order), case.lengths[order]

    def packed(x: Tensor, states: States | None) -> Results:
        x, running = x[:, order], rows_of(states, order) or []
        start, outputs, left = 0, [], []
        for end in sorted(set(lengths)):
            count = int((lengths >= end).sum())
            left.append([s[..., count:, :] for s in running])
            running = [s[..., :count, :] for s in running]
            how = case.dropping(order[:count], start)
            y, running = subject.run(x[start:end, :count], running, **how)
            missing = np.zeros((end - start, len(order) - count, y.shape[-1]))
            outputs.append(ops.concat([y, missing], axis=1))
            start = end
        parts = [running, *reversed(left)]
        finals = [ops.concat(list(each), axis=-2) for each in zip(*parts, strict=True)]
        rest = np.zeros((len(x) - start, len(order), outputs[0].shape[-1]))
        y = ops.concat([*outputs, rest])
        return _named(y[:, back], rows_of(finals, back) or [])

    def padded(x: Tensor, states: States | None) -> Results:
        return _run(subject, x, states, case.lengths, **case.dropping())

    agree("packed_equals_padded", subject, draw, case, packed, padded)


@sequence_law("lengths", "state")
def zero_length(subject: SequenceSubject, draw: Draw) -> None:
    """A row without steps keeps its initial state, and nothing else has a gradient by it."""
    case = drawn(subject, draw, ragged=True, given=True)
    assert case.lengths is not None
    none = draw(st.integers(0, len(case.lengths) - 1))
    lengths = case.lengths.copy()
    lengths[none] = 0
    case = case._replace(lengths=lengths, x=np.where(_mask(case.x, lengths), case.x, np.nan))

    def ran(x: Tensor, states: States | None) -> Results:
        _, finals = subject.run(x, states, lengths=lengths, **case.dropping())
        return {f"final state {i}": s[..., none, :] for i, s in enumerate(finals)}

    def kept(_: Tensor, states: States | None) -> Results:
        return {f"final state {i}": s[..., none, :] for i, s in enumerate(states or [])}

    agree("zero_length", subject, draw, case, ran, kept)


def _mask(x: Array, lengths: Array) -> Array:
    return (np.arange(len(x))[:, None] < lengths)[..., None]


@sequence_law("state")
def no_steps(subject: SequenceSubject, draw: Draw) -> None:
    """Over no steps there are no outputs, and the state stays as it is."""
    case = drawn(subject, draw, ragged=False, given=True)
    y, _ = subject.run(Tensor(case.x), [Tensor(s) for s in case.states or []], **case.dropping())
    empty = case._replace(x=case.x[:0])

    def ran(x: Tensor, states: States | None) -> Results:
        return _named(*subject.run(x, states, **case.dropping()))

    def kept(_: Tensor, states: States | None) -> Results:
        return _named(Tensor(np.zeros((0, *y.shape[1:]))), list(states or []))

    agree("no_steps", subject, draw, empty, ran, kept)


# ----- steps, directions and layers -----


@sequence_law("state", "forward")
def unroll(subject: SequenceSubject, draw: Draw) -> None:
    """A run is as many calls of one step, each from the state that the one before left."""
    case = drawn(subject, draw, ragged=False, given=True)

    def whole(x: Tensor, states: States | None) -> Results:
        return _run(subject, x, states, None, **case.dropping())

    def steps(x: Tensor, states: States | None) -> Results:
        running, outputs = list(states or []), []
        for t in range(len(x)):
            if subject.step is None:
                y, running = subject.run(x[t : t + 1], running, **case.dropping(start=t))
                y = y[0]
            else:
                y, running = subject.step(x[t], running, **case.dropping(start=t))
            outputs.append(y)
        return _named(ops.stack(outputs), running)

    agree("unroll", subject, draw, case, whole, steps)


@sequence_law("directions")
def reverse(subject: SequenceSubject, draw: Draw) -> None:
    """Backwards is forwards over every row turned around within its length."""
    if subject.layers is not None and "layers" in subject.can:
        parts = subject.layers()
        subject = parts[draw(st.integers(0, len(parts) - 1))]
    assert subject.directions is not None
    case = drawn(subject, draw)
    directions = subject.directions()

    def together(x: Tensor, states: States | None) -> Results:
        return _run(subject, x, states, case.lengths, **case.dropping())

    def apart(x: Tensor, states: States | None) -> Results:
        outputs: States = []
        finals: States = []
        for direction, backwards in directions:
            first = len(finals)
            own = None if states is None else states[first : first + len(direction.shapes)]
            if not backwards:
                found = _run(direction, x, own, case.lengths, **case.dropping())
            elif case.noise is None:
                found = _turned(direction, case, x, own)
            else:
                found = _from_the_end(direction, case, x, own)
            outputs.append(found.pop("y"))
            finals += list(found.values())
        merge = subject.merge or (lambda parts: ops.concat(parts, axis=-1))
        return _named(outputs[0] if len(outputs) == 1 else merge(outputs), finals)

    agree("reverse", subject, draw, case, together, apart)


def _turned(direction: SequenceSubject, case: Case, x: Tensor, states: States | None) -> Results:
    """Forwards over rows that are turned around, and their outputs turned back."""
    T, B = case.x.shape[:2]
    lengths = np.full(B, T) if case.lengths is None else case.lengths
    t = np.arange(T)[:, None]
    places = np.where(t < lengths, lengths - 1 - t, t), np.arange(B)
    found = _run(direction, x[places], states, case.lengths)
    return {**found, "y": found["y"][places]}


def _from_the_end(
    direction: SequenceSubject, case: Case, x: Tensor, states: States | None
) -> Results:
    """Forwards over one step after the other from the last on, each under its own number."""
    outputs: States = []
    found: Results = {}
    for t in reversed(range(len(x))):
        steps = None if case.lengths is None else (case.lengths > t).astype(np.int64)
        found = _run(direction, x[t : t + 1], states, steps, **case.dropping(start=t))
        outputs.append(found.pop("y"))
        states = list(found.values())
    return {"y": ops.concat(outputs[::-1]), **found}


@sequence_law("layers")
def layer_stack(subject: SequenceSubject, draw: Draw) -> None:
    """Each layer reads the outputs of the one below it."""
    case = drawn(subject, draw)
    assert subject.layers is not None
    layers = subject.layers()

    def stacked(x: Tensor, states: States | None) -> Results:
        return _run(subject, x, states, case.lengths, **case.dropping())

    def one_by_one(x: Tensor, states: States | None) -> Results:
        finals: States = []
        for layer in layers:
            first = len(finals)
            own = None if states is None else states[first : first + len(layer.shapes)]
            found = _run(layer, x, own, case.lengths, **case.dropping())
            x = found.pop("y")
            finals += list(found.values())
        return _named(x, finals)

    agree("layer_stack", subject, draw, case, stacked, one_by_one)


SEQUENCE_LAWS: dict[str, SequenceLaw] = {
    law.__name__: law
    for law in (
        batch_permutation, batch_split, padding_invariance, padded_outputs_are_zero,
        mask_equals_truncate, packed_equals_padded, zero_length, no_steps, unroll, reverse,
        layer_stack,
    )
}  # fmt: skip
