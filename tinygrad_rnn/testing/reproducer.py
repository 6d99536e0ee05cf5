"""A script that fails as a check has failed, to paste into a file."""

import textwrap
from collections.abc import Iterator, Mapping
from inspect import signature
from typing import Any

import numpy as np

from tinygrad_rnn import nn, random
from tinygrad_rnn.nn.module import Module
from tinygrad_rnn.testing.literals import literal
from tinygrad_rnn.testing.source import Script
from tinygrad_rnn.testing.subject import Subject

__all__ = ["reproducer"]

MOST = 512  # elements that a script may hold
WIDTH = 100  # columns, beyond which arrays are broken into lines


def reproducer(subject: Subject, options: Mapping[str, Any]) -> str | None:
    """Imports, the function, literal arrays, and the call that raises; None if it is too long.

    What cannot be written down, as an object of an unknown kind, stands there as "...".
    """
    if subject.origin is None or sum(x.size for x in subject.primals) > MOST:
        return None
    fn, inputs, hand = subject.origin
    script = Script()
    if isinstance(fn, Module):
        check, called = "assert_module_gradients", "module"
        _bring_module(script, fn)
    else:
        check, called = "assert_gradients", script.name_for(fn, "fn")
        script.bring(called, fn)
    script.imported(f"from tinygrad_rnn.testing import {check}")
    arguments = [called]
    for value in inputs:
        for kind in _named_tuples(value):
            script.bring(kind.__name__, kind)
        arguments.append(literal(value) or f"...,  # {type(value).__name__}".rstrip(","))
    for key, value in hand.items():
        if callable(value):
            name = script.name_for(value, key)
            script.bring(name, value)
            arguments.append(f"{key}={name}")
        else:
            arguments.append(f"{key}={value!r}")
    arguments += [f"{key}={value!r}" for key, value in options.items()]
    call = [f"{check}(", *(_broken(f"    {argument},") for argument in arguments), ")"]
    return "\n".join([*script.lines(), "", *call])


def _named_tuples(value: Any) -> Iterator[type]:
    """The classes of named tuples in an input, which literals call."""
    if isinstance(value, Mapping):
        for part in value.values():
            yield from _named_tuples(part)
    elif isinstance(value, tuple | list):
        if hasattr(value, "_fields"):
            yield type(value)
        for part in value:
            yield from _named_tuples(part)


def _broken(line: str) -> str:
    """A line with array rows below each other where it is long."""
    if len(line) <= WIDTH:
        return line
    return textwrap.fill(
        line, WIDTH, subsequent_indent=" " * 8, break_long_words=False, break_on_hyphens=False
    )


# ----- modules -----


def _bring_module(script: Script, module: Module) -> None:
    """Make the module anew, and give it its weights."""
    weights = module.state_dict()
    made = _constructor(module, weights)
    if made is None:
        script.defined(f"module = ...  # {module!r}".replace("\n", "\n#    "))
    elif made.startswith("nn."):
        script.imported("from tinygrad_rnn import nn")
        script.defined(f"module = {made}")
    else:
        script.bring(type(module).__name__, type(module))
        script.defined(f"module = {made}")
    rows = [_broken(f"    {name!r}: {literal(value)},") for name, value in weights.items()]
    script.defined("\n".join(["module.load_state_dict({", *rows, "})"]))
    if not module.training:
        script.defined("module.eval()")


def _constructor(module: Module, weights: Mapping[str, Any]) -> str | None:
    """An expression that makes a module of the same kind with weights of the same shapes."""
    kind = type(module)
    own = f"nn.{kind.__name__}" if getattr(nn, kind.__name__, None) is kind else kind.__name__
    # As it prints, or from attributes that are called like the arguments, or from nothing.
    for arguments in (module.extra_repr(), _arguments(module), ""):
        text = f"{own}({arguments})"
        try:
            with random.fork():  # a constructor draws weights
                made = eval(text, {"nn": nn, kind.__name__: kind})
            same = _shapes(made.state_dict()) == _shapes(weights)
        except Exception:  # whatever a constructor makes of no arguments
            continue
        if type(made) is kind and same:
            return text
    return None


def _arguments(module: Module) -> str:
    """The arguments of the constructor that the module has kept under their names."""
    kept = {name: vars(module).get(name, Ellipsis) for name in signature(type(module)).parameters}
    return ", ".join(f"{name}={literal(x)}" for name, x in kept.items() if x is not Ellipsis)


def _shapes(weights: Mapping[str, Any]) -> dict[str, Any]:
    return {name: (np.shape(value), np.asarray(value).dtype) for name, value in weights.items()}
