"""Finding the operation whose own derivative is wrong."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_rnn import modes
from tinygrad_rnn.debug import calling_line, debug
from tinygrad_rnn.errors import GradientError
from tinygrad_rnn.primitive import apply_again
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.testing.comparison import Comparison, Mismatch, generic_like, gradients_of
from tinygrad_rnn.testing.faults import Untestable
from tinygrad_rnn.testing.numeric import differentiable
from tinygrad_rnn.testing.subject import Subject

__all__ = ["blame"]

SMALL = 4096  # elements: beyond, an operation is not checked again


class _Call(NamedTuple):
    """One operation that ran: with what, and from which line."""

    op: Any
    inputs: tuple[Any, ...]
    attrs: dict[str, Any]
    called_at: str


class _Recorder(modes.Mode):
    """Inside, every call of an operation is noted, in its order."""

    def __init__(self) -> None:
        self.calls: list[_Call] = []

    def change(self, current: Any, inference: bool) -> tuple[Any, bool]:
        """The mode inside: recording, and watched by this object."""
        return self, inference

    def __bool__(self) -> bool:
        return True

    def switched(self, recording: bool) -> Any:
        """Where nothing is recorded, nothing needs to be noted."""
        return self if recording else False

    def observe(
        self, op: Any, results: Any, inputs: Sequence[Any], attrs: dict[str, Any], node: Any
    ) -> None:
        """Note a call whose result has a derivative."""
        if node is not None:
            kept = tuple(x.detach() if isinstance(x, Tensor) else x for x in inputs)
            self.calls.append(_Call(op, kept, dict(attrs), calling_line()[1]))


def blame(subject: Subject, wrong: Sequence[str] = (), *, seed: int = 0) -> str | None:
    """The first operation whose own gradient is wrong, in the order in which they ran.

    Of a gradient written by hand only its name and those of the wrong inputs can be told.
    """
    if subject.by_hand:
        hand = next(iter((subject.origin or ((), (), {}))[2].values()), None)
        name = getattr(hand, "__name__", "<lambda>")
        name = "the gradient written by hand" if name == "<lambda>" else name
        return f"{name}, in the gradient of {', '.join(wrong)}" if wrong else None
    bad = _made_nan(subject, seed)
    if bad:
        return bad
    recorder = _Recorder()
    with recorder:
        subject(*subject.leaves())
    for call in recorder.calls:
        found = _wrong(call, seed)
        if found:
            line, _, text = call.called_at.partition("\n")
            where = f", called at {line}: {text.strip()}" if line else ""
            return f"the derivative of {found}{where}"
    return (
        "no single operation: the derivative of each is right by itself, so the graph between "
        "them is wrong (a detach, a plain array, a hook?)"
    )


def _made_nan(subject: Subject, seed: int) -> str | None:
    """Where a derivative that is not finite first appears, as a debug session tells it."""
    try:
        with debug(poison=False):
            leaves = subject.leaves()
            outputs = differentiable(subject(*leaves))
            rng = np.random.default_rng(seed)
            gradients_of(outputs, leaves, [generic_like(rng, out) for out in outputs])
    except GradientError as error:
        return str(error).splitlines()[0]
    return None


def _wrong(call: _Call, seed: int) -> str | None:
    """The operation and the input whose gradient is wrong, or None if all are right."""
    moving = [
        i
        for i, x in enumerate(call.inputs)
        if isinstance(x, Tensor) and x.dtype.kind == "f" and _has_rule(call.op, i)
    ]
    sizes = [call.inputs[i].size for i in moving]
    if not moving or sum(sizes) > SMALL:
        return None

    def again(*values: Any) -> Any:
        inputs = list(call.inputs)
        for place, value in zip(moving, values, strict=True):
            inputs[place] = value
        return apply_again(call.op, inputs, call.attrs)

    wrong = []
    for number, place in enumerate(moving):  # one input at a time, to name it
        points = [np.array(call.inputs[i].numpy(), np.float64) for i in moving]

        def alone(value: Any, number: int = number, points: list[Any] = points) -> Any:
            values = [Tensor(p.astype(value.dtype)) for p in points]
            values[number] = value
            return again(*values)

        subject = Subject(call.op.name, alone, (f"input {place}",), (points[number],))
        try:
            Comparison(subject).run(np.random.default_rng(seed), 1)
        except Mismatch:
            wrong.append(place)
        except Untestable:
            continue
    if not wrong:
        return None
    inputs = "input" if len(wrong) == 1 else "inputs"
    return f"{call.op.name} by its {inputs} {' and '.join(map(str, wrong))}"


def _has_rule(op: Any, number: int) -> bool:
    """Whether an operation claims to have a derivative by this input."""
    return op.rules is None or (number < len(op.rules) and op.rules[number] is not None)
