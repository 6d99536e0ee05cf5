"""What a loss function returned, as numbers that may be on a GPU still; reading all at once."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_rnn.device import array_module, on_gpu, to_host
from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.training.history import Means
from tinygrad_rnn.training.together import Alone

__all__ = ["Outcome", "Unread", "read", "result_of", "scalar"]

Scalar = Any  # a float, or an array of one number on a GPU


class Outcome(NamedTuple):
    """What a batch came to: in which step, its values, how much they count, the step's norm."""

    step: int
    values: dict[str, Scalar]
    weight: float
    norm: Scalar = None

    def scalars(self) -> dict[str, Scalar]:
        """All that is to be read."""
        more = {} if self.norm is None else {"norm of the gradients": self.norm}
        return self.values | more

    def as_read(self, numbers: Mapping[int, float]) -> "Outcome":
        """The same with floats in place of what was read, by the ids of the arrays."""
        values = {name: numbers.get(id(value), value) for name, value in self.values.items()}
        return self._replace(values=values, norm=numbers.get(id(self.norm), self.norm))

    def not_finite(self) -> str | None:
        """What of it makes the run worth nothing: the loss, or the norm of all gradients."""
        for name in ("loss", "norm of the gradients"):
            value = self.scalars().get(name, 0.0)
            if not math.isfinite(value):
                return f"the {name} was {value} in step {self.step}"
        return None


class Unread:
    """What steps came to, until somebody looks.

    values, norm    of the last step that was read
    bad             what was no number among all that were read since this was None
    """

    def __init__(self, together: Alone) -> None:
        self.together = together
        self.outcomes: list[Outcome] = []
        self.values: dict[str, float] = {}
        self.norm: float | None = None
        self.bad: str | None = None

    def add(self, outcomes: Sequence[Outcome], norm: Scalar) -> None:
        """A step; its norm goes with its last batch."""
        self.outcomes.extend(outcomes)
        if norm is not None and outcomes:
            self.outcomes[-1] = outcomes[-1]._replace(norm=norm)

    def waits(self) -> bool:
        """Whether to read it means to wait."""
        return any(
            not isinstance(value, float)
            for outcome in self.outcomes
            for value in outcome.scalars().values()
        )

    def read(self, means: Means, step: int) -> None:
        """Bring all numbers here in one copy, and into the means, with those of all processes."""
        outcomes, self.outcomes = read(self.outcomes), []
        bad = next((told for outcome in outcomes if (told := outcome.not_finite())), None)
        good = [one for one in outcomes if math.isfinite(one.values["loss"])]
        self.norm = outcomes[-1].norm if outcomes else self.norm
        if self.together.size == 1:
            means.take(good)
            self.values = outcomes[-1].values if outcomes else self.values
        else:
            told = self._with_others(means, good, step, bad)
            bad = bad or told
        self.bad = self.bad or bad

    def _with_others(
        self, means: Means, good: list[Outcome], step: int, bad: str | None
    ) -> str | None:
        """Add what all processes have read; whether another one has read what is no number."""
        all_steps, last_step = Means(), Means()
        all_steps.take(good)
        last_step.take(outcome for outcome in good if outcome.step == step)
        sums = {f"all {name}": pair for name, pair in all_steps.sums.items()}
        sums |= {f"last {name}": pair for name, pair in last_step.sums.items()}
        joint = self.together.sums(sums | {"bad": [float(bad is not None), 0.0]})
        count, _ = joint.pop("bad")
        for name, (total, weight) in joint.items():
            kind, _, name = name.partition(" ")
            pair = (all_steps if kind == "all" else last_step).sums.setdefault(name, [0.0, 0.0])
            pair[:] = total, weight
        for name, (total, weight) in all_steps.sums.items():
            before = means.sums.setdefault(name, [0.0, 0.0])
            before[:] = before[0] + total, before[1] + weight
        self.values = last_step.values() or self.values
        return "in another process the loss was not finite" if count else None


def read(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """The same as floats: whatever is on a device is fetched from there in one copy."""
    by_device: dict[int, dict[int, Any]] = {}
    for outcome in outcomes:
        for value in outcome.scalars().values():
            if not isinstance(value, float):
                by_device.setdefault(value.device.id, {})[id(value)] = value
    numbers: dict[int, float] = {}
    for waiting in by_device.values():
        first = next(iter(waiting.values()))
        with first.device:
            together = array_module(first).stack(
                [value.astype(np.float64) for value in waiting.values()]
            )
        numbers |= dict(zip(waiting, to_host(together).tolist(), strict=True))
    return [outcome.as_read(numbers) for outcome in outcomes]


def result_of(result: Any, carry_state: bool) -> tuple[Tensor, Any, dict[str, Scalar]]:
    """The loss, the state after it, and all values, of what a loss function has returned."""
    parts = list(result) if isinstance(result, tuple) else [result]
    after = parts.pop(1) if carry_state and len(parts) > 1 else None
    loss, *more = parts
    if (
        not isinstance(loss, Tensor)
        or loss.size != 1
        or len(more) > 1
        or (more and not isinstance(more[0], Mapping))
        or (carry_state and not isinstance(result, tuple))
    ):
        expected = "(loss, state), or (loss, state, values)" if carry_state else (
            "the loss, or (loss, values)"
        )  # fmt: skip
        raise ArgumentError(
            f"Trainer: loss returned {_kinds(result)}, expected {expected}: the loss as a "
            "Tensor of one number, values as a dict."
        )
    values = {"loss": scalar(loss)}
    for name, value in (more[0] if more else {}).items():
        values[name] = scalar(value)
    return loss, after, values


def scalar(value: Any) -> Scalar:
    """A float; where it is on a GPU, the number there, which nobody waits for."""
    array = value._data if isinstance(value, Tensor) else value
    if on_gpu(array) and array.size == 1:
        return array.reshape(())
    return float(value.item() if hasattr(value, "item") else value)


def _kinds(result: Any) -> str:
    parts = result if isinstance(result, tuple) else (result,)
    names = [
        f"a Tensor of shape {part.shape}" if isinstance(part, Tensor) else type(part).__name__
        for part in parts
    ]
    return f"({', '.join(names)})" if isinstance(result, tuple) else names[0]
