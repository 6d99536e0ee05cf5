"""State dicts of optimisers: parameters are known by their number, counted through all groups."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygrad_rnn.device import device_of, to_device, to_host
from tinygrad_rnn.errors import StateDictError, TinygradError
from tinygrad_rnn.optim.arrays import copy_of
from tinygrad_rnn.optim.options import checked_group
from tinygrad_rnn.tensor import Tensor

__all__ = ["load", "snapshot"]

Groups = list[dict[str, Any]]
States = dict[Tensor, dict[str, Any]]


def snapshot(groups: Groups, states: States) -> dict[str, Any]:
    """Everything in dicts, lists, numbers and NumPy arrays: copies."""
    tensors = [tensor for group in groups for tensor in group["params"]]
    numbers = {tensor: number for number, tensor in enumerate(tensors)}
    return {
        "state": {
            numbers[tensor]: {
                name: value if name == "step" else np.array(to_host(value), copy=True)
                for name, value in kept.items()
            }
            for tensor, kept in states.items()
        },
        "param_groups": [
            {**group, "params": [numbers[tensor] for tensor in group["params"]]} for group in groups
        ],
    }


def load(where: str, groups: Groups, names: Mapping[Tensor, str], given: Any) -> States:
    """Write the options into the groups and return the states, or name all that does not fit."""
    where = f"{where}.load_state_dict"
    try:
        states, others = dict(given["state"]), list(given["param_groups"])
        counts = [len(group["params"]) for group in others]
    except (TypeError, KeyError, ValueError):
        raise StateDictError(
            f"{where}: given a {type(given).__name__} without 'state' and 'param_groups', expected "
            "what the state_dict() of an optimiser returned."
        ) from None
    if counts != [len(group["params"]) for group in groups]:
        raise StateDictError(
            f"{where}: the groups hold {counts} parameters, expected "
            f"{[len(group['params']) for group in groups]}; nothing was changed."
        )
    tensors = [tensor for group in groups for tensor in group["params"]]
    problems: list[str] = []
    found: States = {}
    for number, kept in states.items():
        # A file may have made text of the numbers.
        place = int(number) if str(number).isdecimal() else len(tensors)
        if place >= len(tensors):
            problems.append(f"there is no parameter {number!r}")
            continue
        tensor = tensors[place]
        found[tensor] = _checked(tensor, names[tensor], kept, problems)
    options = []
    for mine, theirs in zip(groups, others, strict=True):
        known = {name: value for name, value in mine.items() if name != "params"}
        try:
            options.append(checked_group(where, theirs, known))
        except TinygradError as error:
            problems.append(str(error).removeprefix(f"{where}: ").removesuffix("."))
    if problems:
        raise StateDictError(f"{where}: {'; '.join(problems)}. Nothing was changed.")
    for group, read in zip(groups, options, strict=True):
        group.update(read)
    return found


def _checked(tensor: Tensor, name: str, kept: Any, problems: list[str]) -> dict[str, Any]:
    """Copies of what is kept for a parameter."""
    copies: dict[str, Any] = {}
    if not isinstance(kept, Mapping) or "step" not in kept:
        problems.append(f"{name} has no 'step'")
        return copies
    for key, value in kept.items():
        if key == "step":
            if not isinstance(value, int | np.integer) or value < 0:
                problems.append(f"'step' of {name} is {value!r}, expected a whole number from 0 up")
                continue
            copies[key] = int(value)
            continue
        array = np.asarray(value)
        if array.shape != tensor.shape or array.dtype != tensor.dtype:
            problems.append(
                f"{key!r} of {name} is {array.dtype}{list(array.shape)}, expected "
                f"{tensor.dtype}{list(tensor.shape)}"
            )
            continue
        copies[key] = to_device(copy_of(array), device_of(tensor._data))
    return copies
