"""Exported models compute in onnxruntime what they compute here, for any size of dynamic axes."""

import importlib.util
import sys

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.interop import peers
from tests.interop.models import MODELS, TB, Named, ids, numbers
from tinygrad_rnn import errors, interop, nn, ops
from tinygrad_rnn.interop import onnx_export
from tinygrad_rnn.interop.onnx_trace import flat
from tinygrad_rnn.kernels._twin import use_reference

missing = [name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
needs_onnx = pytest.mark.skipif(
    bool(missing), reason=f"{', '.join(missing)} is not installed; it is never required"
)


@needs_onnx
@pytest.mark.filterwarnings("ignore")  # theirs
@pytest.mark.parametrize("name", MODELS)
def test_onnxruntime_gives_the_same(name, tmp_path):
    import onnxruntime

    model, example, dynamic, other = MODELS[name]
    peers.draw(model, np.random.default_rng(0))
    before = {name: array.copy() for name, array in model.state_dict().items()}
    path = tmp_path / "model.onnx"
    interop.export_onnx(model.train(), path, tuple(example), dynamic=dynamic)
    assert model.training
    assert all(np.array_equal(a, before[name]) for name, a in model.state_dict().items())
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    for inputs in (example, other):
        with use_reference(), tg.no_grad():
            ours = flat(model.eval()(*inputs))
        theirs = session.run(None, dict(zip(names, inputs, strict=True)))
        for one, result in zip(ours, theirs, strict=True):
            assert peers.difference(one, result) < 1e-6
            assert one.dtype == result.dtype


@needs_onnx
@pytest.mark.filterwarnings("ignore")  # theirs
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["log1p", "expm1"])
def test_small_numbers_keep_their_digits(name, dtype, tmp_path):
    import onnxruntime

    function = getattr(ops, name)
    path = tmp_path / "model.onnx"
    near = np.geomspace(1e-12, 20, 60)
    x = np.array([*-near[near < 1], -1, 0, *near, np.inf], dtype)
    interop.export_onnx(module(lambda m, x: function(x)), path, x)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (theirs,) = session.run(None, {"x": x})
    with np.errstate(divide="ignore"):
        ours = getattr(np, name)(x)
    np.testing.assert_allclose(theirs, ours, rtol=8 * np.finfo(dtype).eps)


@needs_onnx
@pytest.mark.filterwarnings("ignore")  # theirs
def test_weights_keep_their_names_but_for_those_of_inputs_and_outputs(tmp_path):
    import onnx

    path = tmp_path / "model.onnx"
    model = Named()
    interop.export_onnx(model, path, numbers(3, 4))
    names = {tensor.name for tensor in onnx.load(path).graph.initializer}
    assert {*Named.NAMES} - {"x", "y", "y1"} <= names
    assert {"x__", "y_", "y1_"} <= names


@needs_onnx
def test_what_only_their_check_finds_is_refused(tmp_path):
    mask = np.array([[True, False], [True, True]])
    with pytest.raises(errors.ArgumentError, match="Model does not go over to ONNX, whose own"):
        interop.export_onnx(module(lambda m, x: x * x), tmp_path / "model.onnx", mask)


# ----- what is written, without the package -----


class Captured(Exception):
    """The graph, instead of a file."""


@pytest.fixture
def written(monkeypatch):
    """Gives the operators that a model becomes."""

    def capture(onnx, name, graph, *rest):
        raise Captured(graph)

    monkeypatch.setattr(onnx_export, "_onnx", lambda: None)
    monkeypatch.setattr(onnx_export, "_model", capture)

    def operators(model, *example, dynamic=()):
        with pytest.raises(Captured) as caught:
            interop.export_onnx(model, "model.onnx", example, dynamic=dynamic)
        return [node.operator for node in caught.value.args[0].nodes]

    return operators


@pytest.mark.parametrize("name", MODELS)
def test_every_model_has_a_graph(written, name):
    model, example, dynamic, _ = MODELS[name]
    assert written(model, *example, dynamic=dynamic)[-1] == "Identity"


def test_layers_are_one_node_each(written):
    model = nn.Sequential(nn.Linear(4, 4), nn.LSTM(4, 3), nn.LayerNorm(3), nn.Dense(2, 3))
    found = written(model, numbers(5, 2, 4), dynamic=TB)
    assert [o for o in found if o not in ("Identity", "Squeeze")] == [
        "MatMul", "Add", "LSTM", "LayerNormalization", "MatMul", "Add",
    ]  # fmt: skip


