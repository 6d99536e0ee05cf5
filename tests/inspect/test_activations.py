"""What units do is what the layer's own trace says, whatever model the layer stands in."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.nn.cell_list import draw, make
from tinygrad_rnn import inspect, models, nn, text
from tinygrad_rnn.errors import ArgumentError, ShapeError

pytestmark = pytest.mark.usefixtures("reference")
T = 6


def test_the_rows_of_a_layer_are_those_of_its_trace():
    layer, x = nn.LSTM(3, 4, num_layers=2, bidirectional=True), tg.randn(T, 1, 3)
    found = inspect.activations(layer, x)
    _, _, trace = layer(x, return_trace=True)
    assert found.steps == T
    assert len(found) == 4 * 6
    for row, values in found.items():
        want = trace.layers[row.layer][row.direction][row.name].numpy()[:, 0]
        np.testing.assert_array_equal(values, want)
        assert found[tuple(row)] is values
    assert found[1, "reverse", "f"] is found[inspect.Row(1, "reverse", "f")]
    assert {row.name for row in found.states} == {"h", "c"}
    assert {row.name for row in found.gates} == {"i", "f", "o"}
    with pytest.raises(
        KeyError, match=r"'c' is several of them, expected one: \(0, 'forward', 'h'"
    ):
        found["c"]
    with pytest.raises(KeyError, match=r"\(2, 'c'\) is none of them"):
        found[2, "c"]


@pytest.mark.parametrize("batch_first", [True, False])
def test_one_sequence_in_any_axes(batch_first):
    layer, x = nn.GRU(3, 4, batch_first=batch_first), tg.randn(T, 3)
    found = inspect.activations(layer, x)["z"]
    batch = x[None] if batch_first else x[:, None]
    np.testing.assert_allclose(inspect.activations(layer, batch)["z"], found, rtol=1e-6)
    with pytest.raises(ShapeError, match="there are 2 sequences, expected one"):
        inspect.activations(layer, tg.randn(2, T, 3) if batch_first else tg.randn(T, 2, 3))


def test_a_model_of_text_and_what_stands_for_each_step():
    words = "näh, ja"
    model = models.LanguageModel(text.Bytes(), 3, 4, num_layers=2, hidden_dropout=0.5)
    model.train()
    found = inspect.activations(model, words)
    assert found.steps == len(words.encode())
    assert found.pieces == ["n", "", "ä", "h", ",", " ", "j", "a"]
    assert found.text == words
    assert all(module.training for module in model.modules())
    assert "forward" not in vars(model.layers)
    ids = model.vocabulary.encode(words)
    again = inspect.activations(model, list(ids))
    np.testing.assert_array_equal(again[1, "c"], found[1, "c"])  # nothing was dropped
    letters = found.by_step("feature", np.array([1, 2, 3, 4, 5, 6, 7]))
    np.testing.assert_array_equal(letters, [1, 1, 2, 3, 4, 5, 6, 7])  # after its last byte


def test_a_state_goes_on_and_a_stateful_layer_does_not():
    layer, x = nn.GRU(3, 4), tg.randn(T, 1, 3)
    _, h = layer(x[:2])
    found = inspect.activations(layer, x[2:], state=h)
    np.testing.assert_allclose(found["h"], layer(x)[0].numpy()[2:, 0], rtol=1e-5)
    stateful = nn.GRU(3, 4, stateful=True)
    stateful(x)
    carried = stateful.passing_state()
    inspect.activations(stateful, x)
    assert stateful.passing_state() is carried


def test_several_layers_of_a_model_are_numbered_as_they_run():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.upper, self.lower = nn.RNN(4, 5), nn.GRU(3, 4, num_layers=2)

        def forward(self, x):
            return self.upper(self.lower(x)[0])[0]

    found = inspect.activations(Two(), tg.randn(T, 1, 3))
    assert [(row.layer, values.shape[1]) for row, values in found.items() if row.name == "h"] == [
        (0, 4),
        (1, 4),
        (2, 5),
    ]


KEPT = {
    "rnn_tanh": lambda row: 0 * row("h"),
    "lstm": lambda row: row("f"),
    "lstm_without_forget": lambda row: 1 + 0 * row("c"),
    "gru": lambda row: row("z"),
    "gru_before": lambda row: row("z"),
    "mgu": lambda row: 1 - row("f"),
    "mut2": lambda row: 1 - row("z"),
}


@pytest.mark.parametrize("name", KEPT)
def test_what_a_step_keeps_of_a_state(name):
    cell = make(name)
    x, _ = draw(cell, T, 2)
    mask = np.array([[1, 1, 0, 1, 1, 1], [1] * 6], bool).T
    _, _, trace = nn.Recurrent(cell)(x, mask=mask, return_trace=True)
    state = "c" if "lstm" in name else "h"
    want = np.where(mask[..., None], KEPT[name](lambda row: trace[row].numpy()), 1.0)
    np.testing.assert_allclose(trace.retention(state).numpy(), want, atol=1e-12)


def test_what_a_step_keeps_is_a_difference_past_the_products():
    """By peepholes a gate reads the cell's state, unit by unit: that is a direct way, too."""
    cell = make("lstm_peephole")
    x, _ = draw(cell, 1, 1)
    layer = nn.Recurrent(cell)
    old = np.array([[0.3, -0.2, 0.5, 0.1]])
    _, _, trace = layer(x, (np.zeros((1, 1, 4)), old[None]), return_trace=True)
    ends = []
    for step in (1e-6, -1e-6):
        _, (_, c) = layer(x, (np.zeros((1, 1, 4)), old[None] + step))
        ends.append(c.numpy()[0, 0])
    want = (ends[0] - ends[1]) / 2e-6  # products read h alone
    np.testing.assert_allclose(trace.retention("c").numpy()[0, 0], want, rtol=1e-8)
    with pytest.raises(KeyError, match="'f' is not carried, expected one of h, c"):
        trace.retention("f")


