"""The graph and the way back through it.

A recorded operation leaves one Node behind: which operation, where each input came from,
and the arrays that its derivative rules need. References point from child to parent only,
so a graph dies with its last result. ``backward`` walks the nodes in the reverse order of
their creation with a heap: a node is reached only after everything that used it.
"""

from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush
from types import SimpleNamespace
from typing import Any

import numpy as np

from tinygrad_rnn import modes
from tinygrad_rnn.device import Array, array_module, device_of
from tinygrad_rnn.errors import GradientError, ShapeError
from tinygrad_rnn.tensor import Tensor, Version, as_tensor, tick

__all__ = ["Node", "SliceGrad", "backward", "grad", "unbroadcast", "wrap"]


class Node:
    """One recorded operation, seen from its single output.

    op        the operation: a name and derivative rules (see ``primitive.py``)
    parents   for each input: its Node; the leaf Tensor that wants a gradient; the Version
              of a constant (so that its change is noticed); or None for a Python number
    saved     the arrays that the rules take, None for those they leave alone
    out       the output array, if a rule wants it
    attrs     keyword arguments of the rules, or None
    shapes    shapes of the inputs where broadcasting has to be undone, or None
    seq       the time of creation
    version   the version cell of the output, once somebody shares its memory
    extra     hooks and the place of the forward call, where there are any
    """

    __slots__ = (
        "__weakref__",
        "attrs",
        "extra",
        "op",
        "out",
        "parents",
        "saved",
        "seq",
        "shapes",
        "version",
    )

    op: Any
    parents: tuple[Any, ...]
    saved: Any
    out: Any
    attrs: dict[str, Any] | None
    shapes: tuple[Any, ...] | None
    seq: int
    version: Version | None
    extra: Any

    def __repr__(self) -> str:
        return f"<{self.op.name} #{self.seq}>"


# Every primitive by name, filled as they are declared: over arrays and over Tensors.
ARRAYS = SimpleNamespace()
TENSORS = SimpleNamespace()


Hook = Callable[[Tensor], Tensor | None]


class _Freed:
    """Stands for the saved arrays of a node whose backward has run."""

    def __repr__(self) -> str:
        return "<freed>"


FREED = _Freed()


_new_node, _new_tensor = Node.__new__, Tensor.__new__


def record(
    op: Any,
    parents: tuple[Any, ...],
    saved: tuple[Any, ...],
    out: Any,
    data: Array,
    attrs: dict[str, Any] | None = None,
    shapes: tuple[Any, ...] | None = None,
) -> Tensor:
    """The Tensor around ``data``, with the Node that remembers how it was made.

    One flat function without constructors: a call costs as much as adding small arrays.
    """
    node = _new_node(Node)
    node.op = op
    node.parents = parents
    node.saved = saved
    node.out = out
    node.attrs = attrs
    node.shapes = shapes
    node.seq = tick()
    node.version = node.extra = None
    result = _new_tensor(Tensor)
    result._data = data
    result._node = node
    result._requires_grad = True
    result._version = result._hooks = result.grad = None
    return result


def wrap(data: Array, node: Node | None = None) -> Tensor:
    """A Tensor around an array: a constant, or seen as the output of ``node`` again."""
    result = _new_tensor(Tensor)
    result._data = data
    result._node = node
    result._requires_grad = node is not None
    result._version = result._hooks = result.grad = None
    return result


class SliceGrad:
    """A gradient that is zero outside ``index``: added into place, never spread out.

    ``x[t]`` for every t of a sequence would otherwise cost a whole array of zeros a step.
    """

    __slots__ = ("index", "shape", "value")

    def __init__(self, index: Any, value: Array, shape: tuple[int, ...]) -> None:
        self.index = index
        self.value = value
        self.shape = shape

    def add_to(self, total: Array | None) -> Array:
        """``total`` (owned by the engine, or None) with this gradient added in place."""
        if total is None:
            total = array_module(self.value).zeros(self.shape, self.value.dtype)
            total[self.index] = self.value
        else:
            total[self.index] += self.value
        return total


def unbroadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum a gradient (array or Tensor) over the axes along which its input was repeated."""
    extra = g.ndim - len(shape)
    axes = tuple(range(extra)) + tuple(
        i + extra for i, n in enumerate(shape) if n == 1 and g.shape[i + extra] != 1
    )
    if axes:
        g = g.sum(axis=axes, keepdims=True)
    return g.reshape(shape) if extra else g


class Pass:
    """One walk from roots back to leaves.

    ``targets`` restricts the walk to what leads to these tensors; ``graph`` records the
    walk itself, so that its results can be differentiated again.
    """

    def __init__(self, *, graph: bool, retain: bool, targets: Sequence[Tensor] | None) -> None:
        self.graph = graph
        self.retain = retain or graph
        self.pending: dict[int, list[Any]] = {}  # seq -> [node, gradient, whether it is ours]
        self.heap: list[int] = []
        self.leaves: dict[Tensor, list[Any]] = {}  # leaf -> [leaf, gradient, whether it is ours]
        self.wanted: dict[Any, Any] | None = None
        self.useful: set[Node] | None = None
        if targets is not None:
            self.wanted = {(t._node or t): None for t in targets}

    def start(self, roots: Sequence[Tensor], gradients: Sequence[Any]) -> None:
        """Put the roots' gradients in their places."""
        if self.wanted is not None:
            self.useful = _nodes_leading_to(self.wanted, roots)
        for root, g in zip(roots, gradients, strict=True):
            self.deliver(root._node or root, g, False)

    def deliver(self, parent: Any, part: Any, new: bool) -> None:
        """Add ``part`` to the gradient of ``parent`` (a Node or a leaf).

        ``new`` says that nobody but the engine holds the array, which may then be added to
        in place and become somebody's ``grad`` as it is.
        """
        if parent.__class__ is Node:
            if self.useful is not None and parent not in self.useful:
                return
            slot = self.pending.get(parent.seq)
            if slot is None:
                slot = self.pending[parent.seq] = [parent, None, False]
                heappush(self.heap, -parent.seq)
        else:
            if self.wanted is not None and parent not in self.wanted:
                return
            slot = self.leaves.get(parent)
            if slot is None:
                slot = self.leaves[parent] = [parent, None, False]
        total, ours = slot[1], slot[2]
        if part.__class__ is SliceGrad:
            slot[1] = part.add_to(total if ours or total is None else total.copy())
            slot[2] = True
        elif part.__class__ is tuple:  # (output number, its gradient) of a node with several
            number, g = part
            if total is None:
                total = slot[1] = [None] * parent.op.outputs(parent)
            total[number] = g if total[number] is None else total[number] + g
        elif total is None:
            slot[1] = part
            slot[2] = new and not self.graph and _stands_alone(part)
        elif ours:
            total += part
        else:
            slot[1] = total + part
            slot[2] = not self.graph and not isinstance(slot[1], np.generic)

    def run(self, namespace: Any) -> None:
        """Visit every pending node, newest first."""
        heap, pending, retain, graph = self.heap, self.pending, self.retain, self.graph
        wanted, everything = self.wanted, self.useful is None
        while heap:
            node, g, _ = pending.pop(-heappop(heap))
            if node.extra is not None:
                g = _apply_hooks(node.extra.hooks, g, graph)
            if wanted is not None and node in wanted:
                wanted[node] = g
            saved, out, attrs, shapes, rules = (
                node.saved,
                node.out,
                node.attrs,
                node.shapes,
                node.op.rules,
            )
            if saved is FREED:
                raise GradientError(_freed(node))
            if Version.latest > node.seq:
                _check_unchanged(node)
            if rules is None:
                for parent, part in node.op.pull(node, g, graph):
                    self.deliver(parent, part, part is not g)
                rules = ()
            elif graph:
                saved = inputs_as_tensors(node)
                out = None if out is None else wrap(out, node)
            number = -1
            for rule, parent in zip(rules, node.parents):  # noqa: B905 - checked when declared
                number += 1
                kind = parent.__class__
                if kind is Version or parent is None:
                    continue
                if attrs is None:
                    part = rule(namespace, g, out, *saved)
                else:
                    part = rule(namespace, g, out, *saved, **attrs)
                if shapes is not None and shapes[number] != part.shape:
                    part = unbroadcast(part, shapes[number])
                if node.extra is not None and node.extra.place is not None:
                    _check_gradient(node, number, part)
                if (
                    kind is Node
                    and everything
                    and parent.seq not in pending
                    and part.__class__ is not SliceGrad
                ):
                    # The common case of deliver(), in place: the first gradient of a node.
                    seq = parent.seq
                    pending[seq] = [parent, part, False]
                    heappush(heap, -seq)
                else:
                    self.deliver(parent, part, part is not g)
            if not retain:
                node.saved, node.out = FREED, None


