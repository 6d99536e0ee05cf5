"""What a model does with an example: its modules and operations in the order of their calls.

A trace holds for one example alone: a number that was computed in NumPy, a shape, a branch would
be written down as it was there. So there are more, of examples with other values and with
other sizes of the axes that may have any, and whatever differs between them is an error, or a
size.
"""

import copy
import re
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from tinygrad_rnn import modes
from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.interop.onnx_graph import Names
from tinygrad_rnn.kernels._twin import use_reference
from tinygrad_rnn.nn import Dense, Module
from tinygrad_rnn.tensor import Tensor

__all__ = ["Call", "Sizes", "Trace", "Untraceable", "common", "shape_of_both", "traced"]

Sizes = dict[str, int]  # of the axes that may have any, by name

# What operations keep for their derivatives.
_FOR_BACKWARD = {"before", "ends", "count"}


class Untraceable(ArgumentError):
    """What a model does cannot be written down; it is not the model that raised."""


class Call(NamedTuple):
    """One call of an operation, or of a module that is translated as a whole.

    name     of the operation, or of the module's kind
    module   the module, or None
    place    where in the model it happened, for messages
    inputs   names of values, "" where nothing was given
    outputs  names of values
    ranks    how many axes the inputs have
    attrs    what else it was given
    """

    name: str
    module: Module | None
    place: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    ranks: tuple[int, ...]
    attrs: dict[str, Any]


