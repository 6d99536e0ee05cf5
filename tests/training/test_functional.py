"""A graph of layers is a module: any number of inputs and outputs, layers shared or nested."""

import copy
import pickle

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.training.small_models import (
    CUSTOM,
    Leaky,
    check_equal,
    check_same_numbers,
    through_json,
)
from tinygrad_rnn import nn, ops, training
from tinygrad_rnn.errors import ArgumentError, DTypeError, ModuleError, ShapeError
from tinygrad_rnn.training import Input, Model, apply


def siamese():
    """One encoder for two inputs; a score, and the distance that it is made of."""
    left, right = Input((None, 3), name="left"), Input((None, 3), name="right")
    encoder = nn.GRU(3, 4)
    a, b = encoder(left)[:, -1], encoder(right)[:, -1]
    distance = apply(ops.abs, a - b)
    return Model([left, right], {"score": nn.Linear(4, 1)(distance), "distance": distance})


def test_a_chain_is_its_layers_one_after_the_other():
    x, first, second = Input(3), nn.Linear(3, 4), nn.Linear(4, 2)
    model = Model(x, second(nn.Tanh()(first(x))))
    given = tg.randn(5, 3)
    assert np.array_equal(model(given), second(ops.tanh(first(given))))
    assert list(model.state_dict()) == [
        "layers.0.weight", "layers.0.bias", "layers.2.weight", "layers.2.bias",
    ]  # fmt: skip
    assert repr(model).startswith("Model(\n  <input (3,)>\n  (layers.0): Linear(3, 4")


def test_a_shared_layer_is_there_once_and_gets_both_gradients():
    model = siamese()
    x, y = tg.randn(2, 5, 3), tg.randn(2, 6, 3)
    out = model(x, y)
    encoder, head = model.layers
    a, b = encoder(x)[0][:, -1], encoder(y)[0][:, -1]
    assert np.array_equal(out["distance"], ops.abs(a - b))
    assert np.array_equal(out["score"], head(ops.abs(a - b)))
    assert np.array_equal(model([x, y])["score"], out["score"])
    assert np.array_equal(model({"right": y, "left": x})["score"], out["score"])
    assert len(list(model.parameters())) == 6
    out["score"].sum().backward()
    ours = encoder.cells()[0].w_x.grad.numpy()
    encoder.zero_grad()
    head(ops.abs(a - b)).sum().backward()
    np.testing.assert_array_equal(ours, encoder.cells()[0].w_x.grad.numpy())


def test_nodes_are_counted_on_and_joined():
    a, b = Input(2, name="a"), Input(2, name="b")
    joined = apply(ops.concat, [a * 2.0, 1.0 - b, b + 1.0, 3.0 * (1.0 + a)], axis=-1)
    model = Model([a, b], (joined, joined @ np.ones((8, 1), np.float32), a[:, 0]))
    x, y = tg.randn(3, 2), tg.randn(3, 2)
    whole, product, column = model(x, y)
    expected = ops.concat([x * 2.0, 1.0 - y, y + 1.0, 3.0 * (1.0 + x)], axis=-1)
    assert np.array_equal(whole, expected)
    assert np.array_equal(product, expected @ np.ones((8, 1), np.float32))
    assert np.array_equal(column, x[:, 0])


def test_of_several_results_the_first_goes_on_and_any_can_be_had():
    x = Input((None,))
    lstm = nn.LSTM(4, 3)(nn.Embedding(5, 4)(x))
    model = Model(x, [lstm, lstm[1][1][0], nn.Linear(3, 2)(lstm)])
    ids = np.array([[0, 1], [2, 3], [4, 0]])
    y, c, out = model(ids)
    _, recurrent, linear = model.layers
    expected, (_, last) = recurrent(model.layers[0](ids))
    assert y.shape == (3, 2, 3)  # rows first, as everywhere in a graph
    assert np.array_equal(y, expected)
    assert np.array_equal(c, last[0])
    assert np.array_equal(out, linear(expected))


def test_a_model_is_a_layer_of_another():
    inner = siamese()
    x, y = Input((None, 3)), Input((None, 3))
    score = inner(x, y)["score"]
    model = Model([x, y], nn.Sigmoid()(score))
    given = tg.randn(2, 4, 3), tg.randn(2, 5, 3)
    assert np.array_equal(model(*given), ops.sigmoid(inner(*given)["score"]))
    assert next(iter(model.state_dict())) == "layers.0.layers.0.layers.0.forward.w_x"


