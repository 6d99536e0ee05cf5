"""Describing a module: its description, and what is made of it, grow side by side."""

import json
from collections.abc import Mapping
from typing import Any

from tinygrad_rnn import random
from tinygrad_rnn.errors import ArgumentError, ModuleError
from tinygrad_rnn.nn import Cell, Module
from tinygrad_rnn.nn.members import dotted
from tinygrad_rnn.training.description import (
    FORMAT,
    Json,
    finish,
    make,
    named_modules,
    named_parameters,
    tie,
)
from tinygrad_rnn.training.graph import Input, Node, nodes_in, sorted_nodes
from tinygrad_rnn.training.known import Known
from tinygrad_rnn.training.values import encoded

__all__ = ["describe"]


def describe(
    module: Module, custom: Mapping[str, Any] | None = None, where: str = "describe"
) -> Json:
    """What ``build`` makes another module of, equal but for the numbers of its weights.

    The other one is made here, too, and compared: what cannot be described is an error now,
    not when somebody wants it back.
    """
    if not isinstance(module, Module):
        raise ArgumentError(f"{where}: given a {type(module).__name__}, expected a Module.")
    writer = _Writer(Known(where, custom))
    with random.fork():  # what is drawn for the other one is nobody's
        twin = writer.twins[writer.number(module)]
        tied = _tie(module, twin)
    _check_equal(where, module, twin)
    frozen = [name for name, p in named_parameters(module).items() if not p.requires_grad]
    return {"format": FORMAT, "objects": writer.entries, "tied": tied, "frozen": frozen}


class _Writer:
    """The objects described so far, and the twin of each, made of its entry."""

    def __init__(self, known: Known) -> None:
        self.known = known
        self.entries: list[Json] = []
        self.originals: list[Any] = []  # kept: the id of a dead one may be given to another
        self.twins: list[Any] = []
        self.numbers: dict[int, int] = {}
        self.above: list[Any] = []

    def number(self, thing: Any) -> int:
        """The number of a module or node, which is described if it has none yet."""
        if id(thing) not in self.numbers:
            if any(thing is other for other in self.above):
                raise ModuleError(
                    f"{self.known.where}: {type(thing).__name__} holds itself, or was made with a "
                    "module that does; nothing can be made of itself."
                )
            self.above.append(thing)
            self._describe(thing)
            self.above.pop()
        return self.numbers[id(thing)]

    def _describe(self, thing: Any) -> None:
        entry = self._entry(thing)
        twin = make(entry, self.known, self.twins)
        if isinstance(thing, Module):
            self._compare(entry, twin, "", thing, twin)
        self.numbers[id(thing)] = len(self.entries)
        self.entries.append(entry)
        self.originals.append(thing)
        self.twins.append(twin)

    def _entry(self, thing: Any) -> Json:
        if isinstance(thing, Input):
            given = {"shape": thing.shape, "dtype": thing.dtype, "name": thing.name}
            return {"input": self._encoded_all("Input", given)}
        if isinstance(thing, Node):
            return {
                "node": self._encoded(f"the function of {thing!r}", thing.maker),
                "args": self._encoded(f"an argument of {thing!r}", thing.args),
                "options": self._encoded_all(repr(thing), thing.kwargs),
            }
        kind, given = type(thing), thing.made_with()
        for node in sorted_nodes(nodes_in(list(given.values()))):
            self.number(node)  # in their order, or a deep graph would be a deep recursion
        name = self.known.name(kind)
        return {"module": name, "arguments": self._encoded_all(kind.__name__, given)}

    def _encoded(self, what: str, value: Any) -> Any:
        return encoded(value, what, self.known, self.number)

    def _encoded_all(self, where: str, values: Mapping[str, Any]) -> Json:
        return {name: self._encoded(f"{where}: {name}", part) for name, part in values.items()}

    # ----- what was changed after it was made -----

    def _compare(self, entry: Json, root: Module, path: str, module: Module, twin: Module) -> None:
        """Note in the entry, and do to the twin, what was done to a module below the root."""
        change: Json = {}
        if isinstance(module, Cell) and isinstance(twin, Cell) and module.chosen != twin.chosen:
            what = f"{type(module).__name__}: an option"
            change["options"] = {path: self._encoded(what, dict(module.chosen))}
        if settings := _settings(module, twin):
            change["settings"] = {path: self._encoded_all(type(module).__name__, settings)}
        self._change(entry, root, change)
        theirs, members = _modules(twin), _modules(module)
        for name in [*members, *(name for name in theirs if name not in members)]:
            member, other, below = members.get(name), theirs.get(name), dotted(path, name)
            if member is None:
                self._change(entry, root, {"children": {below: None}})
            elif self._is_other_twin(other) or id(member) in self.numbers:
                if not (id(member) in self.numbers and other is self.twins[self.number(member)]):
                    self._put(entry, root, below, member)
            elif other is not None and self._alike(member, other):
                if any(member is place for place in self.above):
                    self.number(member)  # raises
                self.above.append(member)
                self._compare(entry, root, below, member, other)
                self.above.pop()
            else:
                self._put(entry, root, below, member)

    def _is_other_twin(self, module: Module | None) -> bool:
        return any(module is twin for twin in self.twins)

    def _put(self, entry: Json, root: Module, path: str, member: Module) -> None:
        self._change(entry, root, {"children": {path: {"object": self.number(member)}}})

    def _change(self, entry: Json, root: Module, change: Json) -> None:
        finish(change, root, self.known, self.twins)
        for kind, places in change.items():
            entry.setdefault(kind, {}).update(places)

    def _alike(self, module: Module, twin: Module) -> bool:
        """Whether two modules that constructors made were made alike."""
        if type(module) is not type(twin):
            return False
        texts = []
        for one in (module, twin):
            try:
                given = encoded(one.made_with(), "", self.known, lambda part: 0)
            except ArgumentError:  # nothing needs to be said of it that cannot be
                return True
            texts.append(json.dumps(given))
        return texts[0] == texts[1]


