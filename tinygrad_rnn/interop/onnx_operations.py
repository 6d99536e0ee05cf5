"""The library's operations as nodes of ONNX."""

from collections.abc import Callable

import numpy as np

from tinygrad_rnn.interop.entries import Obstacle
from tinygrad_rnn.interop.onnx_graph import Graph
from tinygrad_rnn.interop.onnx_trace import Call

__all__ = ["OPERATIONS"]

Translation = Callable[[Graph, Call], object]

# Those that are one node without attributes.
_PLAIN = {
    "abs": "Abs", "add": "Add", "clone": "Identity", "cos": "Cos", "div": "Div", "exp": "Exp",
    "log": "Log", "matmul": "MatMul", "maximum": "Max", "minimum": "Min", "mul": "Mul",
    "neg": "Neg", "power": "Pow", "reciprocal": "Reciprocal", "relu": "Relu",
    "sigmoid": "Sigmoid", "sign": "Sign", "sin": "Sin", "softplus": "Softplus", "sqrt": "Sqrt",
    "sub": "Sub", "tanh": "Tanh", "where": "Where",
}  # fmt: skip


def _plain(operator: str) -> Translation:
    return lambda g, call: g.add(operator, *call.inputs, to=call.outputs)


def _like(g: Graph, call: Call, number: float) -> str:
    """A number of the type of the call's result."""
    return g.constant(number, call.attrs["dtype"])


def _along(operator: str) -> Translation:
    return lambda g, call: g.add(operator, call.inputs[0], to=call.outputs, axis=call.attrs["axis"])


def _reduced(operator: str) -> Translation:
    def translation(g: Graph, call: Call) -> None:
        axes, kept = list(call.attrs["axis"]), int(call.attrs["keepdims"])
        x, to = call.inputs[0], call.outputs
        if not axes:
            g.add("Identity", x, to=to)
        elif operator == "ReduceSum":
            g.add(operator, x, g.whole(*axes), to=to, keepdims=kept)
        else:
            g.add(operator, x, to=to, axes=axes, keepdims=kept)

    return translation


def _reshape(g: Graph, call: Call) -> None:
    sizes = call.attrs["shape"]
    if sizes.count(-1) > 1:
        raise Obstacle(f"{call.name} to sizes of which several follow from those of the input")
    operator = "Reshape" if call.name == "reshape" else "Expand"
    if operator == "Expand" and -1 in sizes:
        raise Obstacle(f"{call.name} to a size that follows from those of the input")
    g.add(operator, call.inputs[0], g.shape(sizes), to=call.outputs)


def _getitem(g: Graph, call: Call) -> None:
    index, rank = call.attrs["index"], call.ranks[0]
    items = list(index) if isinstance(index, tuple) else [index]
    taken = sum(i is not None and i is not Ellipsis for i in items)
    if Ellipsis not in items:
        items.append(Ellipsis)
    place = items.index(Ellipsis)
    items[place : place + 1] = [slice(None)] * (rank - taken)
    heads: list[tuple[int, int, int, int]] = []
    cuts: list[tuple[int, int, int, int]] = []
    gone, fresh, axis, out = [], [], 0, 0
    for item in items:
        if item is None:
            fresh.append(out)
            out += 1
            continue
        if isinstance(item, slice):
            out += 1
            if item != slice(None):
                head, bounds = _bounds(item)
                heads += [(axis, *head)] if head else []
                cuts.append((axis, *bounds))
        else:
            gone.append(axis)
            end = int(item) + 1
            cuts.append((axis, int(item), end if end else _FAR, 1))
        axis += 1
    x = call.inputs[0]
    for cut in (heads, cuts):
        if cut:
            axes, starts, ends, steps = (g.whole(*column) for column in zip(*cut, strict=True))
            x = g.add("Slice", x, starts, ends, axes, steps)
    if gone:
        x = g.add("Squeeze", x, g.whole(*gone))
    if fresh:
        x = g.add("Unsqueeze", x, g.whole(*fresh))
    g.add("Identity", x, to=call.outputs)


_FAR = 2**31 - 1


def _bounds(cut: slice) -> tuple[tuple[int, int, int] | None, tuple[int, int, int]]:
    """Start, end and step; before them those of a cut of their own, where one is needed.

    Backwards from -9, NumPy finds nothing on a shorter axis, where ONNX begins at 0: so what lies
    behind goes first, and the rest is read from its end.
    """
    step = 1 if cut.step is None else int(cut.step)
    start, end = (0, _FAR) if step > 0 else (_FAR, -_FAR)
    end = end if cut.stop is None else int(cut.stop)
    if cut.start is None:
        return None, (start, end, step)
    start = int(cut.start)
    if step > 0 or start >= -1:
        return None, (start, end, step)
    if -_FAR < end < 0:
        end = min(end - start - 1, -1)
    return (0, start + 1, 1), (_FAR, end, step)


def _flip(g: Graph, call: Call) -> None:
    axes = list(call.attrs["axis"])
    n = len(axes)
    parts = [g.whole(*[v] * n) for v in (_FAR, -_FAR)] + [g.whole(*axes), g.whole(*[-1] * n)]
    g.add("Slice", call.inputs[0], *parts, to=call.outputs)


