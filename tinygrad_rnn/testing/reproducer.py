"""A script that fails as a check has failed, to paste into a file."""

import inspect
import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygrad_rnn.nn.module import Module
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.testing.subject import Subject

__all__ = ["reproducer"]

MOST = 512  # elements that a script may hold


def reproducer(subject: Subject, options: Mapping[str, Any]) -> str | None:
    """Imports, the function, literal arrays, and the call that raises; None if it is too long."""
    if subject.origin is None or sum(x.size for x in subject.primals) > MOST:
        return None
    fn, inputs, hand = subject.origin
    check = "assert_module_gradients" if isinstance(fn, Module) else "assert_gradients"
    lines = [
        "import numpy as np",
        "from numpy import array, bool, float32, float64, inf, int64, nan  # in the arrays below",
        "",
        f"from tinygrad_rnn.testing import {check}",
        "",
    ]
    named = {}
    for key, value in {"fn": fn, **hand}.items():
        if callable(value):
            named[key], more = _source(value, key)
            lines += more
        else:
            named[key] = repr(value)
    arguments = [named.pop("fn"), *map(_literal, inputs)]
    arguments += [f"{key}={value}" for key, value in named.items()]
    arguments += [f"{key}={value!r}" for key, value in options.items()]
    lines += [f"{check}(", *(f"    {argument}," for argument in arguments), ")"]
    return "\n".join(lines)


def _source(fn: Any, role: str) -> tuple[str, list[str]]:
    """How a script calls a function, and the lines that bring it there."""
    if isinstance(fn, Module):
        return "module", [f"module = ...  # {fn!r}".replace("\n", "\n#    ")]
    name, module = getattr(fn, "__qualname__", ""), getattr(fn, "__module__", "")
    if name.isidentifier() and module not in ("", "__main__", None):
        return name, [f"from {module} import {name}"]
    try:
        text = textwrap.dedent(inspect.getsource(fn)).rstrip()
    except (OSError, TypeError):
        return role, [f"{role} = ...  # {fn!r}"]
    if text.startswith("def "):
        return fn.__name__, [*text.splitlines(), ""]
    return role, [f"{role} = ...  # as in", *(f"#    {line}" for line in text.splitlines()), ""]


def _literal(value: Any) -> str:
    if isinstance(value, Tensor):
        value = value.numpy()
    if isinstance(value, np.ndarray):
        return f"array({value.tolist()}, dtype={value.dtype})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k!r}: {_literal(v)}" for k, v in value.items()) + "}"
    if isinstance(value, tuple | list):
        inside = ", ".join(map(_literal, value))
        if isinstance(value, list):
            return f"[{inside}]"
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    return repr(value)
