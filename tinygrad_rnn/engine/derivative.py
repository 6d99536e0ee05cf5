"""backward() and grad(): what a walk has found, handed to leaves or to the caller.

An array that is handed out belongs to whoever gets it: it is nobody's view, no other
gradient, and not the array that the caller passed in.
"""

import threading
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tinygrad_rnn import modes
from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.device import Array, array_module, there
from tinygrad_rnn.engine.faults import check_gradient, described
from tinygrad_rnn.engine.node import wrap
from tinygrad_rnn.engine.walk import Walk, call_hooks, stands_alone
from tinygrad_rnn.errors import DeviceError, DTypeError, GradientError, ShapeError, TinygradError
from tinygrad_rnn.tensor import Tensor, as_operand, as_tensor

__all__ = ["backward", "grad", "seeds"]

# Threads may walk back to one leaf at the same time; none of the sums must get lost.
_commit = threading.Lock()


def backward(
    outputs: Tensor | Sequence[Tensor],
    gradients: Any = None,
    *,
    retain_graph: bool = False,
    create_graph: bool = False,
    inputs: Sequence[Tensor] | None = None,
) -> None:
    """Add d(outputs)/d(leaf) to ``grad`` of every leaf, or only of ``inputs``.

    Args:
        gradients: One for each output (a single one for a single output); 1 for a number.
        retain_graph: Keep the saved arrays, so that the graph can be walked again.
        create_graph: Record this walk too, so that ``grad`` can be differentiated.
        inputs: Leaves or results; nothing else receives a gradient.
    """
    where = "backward()"
    outputs, gradients = _listed(where, outputs, gradients)
    if inputs is not None:
        inputs = _checked(where, inputs)
    walk = _walked(where, outputs, gradients, inputs, retain_graph, create_graph)
    ready = [
        (leaf, _finished(where, leaf, g, new, create_graph))
        for leaf, (_, g, new) in walk.ends.items()
    ]
    for tensor, g in _inside(walk, inputs):
        ready.append((tensor, _handed_out(where, tensor, g, False, create_graph)))
    with _commit:
        for tensor, result in ready:
            tensor._grad = _total(tensor._grad, result, create_graph)


