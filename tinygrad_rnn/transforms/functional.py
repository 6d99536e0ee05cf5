"""Derivatives of functions: vjp, jvp, hvp, jacobian.

Functions take Tensors, or tuples, lists and dicts of Tensors (nested in any way), as
positional arguments, and return a Tensor or such a structure. Results have the structure of
what they belong to. Derivatives are those with respect to the arguments; what a function
closes over is a constant, unless ``create_graph=True``, with which results can be
differentiated again, with respect to arguments and to everything else.

A function is run once, on tensors of its own that share the arguments' memory, and recorded
whatever the mode; nothing touches any ``grad``.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.arguments import function_of
from tinygrad_rnn.device import array_module
from tinygrad_rnn.engine import grad, wrap
from tinygrad_rnn.errors import DTypeError, ShapeError
from tinygrad_rnn.modes import recorded
from tinygrad_rnn.ops import stack
from tinygrad_rnn.tensor import FLOATS, Tensor
from tinygrad_rnn.transforms.tree import in_order_of, leaves, mapped, rebuilt, tensors

__all__ = ["hvp", "jacobian", "jvp", "vjp"]


def vjp(
    fn: Callable[..., Any], *primals: Any, create_graph: bool = False
) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """The value of ``fn(*primals)``, and a function that multiplies by its Jacobian from the left.

    ``pullback(cotangents)``, given a structure like the output's, returns a tuple with the
    gradient of each argument; it may be called any number of times.
    """
    out, inputs = _called("vjp()", fn, primals, create_graph)
    outs = tensors("vjp()", "the output", out)

    def pullback(cotangents: Any) -> tuple[Any, ...]:
        seeds = _alike("pullback()", "cotangents", cotangents, "the output", out)
        found = _gradients(outs, tensors("vjp()", "primals", inputs), seeds, create_graph)
        return tuple(rebuilt(inputs, iter(found)))

    return (out if create_graph else mapped(_detached, out)), pullback


def jvp(
    fn: Callable[..., Any], primals: Any, tangents: Any, *, create_graph: bool = False
) -> tuple[Any, Any]:
    """The value of ``fn(*primals)``, and its derivative along ``tangents``.

    ``primals`` is the tuple of arguments (a single one may stand alone), ``tangents`` a
    structure like it. Two walks back give one forward: what a walk back computes is linear
    in the cotangents, and its own derivative is the Jacobian from the other side.
    """
    where = "jvp()"
    primals, tangents = _several(primals), _several(tangents)
    out, inputs = _called(where, fn, primals, create_graph)
    outs, sources = tensors(where, "the output", out), tensors(where, "primals", inputs)
    directions = _alike(where, "tangents", tangents, "primals", primals)
    for o in outs:
        if o.dtype not in FLOATS:
            raise DTypeError(
                f"{where}: an output holds {o.dtype}, expected floating-point numbers: only they "
                "have derivatives. Let the function return the others by another way, or convert "
                "them with .astype()."
            )
    probes = [_zeros(o) for o in outs]
    for probe in probes:
        probe.requires_grad = True
    back = _gradients(outs, sources, probes, True)
    pairs = [
        (g, v) for g, v in zip(back, directions, strict=True) if g.requires_grad
    ]  # the others depend on no output
    along = _gradients([g for g, _ in pairs], probes, [v for _, v in pairs], create_graph)
    return (out if create_graph else mapped(_detached, out)), rebuilt(out, iter(along))


def hvp(fn: Callable[..., Any], primals: Any, vectors: Any, *, create_graph: bool = False) -> Any:
    """The Hessian of ``fn``, which returns a single number, times ``vectors``.

    ``primals`` is the tuple of arguments (a single one may stand alone), ``vectors`` a
    structure like it, and so is the result.
    """
    where = "hvp()"
    arguments, along = _several(primals), _several(vectors)
    out, inputs = _called(where, fn, arguments, create_graph)
    sources = tensors(where, "primals", inputs)
    if not isinstance(out, Tensor) or out.size != 1:
        given = f"shape {out.shape}" if isinstance(out, Tensor) else type(out).__name__
        raise ShapeError(
            f"{where}: the function returned {given}, expected a single number: only of one is "
            "there a Hessian. Reduce the output first, with .sum() or .mean()."
        )
    directions = _alike(where, "vectors", along, "primals", arguments)
    first = _gradients([out], sources, [_ones(out)], True)
    pairs = [(g, v) for g, v in zip(first, directions, strict=True) if g.requires_grad]
    second = _gradients([g for g, _ in pairs], sources, [v for _, v in pairs], create_graph)
    result = rebuilt(inputs, iter(second))
    return result if arguments is primals else result[0]


def jacobian(fn: Callable[..., Any], *primals: Any, create_graph: bool = False) -> Any:
    """All derivatives of the output of ``fn(*primals)``: shape (*output, *argument).

    The result has the structure of the output, and in the place of each of its tensors the
    structure of the argument (a tuple of structures for several arguments). Each number of
    the output costs one walk back.
    """
    where = "jacobian()"
    out, inputs = _called(where, fn, primals, create_graph)
    sources = tensors(where, "primals", inputs)

    def of(output: Tensor) -> Any:
        rows = [_gradients([output], sources, [seed], create_graph) for seed in _one_hots(output)]
        blocks = [
            _stacked([row[i] for row in rows], output.shape, source)
            for i, source in enumerate(sources)
        ]
        result = rebuilt(inputs, iter(blocks))
        return result[0] if len(primals) == 1 else result

    tensors(where, "the output", out)
    return mapped(of, out)


# ----- what they share -----


def _called(
    where: str, fn: Callable[..., Any], primals: tuple[Any, ...], create_graph: bool
) -> tuple[Any, tuple[Any, ...]]:
    """The output of the function, recorded, and the inputs it was given."""
    function_of(where, "fn", fn)
    tensors(where, "primals", primals)
    with recorded():
        inputs = mapped(lambda x: _input(where, x, create_graph), primals)
        return fn(*inputs), inputs


def _input(where: str, x: Tensor, create_graph: bool) -> Tensor:
    """A tensor to differentiate by: its own, so that nothing else's derivative comes in."""
    if x.dtype not in FLOATS:
        raise DTypeError(
            f"{where}: an argument holds {x.dtype}, expected floating-point numbers: only they "
            "have derivatives. Close over the others, for example with a lambda."
        )
    if create_graph and x.requires_grad:
        return x.reshape(x.shape)  # another result with the same numbers, still in the graph
    return x.detach().requires_grad_()


