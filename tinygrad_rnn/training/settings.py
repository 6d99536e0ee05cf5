"""What a Trainer is given, checked."""

from collections.abc import Callable, Mapping
from typing import Any

from tinygrad_rnn import optim
from tinygrad_rnn.arguments import bounded, function_of, shortened
from tinygrad_rnn.errors import ArgumentError

__all__ = ["above_0", "instance", "metrics_of", "schedule_of"]


def above_0(name: str, value: float | None) -> float | None:
    """A number above 0, or None."""
    return None if value is None else bounded("Trainer", name, value, above=0)


def instance(name: str, value: Any, kind: type[Any]) -> Any:
    """An object of a class."""
    if not isinstance(value, kind):
        raise ArgumentError(
            f"Trainer: {name} is a {type(value).__name__}, expected a {kind.__name__}."
        )
    return value


def metrics_of(given: Any) -> dict[str, Callable[[dict[str, float]], float]]:
    """Functions of the means of an epoch, by name."""
    if not isinstance(given, Mapping):
        raise ArgumentError(
            f"Trainer: metrics is {shortened(given)}, expected a dict from names to functions of "
            "an epoch's means; what is measured batch by batch is returned by loss, beside it."
        )
    return {name: function_of("Trainer", f"metrics[{name!r}]", f) for name, f in given.items()}


def schedule_of(value: Any) -> Any:
    """A schedule that goes on by itself."""
    found = instance("schedule", value, optim.schedules.Schedule)
    if isinstance(found, optim.schedules.ReduceLROnPlateau):
        raise ArgumentError(
            "Trainer: schedule is a ReduceLROnPlateau, which wants to be told a loss; expected "
            "the callback training.ReduceOnPlateau(...) in its place."
        )
    return found