def _inside(walk: Walk, inputs: Sequence[Tensor] | None) -> Iterable[tuple[Tensor, Any]]:
    """The gradients of results that asked for theirs, or that were named as inputs."""
    kept = {id(tensor): (tensor, g) for tensor, g in walk.kept}
    for tensor in inputs or ():
        if tensor._node in walk.found:
            kept.setdefault(id(tensor), (tensor, walk.found[tensor._node][1]))
    return kept.values()


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    *,
    retain_graph: bool = False,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of ``outputs`` with respect to ``inputs``; touches no ``grad``.

    ``inputs`` may be leaves or results. One that the outputs do not depend on is an error,
    or None with ``allow_unused=True``.
    """
    where = "grad()"
    outputs, grad_outputs = _listed(where, outputs, grad_outputs)
    inputs = _checked(where, inputs)
    walk = _walked(where, outputs, grad_outputs, inputs, retain_graph, create_graph)
    results: list[Tensor | None] = []
    given: set[Any] = set()
    for number, tensor in enumerate(inputs):
        source = tensor._node or tensor
        slot = walk.ends.get(tensor) if tensor._node is None else walk.found.get(tensor._node)
        if slot is None:
            if not allow_unused:
                raise GradientError(
                    f"grad(): the outputs do not depend on input {number} ({described(tensor)}), "
                    "expected a tensor that they were computed from. Was it replaced by a copy, "
                    "or detached on the way? allow_unused=True gives None for it."
                )
            results.append(None)
            continue
        finish = _finished if tensor._node is None else _handed_out
        new = slot[2] and source not in given  # an input may be named twice
        results.append(finish(where, tensor, slot[1], new, create_graph))
        given.add(source)
    return tuple(results)


def _listed(where: str, outputs: Any, gradients: Any) -> tuple[list[Tensor], list[Any] | None]:
    if isinstance(outputs, Tensor):
        return [outputs], None if gradients is None else [gradients]
    outputs = _sequence(where, "outputs", outputs)
    return outputs, None if gradients is None else _sequence(where, "gradients", gradients)


def _sequence(where: str, name: str, given: Any) -> list[Any]:
    if not isinstance(given, Iterable) or isinstance(given, str | dict):
        raise TypeError(
            f"{where}: {name} is {shortened(given)}, expected a Tensor or a list of them."
        )
    return list(given)


def _checked(where: str, inputs: Any) -> list[Tensor]:
    listed = [inputs] if isinstance(inputs, Tensor) else _sequence(where, "inputs", inputs)
    for number, tensor in enumerate(listed):
        if not isinstance(tensor, Tensor) or not tensor._requires_grad:
            given = described(tensor) if isinstance(tensor, Tensor) else type(tensor).__name__
            raise GradientError(
                f"{where}: input {number} ({given}) does not require a gradient, expected a leaf "
                "with requires_grad=True or the result of recorded operations. Set requires_grad "
                "before it is used: what is computed earlier is not recorded."
            )
    return listed


def seeds(where: str, outputs: Sequence[Tensor], gradients: Sequence[Any] | None) -> list[Tensor]:
    """One gradient per output: what the caller gave, or 1 for a single number."""
    given = [None] * len(outputs) if gradients is None else list(gradients)
    if len(given) != len(outputs):
        raise ShapeError(
            f"{where}: got {len(given)} gradients, expected {len(outputs)}, one for each output."
        )
    return [_seed(where, out, g) for out, g in zip(outputs, given, strict=True)]


def _seed(where: str, out: Any, g: Any) -> Tensor:
    if not isinstance(out, Tensor):
        raise TypeError(
            f"{where}: got an output of type {type(out).__name__}, expected a Tensor. "
            "Several outputs go into one list."
        )
    if not out._requires_grad:
        raise GradientError(
            f"{where}: the output ({described(out)}) does not depend on anything that requires a "
            "gradient, expected the result of recorded operations. Was it made under no_grad(), "
            "or detached, or are all its inputs constants?"
        )
    if g is None:
        if out._data.size != 1:
            raise ShapeError(
                f"{where}: got an output of shape {out.shape} and no gradient for it, expected a "
                "single number, whose gradient is 1. Reduce it first, with .sum() or .mean(), or "
                "pass a gradient of its shape."
            )
        with there(out._data):
            one = array_module(out._data).array(1, out._data.dtype)
        return wrap(one.reshape(out._data.shape))
    home = out._data
    if g.__class__ is home.__class__ is np.ndarray and g.dtype == home.dtype:
        if g.shape == home.shape:  # nothing is to be asked
            return wrap(g)
    elif not isinstance(g, Tensor) and not hasattr(g, "dtype"):
        as_operand(g, where)  # or the reason why it holds no numbers
        with there(out._data):
            g = array_module(out._data).asarray(g, out.dtype)  # numbers and lists have no type
    seed = as_tensor(g, where)
    if seed.shape != out.shape or seed.dtype != out.dtype or seed.device != out.device:
        kind: type[TinygradError] = DTypeError if seed.shape == out.shape else ShapeError
        raise (kind if seed.device == out.device else DeviceError)(
            f"{where}: got a gradient of {described(seed)} for an output of {described(out)}, "
            "expected both alike: there is one derivative for each number of the output."
        )
    return seed


def _walked(
    where: str,
    outputs: list[Tensor],
    gradients: list[Any] | None,
    inputs: list[Tensor] | None,
    retain: bool,
    graph: bool,
) -> Walk:
    targets = None if inputs is None else [x._node or x for x in inputs]
    walk = Walk(graph=graph, retain=retain, targets=targets)
    walk.go(outputs, seeds(where, outputs, gradients))
    return walk


def _finished(where: str, leaf: Tensor, g: Any, new: bool, graph: bool) -> Tensor:
    """The gradient of a leaf, passed through the leaf's hooks."""
    if leaf._hooks:
        g, new = call_hooks(leaf._hooks, g, graph), False
    home = leaf._data
    alike = g.__class__ is home.__class__ is np.ndarray and g.dtype is home.dtype
    if alike and g.shape == home.shape and new and _is_private(g):
        return wrap(g)  # most of all: nothing is to be asked
    return _handed_out(where, leaf, g, new, graph)


def _handed_out(where: str, tensor: Tensor, g: Any, new: bool, graph: bool) -> Tensor:
    """A gradient as a Tensor that its receiver may keep and change."""
    check_gradient(where, g, tensor)
    if new and not graph and _is_private(g):
        return wrap(g)
    with there(tensor._data):
        if not graph:
            return wrap(g.copy())
        # What belongs to a graph cannot be written anyway, a constant can.
        return g if g._requires_grad else wrap(g._data.copy())


def _is_private(array: Array) -> bool:
    return stands_alone(array) and bool(array.flags.c_contiguous)


def _total(old: Tensor | None, new: Tensor, graph: bool) -> Tensor:
    """The sum of an earlier gradient and a new one; a gradient once handed out stays as it is."""
    if old is None:
        return new
    if graph or old._requires_grad:
        with modes.set_grad_enabled(graph):
            return old + new
    with there(new._data):
        new._data += old._data  # ours, as _handed_out() promises
    return new


def _tensor_backward(
    self: Tensor,
    gradient: Any = None,
    *,
    retain_graph: bool = False,
    create_graph: bool = False,
    inputs: Sequence[Tensor] | None = None,
) -> None:
    """Add the derivative of this tensor to ``grad`` of every leaf it depends on.

    See ``tinygrad_rnn.backward``, which does the same for several tensors at once.
    """
    backward(self, gradient, retain_graph=retain_graph, create_graph=create_graph, inputs=inputs)


_tensor_backward.__qualname__ = "Tensor.backward"
Tensor.backward = _tensor_backward  # type: ignore[assignment,method-assign]
