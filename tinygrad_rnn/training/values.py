"""Arguments as JSON, and back: numbers, texts, containers, slices; modules and nodes by number.

What JSON has stays as it is, but for objects: each is one of the forms below, which say what
it stands for, so that a tuple comes back as a tuple and infinity as infinity.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.errors import ArgumentError, FileFormatError
from tinygrad_rnn.nn import Module
from tinygrad_rnn.nn.symbol import Symbol
from tinygrad_rnn.training.known import Known

__all__ = ["decoded", "encoded", "names_in"]

Number = Callable[[Any], int]


def encoded(value: Any, what: str, known: Known, number: Number) -> Any:
    """A value as JSON.

    what    what it is, for errors: "LSTM: hidden_size"
    number  the place of a module or node among the objects of the description
    """

    def inner(part: Any) -> Any:
        return encoded(part, what, known, number)

    if isinstance(value, np.generic) and value.dtype.kind in "biufU":
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, Module | Symbol):
        return {"object": number(value)}
    if type(value) is list:
        return [inner(part) for part in value]
    if type(value) is tuple:
        return {"tuple": [inner(part) for part in value]}
    if type(value) is dict:
        return {"dict": [[inner(key), inner(part)] for key, part in value.items()]}
    if isinstance(value, slice):
        return {"slice": [inner(value.start), inner(value.stop), inner(value.step)]}
    if value is Ellipsis:
        return {"ellipsis": None}
    if callable(value) and hasattr(value, "__name__"):
        try:
            return {"known": known.name(value)}
        except ArgumentError as error:
            error.args = (f"{error} It is {what}.",)
            raise
    raise ArgumentError(
        f"{known.where}: {what} is {shortened(value)}, a {type(value).__name__}, expected numbers, "
        "texts, lists, tuples, dicts, modules, classes or functions: a description is JSON."
    )


def decoded(value: Any, known: Known, objects: list[Any]) -> Any:
    """The value that JSON stands for; ``objects`` are those made so far."""

    def inner(part: Any) -> Any:
        return decoded(part, known, objects)

    if isinstance(value, list):
        return [inner(part) for part in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"float": "inf" | "-inf" | "nan" as text}:
            return float(text)
        case {"object": int(number)} if 0 <= number < len(objects):
            return objects[number]
        case {"object": number}:
            raise FileFormatError(
                f"{known.where}: object {len(objects)} of the description refers to {number!r}, "
                "expected one of those before it."
            )
        case {"tuple": list(parts)}:
            return tuple(inner(part) for part in parts)
        case {"dict": list(pairs)}:
            return {inner(key): inner(part) for key, part in pairs}
        case {"slice": [start, stop, step]}:
            return slice(inner(start), inner(stop), inner(step))
        case {"ellipsis": None}:
            return Ellipsis
        case {"known": str(name)}:
            return known.thing(name)
    raise FileFormatError(f"{known.where}: the description holds {shortened(value)}.")


def names_in(value: Any) -> Iterator[str]:
    """The names of classes and functions that a value in JSON mentions."""
    if isinstance(value, list):
        for part in value:
            yield from names_in(part)
    elif isinstance(value, dict):
        if isinstance(name := value.get("known"), str):
            yield name
        for part in value.values():
            yield from names_in(part)
