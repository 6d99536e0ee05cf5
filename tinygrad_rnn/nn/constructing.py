"""What constructors are called with: keywords that they know, and arguments to make another."""

import inspect
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tinygrad_rnn.errors import ModuleError

if TYPE_CHECKING:
    from tinygrad_rnn.nn.cell import Cell
    from tinygrad_rnn.nn.module import Module

__all__ = ["arguments_by_name", "arguments_for", "check_keywords", "made_later"]


def arguments_by_name(module: "Module") -> dict[str, Any]:
    """What a module was made with; of ``*modules`` a tuple, of ``**options`` a dict."""
    given = module._arguments
    bound = inspect.signature(type(module).__init__).bind(module, *given.args, **given.kwargs)
    return dict(list(bound.arguments.items())[1:])


def made_later(name: str) -> Any:
    """Stand for an attribute that ``Cell.__init__`` makes: to read it before is an error."""
    return _Missing(name)


class _Missing:
    """Says what was forgotten; an attribute of the instance goes before it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, cell: Any, kind: type) -> Any:
        if cell is None:
            return self
        raise ModuleError(
            f"{kind.__name__}.{self.name} is not there: expected the constructor of "
            f"{kind.__name__} to call super().__init__(input_size, hidden_size), which makes "
            "sizes and weights, before anything reads them."
        )


def check_keywords(kind: type, given: Iterable[str]) -> None:
    """TypeError, with the arguments that there are, unless the constructor knows all keywords.

    A constructor that takes any, to pass them on, is left to what it passes them on to.
    """
    parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]  # type: ignore[misc]
    known = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    passed_on = any(p.kind is p.VAR_KEYWORD for p in parameters)
    unknown = [] if passed_on else [name for name in given if name not in known]
    if unknown:
        raise TypeError(
            f"{kind.__name__}: {unknown[0]!r} is not an argument of its constructor, expected "
            f"one of {', '.join(known)}; options, such as zoneout, are given to configure()."
        )


def arguments_for(
    cell: "Cell", args: tuple[Any, ...], kwargs: Mapping[str, Any], sizes: Mapping[str, int]
) -> dict[str, Any]:
    """The arguments that a cell was made with, by name, but with other sizes."""
    signature = inspect.signature(type(cell).__init__)
    bound = signature.bind(cell, *args, **kwargs).arguments
    arguments: dict[str, Any] = {}
    known = set(list(signature.parameters)[1:])
    for name, parameter in list(signature.parameters.items())[1:]:
        if parameter.kind is parameter.VAR_POSITIONAL:  # passed on to Cell, it seems
            places = ["hidden_size"] if cell.input is None else ["input_size", "hidden_size"]
            arguments |= dict(zip(places, bound.get(name, ()), strict=False))
        elif parameter.kind is parameter.VAR_KEYWORD:
            arguments |= bound.get(name, {})
            known |= set(sizes)
        elif name in bound:
            arguments[name] = bound[name]
    if unknown := [name for name in sizes if name not in known]:
        raise TypeError(
            f"{type(cell).__name__} cannot be cloned with another {unknown[0]}: expected its "
            f"constructor to have an argument of that name; it takes {signature}."
        )
    return arguments | dict(sizes)