def _stands_alone(array: Array) -> bool:
    """Whether the array is its own, not a view of one that somebody else may hold."""
    base = array.base
    return base is None or base.__class__ is not array.__class__


def _nodes_leading_to(wanted: dict[Any, Any], roots: Sequence[Tensor]) -> set[Node]:
    """The nodes between the roots and what is wanted: the only ones worth visiting."""
    seen: dict[int, Node] = {}
    stack = [root._node for root in roots if root._node is not None]
    while stack:
        node = stack.pop()
        if node.seq not in seen:
            seen[node.seq] = node
            stack.extend(p for p in node.parents if p.__class__ is Node and p.seq not in seen)
    useful: set[Node] = set()
    for seq in sorted(seen):
        node = seen[seq]
        if node in wanted or any(
            p in useful if p.__class__ is Node else p.__class__ is not Version and p in wanted
            for p in node.parents
            if p is not None
        ):
            useful.add(node)
    return useful


def inputs_as_tensors(node: Node) -> list[Any]:
    """The saved inputs as Tensors with their graphs, so that what uses them is recorded."""
    inputs: list[Any] = []
    for parent, array in zip(node.parents, node.saved, strict=True):
        if array is None or parent is None:
            inputs.append(array)
        elif parent.__class__ is Node:
            inputs.append(wrap(array, parent))
        elif parent.__class__ is Version:
            inputs.append(wrap(array, None))
        elif parent._data is array:
            inputs.append(parent)
        else:
            raise GradientError(
                f"backward: {node.op.name!r} needs a leaf of shape {parent.shape} as it was in the "
                "forward pass, but it has been moved or replaced since; run the forward pass again."
            )
    return inputs


class Extra:
    """What few nodes have: hooks on the gradient, the place of the forward call."""

    __slots__ = ("hooks", "place")

    def __init__(self) -> None:
        self.hooks: dict[int, Hook] = {}
        self.place: str | None = None


def _apply_hooks(hooks: dict[int, Hook], g: Any, graph: bool) -> Any:
    """The gradient after every hook has seen it, and perhaps replaced it."""
    for hook in tuple(hooks.values()):
        given = g if isinstance(g, Tensor) else wrap(np.asarray(g) if np.isscalar(g) else g)
        answer = hook(given)
        if answer is None:
            continue
        answer = as_tensor(answer)
        if answer.shape != given.shape or answer.dtype != given.dtype:
            raise ShapeError(
                f"hook: returned a gradient of {answer.dtype}{list(answer.shape)}, "
                f"expected {given.dtype}{list(given.shape)}."
            )
        g = answer if graph else answer._data
    return g


def _check_unchanged(node: Node) -> None:
    """Raise if an array that the rules are about to use was written after it was saved."""
    sources: Iterable[tuple[str, Any, Any]] = (
        *(
            (f"input {i}", p, a)
            for i, (p, a) in enumerate(zip(node.parents, node.saved, strict=True))
        ),
        ("output", node, node.out),
    )
    for name, parent, array in sources:
        if array is None or parent is None:
            continue
        version = (
            parent
            if parent.__class__ is Version
            else parent.version
            if parent.__class__ is Node
            else parent._version
        )
        if version is not None and version.changed > node.seq:
            raise GradientError(
                f"backward: {node.op.name!r} needs its {name} (shape {getattr(array, 'shape', ())})"
                " as it was in the forward pass, but the array has been changed since by assign_ "
                "or an optimiser step, or moved or converted with its module. Call backward() "
                "before that, run the forward pass again, or give the operation a copy "
                f"(.clone()).{_where(node)}"
            )


