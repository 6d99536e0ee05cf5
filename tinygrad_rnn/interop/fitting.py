"""What was given: whether it can be read, and all that does not fit, in one error."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.device import to_host
from tinygrad_rnn.errors import ArgumentError, StateDictError, TinygradError
from tinygrad_rnn.nn.state_dict import prefix_of
from tinygrad_rnn.tensor import as_array

__all__ = ["Arrays", "check_fit", "readable"]

Arrays = dict[str, np.ndarray[Any, Any]]


def readable(where: str, given: Any, prefix: str = "") -> tuple[Arrays, dict[str, str]]:
    """What is given under names that begin with ``prefix``: arrays, and what is none."""
    if not isinstance(given, Mapping):
        raise ArgumentError(
            f"{where}: arrays is a {type(given).__name__}, expected a dict from names to arrays."
        )
    arrays: Arrays = {}
    unreadable: dict[str, str] = {}
    for key, value in given.items():
        name = str(key)
        if name.startswith(prefix):
            try:
                arrays[name.removeprefix(prefix)] = to_host(as_array(value))
            except (TinygradError, RuntimeError, TypeError) as error:
                why = str(error).splitlines()[0]
                unreadable[name.removeprefix(prefix)] = f"a {type(value).__name__} ({why})"
    return arrays, unreadable


def check_fit(
    where: str,
    library: str,
    arrays: Arrays,
    unreadable: Mapping[str, str],
    expected: Arrays,
    attributes: Sequence[str] = (),
) -> None:
    """Raise one error for all that is missing, unexpected, misshapen, of another type.

    attributes  what else is wrong, in words
    """
    there = [*arrays, *unreadable]
    both = [(name, array, expected[name]) for name, array in arrays.items() if name in expected]
    missing = [name for name in expected if name not in there]
    unexpected = [name for name in there if name not in expected]
    problems = {
        "attributes": attributes,
        "missing": missing,
        "unexpected": unexpected,
        "not numbers": [f"{name} is {what}" for name, what in unreadable.items()],
        "wrong shape": [
            f"{name} is {a.shape}, expected {e.shape}" for name, a, e in both if a.shape != e.shape
        ],
        "wrong dtype": [
            f"{name} is {a.dtype}, expected {e.dtype}" for name, a, e in both if a.dtype != e.dtype
        ],
    }
    if not any(problems.values()):
        return
    lines = [f"{where}; nothing was changed. In {library}'s names:"]
    lines += [f"  {kind}: {', '.join(names)}" for kind, names in problems.items() if names]
    if before := prefix_of(missing, unexpected):
        lines.append(f"Every missing name is there behind {before!r}: give prefix={before!r}.")
    if problems["wrong dtype"]:
        lines.append("Nothing is converted silently: call .astype() on the arrays or the module.")
    raise StateDictError("\n".join(lines))
