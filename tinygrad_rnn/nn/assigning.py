"""What may be assigned to the attributes of a module, and the errors that say what may not."""

from typing import Any

from tinygrad_rnn.errors import GradientError, ModuleError
from tinygrad_rnn.nn.parameter import Parameter
from tinygrad_rnn.tensor import Tensor

__all__ = ["check_buffer", "check_free", "check_kind", "check_name", "not_a_member"]


def check_name(module: object, base: type, name: str, value: Any) -> None:
    """Whether a parameter, module or buffer may have this name; ``base`` is Module."""
    refused = f"{type(module).__name__}: {name!r} cannot name a {_kind(value)}"
    if not isinstance(name, str) or not name or "." in name:
        raise ModuleError(
            f"{refused}; expected a string without dots, because in a state dict a dot stands "
            "between a module and what it holds."
        )
    if hasattr(base, name):
        raise ModuleError(f"{refused}: it would hide {base.__name__}.{name}.")


def check_kind(module: object, name: str, kind: type, value: Any) -> None:
    """Whether a value is of the kind that a method registers, or None."""
    if value is not None and not isinstance(value, kind):
        raise ModuleError(
            f"{type(module).__name__}: {name!r} was to name a {kind.__name__}, given a "
            f"{_kind(value)}."
        )


def check_free(module: object, name: str) -> None:
    """Whether a name is not taken yet."""
    held = module.__dict__.get(name)
    if held is not None:
        raise ModuleError(
            f"{type(module).__name__}: {name!r} names a {_kind(held)} already; choose another "
            f"name, or delete it first: del module.{name}."
        )


def check_buffer(module: object, name: str, value: Any) -> None:
    """Whether a value may be a buffer."""
    if value is None:
        return
    if not isinstance(value, Tensor) or isinstance(value, Parameter):
        raise ModuleError(
            f"{type(module).__name__}: {name!r} names a buffer, given a {_kind(value)}, expected "
            "a Tensor that is no Parameter, or None; to use the name for something else, delete "
            f"it first: del module.{name}."
        )
    if not value.is_leaf:
        raise GradientError(
            f"{type(module).__name__}: {name!r} names a buffer, given a recorded result, whose "
            "graph would grow with every step; compute it under no_grad(), or detach() it."
        )


def not_a_member(module: object, name: str, value: Any) -> ModuleError:
    """The error for something plain assigned over a parameter or module."""
    held = module.__dict__[name]
    if isinstance(held, Parameter):
        advice = f"to write its numbers, use module.{name}.assign_(...)"
    else:
        advice = f"to put something else there, delete it first: del module.{name}"
    return ModuleError(
        f"{type(module).__name__}: {name!r} names a {_kind(held)}, given a {_kind(value)}, "
        f"expected a Parameter, a Module or None; {advice}."
    )


def _kind(value: Any) -> str:
    return type(value).__name__
