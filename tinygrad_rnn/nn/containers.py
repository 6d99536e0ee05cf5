"""Modules that hold others in an order: ``Sequential`` runs them, ``ModuleList`` keeps them."""

from collections.abc import Iterable, Iterator
from typing import Any, Self, overload

from tinygrad_rnn.errors import ArgumentError, IndexRangeError, ModuleError
from tinygrad_rnn.nn.assigning import check_free
from tinygrad_rnn.nn.module import Module

__all__ = ["ModuleList", "Sequential", "check_module"]


class _Ordered(Module):
    """Modules by number, or by names of their own, in the order in which they came."""

    def __len__(self) -> int:
        return len(self._held())

    def __iter__(self) -> Iterator[Module]:
        return iter(self._held().values())

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> "Module | Self":
        held = list(self)
        if isinstance(index, slice):
            return type(self)(*held[index])
        return held[self._place(index)]

    def __setitem__(self, index: int, module: Module) -> None:
        check_module(self, f"[{index}]", module)
        setattr(self, list(self._held())[self._place(index)], module)

    def append(self, module: Module) -> Self:
        """Put a module behind the others, under the next number."""
        check_module(self, "module", module)
        return self._put(str(len(self)), module)

    def extend(self, modules: Iterable[Module]) -> Self:
        """Put several modules behind the others."""
        for module in modules:
            self.append(module)
        return self

    def made_with(self) -> dict[str, Any]:
        """Nothing: what it holds may have come later, and is put in by name."""
        return {}

    def _put(self, name: str, module: Module) -> Self:
        if hasattr(type(self), name):
            raise ModuleError(f"{type(self).__name__}: {name!r} is a method of it already.")
        check_free(self, name)
        setattr(self, name, module)
        return self

    def _held(self) -> dict[str, Module]:
        return {name: value for name, value in vars(self).items() if isinstance(value, Module)}

    def _place(self, index: int) -> int:
        count = len(self)
        if not isinstance(index, int) or not -count <= index < count:
            raise IndexRangeError(
                f"{type(self).__name__}: given [{index!r}], expected a number from {-count} to "
                f"{count - 1}: it holds {count} modules."
            )
        return index % count


class Sequential(_Ordered):
    """Modules one after the other.

        model = nn.Sequential(nn.Embedding(50, 16), nn.LSTM(16, 32), nn.Linear(32, 50))

    Each is called with what the one before it gave. Of several results, such as the y and the
    state of a recurrent layer, the next module gets the first; those of the last module come
    out as they are. Names are numbers, or those of ``add`` and keywords:
    ``nn.Sequential(rnn=nn.GRU(4, 8), out=nn.Linear(8, 2))``.
    """

    def __init__(self, *modules: Module, **named: Module) -> None:
        super().__init__()
        for module in modules:
            self.add(module)
        for name, module in named.items():
            self.add(module, name)

    def add(self, module: Module, name: str | None = None) -> Self:
        """Put a module behind the others, under a name of its own or the next number."""
        check_module(self, "module", module)
        return self._put(str(len(self)) if name is None else name, module)

    def forward(self, *inputs: Any) -> Any:
        """The inputs of the first module -> what the last one gives."""
        modules = list(self)
        if not modules:
            if len(inputs) != 1:
                raise ArgumentError(f"Sequential: it is empty and was given {len(inputs)} inputs.")
            return inputs[0]
        result = modules[0](*inputs)
        for module in modules[1:]:
            result = module(result[0] if isinstance(result, tuple) else result)
        return result


class ModuleList(_Ordered):
    """Modules in a list, for a module that runs them in its own way.

    A plain list does as well; this one checks what it is given, and can be sliced and called by
    ``apply`` as one module. It has no ``forward``.
    """

    def __init__(self, *modules: Module | Iterable[Module]) -> None:
        super().__init__()
        for given in modules:
            self.extend([given] if isinstance(given, Module) else given)


def check_module(where: Module, name: str, module: Any) -> None:
    """Raise unless it is a module."""
    if not isinstance(module, Module):
        hint = ""
        if isinstance(module, type) and issubclass(module, Module):
            hint = f": make one of it, {module.__name__}(...)"
        elif callable(module):
            hint = "; nn.Activation makes one of a function"
        raise ModuleError(
            f"{type(where).__name__}: {name} is a {type(module).__name__}, expected a Module{hint}."
        )