class Trace(modes.Watch):
    """A mode that writes calls down; modules of ``kinds`` as a whole, others as operations."""

    def __init__(self, model: Module, kinds: tuple[type[Module], ...]) -> None:
        self.calls: list[Call] = []
        self.constants: dict[str, np.ndarray[Any, Any]] = {}
        self.outputs: list[str] = []
        self.results: list[Tensor] = []
        self.places = [type(model).__name__]
        self.quiet = False
        self.kept: dict[int, tuple[str, Any]] = {}  # the objects as well: ids are of the living
        state = model._state()
        for name, tensor in state.items():
            self.kept.setdefault(id(tensor), (_apart(name, state), tensor))
        self.weights = dict(self.kept)
        self.names = Names({name for name, _ in self.weights.values()})
        for name, part in tuple(model.named_modules()):
            place = f"{name} ({type(part).__name__})" if name else type(part).__name__
            whole = any(isinstance(part, k) and type(part).forward is k.forward for k in kinds)
            activation = part.activation if isinstance(part, Dense) else None
            called = partial(self._called, part.forward, part, place, whole, activation)
            if activation is not None:
                part.activation = None  # a call of its own, behind that of the map
            vars(part)["forward"] = called  # found before the class's own

    def observe(self, op: Any, results: Any, inputs: Any, attrs: Any, node: Any) -> None:
        """Write one operation down."""
        if not self.quiet:
            kept = {name: v for name, v in (attrs or {}).items() if name not in _FOR_BACKWARD}
            dtype = kept["dtype"] = results[0].dtype
            alike = [op.name != "astype" and rule is not None for rule in op.rules or inputs]
            names = [
                self._converted(x, dtype) if a else self.name_of(x, dtype)
                for x, a in zip(inputs, alike, strict=True)
            ]
            self._add(op.name, None, names, results, kept, inputs)

    # ----- writing down -----

    def named(self, name: str, tensor: Tensor) -> Tensor:
        """The tensor, known by a name from now on."""
        self.kept[id(tensor)] = (name, tensor)
        return tensor

    def name_of(self, value: Any, dtype: Any = None) -> str:
        """The name of a value; what was not computed here is a constant."""
        if value is None:
            return ""
        if id(value) in self.kept:
            return self.kept[id(value)][0]
        name = self.names.fresh("constant")
        if isinstance(value, float | int):  # the same one may be of another type elsewhere
            self.constants[name] = np.asarray(value, dtype)
        else:
            self.constants[name] = value._data if isinstance(value, Tensor) else np.asarray(value)
            self.kept[id(value)] = (name, value)
        return name

    def _converted(self, value: Any, dtype: Any) -> str:
        """The name of an operand, brought to the type of the result as NumPy does it."""
        name = self.name_of(value, dtype)
        if value is None or isinstance(value, float | int):
            return name
        array = np.asarray(getattr(value, "_data", value))
        if array.dtype == dtype:
            return name
        converted = array.astype(dtype)
        self._add("astype", None, [name], [converted], {"dtype": dtype}, [array])
        return self.name_of(converted)

    def _add(
        self, name: str, module: Module | None, inputs: Sequence[str], results: Any, attrs: Any,
        values: Sequence[Any],
    ) -> None:  # fmt: skip
        outputs = []
        for result in results:
            known = self.kept.get(id(result))
            if known is None:
                known = self.kept[id(result)] = (self.names.fresh("value"), result)
            outputs.append(known[0])
        ranks = tuple(np.ndim(getattr(v, "_data", v)) if v is not None else 0 for v in values)
        place = self.places[-1]
        self.calls.append(Call(name, module, place, tuple(inputs), tuple(outputs), ranks, attrs))

    def _called(
        self,
        forward: Callable[..., Any],
        module: Module,
        place: str,
        whole: bool,
        activation: Any,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        self.places.append(place)
        outer, self.quiet = self.quiet, self.quiet or whole
        try:
            result = forward(*args, **kwargs)
        finally:
            self.quiet = outer
            self.places.pop()
        if whole and not outer:
            self._add_module(module, place, args, kwargs, flat(result))
        return result if activation is None else activation(result)

    def _add_module(
        self, module: Module, place: str, args: Any, kwargs: dict[str, Any], results: list[Any]
    ) -> None:
        given = {key: v for key, v in kwargs.items() if v is not None and v is not False}
        values = flat([*args, *(given.pop(key) for key in ("x", "state") if key in given)])
        attrs = {"lengths": "lengths" in given, "dtype": results[0].dtype}
        if attrs["lengths"]:
            values.append(given.pop("lengths"))
        if given:
            raise Untraceable(
                f"export_onnx: {place} is called with {', '.join(given)}, which has no translation "
                "to ONNX."
            )
        self.places.append(place)
        names = [self.name_of(value) for value in values]
        self._add(type(module).__name__, module, names, results, attrs, values)
        self.places.pop()


def _apart(name: str, state: Collection[str]) -> str:
    """A weight's own name, unless inputs or outputs are called so."""
    if re.fullmatch(r"[xy]\d*", name):
        while name in state:
            name += "_"
    return name


def flat(tree: Any) -> list[Any]:
    """The values in tuples and lists, in order."""
    if isinstance(tree, tuple | list):
        return [value for item in tree for value in flat(item)]
    return [] if tree is None else [tree]


def traced(
    model: Any, kinds: tuple[type[Module], ...], names: list[str], inputs: list[Any]
) -> Trace:
    """The trace of a copy of the model, in use rather than training."""
    where, kind = "export_onnx", type(model).__name__
    if not isinstance(model, Module):
        raise ArgumentError(f"{where}: module is a {kind}, expected a Module.")
    if any(part._forward_hooks for part in model.modules()):
        raise ArgumentError(f"{where}: {kind} has forward hooks, which a file cannot; remove them.")
    model = copy.deepcopy(model).eval().to("cpu")
    trace = Trace(model, kinds)
    given = [trace.named(name, Tensor(x)) for name, x in zip(names, inputs, strict=True)]
    with use_reference(), trace, np.errstate(all="ignore"):
        results = flat(model(*given))
    for result in results:
        if not isinstance(result, Tensor):
            what = type(result).__name__
            raise Untraceable(f"{where}: {kind} gives a {what}, expected Tensors.")
        trace.outputs.append(trace.name_of(result))
        trace.results.append(result)
    _prune(trace)
    return trace


def _prune(trace: Trace) -> None:
    """Leave out what no output needs."""
    needed, kept = set(trace.outputs), []
    for call in reversed(trace.calls):
        if not needed.isdisjoint(call.outputs):
            kept.append(call)
            needed |= set(call.inputs)
    trace.calls = kept[::-1]
    trace.constants = {name: a for name, a in trace.constants.items() if name in needed}


# ----- two traces as one -----


def _done(trace: Trace) -> Any:
    """What was called with which values, and which came out."""
    return [(call.name, call.inputs, call.outputs) for call in trace.calls], trace.outputs


def common(first: Trace, second: Trace, a: Sizes, b: Sizes) -> list[Call]:
    """The calls of both; sizes that differ are names of axes, -1, or an error."""
    if _done(first) != _done(second):
        raise ArgumentError(
            "export_onnx: for another input the model does something else: a branch or a loop in "
            "it depends on values or on sizes, which a graph cannot do."
        )
    for name, array in first.constants.items():
        if not np.array_equal(array, second.constants[name], equal_nan=array.dtype.kind == "f"):
            place = next((c.place for c in first.calls if name in c.inputs), "the output")
            raise ArgumentError(
                f"export_onnx: {place} reads an array of shape {array.shape} that is another for "
                "another input: it was computed in NumPy, or by a comparison, or its shape follows "
                "that of the input. A graph knows operations on Tensors alone."
            )
    calls = []
    for one, other in zip(first.calls, second.calls, strict=True):
        attrs = {
            key: _common(one, key, value, other.attrs[key], a, b)
            for key, value in one.attrs.items()
        }
        calls.append(one._replace(attrs=attrs))
    return calls


def _common(call: Call, key: str, one: Any, other: Any, a: Sizes, b: Sizes) -> Any:
    if key == "shape":
        return () if call.name in ("sum", "mean") else shape_of_both(one, other, a, b)
    if not _same(one, other):
        raise ArgumentError(
            f"export_onnx: in {call.place}, {call.name} has {key}={shortened(one)} and "
            f"{shortened(other)} for another input, expected the same: a graph knows no numbers of "
            "Python."
        )
    return one


def _same(one: Any, other: Any) -> bool:
    """Whether two attributes are equal: arrays, or an index that may hold some."""
    if isinstance(one, tuple | list) and isinstance(other, tuple | list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    return bool(one == other)


def shape_of_both(one: Sequence[int], other: Sequence[int], a: Sizes, b: Sizes) -> list[int | str]:
    """Each size: a number, the name of an axis, or -1 for what is left."""
    names = {(a[name], b[name]): name for name in a}
    return [n if n == m else names.get((n, m), -1) for n, m in zip(one, other, strict=True)]