def test_what_no_output_needs_is_left_out(written):
    class Wasteful(nn.Module):
        def forward(self, x):
            _ = x.cumsum(0)
            return x.tanh()

    assert written(Wasteful(), numbers(2)) == ["Tanh", "Identity"]


# ----- what is refused -----


def refused(monkeypatch, model, *example, dynamic=()):
    monkeypatch.setattr(onnx_export, "_onnx", lambda: None)
    with pytest.raises(errors.ArgumentError) as caught:
        interop.export_onnx(model, "model.onnx", example, dynamic=dynamic)
    return str(caught.value)


def module(function):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(4, 3)

        def forward(self, *inputs):
            return function(self, *inputs)

    return Model()


X = numbers(5, 2, 4)
MASK = np.ones((5, 2), bool)
DEPENDS = "Model reads an array of shape (5, 2, 4) that is another for another input"
REFUSED = {
    "a comparison": (lambda m, x: ops.where(x > 0, x, 0.0), {}, DEPENDS),
    "NumPy": (lambda m, x: tg.tensor(np.sort(x.numpy())), {}, "the output reads an array"),
    "a branch": (lambda m, x: x * 2 if x.sum().item() > 0 else x, {}, "a branch or a loop in it"),
    "a loop": (lambda m, x: sum(x), {0: "T"}, "a branch or a loop in it"),
    "a size": (lambda m, x: x[x.shape[0] - 1], {0: "T"}, "in Model, getitem has index=4 and 9 for"),
    "zeros": (lambda m, x: x + tg.zeros(*x.shape), {0: "T"}, DEPENDS),
    "an operation": (lambda m, x: x.cumsum(0), {}, "Model: the operation cumsum, which has no"),
    "a mask": (lambda m, x: m.lstm(x, mask=MASK), {}, "lstm (LSTM) is called with mask, which"),
    "a list of states": (
        lambda m, x: m.lstm(x, ([x[0, :, :3]], [x[0, :, :3]])), {},
        "lstm (LSTM): LSTM called with a state other than tensors (L D, B, H)",
    ),
    "no batch": (lambda m, x: m.lstm(x[0]), {}, "lstm (LSTM): LSTM called without a batch"),
    "an index": (lambda m, x: x[:, [0, 1]], {}, "Model: the operation take, which has no"),
    "a mask in an index": (
        lambda m, x: x[:, np.array([True, False])], {}, "Model: the operation take, which has no",
    ),
    "gather": (
        lambda m, x: ops.gather(x, 0, np.zeros((1, 2, 4), int)), {}, "the operation take, which",
    ),
    "topk": (lambda m, x: ops.topk(x, 2)[0], {}, "in Model, take has index="),
    "a choice of results": (
        lambda m, x: (x * 2.0, x * 3.0)[:: 1 if x.sum().item() > 0 else -1], {}, "a branch or a",
    ),
    "no Tensor": (lambda m, x: x.sum().item(), {}, "Model gives a float, expected Tensors"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_graph_cannot_do_is_refused(monkeypatch, name):
    function, dynamic, text = REFUSED[name]
    assert text in refused(monkeypatch, module(function), X, dynamic=dynamic)


WHOLE = {
    "full lengths": (
        lambda m, x, n: nn.Attention("dot", batch_first=False)(x, x, lengths=n)[0],
        (X, np.array([5, 5])), "masked_softmax has seen=",
    ),
    "zeros": (lambda m, i: ops.embedding(m.table, i), (np.zeros((3, 5), int),), "has ids="),
    "a single id": (lambda m, i: ops.embedding(m.table, i), (np.array([3]),), "has ids="),
    "one id, unsigned": (
        lambda m, i: ops.embedding(m.table, i), (np.array(255, np.uint8),), "has ids=",
    ),
    "a full mask": (
        lambda m, x, n: ops.masked_fill(x, n, 0.0), (X, MASK[..., None]), "Model reads an array",
    ),
    "a flag": (lambda m, x, n: x * 2 if n.item() else x, (X, np.array(True)), "a branch or a loop"),
    "padding": (
        lambda m, i: i.sum() / float((i.numpy() != 0).sum()), (ids(5, 7),), "Model reads an array",
    ),
    "padding that is not there": (
        lambda m, i: i.sum() / float((i.numpy() != 0).sum()), (ids(5, 7) + 1,), "Model reads an",
    ),
    "lengths that are not 0": (
        lambda m, x, n: x * float(x.shape[0] // n.numpy().min().item()),
        (X, np.array([5, 5])), "Model reads an array of shape ()",
    ),
    "a mask where a length is 0": (
        lambda m, x, n: x if n.numpy().all() else m.lstm(x, mask=MASK), (X, np.array([5, 5])),
        "lstm (LSTM) is called with mask, which",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_what_depends_on_whole_numbers_and_booleans_is_refused(monkeypatch, name):
    function, example, text = WHOLE[name]
    model = module(function)
    model.table = nn.Parameter(np.zeros((256, 4), np.float32))
    assert text in refused(monkeypatch, model, *example)


def test_lengths_that_must_not_be_0_are_told_apart_by_others(written):
    def function(m, x, n):
        if n.numpy().min() < 1:
            raise ValueError("a row without steps")
        return m.lstm(x, lengths=n)[0]

    assert "LSTM" in written(module(function), X, np.array([5, 5]))


def only(value):
    """A model that takes no other whole numbers."""

    def function(m, x, n):
        if (n.numpy() != value).any():
            raise KeyError("another number")
        return x * float(value)

    return module(function)


@pytest.mark.parametrize("value", [-1, 0, 1, 2, 5, 127])
def test_a_model_that_takes_nothing_but_the_example_is_refused(monkeypatch, value):
    for size in (1, 2, 9):
        text = refused(monkeypatch, only(value), X, np.full(size, value, np.int8))
        assert "Model takes the example, but no other values and sizes" in text
        assert "it raises KeyError: 'another number'" in text
        single = f"x1 holds nothing but {value}, expected an example with different values."
        assert text.endswith(single)


def test_what_no_file_of_onnx_holds_is_refused(monkeypatch):
    text = refused(monkeypatch, nn.Tanh(), X.astype(np.complex64))
    assert text.startswith("export_onnx: x in the example holds complex64, expected one of float32")


def test_a_condition_that_holds_for_the_example_alone_is_noticed(monkeypatch):
    function = REFUSED["a comparison"][0]
    assert DEPENDS in refused(monkeypatch, module(function), abs(X) + 1)
    assert DEPENDS in refused(monkeypatch, module(lambda m, x: ops.where(x > 9, x, 0.0)), X)


def test_all_modules_that_are_refused_are_named(monkeypatch):
    model = nn.Sequential(nn.Recurrent(nn.MGUCell(4, 4)), nn.GRU(4, 4, zoneout=0.1), nn.ReLU())
    assert refused(monkeypatch, model, X) == (
        "export_onnx: Sequential does not go over to ONNX:\n"
        "  0 (Recurrent): MGUCell, which ONNX has not; it has LSTMCell, PeepholeLSTMCell, GRUCell, "
        "RNNCell\n"
        "  1 (GRU): GRUCell with zoneout=0.1, which ONNX has not"
    )


@pytest.mark.parametrize(
    "layer",
    [
        nn.LSTM(4, 4, 2, connect="residual"),
        nn.LSTM(4, 4, initial_state="learned"),
        nn.LSTM(4, 4, stateful=True),
        nn.Sequential(nn.Flatten(0, 1), nn.BatchNorm(4, track=False)),
        nn.ProjectedLSTM(4, 4, 2),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_options_without_a_translation_are_refused(monkeypatch, layer):
    assert "does not go over to ONNX" in refused(monkeypatch, layer, X)


def test_hooks_are_refused(monkeypatch):
    model = nn.Linear(4, 4)
    model.register_forward_hook(lambda *_: None)
    assert "has forward hooks" in refused(monkeypatch, model, X)


@pytest.mark.parametrize(
    "dynamic",
    [{3: "T"}, {0: 5}, [{}, {}], {0: "T", 1: "T"}, {-4: "T"}, 5, "T", [0], {"T": 0}, {None: "T"}],
    ids=str,
)
def test_dynamic_axes_are_checked(monkeypatch, dynamic):
    assert refused(monkeypatch, nn.Tanh(), X, dynamic=dynamic).startswith("export_onnx: ")


def test_what_is_no_module_is_refused(monkeypatch):
    assert "module is a str, expected a Module" in refused(monkeypatch, "model", X)


def test_a_package_that_is_missing_is_named_with_its_install_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'tinygrad-rnn\[onnx\]'"):
        interop.export_onnx(nn.Tanh(), "model.onnx", X)
