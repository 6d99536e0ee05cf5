"""Whole models in files: weights, and beside them a description of what they are the weights of."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from tinygrad_rnn import random
from tinygrad_rnn.errors import FileFormatError
from tinygrad_rnn.files import read, write
from tinygrad_rnn.nn import Module
from tinygrad_rnn.nn.allowance import allowance, cost
from tinygrad_rnn.nn.parameter import own, replace
from tinygrad_rnn.training.describing import describe
from tinygrad_rnn.training.description import Json, build

__all__ = ["distinct", "load_model", "rebuilt", "save_model"]

Path = str | os.PathLike[str]
Arrays = dict[str, np.ndarray[Any, Any]]

_MODEL = "tinygrad_rnn.model"
_COMPILED = "tinygrad_rnn.compiled"
_ASIDE = 2**26  # numbers


def save_model(path: Path, model: Module) -> None:
    """Write a model as one safetensors file: weights, and a description of the model in JSON.

        training.save_model("tagger.safetensors", model)
        model = training.load_model("tagger.safetensors")

    The file holds no code: of classes that are not the library's it holds names, and what they
    were made with. The weights alone can be read by whatever reads safetensors; ``tg.load`` does.
    A model that was compiled with names of optimiser, loss and metrics is so again when loaded.
    """
    where = "save_model"
    description = describe(model, where=where)
    texts = {_MODEL: json.dumps(description)}
    if compiled_with := getattr(model, "_compiled_with", None):
        with suppress(TypeError):  # what is no name, such as an optimiser, has to be said again
            texts[_COMPILED] = json.dumps(compiled_with)
    write(path, distinct(model.state_dict()), texts, where)


def load_model(path: Path, custom: Mapping[str, Any] | None = None) -> Any:
    """The model of a file that ``save_model`` has written.

    Args:
        custom: The classes and functions that are not the library's, by the names that they had:
            ``{"MyCell": MyCell}``.
    """
    where = "load_model"
    arrays, texts = read(path, where)
    if _MODEL not in texts:
        raise FileFormatError(
            f"{where}: {os.fspath(path)!r} holds weights, but no description of a model; make the "
            "model, and give it the weights: model.load_state_dict(tg.load(path))."
        )
    model = rebuilt(where, _parsed(where, path, texts[_MODEL]), arrays, custom)
    if compiled_with := _parsed(where, path, texts.get(_COMPILED, "null")):
        try:
            model.compile(**compiled_with)
        except (TypeError, AttributeError) as error:
            raise FileFormatError(
                f"{where}: {os.fspath(path)!r} says wrongly how the model was compiled: {error}."
            ) from error
    return model


def distinct(state: Arrays) -> Arrays:
    """The arrays of a state dict, what is shared only once: under the first of its names."""
    names = {id(array): name for name, array in reversed(state.items())}
    return {name: array for name, array in state.items() if names[id(array)] == name}


def rebuilt(where: str, description: Json, arrays: Arrays, custom: Mapping[str, Any] | None) -> Any:
    """The model of a description, with these weights, of the types that they have."""
    # Constructors may make more than what stays, such as a head that was cut later, but not much.
    most = 4 * sum(cost(array.size) for array in arrays.values()) + _ASIDE
    with random.fork(), allowance(most):  # what is drawn here is written over
        model = build(description, custom, where)
    for name, tensor in model._state().items():
        dtype = arrays[name].dtype if name in arrays else tensor.dtype
        if dtype != tensor.dtype and dtype.kind == tensor.dtype.kind == "f":
            replace(tensor, own(tensor._data, dtype))
    model.load_state_dict(arrays)
    return model


def _parsed(where: str, path: Path, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(
            f"{where}: the description in {os.fspath(path)!r} is no JSON: {error}."
        ) from error
