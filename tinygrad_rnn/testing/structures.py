"""Arrays inside tuples, lists and dicts: finding them, and putting others in their places."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

__all__ = ["Path", "leaves_in", "path_name", "rebuilt"]

Path = tuple[Any, ...]  # the keys that lead to a leaf


def leaves_in(
    value: Any, wanted: Callable[[Any], bool], path: Path = ()
) -> Iterator[tuple[Path, Any]]:
    """The wanted leaves of a structure, in their order, and the keys that lead to them."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from leaves_in(part, wanted, (*path, key))
    elif isinstance(value, tuple | list):
        for number, part in enumerate(value):
            yield from leaves_in(part, wanted, (*path, number))
    elif wanted(value):
        yield path, value


def rebuilt(value: Any, path: Path, given: Mapping[Path, Any]) -> Any:
    """The structure at ``path`` with what is given in the places of its leaves."""
    if path in given:
        return given[path]
    if isinstance(value, Mapping):
        return {key: rebuilt(part, (*path, key), given) for key, part in value.items()}
    if isinstance(value, tuple | list):
        parts = [rebuilt(part, (*path, i), given) for i, part in enumerate(value)]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value


def path_name(labels: Sequence[str], path: Path) -> str:
    """What to call a leaf: the name of the argument, and the keys."""
    return str(labels[path[0]]) + "".join(f"[{key!r}]" for key in path[1:])
