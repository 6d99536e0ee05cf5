"""What does not fit is named in the other library's names; what cannot go over is refused."""

import numpy as np
import pytest

from tinygrad_rnn import errors, interop, nn


def fails(function, *arguments, error=errors.StateDictError, **options):
    with pytest.raises(error) as caught:
        function(*arguments, **options)
    return str(caught.value)


def test_all_that_does_not_fit_is_named_in_pytorch_s_names():
    model = nn.Sequential(nn.GRU(3, 4), nn.Linear(4, 2))
    before = model.state_dict()
    arrays = interop.to_torch(model)
    arrays["0.weight_ih_l0"] = arrays["0.weight_ih_l0"].T
    arrays["0.bias_hh_l0"] = arrays["0.bias_hh_l0"].astype(np.float64)
    arrays["1.bias"] = "text"
    arrays["1.more"] = arrays.pop("1.weight")
    assert fails(interop.from_torch, arrays, model) == (
        "from_torch: the arrays do not fit Sequential; nothing was changed. In PyTorch's names:\n"
        "  missing: 1.weight\n"
        "  unexpected: 1.more\n"
        "  not numbers: 1.bias is a str (tensor: got 'text' of type <U4, expected booleans or "
        "numbers of up to 64 bits.)\n"
        "  wrong shape: 0.weight_ih_l0 is (3, 12), expected (12, 3)\n"
        "  wrong dtype: 0.bias_hh_l0 is float64, expected float32\n"
        "Nothing is converted silently: call .astype() on the arrays or the module."
    )
    for name, array in model.state_dict().items():
        assert np.array_equal(array, before[name])


def test_a_prefix_is_taken_off_and_put_on():
    layer, other = nn.Linear(2, 3), nn.Linear(2, 3)
    arrays = interop.to_torch(layer, prefix="model.out.")
    assert list(arrays) == ["model.out.weight", "model.out.bias"]
    interop.from_torch({**arrays, "model.embedding.weight": np.zeros(3)}, other, "model.out.")
    assert np.array_equal(other.weight, layer.weight)
    said = fails(interop.from_torch, arrays, other)
    assert said.endswith(
        "Every missing name is there behind 'model.out.': give prefix='model.out.'."
    )


def test_tied_weights_need_one_of_their_names():
    embedding = nn.Embedding(5, 3)
    model = nn.Sequential(embedding, nn.TiedLinear(embedding))
    arrays = interop.to_torch(model)
    assert arrays["0.weight"].shape == arrays["1.weight"].shape == (5, 3)
    arrays["0.weight"] += 1
    del arrays["1.weight"]
    interop.from_torch(arrays, model)
    assert np.array_equal(embedding.weight, arrays["0.weight"])
    del arrays["0.weight"]
    assert "missing: 0.weight, 1.weight" in fails(interop.from_torch, arrays, model)


def test_layers_of_keras_are_told_by_their_order():
    model = nn.Sequential(nn.Embedding(5, 3), nn.LSTM(3, 2))
    arrays = interop.to_keras(model)
    keys = ["net/embedding_7/embeddings", *(f"net/lstm/cell/{n}" for n in
            ("kernel", "recurrent_kernel", "bias"))]  # fmt: skip
    named = dict(zip(keys, arrays.values(), strict=True))
    interop.from_keras(named, model)
    wrong = {**named, keys[1]: named[keys[1]].T}
    del wrong[keys[3]]
    assert fails(interop.from_keras, wrong, model) == (
        "from_keras: the arrays do not fit Sequential; nothing was changed. In Keras's names:\n"
        "  missing: net/lstm/cell/bias\n"
        "  wrong shape: net/lstm/cell/kernel is (8, 3), expected (3, 8)"
    )
    del named[keys[0]]
    assert fails(interop.from_keras, named, model) == (
        "from_keras: the arrays do not fit Sequential; nothing was changed. Given 1 layers with "
        "weights: net/lstm/cell (kernel, recurrent_kernel, bias); expected 2 layers with weights: "
        "0 (embeddings), 1/layers/0/forward (kernel, recurrent_kernel, bias)."
    )


def test_onnx_attributes_have_to_be_those_of_the_module():
    layer = nn.GRU(3, 2)
    (node,) = interop.to_onnx_gates(layer)
    assert fails(interop.from_onnx_gates, {**node, "linear_before_reset": 0}, layer) == (
        "from_onnx_gates: the nodes do not fit GRU; nothing was changed. In ONNX's names:\n"
        "  attributes: linear_before_reset is 0, expected 1"
    )
    bare = {name: node[name] for name in "WRB"}
    bare["W"] = bare["W"][0]
    assert fails(interop.from_onnx_gates, {**bare, "direction": b"reverse"}, layer) == (
        "from_onnx_gates: the nodes do not fit GRU; nothing was changed. In ONNX's names:\n"
        "  attributes: direction is 'reverse', expected 'forward', linear_before_reset is 0, its "
        "default, expected 1\n"
        "  wrong shape: W is (6, 3), expected (1, 6, 3)"
    )
    assert "given 2 nodes, expected 1" in fails(interop.from_onnx_gates, [node, node], layer)
    two = nn.GRU(3, 2, num_layers=2)
    nodes = interop.to_onnx_gates(two)
    del nodes[1]["B"]
    assert "missing: 1.B" in fails(interop.from_onnx_gates, nodes, two)


