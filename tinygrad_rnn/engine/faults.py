"""What can be wrong with a walk back, and how to say it.

Each message says where it happened, what was given, what was expected and how that follows,
and the likely cause.
"""

from typing import Any

import numpy as np

from tinygrad_rnn.device import device_of
from tinygrad_rnn.engine.node import Node
from tinygrad_rnn.errors import (
    GradientError,
    ShapeError,
)
from tinygrad_rnn.tensor import Tensor, Version

__all__ = [
    "already_freed", "check_gradient", "check_unchanged", "described", "forward_line",
    "leaf_replaced", "wrong_answer",
]  # fmt: skip


def described(x: Any) -> str:
    """Element type, shape and device of an array or Tensor in few characters."""
    device = _device(x)
    return f"{x.dtype}{list(x.shape)}" + ("" if device == "cpu" else f" on {device}")


def forward_line(called_at: str) -> str:
    """The end of a message: where the operation was called, if that is known."""
    return f"\nThe forward call: {called_at}" if called_at else ""


def _noted_line(node: Node) -> str:
    """The same for a node, as far as a debug session has noted it."""
    watch = None if node.notes is None else node.notes.watch
    return "" if watch is None else forward_line(watch.called_at)


def already_freed(node: Node) -> GradientError:
    """The arrays that the derivative needs are gone."""
    return GradientError(
        f"backward: {node.op.name!r} has no saved arrays any more, expected those of the forward "
        "pass: an earlier backward() or grad() used and freed this graph. Pass retain_graph=True "
        "to the earlier call, or run the forward pass again. In a recurrent network the likely "
        "cause is a state carried over from the chunk before: detach() it, or let the layer carry "
        f"it, with stateful=True.{_noted_line(node)}"
    )


def leaf_replaced(node: Node, leaf: Tensor) -> GradientError:
    """A leaf holds another array than at the time of the forward pass."""
    return GradientError(
        f"backward: {node.op.name!r} needs a leaf ({described(leaf)}) with the array that it had "
        "in the forward pass, but the leaf has been moved or given another array since. Run the "
        f"forward pass again.{_noted_line(node)}"
    )


def check_unchanged(node: Node) -> None:
    """Raise if an array that the derivative is about to use was written after it was saved."""
    for number, (parent, array) in enumerate(zip(node.parents, node.saved, strict=True)):
        if array is not None:
            version = parent if parent.__class__ is Version else _version_of(parent)
            if version is not None and version.changed > node.seq:
                raise _changed(node, f"input {number}", array)
    if node.out is not None and node.version is not None and node.version.changed > node.seq:
        raise _changed(node, "output", node.out)


def _version_of(parent: Any) -> Version | None:
    version: Version | None = parent.version if parent.__class__ is Node else parent._version
    return version


def _changed(node: Node, which: str, array: Any) -> GradientError:
    which += f" ({described(array)})" if hasattr(array, "dtype") else ""
    return GradientError(
        f"backward: the {which} of {node.op.name!r} has been changed since the forward pass, "
        "expected the numbers of then: the derivative is computed from them. The likely cause is "
        "assign_(), setting .data, an optimiser's step, or moving or converting a module, on the "
        "tensor itself or on one that shares its memory (detach(), a view). Do that after "
        f"backward(), or give the operation a copy, with clone().{_noted_line(node)}"
    )


def wrong_answer(hook: Any, answer: Tensor, given: Tensor) -> ShapeError:
    """A hook replaced a gradient by something that is none."""
    return ShapeError(
        f"hook {getattr(hook, '__qualname__', hook)}: returned a gradient of {described(answer)}, "
        f"expected {described(given)}, like the one it was given. Return None to leave the "
        "gradient as it is."
    )


def check_gradient(where: str, g: Any, like: Tensor) -> None:
    """Raise if a gradient is not of the shape, type and device of its tensor."""
    home = like._data
    if g.shape != home.shape:
        raise ShapeError(
            f"{where}: a tensor of {described(like)} received a gradient of {described(g)}, "
            "expected one of its shape. The derivative rule of an operation that used it is "
            "wrong; tg.debug() names the operation."
        )
    on_cpu = g.__class__ is home.__class__ is np.ndarray
    if g.dtype != home.dtype or not (on_cpu or _device(g) == like.device):
        raise GradientError(
            f"{where}: a tensor of {described(like)} received a gradient of {described(g)}, "
            "expected one of its type and device. The likely cause is that it has been moved or "
            "converted since the forward pass; then run the forward pass again. Otherwise the "
            "derivative rule of an operation is wrong; tg.debug() names it."
        )


def _device(g: Any) -> str:
    return g.device if isinstance(g, Tensor) else device_of(g)
