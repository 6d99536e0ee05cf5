"""PyTorch, Keras and onnxruntime beside ours: one random configuration, weights carried both ways.

Each function draws a module of the peer, gives its weights to one of ours and compares outputs;
then our weights, drawn anew, go the other way. What comes back is the largest difference over
what is largest in the outputs, 1 at least.
"""

import os

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import interop, nn
from tinygrad_rnn.kernels._twin import use_reference

os.environ.setdefault("KERAS_BACKEND", "torch")


def draw(module, rng):
    """Weights of no special structure, running variances above 0."""
    for name, tensor in module._state().items():
        if tensor.dtype.kind == "f":
            values = rng.normal(size=tensor.shape) * 0.5
            tensor.assign_((abs(values) + 0.5 if "var" in name else values).astype(tensor.dtype))


def difference(ours, theirs):
    """The largest difference of two arrays, over what is largest in them."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    return float(abs(ours - theirs).max(initial=0) / max(1.0, abs(theirs).max(initial=0)))


def run(module, x):
    """What ours gives, step by step in NumPy: no kernel is compiled."""
    with use_reference(), tg.no_grad():
        y = module.eval()(x)
    return (y[0] if isinstance(y, tuple) else y).numpy()


def recurrent(rng, kinds):
    """A kind of layer, sizes (T, B, I, H), its directions and whether there are biases."""
    sizes = rng.integers(1, 6), rng.integers(1, 4), rng.integers(1, 6), rng.integers(1, 6)
    return rng.choice(kinds), map(int, sizes), bool(rng.integers(2)), bool(rng.integers(4))


# ----- PyTorch -----


def torch_pair(rng):
    """A layer of PyTorch and ours, in float64, and an input."""
    import torch

    kind, (T, B, I, H), both, bias = recurrent(
        rng, ["LSTM", "GRU", "RNN", "ProjectedLSTM", "Linear", "Conv1d", "Conv2d", "LayerNorm",
              "BatchNorm", "Embedding", "Attention"]
    )  # fmt: skip
    x = rng.normal(size=(T, B, I))
    if kind in ("LSTM", "GRU", "RNN", "ProjectedLSTM"):
        options = {"num_layers": int(rng.integers(1, 4)), "bidirectional": both, "bias": bias}
        if kind == "RNN":
            options["nonlinearity"] = str(rng.choice(["tanh", "relu"]))
        if kind == "ProjectedLSTM":
            kind, options["proj_size"], H = "LSTM", H, H + 1
        theirs = getattr(torch.nn, kind)(I, H, **options)
        return theirs, getattr(nn, kind)(I, H, **options, fused=False), x
    if kind == "Linear":
        return torch.nn.Linear(I, H, bias), nn.Linear(I, H, bias), x
    if kind == "Embedding":
        return torch.nn.Embedding(I, H), nn.Embedding(I, H), rng.integers(0, I, (T, B))
    if kind == "LayerNorm":
        return torch.nn.LayerNorm(I), nn.LayerNorm(I), x
    if kind == "BatchNorm":
        return torch.nn.BatchNorm1d(I), nn.BatchNorm(I), rng.normal(size=(B, I, T))
    if kind == "Attention":
        other, heads = int(rng.integers(1, 5)), int(rng.integers(1, 3))
        theirs = torch.nn.MultiheadAttention(
            heads * H, heads, bias=bias, kdim=other, vdim=other, batch_first=True
        )
        ours = nn.Attention("multi_head", heads * H, other, num_heads=heads, bias=bias)
        x = [rng.normal(size=(B, n, w)) for n, w in ((T, heads * H), (I, other), (I, other))]
        return theirs, ours, x
    axes, groups = int(kind[4]), int(rng.integers(1, 3))
    sizes = groups * I, groups * H, [int(n) for n in rng.integers(1, 4, axes)]
    options = {"groups": groups, "bias": bias, "stride": int(rng.integers(1, 3))}
    x = rng.normal(size=(B, groups * I, *rng.integers(3, 7, axes)))
    return getattr(torch.nn, kind)(*sizes, **options), getattr(nn, kind)(*sizes, **options), x


def torch_difference(rng):
    """PyTorch beside ours, both ways."""
    import torch

    theirs, ours, x = torch_pair(rng)
    theirs, ours = theirs.double().eval(), ours.astype(np.float64)
    inputs = x if isinstance(x, list) else [x]

    def both():
        with torch.no_grad():
            y = theirs(*map(torch.from_numpy, inputs))
        with use_reference(), tg.no_grad():
            mine = ours.eval()(*inputs)
        first = [z[0] if isinstance(z, tuple) else z for z in (mine, y)]
        return difference(*first)

    for tensor in theirs.state_dict().values():
        if tensor.dtype.is_floating_point:
            tensor.copy_(torch.from_numpy(rng.normal(size=tuple(tensor.shape)) ** 2))
    interop.from_torch(theirs.state_dict(), ours)
    coming = both()
    draw(ours, rng)
    theirs.load_state_dict(
        {name: torch.from_numpy(array) for name, array in interop.to_torch(ours).items()}
    )
    return max(coming, both())


# ----- Keras -----


def keras_pair(rng):
    """A model of Keras and ours, in float32, and an input (B, T, I)."""
    from keras import layers

    kind, (T, B, I, H), both, bias = recurrent(
        rng, ["LSTM", "GRU", "GRU before", "RNN", "Dense", "Conv1d", "Conv2d", "LayerNorm",
              "BatchNorm", "Embedding"]
    )  # fmt: skip
    x = rng.normal(size=(B, T, I)).astype(np.float32)
    if kind in ("LSTM", "GRU", "GRU before", "RNN"):
        depth = int(rng.integers(1, 3))
        options = {"use_bias": bias, "return_sequences": True}
        mine = {"num_layers": depth, "bidirectional": both, "bias": bias, "batch_first": True}
        if kind.startswith("GRU"):
            mine["reset_after"] = options["reset_after"] = kind == "GRU"
            kind = "GRU"
        if kind == "RNN":
            mine["nonlinearity"] = options["activation"] = str(rng.choice(["tanh", "relu"]))
        make = getattr(layers, {"RNN": "SimpleRNN"}.get(kind, kind))
        theirs = [make(H, **options) for _ in range(depth)]
        if both:
            mine["merge"], merge = [("concat", "concat"), ("sum", "sum"), ("mean", "ave")][
                int(rng.integers(3))
            ]
            theirs = [layers.Bidirectional(layer, merge_mode=merge) for layer in theirs]
        return theirs, getattr(nn, kind)(I, H, **mine, fused=False), x
    if kind == "Dense":
        return [layers.Dense(H, use_bias=bias)], nn.Dense(H, I, bias=bias), x
    if kind == "Embedding":
        return [layers.Embedding(I, H)], nn.Embedding(I, H), rng.integers(0, I, (B, T))
    if kind == "LayerNorm":
        return [layers.LayerNormalization(epsilon=1e-5)], nn.LayerNorm(I), x
    if kind == "BatchNorm":
        return [layers.BatchNormalization(axis=1, epsilon=1e-5)], nn.BatchNorm(T), x
    axes = int(kind[4])
    size = [int(n) for n in rng.integers(1, 4, axes)]
    x = rng.normal(size=(B, *rng.integers(3, 7, axes), I)).astype(np.float32)
    make = layers.Conv1D if axes == 1 else layers.Conv2D
    last = _ChannelsLast(getattr(nn, kind)(I, H, size, bias=bias))
    return [make(H, size, use_bias=bias)], last, x


class _ChannelsLast(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        y = self.inner(np.moveaxis(x, -1, 1))
        return y.permute(0, *range(2, y.ndim), 1)


def keras_difference(rng):
    """Keras beside ours, both ways."""
    import keras
    import torch

    layers, ours, x = keras_pair(rng)
    theirs = keras.Sequential([keras.Input(x.shape[1:], dtype=str(x.dtype)), *layers])

    def both():
        with torch.no_grad():
            y = theirs(x)
        return difference(run(ours, x), y.detach().cpu().numpy())

    theirs.set_weights([rng.normal(size=w.shape) ** 2 * 0.3 for w in theirs.weights])
    interop.from_keras({w.path: w.numpy() for w in theirs.weights}, ours)
    coming = both()
    draw(ours, rng)
    theirs.set_weights(list(interop.to_keras(ours).values()))
    return max(coming, both())


# ----- ONNX -----


def onnx_difference(rng):
    """A recurrent node in onnxruntime beside ours, both ways."""
    kind, (T, B, I, H), both, bias = recurrent(
        rng, ["LSTM", "GRU", "GRU before", "RNN", "PeepholeLSTM"]
    )
    options = {"bidirectional": both, "fused": False}
    if not both:
        options["reverse"] = bool(rng.integers(2))
    if kind == "RNN":
        options["nonlinearity"] = str(rng.choice(["tanh", "relu", "sigmoid"]))
    if kind == "PeepholeLSTM":
        ours = nn.Recurrent(nn.PeepholeLSTMCell(I, H, bias=bias), **options)
    elif kind == "GRU before":
        ours = nn.GRU(I, H, bias=bias, reset_after=False, **options)
    else:
        ours = getattr(nn, kind)(I, H, bias=bias, **options)
    x = rng.normal(size=(T, B, I)).astype(np.float32)
    draw(ours, rng)
    (node,) = interop.to_onnx_gates(ours)
    going = difference(run(ours, x), node_output(kind, node, x))
    arrays = {name: v for name, v in node.items() if isinstance(v, np.ndarray)}
    node |= {k: (rng.normal(size=v.shape) * 0.5).astype(v.dtype) for k, v in arrays.items()}
    interop.from_onnx_gates(node, ours)
    return max(going, difference(run(ours, x), node_output(kind, node, x)))


def node_output(kind, node, x):
    """What onnxruntime computes for one recurrent node: (T, B, D H)."""
    import onnxruntime
    from onnx import helper, numpy_helper

    arrays = {name: v for name, v in node.items() if isinstance(v, np.ndarray)}
    attributes = {name: v for name, v in node.items() if name not in arrays}
    names = [name if name in arrays else "" for name in ("W", "R", "B")]
    names += ["", "", "", "P"] if "P" in arrays else []
    operator = "LSTM" if "LSTM" in kind else kind[:3]
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", *names], ["y"], **attributes)],
        "node",
        [helper.make_tensor_value_info("x", 1, x.shape)],
        [helper.make_tensor_value_info("y", 1, None)],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (y,) = session.run(None, {"x": x})
    return y.swapaxes(1, 2).reshape(*x.shape[:2], -1)


# ----- whole models -----


def model_of(rng):
    """A model of words: an embedding, recurrent layers of all kinds, a norm, and what comes out."""
    V, width = int(rng.integers(2, 9)), int(rng.integers(1, 6))
    parts = [nn.Embedding(V, width, padding_id=int(rng.integers(V)))]
    for _ in range(int(rng.integers(1, 4))):
        kind, H = str(rng.choice(["LSTM", "GRU", "RNN"])), int(rng.integers(1, 6))
        options = {"num_layers": int(rng.integers(1, 3)), "bidirectional": bool(rng.integers(2))}
        if options["bidirectional"]:
            options["merge"] = str(rng.choice(["concat", "sum", "mean", "mul"]))
        if kind == "GRU":
            options["reset_after"] = bool(rng.integers(2))
        layer = getattr(nn, kind)(width, H, **options, bias=bool(rng.integers(4)))
        around = width == layer._output_width(layer.num_layers - 1) and rng.integers(2)
        parts.append(nn.Residual(layer) if around else layer)
        width = layer._output_width(layer.num_layers - 1)
    if rng.integers(2) and width > 3:  # of two equal numbers it makes rounding 300 times as large
        parts.append(nn.LayerNorm(width, bias=bool(rng.integers(2))))
    parts.append(nn.Dense(int(rng.integers(1, 6)), width, activation=str(rng.choice(ACTIVATIONS))))
    return V, nn.Sequential(*parts)


ACTIVATIONS = ["tanh", "relu", "sigmoid", "softsign", "softplus", "silu", "gelu", "log_softmax"]


def export_difference(rng):
    """An exported model in onnxruntime beside ours, at a size that it was not exported with."""
    import tempfile

    import onnxruntime

    V, model = model_of(rng)
    draw(model, rng)
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        example = rng.integers(0, V, rng.integers(1, 5, 2))
        interop.export_onnx(model, file.name, example, dynamic={0: "T", 1: "B"})
        session = onnxruntime.InferenceSession(file.name, providers=["CPUExecutionProvider"])
    ids = rng.integers(0, V, rng.integers(1, 7, 2))
    (y,) = session.run(None, {"x": ids})
    return difference(run(model, ids), y)
