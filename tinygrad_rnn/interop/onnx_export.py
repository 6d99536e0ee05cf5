"""Models as files of ONNX, by running them on an example."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.device import to_host
from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.files import replacing
from tinygrad_rnn.interop.entries import Obstacle
from tinygrad_rnn.interop.onnx_examples import others
from tinygrad_rnn.interop.onnx_graph import TYPES, Graph
from tinygrad_rnn.interop.onnx_modules import KINDS, translate_module
from tinygrad_rnn.interop.onnx_operations import OPERATIONS
from tinygrad_rnn.interop.onnx_trace import Call, Trace, Untraceable, common, shape_of_both, traced
from tinygrad_rnn.nn import Module
from tinygrad_rnn.tensor import as_array

__all__ = ["export_onnx"]

Array = np.ndarray[Any, Any]
Axes = Mapping[int, str]

_OPSET, _IR = 17, 8  # as old as the operators allow: every runtime since 2022 reads them
_MORE = (5, 7, 11, 13, 17, 19, 23, 29)  # no sum or product of two is a third one


def export_onnx(
    module: Module,
    path: str | os.PathLike[str],
    example: Any,
    *,
    dynamic: Axes | Sequence[Axes] | None = None,
) -> None:
    """Write a model as ONNX (opset 17); needs the package ``onnx``.

        interop.export_onnx(model, "model.onnx", ids, dynamic={0: "T", 1: "B"})

    Layers with an operator of their own become one node, the rest of what a model does becomes
    the operations it is made of. Inputs are named x (or x0, x1, ... of several), outputs y (or y0,
    y1, ...), a state's tensors each by itself. The model is run in use, not training, and what
    cannot be told from the example alone, or has no translation, is an error: nothing is left
    out.

    Args:
        module: Any model; it stays as it is.
        path: The file, which is there whole or not at all.
        example: What the model is called with: an array, or a tuple of them.
        dynamic: Axes of the input whose size may be any, with a name each; for several inputs,
            such a dict for each. The same name is the same size.
    """
    onnx = _onnx()
    given = example if isinstance(example, tuple) else (example,)
    inputs = [to_host(as_array(x, "export_onnx")) for x in given]
    names = ["x"] if len(inputs) == 1 else [f"x{k}" for k in range(len(inputs))]
    _check_types(names, inputs)
    axes = _axes(dynamic, inputs)
    a = {name: inputs[k].shape[axis] for k, n in enumerate(axes) for axis, name in n.items()}
    b = {name: size + more for (name, size), more in zip(a.items(), _MORE, strict=False)}
    first = traced(module, KINDS, names, inputs)
    for candidates in others(inputs, axes, b):
        second = _traced_again(module, names, inputs, candidates)
        calls = common(first, second, a, b)
    places = {name: (x, axis) for x, n in zip(names, axes, strict=True) for axis, name in n.items()}
    graph = _translated(type(module).__name__, first, calls, places)
    shapes = [
        shape_of_both(one.shape, other.shape, a, b)
        for one, other in zip(first.results, second.results, strict=True)
    ]
    described = [
        _Value(x, array.dtype.name, [n.get(axis, size) for axis, size in enumerate(array.shape)])
        for x, array, n in zip(names, inputs, axes, strict=True)
    ]
    results = [
        _Value("y" if len(shapes) == 1 else f"y{k}", result.dtype.name, shape)
        for k, (result, shape) in enumerate(zip(first.results, shapes, strict=True))
    ]
    for value, name in zip(results, first.outputs, strict=True):
        graph.add("Identity", name, to=value.name)
    graph.prune([value.name for value in results])
    model = _model(onnx, type(module).__name__, graph, first, described, results)
    with replacing(path, "export_onnx") as file:
        file.write(model.SerializeToString())


class _Value(NamedTuple):
    """An input or output of the graph: a size is a number, a name, or -1 for one that follows."""

    name: str
    dtype: str
    shape: list[int | str]


def _onnx() -> Any:
    try:
        import onnx
    except ImportError:
        raise ModuleNotFoundError(
            "export_onnx needs the package onnx. Install it with: pip install 'tinygrad-rnn[onnx]'"
        ) from None
    return onnx


def _check_types(names: list[str], inputs: list[Array]) -> None:
    for name, x in zip(names, inputs, strict=True):
        if x.dtype.name not in TYPES:
            raise ArgumentError(
                f"export_onnx: {name} in the example holds {x.dtype}, expected one of "
                f"{', '.join(TYPES)}."
            )


def _axes(dynamic: Any, inputs: Sequence[Array]) -> list[dict[int, str]]:
    """For each input its axes of any size, counted from 0, by the names of the sizes."""
    given = [dynamic] if isinstance(dynamic, Mapping) else dynamic or ()
    if not isinstance(given, list | tuple) or not all(isinstance(n, Mapping) for n in given):
        raise ArgumentError(
            f"export_onnx: dynamic is {shortened(dynamic)}, expected a dict of axes with their "
            "names, or a list of such dicts, one for each input."
        )
    given = list(given)
    given += [{}] * (len(inputs) - len(given))
    found: list[dict[int, str]] = []
    sizes: dict[str, int] = {}
    for x, axes in zip(inputs, given, strict=False):
        found.append({})
        for axis, name in axes.items():
            within = isinstance(axis, int | np.integer) and -x.ndim <= axis < x.ndim
            if not (within and isinstance(name, str) and x.shape[axis]):
                raise ArgumentError(
                    f"export_onnx: dynamic has {axis!r}: {name!r} for an input of shape {x.shape}, "
                    "expected an axis of it that is not empty, and a name."
                )
            if sizes.setdefault(name, x.shape[axis]) != x.shape[axis]:
                raise ArgumentError(
                    f"export_onnx: {name!r} is {sizes[name]} and {x.shape[axis]} in the example, "
                    "expected one size for one name."
                )
            found[-1][axis % x.ndim] = name
    if len(given) != len(inputs) or len(sizes) > len(_MORE):
        raise ArgumentError(
            f"export_onnx: dynamic is for {len(given)} inputs with {len(sizes)} names, expected "
            f"{len(inputs)} inputs and at most {len(_MORE)} names."
        )
    return found


def _traced_again(
    module: Any, names: list[str], example: Sequence[Array], candidates: Iterator[list[Array]]
) -> Trace:
    """The trace of the first other example that the model takes."""
    for other in candidates:
        try:
            return traced(module, KINDS, names, other)
        except Untraceable:
            raise
        except Exception as error:
            refused, refusal = other, error
    given = ", ".join(f"{name} {_told(x)}" for name, x in zip(names, refused, strict=True))
    single = [
        f" {name} holds nothing but {x.flat[0]}, expected an example with different values."
        for name, x in zip(names, example, strict=True)
        if x.size and x.dtype.kind in "iu" and x.min() == x.max()
    ]
    raise ArgumentError(
        f"export_onnx: {type(module).__name__} takes the example, but no other values and sizes, "
        f"so what depends on an input cannot be told: of {given}, it raises "
        f"{type(refusal).__name__}: {refusal}{''.join(single)}"
    ) from refusal


def _told(x: Array) -> str:
    values = f" from {x.min()} to {x.max()}" if x.size and x.dtype.kind in "iu" else ""
    return f"{x.dtype}{list(x.shape)}{values}"


def _translated(
    where: str, trace: Trace, calls: Sequence[Call], places: dict[str, tuple[str, int]]
) -> Graph:
    """All calls as nodes, or an error that names all that have none."""
    weights = {key: name for key, (name, _) in trace.weights.items()}
    graph = Graph(weights, places, trace.names)
    obstacles: dict[str, None] = {}
    for call in calls:
        try:
            if call.module is not None:
                translate_module(graph, call)
            elif call.name in OPERATIONS:
                OPERATIONS[call.name](graph, call)
            else:
                raise Obstacle(f"the operation {call.name}, which has no translation")
        except Obstacle as obstacle:
            obstacles[f"\n  {call.place}: {obstacle}"] = None
    if obstacles:
        raise ArgumentError(f"export_onnx: {where} does not go over to ONNX:{''.join(obstacles)}")
    return graph


def _model(
    onnx: Any, name: str, graph: Graph, trace: Trace, inputs: list[_Value], results: list[_Value]
) -> Any:
    """The whole as ONNX' own objects, checked by its own rules."""

    def described(value: _Value) -> Any:
        shape = [None if n == -1 else n for n in value.shape]
        return onnx.helper.make_tensor_value_info(value.name, TYPES[value.dtype], shape)

    helper = onnx.helper
    used = {x for node in graph.nodes for x in node.inputs}
    weights = {name: tensor.numpy() for name, tensor in trace.weights.values()}
    arrays = {**weights, **trace.constants, **graph.constants}
    made = helper.make_graph(
        [helper.make_node(n.operator, n.inputs, n.outputs, **n.attributes) for n in graph.nodes],
        name,
        [described(value) for value in inputs],
        [described(value) for value in results],
        [onnx.numpy_helper.from_array(a, x) for x, a in arrays.items() if x in used],
    )
    model = helper.make_model(
        made,
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR,
        producer_name="tinygrad_rnn",
    )
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ArgumentError(
            f"export_onnx: {name} does not go over to ONNX, whose own check says: {error}"
        ) from error
    return model