def _gradients(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor], seeds: Sequence[Tensor], graph: bool
) -> list[Tensor]:
    """``grad`` with zeros for what does not depend on anything."""
    pairs = [(o, s) for o, s in zip(outputs, seeds, strict=True) if o.requires_grad]
    found: Sequence[Tensor | None] = [None] * len(inputs)
    if pairs:
        found = grad(
            [o for o, _ in pairs], inputs, [s for _, s in pairs],
            retain_graph=True, create_graph=graph, allow_unused=True,
        )  # fmt: skip
    return [_zeros(x) if g is None else g for g, x in zip(found, inputs, strict=True)]


def _several(primals: Any) -> tuple[Any, ...]:
    return primals if isinstance(primals, tuple) else (primals,)


def _alike(where: str, what: str, given: Any, like: str, tree: Any) -> list[Tensor]:
    """The tensors of a structure, each of the shape and type of its counterpart."""
    counterparts = list(leaves(tree))
    found = tensors(where, what, in_order_of(where, what, given, like, tree))
    shapes = [(x.shape, x.dtype) for x in found]
    expected = [(x.shape, x.dtype) for x in counterparts]
    if shapes != expected:
        kind = DTypeError if [s for s, _ in shapes] == [s for s, _ in expected] else ShapeError
        raise kind(
            f"{where}: {what} are {_listed(found)}, expected {_listed(counterparts)}, as {like}: "
            "there is one for each."
        )
    return found


def _listed(given: Sequence[Tensor]) -> str:
    return ", ".join(f"{x.dtype}{list(x.shape)}" for x in given) or "none"


def _detached(x: Tensor) -> Tensor:
    return x.detach()


def _zeros(x: Tensor) -> Tensor:
    return wrap(array_module(x._data).zeros(x.shape, x.dtype))


def _ones(x: Tensor) -> Tensor:
    return wrap(array_module(x._data).ones(x.shape, x.dtype))


def _one_hots(x: Tensor) -> list[Tensor]:
    """For each number of ``x`` the cotangent that is 1 there and 0 elsewhere."""
    hot = []
    for place in np.ndindex(x.shape):
        seed = _zeros(x)
        seed._data[place] = 1
        hot.append(seed)
    return hot


def _stacked(rows: list[Tensor], shape: tuple[int, ...], x: Tensor) -> Tensor:
    if not math.prod(shape):
        return wrap(array_module(x._data).zeros((*shape, *x.shape), x.dtype))
    return stack(rows).reshape(*shape, *x.shape)
