"""Whatever looks into a model looks into one on a GPU: it sees what it sees on the CPU."""

import copy
from functools import partial

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.devices import assert_alike, placed
from tests.nn.cell_list import CELLS, make
from tinygrad_rnn import inspect, models, nn, ops, text

T, B, I, H = 5, 3, 3, 4
SAID = "näh, ja. to be"
WORDS = text.Words.of("not bad at all good but dull a red circle the dog sleeps")


def numbers(*shape):
    return np.random.default_rng(len(shape)).standard_normal(shape)


def layer():
    tg.seed(1)
    return nn.LSTM(I, H, 2, bidirectional=True).astype(tg.float64)


def language_model():
    tg.seed(1)
    model = models.LanguageModel(text.Bytes(), 3, 4, num_layers=2, hidden_dropout=0.5)
    return model.astype(tg.float64)


def translator():
    tg.seed(1)
    return models.Seq2Seq(WORDS, WORDS, 3, 4).astype(tg.float64)


def captioner():
    tg.seed(1)
    how = {"features": (3, 2, 2), "image": "soft"}
    return models.Captioner(WORDS, nn.Conv2d(3, 3, 1), 4, 5, **how).astype(tg.float64)


def labels():
    tg.seed(1)
    return models.TextLabels(["bad", "good"], WORDS, 4, 6).astype(tg.float64)


def of_activations(look, model):
    return look(inspect.activations(model, SAID))


def everything(found):
    """All rows by their names, and what is kept of states."""
    return {repr(row): values for row, values in found.items()}


IMAGE = np.random.default_rng(0).standard_normal((3, 2, 2))
IDS = [1, 2, 0, 3]
# name -> (what is looked into, how)
LOOKS = {
    "activations": (layer, lambda m: everything(inspect.activations(m, at(m, numbers(T, 1, I))))),
    "activations of a text": (language_model, partial(of_activations, everything)),
    "saturation": (
        language_model, partial(of_activations, lambda a: repr(inspect.saturation(a))),
    ),
    "memory": (language_model, partial(of_activations, lambda a: repr(inspect.memory(a)))),
    "draw_memory": (language_model, partial(of_activations, inspect.draw_memory)),
    "draw_saturation": (language_model, partial(of_activations, inspect.draw_saturation)),
    "draw_steps": (language_model, partial(of_activations, inspect.draw_steps)),
    "find_cells": (
        language_model,
        partial(
            of_activations,
            lambda a: [
                [cell.unit, cell.correlation, cell.threshold, cell.f1]
                for cells in inspect.find_cells(a, {"even": np.arange(len(SAID)) % 2 == 0}).values()
                for cell in cells
            ],
        ),
    ),
    "text_page": (language_model, partial(of_activations, lambda a: inspect.text_page(a).html())),
    "gradient_by_lag": (layer, lambda m: by_lag(m, at(m, numbers(T, B, I)))),
    "gradient_by_depth": (
        lambda: nn.Sequential(*[nn.Linear(H, H) for _ in range(4)]).astype(tg.float64),
        lambda m: inspect.gradient_by_depth(list(m.children()), at(m, numbers(B, H))),
    ),
    "gradient_map": (
        lambda: nn.GRU(I, H).astype(tg.float64), lambda m: weight_map(m, at(m, numbers(T, B, I))),
    ),
    "gradient_to_source": (
        translator, lambda m: inspect.gradient_to_source(m, [IDS, IDS], [[1, 0, 2], [2, 2, 1]]),
    ),
    "alignment": (translator, lambda m: vars_of(inspect.alignment(m, "the dog", "a red dog"))),
    "emphasis": (labels, lambda m: vars_of(inspect.emphasis(m, "not bad but dull"))),
    "gaze": (captioner, lambda m: vars_of(inspect.gaze(m, IMAGE, "a red circle"))),
}  # fmt: skip

# What draws arrays and texts, and reads no model.
DRAWN = {
    "draw_learning", "framed", "gallery", "image", "line_chart", "text_features",
    *(name for name in inspect.__all__ if name.startswith(("page_of_", "picture_of_"))),
}  # fmt: skip


def at(model, array):
    return tg.tensor(array, device=next(model.parameters()).device)


def by_lag(model, x):
    return {repr(row): norms for row, norms in inspect.gradient_by_lag(model, x).items()}


def weight_map(model, x):
    y, _, trace = model(x, return_trace=True)
    return inspect.gradient_map(ops.square(y).sum(axis=(1, 2)), trace, "w_h")


def vars_of(found):
    return [np.asarray(part) for part in vars(found).values() if part is not None]


def test_there_is_a_case_for_everything_that_looks_into_a_model():
    functions = {name for name in inspect.__all__ if name.islower()}
    assert functions - DRAWN <= set(LOOKS)


@pytest.mark.parametrize("name", LOOKS)
def test_every_look(on_gpu, reference, name):
    make_one, look = LOOKS[name]
    model = make_one()
    found = []
    for device in ("cpu", "gpu"):
        there = look(copy.deepcopy(model).to(device))
        found.append(np.asarray(there) if isinstance(there, str) else there)
    assert_alike(*found)


# ----- traces -----

HELD = {"lengths": np.array([5, 0, 3])}
RESETS = {"resets": np.random.default_rng(2).random((T, B)) < 0.3}


@pytest.mark.parametrize("how", [{}, HELD, {**HELD, **RESETS}], ids=["all", "some", "anew"])
@pytest.mark.parametrize("fused", [None, False], ids=["kernel", "step by step"])
@pytest.mark.parametrize("name", ["lstm", "gru_before", "lstm_peephole"])
def test_traces(on_gpu, reference, name, fused, how):
    cell = make(name)
    states = [numbers(1, B, n) for n in cell.state_sizes.values()]
    found = []
    for device in ("cpu", "gpu"):
        layer = nn.Recurrent(copy.deepcopy(cell).to(device), fused=fused, reverse=True)
        x, given = placed((numbers(T, B, I), states), device)
        y, _, trace = layer(x, tuple(given) if len(given) > 1 else given[0], return_trace=True,
                            **how)  # fmt: skip
        ops.square(y).sum().backward()
        found.append([
            {n: trace[n] for n in trace.names}, {n: trace.gradient(n) for n in trace.names},
            [trace.retention(n) for n in cell.state_sizes],
            trace.pre_activation("z" if "z" in trace else "f"),
            [trace.parts(w) for w in layer.cells()[0].weights()], trace.gradient_norms("h"),
            [trace.part_norms("w_h")],
        ])  # fmt: skip
    assert_alike(*found)
    assert set(CELLS) >= {name}