def _modules(module: Module) -> dict[str, Module]:
    return {name: member for name, member in module._members() if isinstance(member, Module)}


def _settings(module: Module, twin: Module) -> dict[str, Any]:
    """Numbers and texts that a module has not got from its constructor."""
    ours, theirs = vars(module), vars(twin)
    return {
        name: value
        for name, value in ours.items()
        if (value is None or type(value) in (bool, int, float, str))
        and name[0] != "_"
        and not hasattr(Module, name)
        and (type(value) is not type(theirs.get(name)) or value != theirs[name])
    }


def _tie(module: Module, twin: Module) -> dict[str, str]:
    """What has two names in a module but not in its twin, and is made so in it, too."""
    tied: dict[str, str] = {}
    for named in (named_modules, named_parameters):  # whoever shares a module shares what it holds
        theirs = named(twin)
        first: dict[int, str] = {}
        for name, thing in named(module).items():
            other = first.setdefault(id(thing), name)
            if name in theirs and theirs[name] is not theirs.get(other):
                tied[name] = other
                tie(twin, name, other)
    return tied


def _check_equal(where: str, module: Module, twin: Module) -> None:
    ours, theirs = _looks(module), _looks(twin)
    for name in [*ours, *theirs]:
        if ours.get(name) != theirs.get(name):
            raise ModuleError(
                f"{where}: {name or type(module).__name__!r} is {ours.get(name, 'not there')}, but "
                f"its arguments make {theirs.get(name, 'nothing there')}; expected a module that "
                "its arguments can make, with nothing else changed since."
            )


def _looks(module: Module) -> dict[str, str]:
    """Modules, and parameters with the first of their names: what has to be equal."""
    looks = {}
    for name, part in module.named_modules():
        own = type(part).__module__.startswith("tinygrad_rnn.")
        looks[name] = f"{type(part).__name__}({part.extra_repr() if own else ''})"
    first: dict[int, str] = {}
    for name, parameter in named_parameters(module).items():
        looks[name] = f"{first.setdefault(id(parameter), name)} {parameter.shape}"
    return looks
