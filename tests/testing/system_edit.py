"""A mistake, as an edit of a right backward pass."""

import inspect
import sys
from typing import NamedTuple

from tests.testing.systems import SYSTEMS


class Edit(NamedTuple):
    """A mistake in a system's backward pass.

    old stands exactly once in the source of the backward pass; new stands there instead. name
    says what went wrong, and is the only one of its kind for the system.
    """

    system: str
    name: str
    old: str
    new: str


def edits_of(table):
    """The edits of {system: [(name, old, new), ...]}."""
    return [Edit(system, *parts) for system, rows in table.items() for parts in rows]


def mutated(edit):
    """The system's backward pass with the mistake in it."""
    backward = SYSTEMS[edit.system].backward
    source = inspect.getsource(backward)
    if source.count(edit.old) != 1:
        raise ValueError(
            f"{edit.system}, {edit.name!r}: {edit.old!r} stands {source.count(edit.old)} times "
            f"in {backward.__name__}, expected exactly once, so that it says which place is meant."
        )
    names = dict(vars(sys.modules[backward.__module__]))
    code = compile(source.replace(edit.old, edit.new), f"<{edit.system}: {edit.name}>", "exec")
    exec(code, names)
    return names[backward.__name__]
