"""Running a module with other tensors in the places of its parameters."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tinygrad_rnn.nn.changes import CHANGES
from tinygrad_rnn.nn.members import CONTAINERS
from tinygrad_rnn.nn.module import Module
from tinygrad_rnn.nn.parameter import Parameter
from tinygrad_rnn.tensor import Tensor

__all__ = ["substituted"]


@contextmanager
def substituted(module: Module, tensors: Mapping[str, Tensor], dtype: Any) -> Iterator[None]:
    """Inside, the named parameters are these tensors, the others constants of the same type.

    A parameter that stands in several places is replaced in each. Not for several threads.
    """
    stand_ins = {
        id(parameter): tensors[name] if name in tensors else Tensor(parameter.numpy().astype(dtype))
        for name, parameter in module.named_parameters()
    }
    before: list[tuple[Module, dict[str, Any]]] = []
    try:
        for place in module.modules():
            before.append((place, dict(place.__dict__)))
            for name, value in before[-1][1].items():
                changed = _swapped(value, stand_ins)
                if changed is not value:
                    place.__dict__[name] = changed  # past __setattr__, which wants Parameters
        CHANGES.note()
        yield
    finally:
        for place, attributes in before:
            place.__dict__.update(attributes)
        CHANGES.note()


def _swapped(value: Any, stand_ins: Mapping[int, Tensor]) -> Any:
    """A value with every parameter in it replaced; itself where there is none."""
    if isinstance(value, Parameter):
        return stand_ins.get(id(value), value)
    if isinstance(value, dict):
        parts = {key: _swapped(part, stand_ins) for key, part in value.items()}
        return parts if any(parts[key] is not value[key] for key in value) else value
    if isinstance(value, CONTAINERS) and not isinstance(value, set | frozenset):
        items = [_swapped(part, stand_ins) for part in value]
        return (
            type(value)(items)
            if any(a is not b for a, b in zip(items, value, strict=True))
            else value
        )
    return value
