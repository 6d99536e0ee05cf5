"""How weights go over: for each module the arrays of ours, those of theirs, and the way between.

A library is a table from kinds of modules to their entries. What it expects to be given is what
it would give out for the same module, so names, shapes and types are said nowhere else.
"""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from tinygrad_rnn.errors import ArgumentError, StateDictError
from tinygrad_rnn.interop.fitting import Arrays, check_fit, readable
from tinygrad_rnn.nn import Cell, Embedding, Module, Recurrent
from tinygrad_rnn.nn.members import dotted

__all__ = ["Entry", "Library", "Obstacle", "cells_of", "moved", "table"]

Axes = tuple[int, ...] | None


class Obstacle(Exception):
    """Why a module cannot go over: what it is that the library has not."""


class Entry(NamedTuple):
    """Weights of a module that go over together.

    names  of ours, below the module
    write  from ours to theirs, by name
    read   the other way
    """

    names: tuple[str, ...]
    write: Callable[[Arrays], Arrays]
    read: Callable[[Arrays], Arrays]


Kinds = Mapping[type[Module], Callable[[Any], list[Entry]]]


def moved(table: Mapping[str, tuple[str, Axes]]) -> Callable[[Module], list[Entry]]:
    """Weights one by one: our name, their name, and where their axes stand in ours."""

    def entries(module: Module) -> list[Entry]:
        return [_one(ours, *table[ours]) for ours in module._state() if ours in table]

    return entries


def table(theirs: str) -> Callable[[Embedding], list[Entry]]:
    """The weights of an embedding; what it gives for padding is 0, so the vector has to be."""

    def entries(embedding: Embedding) -> list[Entry]:
        entry, row = _one("weight", theirs), embedding.padding_id

        def read(arrays: Arrays) -> Arrays:
            if row is not None and arrays[theirs][row].any():
                raise StateDictError(
                    f"Embedding: the vector of padding_id={row} is not 0 in what is given, "
                    "expected zeros, which is what comes out for padding; nothing was changed."
                )
            return entry.read(arrays)

        return [entry._replace(read=read)]

    return entries


def _one(ours: str, theirs: str, axes: Axes = None) -> Entry:
    back = None if axes is None else tuple(int(k) for k in np.argsort(axes))

    def turned(array: np.ndarray[Any, Any], axes: Axes) -> np.ndarray[Any, Any]:
        return array if axes is None else array.transpose(axes)

    return Entry(
        (ours,),
        lambda arrays: {theirs: turned(arrays[ours], axes)},
        lambda arrays: {ours: turned(arrays[theirs], back)},
    )


def cells_of(layer: Recurrent) -> Iterator[tuple[int, str, Cell]]:
    """The cells of a recurrent layer: layer, direction, cell."""
    for number, cells in enumerate(layer.layers):
        for direction, cell in cells.items():
            yield number, direction, cell


class _Part(NamedTuple):
    """An entry at its place in a module.

    ours    from the names that the entry knows to whole ones, of ours
    theirs  the same of theirs
    made    what the weights would be written as, by whole names
    """

    entry: Entry
    ours: dict[str, str]
    theirs: dict[str, str]
    made: Arrays


class Library:
    """Another library: its name, what it calls the modules that it has, and how it joins names.

    passes    whether parameters of modules that people wrote themselves go over as they are
    left_out  weights of ours that it does without
    """

    def __init__(
        self,
        name: str,
        kinds: Kinds,
        separator: str = ".",
        passes: bool = False,
        left_out: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.kinds = kinds
        self.separator = separator
        self.passes = passes
        self.left_out = left_out

    def written(self, where: str, module: Module) -> Arrays:
        """All weights under their names."""
        return {name: a for part in self._parts(where, module) for name, a in part.made.items()}

    def read(
        self,
        where: str,
        given: Any,
        module: Module,
        prefix: str = "",
        renamed: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Write weights under their names into the module, or name all that does not fit.

        renamed  what names are in ``given``, where they are not those of ``written``
        """
        arrays, unreadable = readable(where, given, prefix)
        parts = self._parts(where, module, renamed)
        parts = _wanted(parts, module, {*arrays, *unreadable})
        expected = {name: a for part in parts for name, a in part.made.items()}
        fit = f"{where}: the arrays do not fit {type(module).__name__}"
        check_fit(fit, self.name, arrays, unreadable, expected)
        ours: Arrays = {}
        for part in parts:
            own = part.entry.read({local: arrays[name] for local, name in part.theirs.items()})
            ours |= {part.ours[local]: array for local, array in own.items()}
        module.load_state_dict(ours, strict=False)  # without what the library does without

    # ----- finding what goes over -----

    def _parts(
        self, where: str, module: Any, renamed: Mapping[str, str] = MappingProxyType({})
    ) -> list[_Part]:
        """What goes over, or an error that names all that cannot."""
        if not isinstance(module, Module):
            raise ArgumentError(f"{where}: module is a {type(module).__name__}, expected a Module.")
        state = module.state_dict()
        parts: list[_Part] = []
        obstacles: list[str] = []
        done: str | None = None  # the last place that was taken whole
        for place, part, _ in module._walk(""):
            if done is not None and place.startswith(f"{done}." if done else ""):
                continue
            try:
                entries, whole = self._entries(part)
            except Obstacle as obstacle:
                entries, whole = [], True
                obstacles.append(f"\n  {place or type(part).__name__}: {obstacle}")
            done = place if whole else None
            parts += [self._placed(entry, place, state, renamed) for entry in entries]
        if obstacles:
            kind = type(module).__name__
            raise ArgumentError(
                f"{where}: {kind} does not go over to {self.name}:{''.join(obstacles)}"
            )
        return parts

    def _placed(self, entry: Entry, place: str, state: Arrays, renamed: Mapping[str, str]) -> _Part:
        ours = {name: dotted(place, name) for name in entry.names}
        made = entry.write({name: state[whole] for name, whole in ours.items()})
        before = f"{place.replace('.', self.separator)}{self.separator}" if place else ""
        theirs = {name: renamed.get(f"{before}{name}", f"{before}{name}") for name in made}
        whole = {theirs[name]: np.array(a, order="C") for name, a in made.items()}
        return _Part(entry, ours, theirs, whole)

    def _entries(self, module: Module) -> tuple[list[Entry], bool]:
        """The entries of a module, and whether they are about all that is below it as well."""
        name = type(module).__name__
        kind = next((self.kinds[k] for k in type(module).__mro__ if k in self.kinds), None)
        if kind is not None:
            entries = kind(module)
            known = {*self.left_out, *(n for entry in entries for n in entry.names)}
            if more := [n for n in module._state() if n not in known]:
                raise Obstacle(f"{name} with weights that {self.name} has not: {', '.join(more)}")
            return entries, True
        own = [n for n, _, kept in module._tensors(recurse=False) if kept]
        own_class = not type(module).__module__.startswith("tinygrad_rnn.")
        if own and not (self.passes and own_class):
            raise Obstacle(f"{name}, whose weights have no counterpart in {self.name}")
        return [_one(n, n) for n in own], False


def _wanted(parts: list[_Part], module: Module, given: set[str]) -> list[_Part]:
    """Without those of which nothing is given, but all under another name of the same tensors."""
    state = module._state()
    tensors = {id(state[n]) for p in parts if {*p.made} <= given for n in p.ours.values()}
    return [
        part
        for part in parts
        if not given.isdisjoint(part.made)
        or not all(id(state[n]) in tensors for n in part.ours.values())
    ]