def _linear(g: Graph, call: Call) -> None:
    x, w, b = call.inputs
    g.add("Add", g.add("MatMul", x, w), b, to=call.outputs)


def _square(g: Graph, call: Call) -> None:
    g.add("Mul", call.inputs[0], call.inputs[0], to=call.outputs)


def _power_of(g: Graph, call: Call) -> None:
    g.add("Pow", call.inputs[0], _like(g, call, call.attrs["exponent"]), to=call.outputs)


def _number_to_the(g: Graph, call: Call) -> None:
    g.add("Pow", _like(g, call, call.attrs["base"]), call.inputs[0], to=call.outputs)


def _log1p(g: Graph, call: Call) -> None:
    """The logarithm of u = 1 + x, less what was lost in the sum; where nothing was, it is exact."""
    x, one = call.inputs[0], _like(g, call, 1.0)
    u = g.add("Add", x, one)
    log, kept = g.add("Log", u), g.add("Sub", u, one)
    lost = g.add("Div", g.add("Sub", kept, x), u)
    g.add("Where", g.add("Equal", kept, x), log, g.add("Sub", log, lost), to=call.outputs)


def _expm1(g: Graph, call: Call) -> None:
    """tanh(x / 2) (exp(x) + 1), in which nothing cancels."""
    x = call.inputs[0]
    tanh = g.add("Tanh", g.add("Mul", x, _like(g, call, 0.5)))
    more = g.add("Add", g.add("Exp", x), _like(g, call, 1.0))
    g.add("Mul", tanh, more, to=call.outputs)


def _clip(g: Graph, call: Call) -> None:
    bounds = [call.attrs[name] for name in ("low", "high")]
    names = ["" if b is None else _like(g, call, b) for b in bounds]
    g.add("Clip", call.inputs[0], *names, to=call.outputs)


def _logsumexp(g: Graph, call: Call) -> None:
    axes = [call.attrs["axis"]]
    g.add("ReduceLogSumExp", call.inputs[0], to=call.outputs, axes=axes, keepdims=1)


def _masked_softmax(g: Graph, call: Call) -> None:
    seen = call.attrs["seen"]
    if seen is None:
        g.add("Softmax", call.inputs[0], to=call.outputs, axis=-1)
        return
    if not seen.any(-1).all():
        raise Obstacle("masked_softmax with a row that sees nothing, which would be NaN")
    x = g.add("Where", g.constant(seen), call.inputs[0], _like(g, call, -np.inf))
    g.add("Softmax", x, to=call.outputs, axis=-1)


def _additive_scores(g: Graph, call: Call) -> None:
    """query (B, T, H), key (B, S, H), vector (H) -> (B, T, S)."""
    query, key, vector = call.inputs[:3]
    apart = g.add("Add", g.add("Unsqueeze", query, g.whole(2)), g.add("Unsqueeze", key, g.whole(1)))
    column = g.add("Unsqueeze", vector, g.whole(1))
    scores = g.add("MatMul", g.add("Tanh", apart), column)
    g.add("Squeeze", scores, g.whole(3), to=call.outputs)


def _standardize(g: Graph, call: Call) -> None:
    x = call.inputs[0]
    centred = g.add("Sub", x, g.add("ReduceMean", x, axes=[-1], keepdims=1))
    square = g.add("Mul", centred, centred)
    variance = g.add("ReduceMean", square, axes=[-1], keepdims=1)
    root = g.add("Sqrt", g.add("Add", variance, _like(g, call, call.attrs["eps"])))
    g.add("Div", centred, root, to=call.outputs)


def _pad(g: Graph, call: Call) -> None:
    widths = call.attrs["widths"]
    ends = g.whole(*(low for low, _ in widths), *(high for _, high in widths))
    g.add("Pad", call.inputs[0], ends, _like(g, call, call.attrs["value"]), to=call.outputs)


def _embedding(g: Graph, call: Call) -> None:
    g.add("Gather", call.inputs[0], g.constant(call.attrs["ids"], np.int64), to=call.outputs)


OPERATIONS: dict[str, Translation] = {
    **{name: _plain(operator) for name, operator in _PLAIN.items()},
    "additive_scores": _additive_scores,
    "astype": lambda g, call: g.cast(call.inputs[0], call.attrs["dtype"], call.outputs[0]),
    "broadcast_to": _reshape,
    "clip": _clip,
    "concat": lambda g, call: g.add(
        "Concat", *call.inputs, to=call.outputs, axis=call.attrs["axis"]
    ),
    "embedding": _embedding,
    "expm1": _expm1,
    "flip": _flip,
    "getitem": _getitem,
    "linear": _linear,
    "log1p": _log1p,
    "log_softmax": _along("LogSoftmax"),
    "logsumexp": _logsumexp,
    "masked_softmax": _masked_softmax,
    "max": _reduced("ReduceMax"),
    "mean": _reduced("ReduceMean"),
    "min": _reduced("ReduceMin"),
    "number_to_the": _number_to_the,
    "pad": _pad,
    "permute": lambda g, call: g.add(
        "Transpose", call.inputs[0], to=call.outputs, perm=list(call.attrs["axes"])
    ),
    "power_of": _power_of,
    "reshape": _reshape,
    "softmax": _along("Softmax"),
    "square": _square,
    "standardize": _standardize,
    "sum": _reduced("ReduceSum"),
}