def _check_gradient(node: Node, number: int, part: Any) -> None:
    """Debug mode: a rule must return the shape and type of its input."""
    array = part.value if part.__class__ is SliceGrad else part
    parent = node.parents[number]
    saved = node.saved[number]
    expected = saved.shape if hasattr(saved, "shape") else None
    if parent.__class__ is Tensor:
        expected = parent.shape
    shape = part.shape
    if expected is not None and tuple(shape) != tuple(expected):
        raise ShapeError(
            f"{node.op.name}: the rule of input {number} returned a gradient of shape {shape}, "
            f"expected {expected}.{_where(node)}"
        )
    data = array._data if isinstance(array, Tensor) else np.asarray(array)
    if not np.isfinite(data).all():
        raise GradientError(
            f"backward: the gradient of input {number} of {node.op.name!r} is not finite."
            f"{_where(node)}"
        )


def _where(node: Node) -> str:
    place = node.extra.place if node.extra is not None else None
    return f"\nThe forward call stood at {place}" if place else ""


def _freed(node: Node) -> str:
    return (
        f"backward: the graph of {node.op.name!r} was used and freed by an earlier backward(). "
        "Pass retain_graph=True to the first call, or run the forward pass again."
        f"{_where(node)}"
    )


def _seeds(where: str, outputs: Sequence[Tensor], gradients: Sequence[Any] | None) -> list[Tensor]:
    """One gradient per output: what the caller gave, or 1 for a single number."""
    if gradients is None:
        gradients = [None] * len(outputs)
    if len(gradients) != len(outputs):
        raise ShapeError(f"{where}: {len(gradients)} gradients for {len(outputs)} outputs.")
    seeds = []
    for out, g in zip(outputs, gradients, strict=True):
        if not out._requires_grad:
            raise GradientError(
                f"{where}: the output (shape {out.shape}) depends on nothing that requires a "
                "gradient. Was it made under no_grad(), or detached, or are all inputs constants?"
            )
        if g is None:
            if out.size != 1:
                raise ShapeError(
                    f"{where}: called on a tensor of shape {out.shape}; pass a gradient of that "
                    "shape, or reduce it to one number first, with .sum() or .mean()."
                )
            g = wrap(array_module(out._data).ones(out.shape, out.dtype), None)
        elif not isinstance(g, Tensor):
            g = Tensor(array_module(out._data).asarray(g, out.dtype))
        if g.shape != out.shape or g.dtype != out.dtype or g.device != out.device:
            raise ShapeError(
                f"{where}: the gradient is {g.dtype}{list(g.shape)} on {g.device}, expected "
                f"{out.dtype}{list(out.shape)} on {device_of(out._data)}, as the output is."
            )
        seeds.append(g)
    return seeds


def _walk(
    where: str,
    outputs: Sequence[Tensor],
    gradients: Sequence[Any] | None,
    targets: Sequence[Tensor] | None,
    *,
    graph: bool,
    retain: bool,
) -> Pass:
    seeds = _seeds(where, outputs, gradients)
    walk = Pass(graph=graph, retain=retain, targets=targets)
    if graph:
        with modes.enable_grad():
            walk.start(outputs, seeds)
            walk.run(TENSORS)
    else:
        # Derivatives of overflowing values overflow: that is an answer, not worth a warning.
        with np.errstate(all="ignore"), modes.no_grad():
            walk.start(outputs, [seed._data for seed in seeds])
            walk.run(ARRAYS)
    return walk


