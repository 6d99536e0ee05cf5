"""A model comes back from its file as it was: weights, types, what is frozen or shared."""

import json

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.training.small_models import CUSTOM, check_equal, check_same_numbers, embedded, net
from tinygrad_rnn import files, nn, training
from tinygrad_rnn.errors import ArgumentError, FileFormatError, ModuleError


def saved(path, model, custom=None):
    training.save_model(path, model)
    return training.load_model(path, custom)


@pytest.mark.parametrize("make", [embedded, lambda: nn.BatchNorm(3), net])
def test_a_model_comes_back(make, tmp_path):
    model = make()
    state = str(tg.random.get_state())
    other = saved(tmp_path / "model.safetensors", model, CUSTOM)
    assert str(tg.random.get_state()) == state
    check_equal(model, other)
    check_same_numbers(model, other)
    check_same_numbers(model, saved(tmp_path / "again", other, CUSTOM))


def test_element_types_and_what_is_frozen_come_back(tmp_path):
    norm = nn.BatchNorm(2).astype(np.float64)
    model = nn.Sequential(nn.Linear(2, 3).astype(np.float64).freeze(), nn.Dense(2), norm)
    x = tg.randn(4, 2, dtype=np.float64)
    model(x)
    other = saved(tmp_path / "m", model)
    check_same_numbers(model, other)
    assert [p.requires_grad for p in other.parameters()] == [False] * 2 + [True] * 4
    assert other.eval()(x).dtype == np.float64
    assert np.array_equal(other(x), model.eval()(x))


def test_shared_weights_are_in_the_file_once_and_other_readers_find_them(tmp_path):
    model = embedded()
    training.save_model(tmp_path / "m", model)
    arrays = tg.load(tmp_path / "m")
    assert [name for name in arrays if arrays[name].shape == (7, 4)] == ["0.weight"]
    embedded().load_state_dict(arrays)


def test_what_has_no_weights_yet_is_not_saved(tmp_path):
    with pytest.raises(ModuleError, match="no weights yet"):
        training.save_model(tmp_path / "m", nn.Sequential(nn.Dense(3)))
    assert not list(tmp_path.iterdir())


def test_files_without_a_model_and_unknown_classes_are_refused(tmp_path):
    path = tmp_path / "m"
    tg.save(path, nn.Linear(2, 3))
    with pytest.raises(FileFormatError, match=r"no description of a model.*tg.load\(path\)"):
        training.load_model(path)
    training.save_model(path, net())
    with pytest.raises(ArgumentError, match=r"load_model: 'Leaky', 'Net' is not .*pass custom="):
        training.load_model(path)
    arrays, texts = files.read(path)
    files.write(path, arrays, {name: text[:-1] for name, text in texts.items()})
    with pytest.raises(FileFormatError, match=r"load_model: the description in '.*/m' is no JSON"):
        training.load_model(path)
    files.write(path, arrays, dict.fromkeys(texts, "[" * 100000))
    with pytest.raises(FileFormatError, match="is no JSON"):
        training.load_model(path)


def test_weights_of_another_model_are_refused(tmp_path):
    path = tmp_path / "m"
    training.save_model(path, nn.Linear(2, 3))
    arrays, texts = files.read(path)
    files.write(path, {"weight": arrays["weight"]}, texts)
    with pytest.raises(KeyError, match="missing: bias"):
        training.load_model(path)


def test_the_description_is_readable(tmp_path):
    training.save_model(tmp_path / "m", nn.Linear(2, 3))
    (text,) = files.read(tmp_path / "m")[1].values()
    assert json.loads(text)["objects"] == [
        {"module": "nn.Linear", "arguments": {"in_features": 2, "out_features": 3}}
    ]


@pytest.mark.parametrize("wrong", [[1], "x", {"optimizer": "adam", "other": 1}])
def test_a_wrong_word_about_compiling_is_an_error_for_it(tmp_path, wrong):
    path = tmp_path / "model.safetensors"
    training.Sequential(nn.Linear(2, 3)).compile("adam", "mse").save(path)
    arrays, texts = files.read(path)
    files.write(path, arrays, {**texts, "tinygrad_rnn.compiled": json.dumps(wrong)})
    with pytest.raises(FileFormatError, match="says wrongly how the model was compiled"):
        training.load_model(path)


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("nn.Linear", {"in_features": 10**12, "out_features": 64}),
        ("nn.Linear", {"in_features": 10**5, "out_features": 10**5}),
        ("nn.Linear", {"in_features": 10**30, "out_features": 10**5}),
        ("nn.LayerNorm", {"size": 10**11}),
        ("nn.BatchNorm", {"channels": 10**11, "affine": False}),
        ("nn.LSTM", {"input_size": 2, "hidden_size": 2, "num_layers": 10**9}),
    ],
)
def test_weights_that_the_file_does_not_hold_are_not_made(tmp_path, module, arguments):
    entry = {"module": module, "arguments": arguments}
    description = {"format": 1, "objects": [entry], "tied": {}, "frozen": []}
    path = tmp_path / "model.safetensors"
    text = json.dumps(description)
    files.write(path, {"weight": np.zeros((2, 3))}, {"tinygrad_rnn.model": text})
    with pytest.raises(FileFormatError, match=r"far more, or larger, weights|is not whole"):
        training.load_model(path)
