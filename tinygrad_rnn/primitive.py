"""Declaring operations: a forward function and a derivative rule per input, side by side.

    mul = binary("mul", np.multiply,
                 lambda F, g, _out, _a, b: g * b,
                 lambda F, g, _out, a, _b: g * a)

A rule is ``rule(F, g, out, *inputs, **attrs)``: the gradient of the output goes in, the
gradient of one input comes out (before broadcasting is undone, which the engine does). A
name that starts with an underscore says that the rule leaves that value alone, so it is not
kept for it. ``F`` holds every primitive by name: over arrays in an ordinary backward, over
Tensors where the backward is recorded itself (``create_graph=True``). One formula serves
both, so higher derivatives cannot drift from the first.

A rule returns ``g``, a view of it, or a new array; never an array that was saved.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from inspect import signature
from typing import Any

import numpy as np

from tinygrad_rnn import modes
from tinygrad_rnn.device import Array
from tinygrad_rnn.engine import ARRAYS, TENSORS, Node, grad, inputs_as_tensors, record, wrap
from tinygrad_rnn.errors import (
    DeviceError,
    DTypeError,
    IndexRangeError,
    ShapeError,
    TinygradError,
)
from tinygrad_rnn.tensor import FLOATS, Tensor, Version, as_array

__all__ = [
    "ARRAYS",
    "PRIMITIVES",
    "TENSORS",
    "Fused",
    "binary",
    "fused",
    "nary",
    "run_fused",
    "unary",
    "variadic",
]

Rule = Callable[..., Any]
ndarray = np.ndarray
mode = modes.recording.get
_COMPLEX_STEP = {np.dtype(np.complex128), np.dtype(np.float64)}


class Primitive:
    """An operation of the table: its name, forward, rules, and which values the rules need.

    views       the output shares the memory of the first input
    broadcasts  gradients are to be summed back to the shapes of the inputs
    floats      integers become float32 first (exp, mean, division)
    """

    __slots__ = (
        "broadcasts", "call", "floats", "forward", "keep", "keep_out", "name", "nothing", "rules",
        "views",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        forward: Callable[..., Any],
        rules: Sequence[Rule | None],
        *,
        views: bool = False,
        broadcasts: bool = False,
        floats: bool = False,
    ) -> None:
        self.name = name
        self.forward = forward
        self.rules: tuple[Rule | None, ...] = tuple(rules)
        self.views = views
        self.broadcasts = broadcasts
        self.floats = floats
        self.call: Callable[..., Any] = _uncallable
        named = [_operands(name, rule, len(rules)) for rule in rules if rule is not None]
        self.keep_out = any(not names[0].startswith("_") for names in named)
        self.keep = tuple(
            any(not names[1 + i].startswith("_") for names in named) for i in range(len(rules))
        )
        self.nothing = (None,) * len(rules)

    def makes_floats(self, arrays: Sequence[Any]) -> bool:
        """Whether integer operands have to become floating-point numbers first."""
        return self.floats or any(isinstance(a, float) for a in arrays)

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"


def _operands(name: str, rule: Rule, count: int) -> list[str]:
    """The names that a rule gives to the output and to each input."""
    names = []
    for parameter in list(signature(rule).parameters.values())[2:]:
        if parameter.kind is parameter.VAR_POSITIONAL:  # *_inputs: one name for all of them
            names += [parameter.name] * (1 + count - len(names))
        else:
            names.append(parameter.name)
    if len(names) < 1 + count:
        raise TypeError(f"{name}: a rule takes (F, g, out, *inputs), with {count} inputs")
    return names


def _uncallable(*args: Any, **kwargs: Any) -> Any:
    raise TypeError("this primitive has no Tensor function")


PRIMITIVES: dict[str, "Primitive | Fused"] = {}


def _register(op: "Primitive | Fused", call: Callable[..., Any]) -> Callable[..., Any]:
    if op.name in PRIMITIVES:
        raise ValueError(f"there is a primitive {op.name!r} already")
    call.__name__ = call.__qualname__ = op.name
    op.call = call
    PRIMITIVES[op.name] = op
    setattr(ARRAYS, op.name, op.forward)
    setattr(TENSORS, op.name, call)
    return call


# ----- what every call does around the forward function -----


def edge(x: Any) -> Any:
    """Where an input came from, as a node remembers it (see ``Node``)."""
    if not isinstance(x, Tensor):
        return None
    return (x._node or x) if x._requires_grad else (x._version or x.shared_version())


def _array_of(x: Any) -> Any:
    if isinstance(x, Tensor):
        return x._data
    return x if isinstance(x, bool | int | float | complex) or x is None else as_array(x)


def watched(op: Any, result: Tensor, inputs: Sequence[Any]) -> Tensor:
    """The result of a call, after a debug session, if there is one, has seen it."""
    current = mode()
    if not isinstance(current, bool):
        current.observe(op.name, result, inputs)
    return result


def _apply(op: "Primitive", inputs: tuple[Any, ...], attrs: dict[str, Any]) -> Tensor:
    """Run and record one call: the general way, for any operands.

    ``unary`` and ``binary`` have a short way of their own for the common case, plain Tensors
    of one type and shape: on small tensors half of the time would go into generality.
    """
    rules = op.rules
    arrays = _of_one_type(op, [_array_of(x) for x in inputs])
    try:
        out = op.forward(*arrays, **attrs)
    except Exception as error:
        raise _failed(op, arrays, error) from error
    if isinstance(out, np.generic):  # NumPy gives a scalar for a result without axes
        out = np.asarray(out)
    wanted = [
        rule is not None and isinstance(x, Tensor) and x._requires_grad
        for x, rule in zip(inputs, rules, strict=True)
    ]
    if mode() and any(wanted):
        parents = tuple(
            edge(x) if want or not isinstance(x, Tensor) else x.shared_version()
            for x, want in zip(inputs, wanted, strict=True)
        )
        saved = tuple(a if keep else None for a, keep in zip(arrays, op.keep, strict=True))
        shapes = tuple(getattr(a, "shape", ()) for a in arrays) if op.broadcasts else None
        kept = out if op.keep_out else None
        result = record(op, parents, saved, kept, out, attrs or None, shapes)
    else:
        result = wrap(out)
    if op.views:
        result._version = inputs[0].shared_version()
        if result._node is not None:
            result._node.version = result._version
    return watched(op, result, inputs)


def _of_one_type(op: "Primitive", arrays: list[Any]) -> list[Any]:
    """Bring the operands to one element type, or say why that must not be.

    Integers and booleans follow the floating-point operand, Python numbers follow anything.
    Operands without a rule (indices, masks) are left as they are.
    """
    places = [
        i
        for i, (a, rule) in enumerate(zip(arrays, op.rules, strict=True))
        if rule is not None and hasattr(a, "dtype")
    ]
    kinds = {type(arrays[i]) for i in places}
    if len(kinds) > 1:
        raise _mixed_devices(op, arrays)
    types = {arrays[i].dtype for i in places}
    floats = {dtype for dtype in types if dtype.kind in "fc"}
    if floats == _COMPLEX_STEP:  # constants in a function that is being differentiated so
        floats = {np.dtype(np.complex128)}
    if len(floats) > 1:
        raise DTypeError(
            f"{op.name}: got {' and '.join(sorted(map(str, floats)))}; nothing is converted "
            "silently. Convert one side with .astype(); NumPy makes float64 unless told otherwise."
        )
    target = next(iter(floats), None)
    if target is None and op.makes_floats(arrays):
        target = np.dtype(np.float32)
    if (target is not None and len(types) > len(floats)) or (target is not None and not floats):
        arrays = [
            a.astype(target) if i in places and a.dtype != target else a
            for i, a in enumerate(arrays)
        ]
    return arrays


def _mixed_devices(op: Any, arrays: Sequence[Any]) -> DeviceError:
    homes = sorted({type(a).__module__ for a in arrays if hasattr(a, "dtype")})
    return DeviceError(
        f"{op.name}: got arrays of {' and '.join(homes)}, which live on different devices; "
        "move them to one with .to()."
    )


def _failed(op: Any, arrays: Sequence[Any], error: Exception) -> Exception:
    """The same failure in the words of this library."""
    if isinstance(error, TinygradError):
        return error
    given = ", ".join(
        f"{a.dtype}{list(a.shape)}" if hasattr(a, "shape") else repr(a) for a in arrays
    )
    if len({type(a) for a in arrays if hasattr(a, "dtype")}) > 1:
        return _mixed_devices(op, arrays)
    kinds: tuple[tuple[type[Exception], type[Exception]], ...] = (
        (IndexError, IndexRangeError),
        (ValueError, ShapeError),
        (TypeError, DTypeError),
    )
    for kind, ours in kinds:
        if isinstance(error, kind):
            return ours(f"{op.name}: got {given}: {error}.")
    return error


# ----- the kinds of operations -----


def unary(
    name: str, forward: Callable[..., Any], rule: Rule, *, view: bool = False, floats: bool = True
) -> Callable[..., Tensor]:
    """Declare an operation of one tensor; keyword arguments go to forward and rule alike.

    ``view=True`` says that the output shares the memory of the input; ``floats=False`` that
    integers stay integers.
    """
    op = Primitive(name, forward, (rule,), views=view, floats=floats)
    short = not view
    keep, keep_out, nothing = op.keep[0], op.keep_out, op.nothing

    def call(x: Any, **attrs: Any) -> Tensor:
        if not attrs and short and x.__class__ is Tensor and x._requires_grad and mode() is True:
            a = x._data
            out = forward(a)
            if out.__class__ is ndarray:
                return record(
                    op,
                    (x._node or x,),
                    (a,) if keep else nothing,
                    out if keep_out else None,
                    out,
                )
        if not isinstance(x, Tensor):
            x = Tensor(x)
        return _apply(op, (x,), attrs)

    return _register(op, call)


def binary(
    name: str, forward: Callable[..., Any], rule_a: Rule, rule_b: Rule, *, floats: bool = False
) -> Callable[..., Tensor]:
    """Declare an element-wise operation of two operands that broadcast against each other."""
    op = Primitive(name, forward, (rule_a, rule_b), broadcasts=True, floats=floats)
    keep_a, keep_b = op.keep
    keep_out = op.keep_out

    def call(x: Any, y: Any) -> Tensor:
        if x.__class__ is Tensor and y.__class__ is Tensor and mode() is True:
            a, b = x._data, y._data
            p = (x._node or x) if x._requires_grad else (x._version or x.shared_version())
            q = (y._node or y) if y._requires_grad else (y._version or y.shared_version())
            if (
                a.dtype is b.dtype
                and a.shape == b.shape
                and (p.__class__ is not Version or q.__class__ is not Version)
            ):
                out = forward(a, b)
                if out.__class__ is ndarray:
                    return record(
                        op,
                        (p, q),
                        (a if keep_a else None, b if keep_b else None),
                        out if keep_out else None,
                        out,
                    )
        return _apply(op, (x, y), {})

    return _register(op, call)


def nary(
    name: str,
    forward: Callable[..., Any],
    *rules: Rule | None,
    broadcasts: bool = False,
    floats: bool = False,
) -> Callable[..., Tensor]:
    """Declare an operation of a fixed number of operands, each tensor, number or array.

    An operand whose rule is None (an index, a mask) may have any type. With
    ``broadcasts=True`` the engine sums each gradient back to the shape of its input.
    """
    op = Primitive(name, forward, rules, broadcasts=broadcasts, floats=floats)
    count = len(rules)

    def call(*inputs: Any, **attrs: Any) -> Tensor:
        if len(inputs) != count:
            raise TypeError(f"{name}() takes {count} operands, got {len(inputs)}")
        return _apply(op, inputs, attrs)

    return _register(op, call)


def variadic(name: str, forward: Callable[..., Any], rule: Rule) -> Callable[..., Tensor]:
    """Declare an operation of any number of tensors, given to its function as one sequence.

    The one rule serves every input: ``rule(F, g, out, *inputs, number, **attrs)``.
    """

    @lru_cache(maxsize=256)
    def of(count: int) -> Primitive:
        return Primitive(name, joined, [partial(rule, number=i) for i in range(count)])

    def joined(*arrays: Array, **attrs: Any) -> Array:
        return forward(arrays, **attrs)

    def call(inputs: Sequence[Any], **attrs: Any) -> Tensor:
        return _apply(of(len(inputs)), tuple(inputs), attrs)

    prototype = of(2)
    _register(prototype, call)
    setattr(ARRAYS, name, forward)
    return call


# ----- operations with one backward for everything -----


class Fused:
    """An operation with one backward for all its inputs, and a reference made of primitives.

    forward(*arrays, **attrs)                          outputs (array or tuple), residuals
    backward(residuals, gs, needs, *arrays, **attrs)   a gradient, or None, per input
    reference(*tensors, **attrs)                       output tensors

    ``gs`` holds a gradient or None per output, ``needs`` a boolean per input. The gradients
    returned are new arrays, no two of them the same. Where the backward is to be
    differentiated itself, the reference is replayed in its place.
    """

    __slots__ = ("backward", "call", "forward", "name", "reference")

    rules = None

    def __init__(
        self,
        name: str,
        forward: Callable[..., Any],
        backward: Callable[..., Any],
        reference: Callable[..., Any],
    ) -> None:
        self.name = name
        self.forward = forward
        self.backward = backward
        self.reference = reference
        self.call: Callable[..., Any] = _uncallable

    def outputs(self, node: Node) -> int:
        """How many outputs the node has, 0 for a single one that is not in a tuple."""
        return node.out[0]  # type: ignore[no-any-return]

    def pull(self, node: Node, g: Any, graph: bool) -> Iterator[tuple[Any, Any]]:
        """Each parent that wants a gradient, with its gradient."""
        count, residuals = node.out
        gs = list(g) if count else [g]
        needs = tuple(p is not None and p.__class__ is not Version for p in node.parents)
        if graph:
            parts = self._replay(node, gs, needs)
        else:
            parts = self.backward(residuals, gs, needs, *node.saved, **(node.attrs or {}))
        for parent, part, need in zip(node.parents, parts, needs, strict=True):
            if need and part is not None:
                yield parent, part

    def _replay(self, node: Node, gs: list[Any], needs: tuple[bool, ...]) -> list[Any]:
        inputs = inputs_as_tensors(node)
        outs = self.reference(*inputs, **(node.attrs or {}))
        outs = outs if isinstance(outs, tuple) else (outs,)
        pairs = [
            (out, g)
            for out, g in zip(outs, gs, strict=True)
            if g is not None and out._requires_grad
        ]
        if not pairs:
            return [None] * len(needs)
        wanted = [x for x, need in zip(inputs, needs, strict=True) if need]
        outs, gs = [out for out, _ in pairs], [g for _, g in pairs]
        parts = iter(grad(outs, wanted, gs, create_graph=True, allow_unused=True))
        return [next(parts) if need else None for need in needs]

    def __repr__(self) -> str:
        return f"<fused {self.name}>"


class Part:
    """One output of an operation that has several; a gradient passes it with its number."""

    __slots__ = ("name", "number")

    rules = None

    def __init__(self, name: str, number: int) -> None:
        self.name = f"{name}[{number}]"
        self.number = number

    def pull(self, node: Node, g: Any, graph: bool) -> Iterator[tuple[Any, Any]]:
        """The gradient, marked with the output that it belongs to."""
        yield node.parents[0], (self.number, g)


def run_fused(op: Fused, inputs: Sequence[Any], attrs: dict[str, Any]) -> Any:
    """Run and record one call of a fused operation."""
    arrays = [_array_of(x) for x in inputs]
    try:
        outs, residuals = op.forward(*arrays, **attrs)
    except Exception as error:
        raise _failed(op, arrays, error) from error
    several = isinstance(outs, tuple)
    recorded = mode() and any(isinstance(x, Tensor) and x._requires_grad for x in inputs)
    if not recorded:
        if several:
            return tuple(watched(op, wrap(out), inputs) for out in outs)
        return watched(op, wrap(outs), inputs)
    parents = tuple(edge(x) for x in inputs)
    state = (len(outs) if several else 0, residuals)
    whole = record(op, parents, tuple(arrays), state, outs, attrs or None)
    if not several:
        return watched(op, whole, inputs)
    results = []
    for number, out in enumerate(outs):
        if out.dtype in FLOATS:
            part = record(Part(op.name, number), (whole._node,), (None,), None, out)
        else:
            part = wrap(out)
        results.append(watched(op, part, inputs))
    return tuple(results)


def fused(
    name: str,
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    reference: Callable[..., Any],
) -> Callable[..., Any]:
    """Declare a fused operation; its function takes inputs by position, attrs by keyword."""
    op = Fused(name, forward, backward, reference)

    def call(*inputs: Any, **attrs: Any) -> Any:
        return run_fused(op, inputs, attrs)

    return _register(op, call)
