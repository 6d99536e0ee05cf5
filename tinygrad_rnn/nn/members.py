"""Finding what a module holds: inside plain containers, and each object once."""

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from tinygrad_rnn.errors import ModuleError

__all__ = ["CONTAINERS", "dotted", "first_of_each", "held_by", "joined"]

T = TypeVar("T")

CONTAINERS = (list, tuple, dict, set, frozenset)

# Types that hold nothing. A tokenizer's fifty thousand pairs are passed over by these
# tests of whole containers, which run in C.
_PLAIN = frozenset({bool, bytes, complex, float, int, str, type(None)})


def held_by(
    container: Any, kinds: tuple[type[T], ...], path: tuple[Any, ...], around: tuple[int, ...] = ()
) -> Iterator[tuple[tuple[Any, ...], T]]:
    """What is of one of ``kinds`` in a container, however deep, and the keys that lead there."""
    if id(container) in around or _is_plain(container):
        return
    pairs: Iterable[tuple[Any, Any]]
    pairs = container.items() if isinstance(container, dict) else enumerate(container)
    for key, item in tuple(pairs):
        if isinstance(item, kinds):
            if isinstance(container, set | frozenset):
                raise ModuleError(
                    f"{path[0]!r} holds a {type(item).__name__} in a set, whose order changes from "
                    "run to run, and the names in the state dict with it; use a list or a dict."
                )
            yield (*path, key), item
        elif isinstance(item, CONTAINERS) and not _is_plain(item):
            yield from held_by(item, kinds, (*path, key), (*around, id(container)))


def _is_plain(container: Any) -> bool:
    items = container.values() if isinstance(container, dict) else container
    return _PLAIN.issuperset(map(type, items))


def joined(path: tuple[Any, ...]) -> str:
    """The name that stands for a path of keys: ``("layers", 0)`` is ``layers.0``."""
    for key in path:
        if not isinstance(key, str | int) or "." in str(key) or key == "":
            raise ModuleError(
                f"{path[0]!r} holds a parameter or module under the key {key!r}; expected a whole "
                "number or a string without dots, as the key becomes a part of its name."
            )
    return ".".join(map(str, path))


def dotted(prefix: str, name: str) -> str:
    """A name below a prefix, which may be empty."""
    return f"{prefix}.{name}" if prefix and name else prefix or name


def first_of_each(pairs: Iterable[tuple[str, T]]) -> Iterator[tuple[str, T]]:
    """The pairs without those whose object has come before."""
    # The objects are kept, not only their ids: a dead one's id may be given to another.
    seen: dict[int, T] = {}
    for name, thing in pairs:
        if id(thing) not in seen:
            seen[id(thing)] = thing
            yield name, thing