def _finish(leaf: Tensor, g: Any, graph: bool) -> Tensor:
    """The gradient of a leaf as a Tensor, checked and passed through its hooks."""
    if leaf._hooks:
        g = _apply_hooks(leaf._hooks, g, graph)
    result = g if isinstance(g, Tensor) else wrap(np.asarray(g) if np.isscalar(g) else g)
    if result.shape != leaf.shape:
        raise ShapeError(
            f"backward: a leaf of {leaf.dtype}{list(leaf.shape)} received a gradient of "
            f"{result.dtype}{list(result.shape)}; some operation's derivative rule is wrong."
        )
    if result.dtype != leaf.dtype or result.device != leaf.device:
        raise GradientError(
            f"backward: a leaf of {leaf.dtype} on {leaf.device} received a gradient of "
            f"{result.dtype} on {result.device}; it has been moved or converted since the forward "
            "pass (then run the forward pass again), or some operation's derivative rule is wrong."
        )
    return result


def backward(
    outputs: Tensor | Sequence[Tensor],
    gradients: Any = None,
    *,
    retain_graph: bool = False,
    create_graph: bool = False,
    inputs: Sequence[Tensor] | None = None,
) -> None:
    """Add d(outputs)/d(leaf) to ``grad`` of every leaf, or only of ``inputs``."""
    if isinstance(outputs, Tensor):
        outputs = [outputs]
        gradients = None if gradients is None else [gradients]
    walk = _walk("backward()", outputs, gradients, inputs, graph=create_graph, retain=retain_graph)
    for leaf, (_, g, owned) in walk.leaves.items():
        result = _finish(leaf, g, create_graph)
        if leaf.grad is not None:
            leaf.grad = _add(leaf.grad, result, create_graph)
        else:
            # An array that the graph or the caller may hold as well must not become .grad,
            # which later passes add to in place.
            leaf.grad = result if owned or create_graph else wrap(_own(result._data), None)
    for tensor in inputs or ():
        if tensor._node is not None and (g := (walk.wanted or {}).get(tensor._node)) is not None:
            result = g if isinstance(g, Tensor) else wrap(_own(g), None)
            tensor.grad = result if tensor.grad is None else _add(tensor.grad, result, create_graph)


def _own(array: Array) -> Array:
    return array.copy()


def _add(old: Tensor, new: Tensor, graph: bool) -> Tensor:
    if graph or old._requires_grad:
        with modes.set_grad_enabled(graph):
            return old + new
    old.shared_version().bump()
    old._data += new._data
    return old


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
    if isinstance(outputs, Tensor):
        outputs = [outputs]
        grad_outputs = None if grad_outputs is None else [grad_outputs]
    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    for number, tensor in enumerate(inputs):
        if not tensor._requires_grad:
            raise GradientError(f"grad(): input {number} does not require a gradient.")
    walk = _walk("grad()", outputs, grad_outputs, inputs, graph=create_graph, retain=retain_graph)
    results: list[Tensor | None] = []
    for number, tensor in enumerate(inputs):
        if tensor._node is None:
            slot = walk.leaves.get(tensor)
            result = None if slot is None else _finish(tensor, slot[1], create_graph)
        else:
            assert walk.wanted is not None
            g = walk.wanted[tensor._node]
            result = g if g is None or isinstance(g, Tensor) else wrap(np.asarray(g), None)
        if result is None and not allow_unused:
            raise GradientError(
                f"grad(): the outputs do not depend on input {number} (shape {tensor.shape}); "
                "pass allow_unused=True to get None for it."
            )
        results.append(result)
    return tuple(results)


def _tensor_backward(
    self: Tensor,
    gradient: Any = None,
    *,
    retain_graph: bool = False,
    create_graph: bool = False,
    inputs: Sequence[Tensor] | None = None,
) -> None:
    """Add the derivative of this tensor to ``grad`` of every leaf it depends on."""
    backward(self, gradient, retain_graph=retain_graph, create_graph=create_graph, inputs=inputs)


Tensor.backward = _tensor_backward  # type: ignore[method-assign]