def test_a_vector_for_padding_has_to_be_0():
    arrays = interop.to_torch(nn.Embedding(4, 2))
    said = fails(interop.from_torch, arrays, nn.Embedding(4, 2, padding_id=1))
    assert "the vector of padding_id=1 is not 0" in said


REFUSED = {
    "a peephole": (nn.Recurrent(nn.PeepholeLSTMCell(3, 3)), "tk"),
    "own cells": (nn.Recurrent(nn.MGUCell(3, 3)), "tko"),
    "a subclass of a cell": (type("Own", (nn.LSTMCell,), {})(3, 3), "tko"),
    "layer_norm": (nn.LayerNormLSTM(3, 3), "tko"),
    "zoneout": (nn.GRU(3, 3, zoneout=0.1), "tko"),
    "state_clip": (nn.LSTM(3, 3, state_clip=1.0), "tko"),
    "activation": (nn.LSTM(3, 3, activation="relu"), "t"),
    "an activation of one's own": (nn.LSTM(3, 3, activation=lambda z: z.relu()), "tko"),
    "gelu": (nn.RNN(3, 3, nonlinearity="identity"), "to"),
    "nonlinearity_first": (nn.RNN(3, 3, nonlinearity_first=True), "tko"),
    "reset_after": (nn.GRU(3, 3, reset_after=False), "t"),
    "reverse": (nn.GRU(3, 3, reverse=True), "t"),
    "merge": (nn.GRU(3, 3, bidirectional=True, merge="sum"), "t"),
    "widths": (nn.GRU(3, [3, 2]), "t"),
    "proj_size": (nn.ProjectedLSTM(3, 3, 2), "ko"),
    "proj_size of a GRU": (nn.GRU(3, 3, proj_size=2), "tko"),
    "connect": (nn.GRU(3, 3, 2, connect="residual"), "tko"),
    "initial_state": (nn.GRU(3, 3, initial_state="learned"), "tko"),
    "an attention": (nn.Attention("general", 3, 3), "tko"),
    "a highway": (nn.Highway(nn.Linear(3, 3), 3), "tko"),
    "flattened images": (nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 2)), "k"),
}
WAYS = {"t": interop.to_torch, "k": interop.to_keras, "o": interop.to_onnx_gates}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_other_cannot_say_is_refused(name):
    module, where = REFUSED[name]
    for key, function in WAYS.items():
        if key in where:
            assert fails(function, module, error=errors.ArgumentError)
        elif key != "o" or isinstance(module, nn.Recurrent):
            function(module)
    if "t" in where:
        fails(interop.from_torch, {}, module, error=errors.ArgumentError)


def test_all_modules_that_are_refused_are_named():
    model = nn.Sequential(nn.MGUCell(3, 4), nn.LSTM(3, 4, zoneout=0.1), nn.Linear(4, 2))
    assert fails(interop.to_torch, model, error=errors.ArgumentError) == (
        "to_torch: Sequential does not go over to PyTorch:\n"
        "  0: MGUCell, which PyTorch has not; it has LSTMCell, GRUCell, RNNCell\n"
        "  1: LSTMCell with zoneout=0.1, which PyTorch has not"
    )


def test_options_of_training_alone_are_no_obstacle():
    layer = nn.AWDLSTM(3, 4, recurrent_dropout=0.5, zoneout=0.0, layer_norm=False)
    for function in WAYS.values():
        function(layer)


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(np.ones(3, np.float32))
        self.inner = nn.Linear(3, 3)


def test_parameters_of_own_modules_go_over_to_pytorch_as_they_are():
    model = Scaled()
    arrays = interop.to_torch(model)
    assert list(arrays) == ["scale", "inner.weight", "inner.bias"]
    interop.from_torch({**arrays, "scale": arrays["scale"] * 2}, model)
    assert model.scale.numpy().max() == 2
    said = fails(interop.to_keras, model, error=errors.ArgumentError)
    assert said.endswith("Scaled: Scaled, whose weights have no counterpart in Keras")


class Wider(nn.Linear):
    def __init__(self):
        super().__init__(3, 3)
        self.more = nn.Parameter(np.ones(3, np.float32))


def test_weights_beside_those_of_the_kind_are_refused():
    said = fails(interop.to_torch, Wider(), error=errors.ArgumentError)
    assert said.endswith("Wider with weights that PyTorch has not: more")


@pytest.mark.parametrize("arrays", [[np.zeros(3)], "file.pt", None])
def test_what_is_no_dict_is_refused(arrays):
    for function in (interop.from_torch, interop.from_keras):
        said = fails(function, arrays, nn.Linear(2, 2), error=errors.ArgumentError)
        assert "expected a dict from names to arrays" in said


def test_what_is_no_module_is_refused():
    for function in (interop.to_torch, interop.to_keras, interop.to_onnx_gates):
        assert "module is a str" in fails(function, "model", error=errors.ArgumentError)
    said = fails(interop.to_onnx_gates, nn.Linear(2, 2), error=errors.ArgumentError)
    assert "expected a recurrent layer or a cell; export_onnx takes whole models" in said


def test_a_state_dict_of_pytorch_that_is_loaded_plainly_hears_of_interop():
    layer = nn.LSTM(3, 4)
    said = fails(layer.load_state_dict, interop.to_torch(layer))
    assert "interop.from_torch(arrays, module) reads them" in said
