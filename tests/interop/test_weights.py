"""Weights go over to PyTorch, Keras and ONNX and back: same bits, and the same outputs there.

Golden arrays stand in tests/golden/interop.npz; where the others are installed, random
configurations are drawn as well.
"""

import importlib.util
import json
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.golden.make_interop import GOLDEN, KERAS, ONNX, TORCH, H, I
from tests.interop import peers
from tinygrad_rnn import interop, nn
from tinygrad_rnn.kernels._twin import use_reference

# ----- there and back -----

LIBRARIES = {
    "PyTorch": (interop.to_torch, interop.from_torch),
    "Keras": (interop.to_keras, interop.from_keras),
    "ONNX": (interop.to_onnx_gates, interop.from_onnx_gates),
}


KINDS = ["LSTM", "GRU", "RNN", "LSTMCell", "GRUCell", "RNNCell"]
CASES = [(library, kind) for library in LIBRARIES for kind in KINDS]
CASES += [("PyTorch", "Model"), ("PyTorch", "Attention"), ("Keras", "Model"), ("ONNX", "Peepholes")]


@st.composite
def layers(draw, library, kind):
    """A function that makes a module which the library has as well."""
    I, H = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    bias, both = draw(st.booleans()), draw(st.booleans())
    options = {"bias": bias}
    if kind.endswith("Cell"):
        if "GRU" in kind and library != "PyTorch":
            options["reset_after"] = draw(st.booleans())
        return lambda: getattr(nn, kind)(I, H, **options)
    if kind == "Peepholes":
        return lambda: nn.Recurrent(nn.PeepholeLSTMCell(I, H, bias=bias), bidirectional=both)
    if kind == "Attention":
        K, N = draw(st.integers(1, 4)), draw(st.integers(1, 3))
        return lambda: nn.Attention("multi_head", N * H, K, num_heads=N, bias=bias)
    if kind == "Model":
        return lambda: nn.Sequential(
            nn.Embedding(I, H, padding_id=0), nn.GRU(H, I, bidirectional=both, bias=bias),
            inner=nn.Residual(nn.Sequential(nn.Linear(3, H, bias=bias), nn.Dense(3, H))),
            convolutions=nn.ModuleList(nn.Conv1d(I, H, 2, bias=bias), nn.Conv2d(4, 2, 3, groups=2)),
            norms=nn.ModuleList(nn.LayerNorm(H), nn.BatchNorm(H), nn.LayerNorm(I, affine=False)),
        )  # fmt: skip
    options |= {"num_layers": draw(st.integers(1, 3)), "bidirectional": both}
    if kind == "GRU" and library != "PyTorch":
        options["reset_after"] = draw(st.booleans())
    if kind == "LSTM" and library == "PyTorch":
        options["proj_size"] = draw(st.none() | st.integers(1, 4))
    if library != "PyTorch":
        options["reverse"] = not both and draw(st.booleans())
        options["merge"] = draw(st.sampled_from(["concat", "sum"]))
    return lambda: getattr(nn, kind)(I, H, **options)


@pytest.mark.parametrize(("library", "kind"), CASES)
@given(data=st.data(), seed=st.integers(0, 99))
def test_weights_come_back_bit_for_bit(library, kind, data, seed):
    make = data.draw(layers(library, kind))
    there, back = LIBRARIES[library]
    first, second = make(), make()
    rng = np.random.default_rng(seed)
    for name, tensor in first._state().items():
        values = rng.normal(size=tensor.shape).astype(np.float32)
        values[rng.random(tensor.shape) < 0.1] = -0.0  # whose sign an addition of 0 would lose
        if name == "0.weight":
            values[0] = 0  # the vector for padding
        if tensor.dtype.kind == "f":
            tensor.assign_(values)
    assert back(there(first), second) is second
    for name, array in first.state_dict().items():
        assert array.tobytes() == second.state_dict()[name].tobytes(), name


def test_what_is_given_out_is_contiguous_memory_of_its_own():
    model = nn.Sequential(nn.LayerNorm(3), nn.Linear(3, 4), nn.GRU(4, 5))
    before = model.state_dict()
    for array in [*interop.to_torch(model).values(), *interop.to_keras(model).values()]:
        assert array.flags.c_contiguous  # others would be written to safetensors wrongly
        array[:] = 7
    for name, array in model.state_dict().items():
        assert np.array_equal(array, before[name])


