"""Makes interop.npz: weights of PyTorch, Keras and ONNX by their names, and what they compute.

    python tests/golden/make_interop.py      # with torch, keras, onnx and onnxruntime installed

Every array stands under ``library|case|name``: weights as ``w|...``, the input ``x``, what came
out ``y``, and attributes of ONNX' nodes in JSON. Weights are random: none has a special value.
"""

import json
import os
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).with_name("interop.npz")
T, B, I, H = 4, 2, 3, 2

TORCH = {
    "lstm": ("LSTM", (I, H), {"num_layers": 2, "bidirectional": True}),
    "projected": ("LSTM", (I, 3), {"proj_size": 2, "bidirectional": True}),
    "gru": ("GRU", (I, H), {"num_layers": 2, "bidirectional": True}),
    "rnn": ("RNN", (I, H), {"nonlinearity": "relu", "bias": False}),
    "linear": ("Linear", (I, H), {}),
    "conv1d": ("Conv1d", (B, 4, 2), {"groups": 2}),
    "layer_norm": ("LayerNorm", (I,), {}),
    "batch_norm": ("BatchNorm1d", (B,), {}),
    "attention": ("MultiheadAttention", (I, 1), {"batch_first": True}),
}
KERAS = {
    "lstm": [("LSTM", (H,), {})],
    "gru": [("GRU", (H,), {})],
    "gru_before": [("GRU", (H,), {"reset_after": False})],
    "rnn": [("SimpleRNN", (H,), {})],
    "both": [("Bidirectional", ("GRU", H), {"merge_mode": "ave"}), ("LSTM", (H,), {})],
    "dense": [("Dense", (H,), {})],
    "conv1d": [("Conv1D", (H, 2), {}), ("BatchNormalization", (), {"epsilon": 1e-5})],
    "conv2d": [("Conv2D", (H, (3, 2)), {})],
    "layer_norm": [("LayerNormalization", (), {"epsilon": 1e-5})],
}
# name -> operator, attributes, whether there are peepholes
ONNX = {
    "lstm": ("LSTM", {"direction": "bidirectional"}, False),
    "peepholes": ("LSTM", {}, True),
    "gru": ("GRU", {"linear_before_reset": 1, "direction": "reverse"}, False),
    "gru_before": ("GRU", {}, False),
    "rnn": ("RNN", {"activations": ["Relu"]}, False),
}


def torch_case(case: str, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Weights, input and output of a layer of PyTorch, in float64."""
    import torch

    kind, arguments, options = TORCH[case]
    module = getattr(torch.nn, kind)(*arguments, **options).double().eval()
    for tensor in module.state_dict().values():
        if tensor.dtype.is_floating_point:
            tensor.copy_(torch.from_numpy(rng.normal(size=tuple(tensor.shape)) ** 2))
    x = torch.from_numpy(rng.normal(size=(T, B, I)))
    y = module(x, x, x) if case == "attention" else module(x)
    found = {f"w|{name}": tensor for name, tensor in module.state_dict().items()}
    found |= {"x": x, "y": y[0] if isinstance(y, tuple) else y}
    return {name: tensor.detach().numpy() for name, tensor in found.items()}


def keras_case(case: str, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Weights by path, input and output of a Keras model, in float64."""
    import keras

    made = []
    for kind, arguments, options in KERAS[case]:
        if kind == "Bidirectional":
            inner, width = arguments
            arguments = (getattr(keras.layers, inner)(width, return_sequences=True, dtype=_64),)
        elif kind in ("LSTM", "GRU", "SimpleRNN"):
            options = {**options, "return_sequences": True}
        made.append(getattr(keras.layers, kind)(*arguments, **options, dtype=_64))
    shape = (T, T, I) if case == "conv2d" else (T, I)
    model = keras.Sequential([keras.Input(shape, dtype=_64), *made])
    model.set_weights([rng.normal(size=w.shape) ** 2 * 0.5 for w in model.weights])
    x = rng.normal(size=(B, *shape))
    found = {f"w|{w.path}": w.numpy() for w in model.weights}
    return {**found, "x": x, "y": model(x).detach().numpy()}


_64 = "float64"


def onnx_case(case: str, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Inputs and attributes of a node, and what onnxruntime makes of x, in float32."""
    import onnxruntime
    from onnx import helper, numpy_helper

    operator, attributes, peepholes = ONNX[case]
    D, G = 1 + (attributes.get("direction") == "bidirectional"), {"LSTM": 4, "GRU": 3, "RNN": 1}
    rows = G[operator] * H
    shapes = {"W": (D, rows, I), "R": (D, rows, H), "B": (D, 2 * rows)}
    shapes |= {"P": (D, 3 * H)} if peepholes else {}
    arrays = {name: rng.normal(size=s).astype(np.float32) for name, s in shapes.items()}
    inputs = ["x", "W", "R", "B", *(["", "", "", "P"] if peepholes else [])]
    node = helper.make_node(operator, inputs, ["y"], hidden_size=H, **attributes)
    x = rng.normal(size=(T, B, I)).astype(np.float32)
    graph = helper.make_graph(
        [node], "node", [helper.make_tensor_value_info("x", 1, x.shape)],
        [helper.make_tensor_value_info("y", 1, None)],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (y,) = session.run(None, {"x": x})
    found = {f"w|{name}": array for name, array in arrays.items()}
    said = np.array(json.dumps(attributes))
    return {**found, "x": x, "y": y.swapaxes(1, 2).reshape(T, B, -1), "attributes": said}


LIBRARIES = {"torch": (torch_case, TORCH), "keras": (keras_case, KERAS), "onnx": (onnx_case, ONNX)}

if __name__ == "__main__":
    os.environ.setdefault("KERAS_BACKEND", "torch")
    arrays = {}
    for library, (compute, cases) in LIBRARIES.items():
        for case in cases:
            made = compute(case, np.random.default_rng(0))
            arrays |= {f"{library}|{case}|{name}": array for name, array in made.items()}
    np.savez_compressed(GOLDEN, **arrays)
