"""The options of parameter groups: what each may be."""

import math
from collections.abc import Iterable, Mapping
from inspect import Parameter, signature
from typing import Any

import numpy as np

from tinygrad_rnn.arguments import bounded, flag, number, shortened
from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.tensor import Tensor

__all__ = ["check_named", "checked", "checked_group", "measured"]

_FROM_0, _BELOW_1 = {"least": 0.0, "below": math.inf}, {"least": 0.0, "below": 1.0}
_BOUNDS = {
    "lr": _FROM_0, "weight_decay": _FROM_0, "eps": _FROM_0, "momentum": _FROM_0,
    "dampening": {"above": -math.inf, "below": math.inf}, "alpha": _FROM_0, "rho": _BELOW_1,
    "betas": _BELOW_1, "lr_decay": _FROM_0, "lambd": _FROM_0, "t0": _FROM_0,
    "momentum_decay": _FROM_0, "initial_accumulator_value": _FROM_0,
}  # fmt: skip
_FLAGS = {
    "maximize", "lazy", "decoupled_weight_decay", "nesterov", "amsgrad", "centered",
    "eps_inside_root",
}  # fmt: skip


def check_named(kind: type, given: Iterable[str]) -> None:
    """Refuse options that no constructor of a class names; its ``**options`` take any."""
    places = [base.__init__ for base in kind.__mro__ if "__init__" in vars(base)]  # type: ignore[misc]
    known = {
        name: None
        for place in places
        for name, option in signature(place).parameters.items()
        if option.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    }
    _refuse_unknown(kind.__name__, given, [n for n in known if n not in ("self", "params")])


def measured(where: str, name: str, value: Any) -> float:
    """A loss or another measure: a number, or a Tensor of one."""
    if isinstance(value, Tensor) and value.size == 1:
        value = value.item()
    return float(number(where, name, value))


def checked(where: str, name: str, value: Any) -> Any:
    """An option as Python's own number, or pair of numbers, or as it is where it is neither."""
    if name == "betas":
        try:
            first, second = value
        except (TypeError, ValueError):
            raise ArgumentError(
                f"{where}: betas is {shortened(value)}, expected two numbers from 0 to below 1."
            ) from None
        return tuple(bounded(where, name, beta, **_BOUNDS[name]) for beta in (first, second))
    if name in _BOUNDS:
        return bounded(where, name, value, **_BOUNDS[name])
    if name in _FLAGS:
        return flag(where, name, value)
    return value.item() if isinstance(value, np.generic) else value


def checked_group(where: str, given: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """All options of a group: those given, and the optimiser's own for the rest."""
    given = {name: value for name, value in given.items() if name != "params"}
    _refuse_unknown(where, (name for name in given if name != "initial_lr"), known)
    return {name: checked(where, name, value) for name, value in {**known, **given}.items()}


def _refuse_unknown(where: str, given: Iterable[str], known: Iterable[str]) -> None:
    known = list(known)
    unknown = [name for name in given if name not in known]
    if unknown:
        raise ArgumentError(
            f"{where}: unknown option {', '.join(map(repr, unknown))}, expected some of "
            f"{', '.join(known)}."
        )