# ----- the same outputs -----


def golden(library, case):
    with np.load(GOLDEN) as arrays:
        found = {
            name.split("|", 2)[2]: arrays[name]
            for name in arrays
            if name.startswith(f"{library}|{case}|")
        }
    return found, {name[2:]: array for name, array in found.items() if name.startswith("w|")}


def check(module, found):
    x = found["x"]
    with use_reference(), tg.no_grad():
        y = module.eval()(*([x] * 3 if isinstance(module, nn.Attention) else [x]))
    y = y[0] if isinstance(y, tuple) else y
    assert peers.difference(y, found["y"]) < 1e-6


@pytest.mark.parametrize("case", TORCH)
def test_outputs_are_those_of_pytorch(case):
    found, weights = golden("torch", case)
    kind, arguments, options = TORCH[case]
    if case == "attention":
        module = nn.Attention("multi_head", I, num_heads=1)
    else:
        module = getattr(nn, kind.removesuffix("1d") if "Norm" in kind else kind)(
            *arguments, **options
        )
    check(interop.from_torch(weights, module.astype(np.float64)), found)


OURS_OF_KERAS = {
    "lstm": lambda: nn.LSTM(I, H, batch_first=True),
    "gru": lambda: nn.GRU(I, H, batch_first=True),
    "gru_before": lambda: nn.GRU(I, H, batch_first=True, reset_after=False),
    "rnn": lambda: nn.RNN(I, H, batch_first=True),
    "both": lambda: nn.Sequential(
        nn.GRU(I, H, bidirectional=True, merge="mean", batch_first=True),
        nn.LSTM(H, H, batch_first=True),
    ),
    "dense": lambda: nn.Dense(H, I),
    "conv1d": lambda: nn.Sequential(nn.Conv1d(I, H, 2), nn.BatchNorm(H)),
    "conv2d": lambda: nn.Conv2d(I, H, (3, 2)),
    "layer_norm": lambda: nn.LayerNorm(I),
}


@pytest.mark.parametrize("case", KERAS)
def test_outputs_are_those_of_keras(case):
    found, weights = golden("keras", case)
    module = interop.from_keras(weights, OURS_OF_KERAS[case]().astype(np.float64))
    if "conv" in case:  # channels stand last in Keras
        found = {name: np.moveaxis(found[name], -1, 1) for name in "xy"}
    check(module, found)


OURS_OF_ONNX = {
    "lstm": lambda: nn.LSTM(I, H, bidirectional=True),
    "peepholes": lambda: nn.Recurrent(nn.PeepholeLSTMCell(I, H)),
    "gru": lambda: nn.GRU(I, H, reverse=True),
    "gru_before": lambda: nn.GRU(I, H, reset_after=False),
    "rnn": lambda: nn.RNN(I, H, nonlinearity="relu"),
}


@pytest.mark.parametrize("case", ONNX)
def test_outputs_are_those_of_onnxruntime(case):
    found, weights = golden("onnx", case)
    node = {**weights, **json.loads(str(found["attributes"]))}
    check(interop.from_onnx_gates(node, OURS_OF_ONNX[case]()), found)


@pytest.mark.parametrize(
    ("compare", "needs"),
    [
        (peers.torch_difference, ["torch"]),
        (peers.keras_difference, ["keras", "torch"]),
        (peers.onnx_difference, ["onnx", "onnxruntime"]),
        (peers.export_difference, ["onnx", "onnxruntime"]),
    ],
)
def test_random_configurations_give_the_same_outputs(compare, needs):
    for name in needs:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed; it is never required")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs, at import
        for seed in range(20):
            assert compare(np.random.default_rng(seed)) < 1e-6, seed


def test_nothing_of_the_others_is_imported():
    import subprocess
    import sys

    names = ("torch", "keras", "onnx", "numba")
    code = f"import sys, tinygrad_rnn.interop; sys.exit(any(n in sys.modules for n in {names}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
