"""Operations with one backward for everything, and a reference made of primitives."""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from tinygrad_rnn import modes
from tinygrad_rnn.device import there_beside
from tinygrad_rnn.engine import Node, OutputGrad, Walk, inputs_as_tensors, record, wrap
from tinygrad_rnn.primitive.operands import array_of, check_devices, parent_of, raise_as_ours, show
from tinygrad_rnn.primitive.rows import RowWise
from tinygrad_rnn.primitive.table import register
from tinygrad_rnn.tensor import FLOATS, Tensor, Version, tick

__all__ = ["Fused", "Output", "fused", "outputs_of", "run_fused", "walk_back"]


class Fused:
    """An operation with one backward for all its inputs, and a reference made of primitives.

    forward(*arrays, **attrs)                          outputs (array or tuple), residuals
    backward(residuals, gs, needs, *arrays, **attrs)   a gradient, or None, per input
    reference(*tensors, **attrs)                       output tensors

    ``gs`` holds a gradient or None per output, ``needs`` a boolean per input. The gradients
    returned are new arrays, no two of them the same. With ``adds`` backward is also given
    ``sums``, for each input an array that its gradient is to be added to in place, or None; it
    may do so and return that same array, and need not. Where the backward is to be
    differentiated itself, the reference is replayed in its place; or, where there is one,
    ``gradient(gs, needs, *tensors, **attrs)`` is called, the backward as a function of
    Tensors. ``rows``, if there is one, is the backward row by row.
    """

    __slots__ = ("adds", "backward", "call", "forward", "gradient", "name", "reference", "rows")

    rules = None

    def __init__(
        self,
        name: str,
        forward: Callable[..., Any],
        backward: Callable[..., Any],
        reference: Callable[..., Any],
        rows: RowWise | None = None,
        gradient: Callable[..., Any] | None = None,
        adds: bool = False,
    ) -> None:
        self.name = name
        self.adds = adds
        self.forward = forward
        self.backward = backward
        self.reference = reference
        self.rows = rows
        self.gradient = gradient
        self.call: Callable[..., Any]

    def pull(self, node: Node, g: Any, walk: Walk) -> Iterator[tuple[int, Any, bool]]:
        """The number and gradient of each input that wants one, and that it is new."""
        count, residuals = node.out
        gs = g if count else [g]
        attrs = node.attrs or {}
        needs = walk.wanted(node.parents)
        if walk.graph and self.gradient is None:
            start = tick()
            outs = self.reference(*inputs_as_tensors(node), **attrs)
            walk_back(node, outs if isinstance(outs, tuple) else (outs,), gs, start, walk)
            return
        if walk.graph:
            parts = self.gradient(gs, needs, *inputs_as_tensors(node), **attrs)  # type: ignore[misc]
            sums = [None] * len(needs)
        else:
            adds = self.adds and node.notes is None  # which want to see every part
            sums = walk.sums_of(node.parents) if adds else [None] * len(needs)
            more = {"sums": sums} if any(total is not None for total in sums) else {}
            parts = self.backward(residuals, gs, needs, *node.saved, **attrs, **more)
        for number, (part, need, total) in enumerate(zip(parts, needs, sums, strict=True)):
            if need and part is not None and part is not total:
                yield number, part, True

    def __repr__(self) -> str:
        return f"<fused {self.name}>"


def walk_back(
    node: Node, outs: Sequence[Tensor], gs: Sequence[Any], start: int, walk: Walk
) -> None:
    """Walk back through what has been recorded since ``start``, in the place of ``node``.

    The inner walk goes no further than the node's own parents: what lies behind them is the
    outer walk's, and would be counted twice. The outer one gets every gradient as it
    arrives, so that sums have the same bits as if the operations were its own.
    """
    pairs = [(o, g) for o, g in zip(outs, gs, strict=True) if g is not None and o._requires_grad]
    wanted = [parent for parent in node.parents if walk.wants(parent)]
    inner = Walk(graph=walk.graph, retain=walk.graph, targets=wanted, floor=start, outer=walk)
    inner.go([out for out, _ in pairs], [g if walk.graph else wrap(g) for _, g in pairs])


class Output:
    """One output of an operation that has several; a gradient passes it with its number."""

    __slots__ = ("count", "name", "number", "rules")

    def __init__(self, name: str, number: int, count: int) -> None:
        self.name = f"{name}[{number}]"
        self.number = number
        self.count = count
        self.rules = (self._marked,)

    def _marked(self, _namespace: Any, g: Any, _out: Any, _whole: Any) -> OutputGrad:
        """The gradient, marked with the output that it belongs to."""
        return OutputGrad(self.number, self.count, g)


_output = lru_cache(maxsize=1024)(Output)


def outputs_of(name: str, whole: Node, outs: Sequence[Any]) -> tuple[Tensor, ...]:
    """The outputs of a recorded node as Tensors, each the result of an Output of it."""
    # One version for all: the node's derivative may need any of them.
    whole.version = version = Version()
    results = []
    for number, out in enumerate(outs):
        if out.dtype in FLOATS:
            output = record(_output(name, number, len(outs)), (whole,), (None,), None, out)
            output._version = output._node.version = version  # type: ignore[union-attr]
        else:
            output = wrap(out, None, version)
        results.append(output)
    return tuple(results)


def run_fused(op: Fused, inputs: Sequence[Any], attrs: dict[str, Any]) -> Any:
    """Run and record one call of a fused operation."""
    arrays = [None if x is None else array_of(x, op.name) for x in inputs]
    check_devices(op, arrays)
    try:
        with there_beside(arrays):
            outs, residuals = op.forward(*arrays, **attrs)
    except Exception as error:
        raise_as_ours(op, arrays, error)
        raise
    several = isinstance(outs, tuple)
    results: tuple[Tensor, ...]
    node = None
    wanted = [x for x in inputs if isinstance(x, Tensor) and x._requires_grad]
    if wanted and modes.recording.get():
        parents = tuple([parent_of(x) for x in inputs])
        state = (len(outs) if several else 0, residuals)
        whole = record(op, parents, tuple(arrays), state, outs, attrs or None)
        node = whole._node
        assert node is not None
        results = outputs_of(op.name, node, outs) if several else (whole,)
    else:
        results = tuple(map(wrap, outs)) if several else (wrap(outs),)
    show(op, results, inputs, attrs, node)
    return results if several else results[0]


def fused(
    name: str,
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    reference: Callable[..., Any],
    rows: RowWise | None = None,
    gradient: Callable[..., Any] | None = None,
    adds: bool = False,
) -> Callable[..., Any]:
    """Declare a fused operation; its function takes inputs by position, attrs by keyword."""
    op = Fused(name, forward, backward, reference, rows, gradient, adds)

    def call(*inputs: Any, **attrs: Any) -> Any:
        return run_fused(op, inputs, attrs)

    return register(op, call)