class Own(nn.Cell):
    state = ("h",)
    params = {"w": "I H"}

    def step(self, x, h, p):
        return h * float(abs(h).sum().item() > 1) + x @ p.w


@pytest.mark.filterwarnings("ignore:.*step by step")
def test_a_cell_without_equations_has_rows_but_no_retention():
    layer = nn.Recurrent(Own(3, 4))
    found = inspect.activations(layer, tg.randn(T, 1, 3))
    assert found["h"].shape == (T, 4)
    assert found.retention == {}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: inspect.activations(nn.Linear(3, 4), tg.randn(2, 3)), "Linear has no recurrent"),
        (lambda: inspect.activations(3, "x"), "model is 3, expected a recurrent layer"),
        (lambda: inspect.activations(nn.GRU(3, 4), "x"), "GRU has no vocabulary; expected token"),
    ],
)
def test_what_cannot_be_looked_into(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()


def test_inputs_without_steps_and_texts_of_another_length():
    layer = nn.GRU(3, 4)
    with pytest.raises(ShapeError, match="no steps, expected at least one"):
        inspect.activations(layer, tg.randn(0, 1, 3))
    with pytest.raises(ShapeError, match="text has 2 characters or pieces, expected 6"):
        inspect.activations(layer, tg.randn(T, 3), text="ab")
    with pytest.raises(ShapeError, match="inputs is empty"):
        inspect.activations(models.LanguageModel(text.Bytes(), 3, 4), "")
    assert inspect.activations(layer, tg.randn(T, 3), text="abcdef").text == "abcdef"
    with pytest.raises(RuntimeError, match="on purpose"):
        fails(layer)
    assert "forward" not in vars(layer)


def fails(layer):
    def hook(*_):
        raise RuntimeError("on purpose")

    with layer.register_forward_hook(hook):
        inspect.activations(layer, tg.randn(T, 3))
