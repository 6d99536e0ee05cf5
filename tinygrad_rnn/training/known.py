"""What a description may name: classes and functions of the library, and those given beside."""

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import Any

from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.nn import Module
from tinygrad_rnn.training.graph import item

__all__ = ["Known", "Name"]

# A name in a description: "nn.LSTM" for what is public here, "MyCell" for what is not ours.
Name = str

_MODULES = ("nn", "nn.attention_scores", "losses", "training")
_FUNCTIONS = ("nn.init", "losses", "ops")


@cache
def _ours() -> dict[Name, Any]:
    """The classes of modules, and the functions of Tensors, that the library offers."""
    found = {"training.item": item}
    for place in dict.fromkeys(_MODULES + _FUNCTIONS):
        part = import_module(f"tinygrad_rnn.{place}")
        for name in part.__all__:
            thing = getattr(part, name)
            if isinstance(thing, type):
                offered = place in _MODULES and issubclass(thing, Module)
            else:
                offered = place in _FUNCTIONS and callable(thing)
            if offered:
                found[f"{place}.{name}"] = thing
    return found


@cache
def _names_of_ours() -> dict[Any, Name]:
    return {thing: name for name, thing in reversed(_ours().items())}


class Known:
    """Names for classes and functions, and back; ``custom`` holds those that are not ours."""

    def __init__(self, where: str, custom: Mapping[Name, Any] | None = None) -> None:
        custom = {} if custom is None else custom
        if not isinstance(custom, Mapping) or not all(map(callable, custom.values())):
            raise ArgumentError(
                f"{where}: custom is {shortened(custom)}, expected classes and functions by name, "
                'such as {"MyCell": MyCell}.'
            )
        self.where = where
        self.custom = dict(custom)

    def name(self, thing: Callable[..., Any]) -> Name:
        """The name of a class or function, which ``thing`` will be found by."""
        if thing in _names_of_ours():
            return _names_of_ours()[thing]
        name = getattr(thing, "__name__", "")
        if not name.isidentifier():
            raise ArgumentError(
                f"{self.where}: {shortened(thing)} has no name to find it by; expected a class, or "
                "a function that is made with def."
            )
        if self.custom.setdefault(name, thing) is not thing:
            raise ArgumentError(
                f"{self.where}: two different things are called {name!r}; rename one of them."
            )
        return name

    def check(self, names: list[Name]) -> None:
        """Raise unless every name is known."""
        missing = [n for n in dict.fromkeys(names) if n not in self.custom and n not in _ours()]
        own = [name for name in missing if "." not in name]
        if own:
            given = ", ".join(f"{name!r}: {name}" for name in own)
            raise ArgumentError(
                f"{self.where}: {', '.join(map(repr, own))} is not of this library; a file holds "
                f"no code, so pass custom={{{given}}}."
            )
        if missing:
            raise ArgumentError(
                f"{self.where}: this version of the library has no {', '.join(missing)}."
            )

    def thing(self, name: Name) -> Any:
        """The class or function of a name."""
        return _ours()[name] if name in _ours() else self.custom[name]
