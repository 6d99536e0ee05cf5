"""Structures of tensors: tuples (named ones too), lists and dicts, nested in any way."""

from collections.abc import Callable, Iterator
from typing import Any

from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.tensor import Tensor

__all__ = ["in_order_of", "leaves", "mapped", "rebuilt", "tensors"]


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


def in_order_of(where: str, what: str, given: Any, like: str, tree: Any) -> Any:
    """The given structure with its dicts in the order of a tree's, which have the same keys."""
    if isinstance(given, tuple | list) and isinstance(tree, tuple | list):
        rest = given[len(tree) :]
        ordered = [
            in_order_of(where, what, one, like, other)
            for one, other in zip(given, tree, strict=False)
        ]
        return [*ordered, *rest]
    if not (isinstance(given, dict) and isinstance(tree, dict)):
        return given
    if given.keys() != tree.keys():
        raise ArgumentError(
            f"{where}: {what} have the keys {shortened(list(given))}, expected "
            f"{shortened(list(tree))}, as {like}."
        )
    return {key: in_order_of(where, what, given[key], like, tree[key]) for key in tree}


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
