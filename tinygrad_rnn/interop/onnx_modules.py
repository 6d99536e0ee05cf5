"""Modules that ONNX has an operator for."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_rnn import nn
from tinygrad_rnn.interop.entries import Obstacle
from tinygrad_rnn.interop.gates import check_layer
from tinygrad_rnn.interop.onnx_gates import layers_of, node_of, operator_of
from tinygrad_rnn.interop.onnx_graph import Graph
from tinygrad_rnn.interop.onnx_trace import Call

__all__ = ["KINDS", "translate_module"]

Array = np.ndarray[Any, Any]


def translate_module(g: Graph, call: Call) -> None:
    """Add the nodes of a module; an Obstacle says why it has none."""
    kind = next(kind for kind in type(call.module).__mro__ if kind in _MODULES)
    _MODULES[kind](g, call, call.module)


# ----- affine maps, tables -----


def _affine(g: Graph, call: Call, module: Any) -> None:
    weight = g.weight(module.weight)
    if isinstance(module, nn.TiedLinear):
        weight = g.add("Transpose", weight, perm=[1, 0])
    _plus(g, call, g.add("MatMul", call.inputs[0], weight), module.bias)


def _plus(g: Graph, call: Call, y: str, bias: Any) -> None:
    if bias is None:
        g.add("Identity", y, to=call.outputs)
    else:
        g.add("Add", y, g.weight(bias), to=call.outputs)


def _embedding(g: Graph, call: Call, module: nn.Embedding) -> None:
    weight, row = g.weight(module.weight), module.padding_id
    values = module.weight.numpy()
    if row is not None and values[row].any():  # padding gives 0 here, whatever its vector is
        values = values.copy()
        values[row] = 0
        weight = g.constant(values)
    g.add("Gather", weight, call.inputs[0], to=call.outputs, axis=0)


# ----- images, norms, activations -----


def _conv(g: Graph, call: Call, module: Any) -> None:
    g.add(
        "Conv", call.inputs[0], g.weight(module.weight),
        "" if module.bias is None else g.weight(module.bias), to=call.outputs,
        kernel_shape=list(module.kernel_size), strides=list(module.stride),
        dilations=list(module.dilation), group=module.groups,
        pads=[low for low, _ in module.padding] + [high for _, high in module.padding],
    )  # fmt: skip


def _pool(operator: str) -> Callable[[Graph, Call, Any], None]:
    def translation(g: Graph, call: Call, module: Any) -> None:
        more = {"count_include_pad": int(module.count_padding)} if operator == "AveragePool" else {}
        g.add(
            operator, call.inputs[0], to=call.outputs, kernel_shape=list(module.kernel_size),
            strides=list(module.stride), pads=[*module.padding, *module.padding], **more,
        )  # fmt: skip

    return translation


def _layer_norm(g: Graph, call: Call, module: nn.LayerNorm) -> None:
    one = g.constant(np.ones(module.size), call.attrs["dtype"])
    scale = one if module.weight is None else g.weight(module.weight)
    bias = "" if module.bias is None else g.weight(module.bias)
    g.add(
        "LayerNormalization", call.inputs[0], scale, bias, to=call.outputs,
        axis=-len(module.size), epsilon=module.eps,
    )  # fmt: skip


def _batch_norm(g: Graph, call: Call, module: nn.BatchNorm) -> None:
    mean, var = module.running_mean, module.running_var
    if mean is None or var is None:
        raise Obstacle("BatchNorm with track=False, whose mean and variance are the batch's")
    one, zero = (g.constant([v] * module.channels, call.attrs["dtype"]) for v in (1, 0))
    scale = one if module.weight is None else g.weight(module.weight)
    bias = zero if module.bias is None else g.weight(module.bias)
    statistics = g.weight(mean), g.weight(var)
    g.add(
        "BatchNormalization", call.inputs[0], scale, bias, *statistics, to=call.outputs,
        epsilon=module.eps,
    )  # fmt: skip


def _elu(g: Graph, call: Call, module: nn.ELU) -> None:
    g.add("Elu", call.inputs[0], to=call.outputs, alpha=float(module.alpha))


def _leaky_relu(g: Graph, call: Call, module: nn.LeakyReLU) -> None:
    g.add("LeakyRelu", call.inputs[0], to=call.outputs, alpha=float(module.slope))


# ----- recurrent -----


def _cell(g: Graph, call: Call, cell: nn.Cell) -> None:
    """One step: a sequence of one."""
    node = node_of({"": cell})
    if call.ranks[0] != 2:
        raise Obstacle(f"{type(cell).__name__} called with one row, expected x (B, I)")
    if call.ranks[1:] not in ((), (2,) * len(cell.state_sizes)):
        raise Obstacle(f"{type(cell).__name__} called with a state other than rows (B, H)")
    first = g.whole(0)
    x, *states = [g.add("Unsqueeze", name, first) for name in call.inputs]
    _, *finals = _node(g, node, operator_of(cell), x, states)
    for final, name in zip(finals, call.outputs, strict=True):
        g.add("Squeeze", final, first, to=name)


def _layer(g: Graph, call: Call, layer: nn.Recurrent) -> None:
    check_layer("ONNX", layer)
    name = type(layer).__name__
    if layer.stateful:
        raise Obstacle(f"{name} with stateful=True; give its state, and take it from the result")
    if call.ranks[0] != 3:
        raise Obstacle(f"{name} called without a batch, expected x of three axes")
    x, *states = call.inputs
    lengths = g.cast(states.pop(), np.int32) if call.attrs["lengths"] else ""
    if call.ranks[1 : len(states) + 1] not in ((), (3,) * len(layer.layout.names)):
        raise Obstacle(f"{name} called with a state other than tensors (L D, B, H)")
    if layer.batch_first:
        x = g.add("Transpose", x, perm=[1, 0, 2])
    D, top, nothing = len(layer.directions), layer.num_layers - 1, g.constant(0, np.int32)
    finals: list[list[str]] = []
    for number, cells in enumerate(layers_of(layer)):
        ends = g.whole(number * D), g.whole(number * D + D), g.whole(0)
        begin = [g.add("Slice", state, *ends) for state in states]
        y, *last = _node(g, node_of(cells), operator_of(layer.cells()[0]), x, begin, lengths)
        if lengths and begin:  # rows without steps keep their state; onnxruntime makes it 0
            still = g.add("Unsqueeze", g.add("Equal", lengths, nothing), g.whole(1))
            last = [g.add("Where", still, *pair) for pair in zip(begin, last, strict=True)]
        finals.append(last)
        if number < top:
            x = _merged(g, y, D, layer.merge if layer.merge != "none" else "concat", 1)[0]
    (*outputs,) = call.outputs
    only_last = layer.output == "last"
    given = _merged(g, finals[-1][0] if only_last else y, D, layer.merge, 0 if only_last else 1)
    for name in given:
        turned = layer.batch_first and not only_last
        g.add(
            "Transpose" if turned else "Identity", name, to=outputs.pop(0),
            **({"perm": [1, 0, 2]} if turned else {}),
        )  # fmt: skip
    if layer.layout.uniform:
        for name, parts in zip(outputs, zip(*finals, strict=True), strict=True):
            g.add("Concat", *parts, to=name, axis=0)


def _node(
    g: Graph, node: dict[str, Any], operator: str, x: str, states: list[str], lengths: str = ""
) -> tuple[str, ...]:
    """The operator, with constants for its weights: all outputs, the final states."""
    arrays = {name: g.constant(v) for name, v in node.items() if isinstance(v, np.ndarray)}
    attributes = {name: v for name, v in node.items() if name not in arrays}
    lstm = operator == "LSTM"
    h, c = [*states, "", ""][:2]
    inputs = [x, arrays["W"], arrays["R"], arrays.get("B", ""), lengths, h]
    inputs += [c, arrays.get("P", "")] if lstm else []
    outputs = tuple(g.fresh() for _ in range(3 if lstm else 2))
    g.add(operator, *inputs, to=outputs, **attributes)
    return outputs


def _merged(g: Graph, y: str, D: int, merge: str, axis: int) -> list[str]:
    """Both directions, which stand on an axis of their own, as one output, or as two."""
    if D == 1:
        return [g.add("Squeeze", y, g.whole(axis))]
    if merge == "concat":  # directions beside what is theirs, behind the batch
        perm, shape = ([0, 2, 1, 3], (0, 0, -1)) if axis else ([1, 0, 2], (0, -1))
        return [g.add("Reshape", g.add("Transpose", y, perm=perm), g.whole(*shape))]
    if merge == "none":
        return [
            g.add("Squeeze", g.add("Slice", y, g.whole(k), g.whole(k + 1), g.whole(axis)),
                  g.whole(axis))
            for k in range(2)
        ]  # fmt: skip
    if merge == "sum":
        return [g.add("ReduceSum", y, g.whole(axis), keepdims=0)]
    operator = "ReduceMean" if merge == "mean" else "ReduceProd"
    return [g.add(operator, y, axes=[axis], keepdims=0)]


_MODULES: dict[type[Any], Callable[[Graph, Call, Any], None]] = {
    nn.AvgPool1d: _pool("AveragePool"),
    nn.AvgPool2d: _pool("AveragePool"),
    nn.BatchNorm: _batch_norm,
    nn.Cell: _cell,
    nn.Conv1d: _conv,
    nn.Conv2d: _conv,
    nn.Dense: _affine,
    nn.ELU: _elu,
    nn.Embedding: _embedding,
    nn.LayerNorm: _layer_norm,
    nn.LeakyReLU: _leaky_relu,
    nn.Linear: _affine,
    nn.MaxPool1d: _pool("MaxPool"),
    nn.MaxPool2d: _pool("MaxPool"),
    nn.Recurrent: _layer,
    nn.TiedLinear: _affine,
}

KINDS = tuple(_MODULES)
