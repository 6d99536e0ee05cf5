"""Checkpoints: what a function computed on the way is computed again when it is needed."""

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any

from tinygrad_rnn import random
from tinygrad_rnn.arguments import function_of
from tinygrad_rnn.engine import Node, Walk, record
from tinygrad_rnn.errors import GradientError
from tinygrad_rnn.modes import is_grad_enabled, recorded
from tinygrad_rnn.primitive.fused import outputs_of, walk_back
from tinygrad_rnn.tensor import Tensor, tick
from tinygrad_rnn.transforms.tree import leaves, rebuilt

__all__ = ["checkpoint"]


def checkpoint(fn: Callable[..., Any], *args: Any, preserve_rng: bool = True, **kwargs: Any) -> Any:
    """``fn(*args, **kwargs)``, of which only the results are kept until backward.

    Backward runs the function again, to the same bits, and walks back through that. The
    gradients of everything it used, arguments and what it closes over alike, are those of a
    plain call. It may return a Tensor or tuples, lists and dicts that hold some, and be
    nested; it must do the same thing when it is run again, so side effects happen twice.

    Args:
        preserve_rng: Draw the same random numbers again from the library's generator;
            a generator of one's own is not set back.
    """
    function_of("checkpoint()", "fn", fn)
    if not is_grad_enabled():
        return fn(*args, **kwargs)
    state = random.get_state() if preserve_rng else None
    start = tick()
    result = fn(*args, **kwargs)
    found = list(leaves(result))
    made = [i for i, x in enumerate(found) if _made_since(start, x)]
    if not made:
        return result
    behind = _behind([found[i]._node for i in made], start)
    again = {
        "fn": fn, "args": args, "kwargs": kwargs, "state": state, "made": made,
        "shapes": [(found[i].shape, found[i].dtype) for i in made],
    }  # fmt: skip
    node = record(_CHECKPOINT, tuple(behind), tuple(behind.values()), None, None, again)._node
    assert node is not None
    outs = outputs_of("checkpoint", node, [found[i]._data for i in made])
    for i, out in zip(made, outs, strict=True):
        found[i] = out
    return rebuilt(result, iter(found))


def _made_since(start: int, x: Any) -> bool:
    return isinstance(x, Tensor) and x._node is not None and x._node.seq > start


def _behind(roots: list[Node], start: int) -> dict[Any, Any]:
    """What a graph made since ``start`` stands on, with a value for each to be kept.

    Nodes and leaves are where its gradients go. Constants are there so that a change of
    theirs before backward is noticed, as a change of the others is.
    """
    behind: dict[Any, Any] = {}
    seen: set[Node] = set()
    stack = list(roots)
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        for parent in node.parents:
            if isinstance(parent, Node) and parent.seq > start:
                stack.append(parent)
            else:
                behind[parent] = parent._data if isinstance(parent, Tensor) else True
    return behind


class _Checkpoint:
    """The operation behind every checkpoint; what to run again is in its nodes' attrs."""

    name = "checkpoint"
    rules = None

    def pull(self, node: Node, gs: Any, walk: Walk) -> Iterable[tuple[int, Any, bool]]:
        """Run the function again and walk back through it, to everything that it used."""
        again: dict[str, Any] = node.attrs or {}
        state = again["state"]
        start = tick()
        with recorded(), nullcontext() if state is None else random.fork(state):
            found = list(leaves(again["fn"](*again["args"], **again["kwargs"])))
        outs = [found[i] for i in again["made"] if i < len(found)]
        shapes = [(out.shape, out.dtype) for out in outs if isinstance(out, Tensor)]
        if shapes != again["shapes"]:
            raise GradientError(
                f"checkpoint: run again, the function gave outputs of shape "
                f"{[shape for shape, _ in shapes]}, expected those of the first time, "
                f"{[shape for shape, _ in again['shapes']]}: backward repeats it. It must depend "
                "on nothing that changes in between."
            )
        walk_back(node, outs, gs, start, walk)
        return ()


_CHECKPOINT = _Checkpoint()
