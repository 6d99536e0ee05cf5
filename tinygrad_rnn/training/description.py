"""The description of a module: JSON that says how to make another, and never code.

    {"format": 1,
     "objects": [{"module": "nn.LSTMCell", "arguments": {"input_size": 3, "hidden_size": 4}}, ...],
     "tied": {}, "frozen": []}

Each object is a module or a node of a graph, made by its arguments; it refers to others by
their number, and only to those before it, so that what is shared is there once and nothing can
go in circles. The last one is the module that is described. What was changed after a module
was made stands beside its arguments, under the name of the place below it:

    children   modules put in, or None for one taken out
    options    what cells were told by ``configure``
    settings   other numbers and texts

``tied`` are modules and parameters that became those of another name later, ``frozen`` the
parameters that are not trained.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.errors import FileFormatError, TinygradError
from tinygrad_rnn.nn import Module, Parameter
from tinygrad_rnn.nn.members import dotted
from tinygrad_rnn.training.graph import Input, Node
from tinygrad_rnn.training.known import Known
from tinygrad_rnn.training.values import decoded, names_in

__all__ = ["FORMAT", "build", "finish", "make", "named_modules", "named_parameters", "tie"]

FORMAT = 1

Json = dict[str, Any]


def build(description: Json, custom: Mapping[str, Any] | None = None, where: str = "build") -> Any:
    """The module that a description says, with weights drawn anew.

    Args:
        custom: The classes and functions that are not the library's, by name.
    """
    known = Known(where, custom)
    objects: list[Any] = []
    try:
        if description["format"] != FORMAT:
            raise FileFormatError(
                f"{where}: the description has the format {shortened(description['format'])}, "
                f"expected {FORMAT}. A newer version of the library may have written it."
            )
        entries = description["objects"]
        known.check([*names_in(entries), *(e["module"] for e in entries if "module" in e)])
        for entry in entries:
            made = make(entry, known, objects)
            finish(entry, made, known, objects)
            objects.append(made)
        module = objects[-1]
        for name, first in description["tied"].items():
            tie(module, name, first)
        parameters = named_parameters(module)
        for name in description["frozen"]:
            parameters[name].requires_grad = False
    except TinygradError as error:
        error.add_note(f"{where}: this is object {len(objects)} of the description.")
        raise
    except (LookupError, AttributeError, TypeError, ValueError, ArithmeticError) as error:
        raise FileFormatError(
            f"{where}: the description is not whole: {type(error).__name__}: {error}."
        ) from error
    except (RecursionError, MemoryError) as error:
        raise FileFormatError(
            f"{where}: the description is not whole: {type(error).__name__}: {error}."
        ) from error
    return module


def make(entry: Json, known: Known, objects: list[Any]) -> Any:
    """The object of an entry, as its arguments make it."""

    def value(part: Any) -> Any:
        return decoded(part, known, objects)

    if "input" in entry:
        return Input(**{name: value(part) for name, part in entry["input"].items()})
    if "node" in entry:
        kwargs = {name: value(part) for name, part in entry["options"].items()}
        return Node(value(entry["node"]), value(entry["args"]), kwargs)
    kind = known.thing(entry["module"])
    if not (isinstance(kind, type) and issubclass(kind, Module)):
        raise FileFormatError(f"{known.where}: {entry['module']} is no class of modules.")
    given = {name: value(part) for name, part in entry["arguments"].items()}
    return called(kind, given, known.where)


def called(kind: type[Module], given: Mapping[str, Any], where: str) -> Module:
    """A module by its arguments under the names that ``Module.made_with`` gives them."""
    signature = inspect.signature(kind.__init__)
    signature = signature.replace(parameters=list(signature.parameters.values())[1:])
    if unknown := [name for name in given if name not in signature.parameters]:
        raise FileFormatError(
            f"{where}: {kind.__name__} was made with {unknown[0]!r}, but takes {signature} here; "
            "is it another version of the class?"
        )
    bound = inspect.BoundArguments(signature, given)  # type: ignore[arg-type]
    return kind(*bound.args, **bound.kwargs)


def finish(entry: Json, module: Any, known: Known, objects: list[Any]) -> None:
    """Do to an object what was done to the described one after it was made."""
    for path, value in entry.get("children", {}).items():
        put(module, path, decoded(value, known, objects))
    for path, value in entry.get("options", {}).items():
        found(module, path).configure(**decoded(value, known, objects))
    for path, values in entry.get("settings", {}).items():
        place = found(module, path)
        for name, value in values.items():
            if name[0] == "_" or hasattr(Module, name):
                raise FileFormatError(f"{known.where}: {name!r} is no setting of a module.")
            setattr(place, name, decoded(value, known, objects))


# ----- places below a module -----


def found(module: Module, path: str) -> Any:
    """What stands under a name below a module."""
    held: Any = module
    for key in path.split(".") if path else []:
        items = vars(held) if isinstance(held, Module) else held
        held = items[key] if isinstance(items, dict) and key in items else items[int(key)]
    return held


def put(module: Module, path: str, value: Module | Parameter | None) -> None:
    """Put something under a name below a module."""
    above, _, key = path.rpartition(".")
    holder: Any = found(module, above)
    if isinstance(holder, Module):
        setattr(holder, key, value)
    elif isinstance(holder, list) and int(key) == len(holder):
        holder.append(value)
    elif isinstance(holder, dict):
        holder[key if key in holder or not key.isdecimal() else int(key)] = value
    else:
        holder[int(key)] = value


def tie(module: Module, name: str, first: str) -> None:
    """Let a module or parameter be the one that has another name."""
    put(module, name, found(module, first))


def named_modules(module: Module) -> dict[str, Module]:
    """The module and all below, under every name."""
    return {place: part for place, part, _ in module._walk("")}


def named_parameters(module: Module) -> dict[str, Parameter]:
    """The parameters under every name, without those that are still to be made."""
    return {
        dotted(place, name): member
        for place, _, members in module._walk("")
        for name, member in members
        if isinstance(member, Parameter)
    }