@pytest.mark.parametrize(
    "again",
    [lambda m: pickle.loads(pickle.dumps(m)), copy.deepcopy, through_json],
    ids=["pickle", "copy", "json"],
)
def test_copies_are_models_of_their_own(again, tmp_path):
    model = siamese()
    x, y = tg.randn(2, 5, 3), tg.randn(2, 6, 3)
    before = model(x, y)["score"].numpy()
    other = again(model)
    check_equal(model, other)
    other.load_state_dict(model.state_dict())
    assert np.array_equal(other(x, y)["score"], before)
    for parameter in other.parameters():
        parameter.assign_(parameter * 2.0)
    assert np.array_equal(model(x, y)["score"], before)
    assert not np.array_equal(other(x, y)["score"], before)
    part = Model(other.inputs, other.nodes[-2])
    assert part.layers[0] is other.layers[0]


def test_models_with_layers_of_ones_own_are_saved(tmp_path):
    x = Input((None, 3), dtype=np.float32)
    states = nn.Recurrent(Leaky(3, 4))(x)
    model = Model(x, {"y": states[:, ::2], "parts": states[1]})
    model.layers.append(nn.Tanh())  # changed later
    training.save_model(tmp_path / "m", model)
    other = training.load_model(tmp_path / "m", CUSTOM)
    check_equal(model, other)
    check_same_numbers(model, other)
    given = tg.randn(2, 5, 3)
    assert np.array_equal(model(given)["y"], other(given)["y"])


def test_a_deep_graph_is_no_deep_recursion(tmp_path):
    x = end = Input(2)
    layer = nn.Tanh()
    for _ in range(1500):
        end = layer(end) * 1.5
    model = Model(x, end)
    training.save_model(tmp_path / "m", model)
    other = training.load_model(tmp_path / "m")
    assert np.array_equal(model(np.ones((1, 2), np.float32)), other(np.ones((1, 2), np.float32)))


def test_a_head_is_cut_and_replaced():
    x = Input(3)
    hidden = nn.Tanh()(nn.Linear(3, 4)(x))
    model = Model(x, nn.Linear(4, 2)(hidden))
    features = Model(model.inputs, model.nodes[-2])
    given = tg.randn(2, 3)
    assert np.array_equal(features(given), ops.tanh(model.layers[0](given)))
    model.layers[2] = nn.Linear(4, 5)
    assert model(given).shape == (2, 5)
    other = through_json(model)
    assert other(given).shape == (2, 5)


# ----- what does not fit -----


def cycle():
    x = Input(2)
    a = nn.Tanh()(x)
    b = nn.Tanh()(a)
    a.args = (b,)
    Model(x, b)


def two(a=None, b=None):
    return Input(2, name="a"), Input(2, name="b")


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (cycle, ModuleError, "<node of Tanh> is made of itself; a graph has no cycles"),
        (
            lambda: Model(two(), nn.Tanh()(Input(2, name="c"))),
            ModuleError,
            r"input <a \(2,\)> is not connected",
        ),
        (
            lambda: Model([], nn.Tanh()(Input(2, name="c"))),
            ModuleError,
            r"the input <c \(2,\)>, which is not among inputs",
        ),
        (lambda: Model(Input(2), 3), ArgumentError, "outputs is 3, expected a node"),
        (lambda: Model(nn.Tanh()(Input(2)), Input(2)), ArgumentError, "expected training.Input"),
        (lambda: apply(ops.concat, [1]), ArgumentError, "apply: given no node"),
        (lambda: tuple(nn.GRU(2, 3)(Input((None, 2)))), TypeError, r"take node\[0\], node\[1\]"),
        (lambda: ops.tanh(Input(2)), TypeError, "training.apply"),
        (lambda: Input("2"), ArgumentError, "Input: shape is '2', expected a whole number"),
        (lambda: Input(2, name=3), ArgumentError, "Input: name is 3"),
    ],
)
def test_what_is_no_graph_is_refused(call, kind, words):
    with pytest.raises(kind, match=words):
        call()


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        ([np.ones((5, 2))], ArgumentError, "given 1 inputs, expected 2: a, b"),
        ([{"a": 1, "c": 2}], ArgumentError, "given the inputs a, c, expected a, b"),
        (
            [np.ones((5, 2)), np.ones((5, 3))],
            ShapeError,
            r"b has shape \(5, 3\), expected \(B, 2\)",
        ),
        ([np.ones(2), np.ones((5, 2))], ShapeError, r"a has shape \(2,\), expected \(B, 2\)"),
    ],
)
def test_inputs_that_do_not_fit_are_named(given, kind, words):
    a, b = two()
    with pytest.raises(kind, match=words):
        Model([a, b], a + b)(*given)


def test_an_error_says_where_in_the_graph_it_happened():
    x = Input((None, 3), dtype=np.int64)
    with pytest.raises(DTypeError, match="input holds float64, expected int64"):
        Model(x, x + 1)(np.ones((2, 4, 3)))
    model = Model(x, nn.Linear(2, 2)(nn.Tanh()(x)))
    with pytest.raises(ShapeError) as caught:
        model(np.ones((2, 4, 3), int))
    assert caught.value.__notes__ == ["Model: this is <node of Linear>, number 2 of nodes."]
