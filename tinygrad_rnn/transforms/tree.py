"""Structures of tensors: tuples (named ones too), lists and dicts, nested in any way."""

from collections.abc import Callable, Iterator
from typing import Any

from tinygrad_rnn.tensor import Tensor

__all__ = ["leaves", "mapped", "rebuilt", "tensors"]


def leaves(tree: Any) -> Iterator[Any]:
    """Whatever is no container, from left to right; dicts in the order of their insertion."""
    if isinstance(tree, tuple | list):
        for item in tree:
            yield from leaves(item)
    elif isinstance(tree, dict):
        for item in tree.values():
            yield from leaves(item)
    else:
        yield tree


def rebuilt(tree: Any, values: Iterator[Any]) -> Any:
    """The same structure around other leaves."""
    if isinstance(tree, tuple | list):
        items = [rebuilt(item, values) for item in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)
    if isinstance(tree, dict):
        return {key: rebuilt(item, values) for key, item in tree.items()}
    return next(values)


def mapped(function: Callable[[Any], Any], tree: Any) -> Any:
    """The same structure with a function applied to every leaf."""
    return rebuilt(tree, map(function, leaves(tree)))


def tensors(where: str, what: str, tree: Any) -> list[Tensor]:
    """The leaves of a structure that is to hold nothing but Tensors."""
    found = list(leaves(tree))
    for leaf in found:
        if not isinstance(leaf, Tensor):
            raise TypeError(
                f"{where}: {what} holds a {type(leaf).__name__}, expected Tensors in tuples, lists "
                "and dicts: only they have derivatives. Close over other values, for example with "
                "a lambda."
            )
    return found
