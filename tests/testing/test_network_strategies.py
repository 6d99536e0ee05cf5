"""Strategies of modules and recurrent layers build what they say, all of it, and shrink."""

import copy
import dataclasses
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.testing.search import failure, minimal, reaches
from tinygrad_rnn import nn
from tinygrad_rnn.kernels._twin import use_reference
from tinygrad_rnn.nn.cell_options import CellKeywords
from tinygrad_rnn.nn.options import _CHOICES, Options
from tinygrad_rnn.testing import strategies as gs
from tinygrad_rnn.testing.strategies.recurrent import CHOICES


class Leaky(nn.Cell):
    """A cell of somebody's own."""

    state = ("h",)
    params = {"w_x": "I H", "w_h": "H H", "a": ""}

    def step(self, x, h, p):
        return p.a * h + (1 - p.a) * (x @ p.w_x + h @ p.w_h).tanh()


class OneWeight(nn.Module):
    """A module that is made of three arguments, one of which is called seed."""

    def __init__(self, rows, columns, seed):
        super().__init__()
        self.seed = seed
        self.w = nn.Parameter(np.zeros((rows, columns)))
        self.first = tg.rand(2)


def weights(module):
    return [w.numpy() for w in module.parameters()]


# ----- modules -----


@given(gs.modules(nn.Linear, in_features=st.integers(1, 4), out_features=3))
def test_modules_are_of_the_configuration_and_their_weights_away_from_zero(layer):
    assert isinstance(layer, nn.Linear)
    assert layer.weight.shape[1] == 3
    assert layer.bias.shape == (3,)
    for w in weights(layer):
        assert w.dtype == np.float64
        assert (np.abs(w) >= 0.2).all()
        assert (np.abs(w) <= 1).all()


def test_modules_shrink_to_the_simplest_configuration():
    linear = gs.modules(nn.Linear, in_features=st.integers(1, 4), out_features=st.integers(1, 4))
    assert minimal(linear).weight.shape == (1, 1)
    assert minimal(linear, lambda m: m.weight.shape[0] > 1).weight.shape == (2, 1)


def test_a_failing_example_is_a_call_that_makes_the_module_again():
    @given(gs.modules(nn.Linear, in_features=st.integers(1, 4), out_features=3))
    def fails(layer):
        assert layer.weight.shape[0] < 2

    assert "layer=build_module(Linear, 0, in_features=2, out_features=3)" in failure(fails)


@given(gs.modules(nn.GRU, input_size=2, hidden_size=st.integers(1, 3)))
def test_drawn_modules_are_like_others(layer):
    for copied in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert layer.state_dict().keys() == copied.state_dict().keys()
        assert repr(copied) == repr(layer)


def test_equal_seeds_give_equal_modules_and_leave_the_stream_alone():
    config = {"rows": 2, "columns": 3, "seed": 5}
    before = tg.random.get_state()["state"]["counter"].tolist()
    one, same, other = (gs.build_module(OneWeight, seed, **config) for seed in (7, 7, 8))
    assert tg.random.get_state()["state"]["counter"].tolist() == before
    assert one.seed == 5
    np.testing.assert_array_equal(one.w, same.w)
    np.testing.assert_array_equal(one.first, same.first)
    assert (one.w.numpy() != other.w.numpy()).any()
    assert (one.first.numpy() != other.first.numpy()).any()


def test_signals_keep_their_size_however_wide_the_matrices():
    wide = gs.build_module(nn.Linear, 0, in_features=400, out_features=300)
    assert 0.3 < (np.ones(400) @ wide.weight.numpy()).std() < 3


def test_what_is_no_module_is_refused():
    with pytest.raises(TypeError, match="factory is 3, expected a function"):
        gs.modules(3)
    with pytest.raises(TypeError, match="the factory returned a dict, expected a Module"):
        gs.build_module(dict)
    with pytest.raises(ValueError, match="seed is -1, expected a whole number from 0 up"):
        gs.build_module(nn.Linear, -1, in_features=1, out_features=1)


# ----- recurrent layers -----


def run(config, layer, T=3, B=2):
    """The outputs of a layer as a list of arrays: y, one or two, and the states."""
    shape = (B, T) if config.batch_first else (T, B)
    with use_reference():
        if config.input_size is None:
            results = layer(steps=T, lengths=[T] * B)
        else:
            results = layer(np.full((*shape, config.input_size), 0.5))
    flat = []

    def collect(result):
        if isinstance(result, tuple):
            for part in result:
                collect(part)
        else:
            flat.append(result.numpy())

    collect(results)
    return flat


@given(gs.rnn_configs(cells=tuple(gs.CELLS), layers=1))
def test_every_configuration_can_be_built_and_run(config):
    layer = config.build()
    assert isinstance(layer, nn.Recurrent)
    assert layer.num_layers == config.num_layers
    assert all(np.isfinite(out).all() for out in run(config, layer))
    for w in weights(layer):
        assert w.dtype == np.float64
        assert w.all()


@given(gs.rnn_configs(("rnn", "lstm"), layers=(1, 3)))
def test_several_layers_can_be_built_and_run(config):
    layer = config.build(seed=3, dtype=np.float64)
    widths = np.broadcast_to(config.hidden_size, config.num_layers)
    assert [cell.hidden_size for cell in layer.cells()[:: len(layer.directions)]] == [*widths]
    y = run(config, layer)[0]
    assert y.ndim == (2 if config.output == "last" else 3)
    again = run(config, config.build(seed=3))[0]
    np.testing.assert_array_equal(y, again)


@pytest.mark.parametrize("name", gs.CELLS)
def test_every_name_is_a_cell(name):
    size = None if name == "autonomous" else 2
    config = gs.RecurrentConfig(name, size, 3)
    layer = config.build(dtype=np.float32)
    assert layer.cells()[0].hidden_size == 3
    assert all(w.dtype == np.float32 for w in weights(layer))
    assert eval(repr(config), {"RecurrentConfig": gs.RecurrentConfig}) == config


def test_every_cell_of_the_library_has_a_name():
    named = {type(gs.RecurrentConfig(n, 2 * (n != "autonomous") or None, 3).build().cells()[0])
             for n in gs.CELLS}  # fmt: skip
    cells = {v for v in vars(nn).values() if isinstance(v, type) and issubclass(v, nn.Cell)}
    assert named == cells - {nn.Cell}


def test_every_option_of_a_layer_is_one_of_a_configuration_and_all_values_are_drawn():
    known = {field.name for field in dataclasses.fields(gs.RecurrentConfig)}
    of_layers = Options.__annotations__.keys() - CellKeywords.__annotations__.keys()
    assert {*of_layers, "of_cells"} <= known
    assert {*of_layers, "of_cells"} <= set(CHOICES)
    for name in ("merge", "connect", "initial_state", "output"):
        assert set(CHOICES[name]) == set(_CHOICES[name])


@pytest.mark.parametrize(
    "wanted",
    [
        lambda c: c.num_layers == 3 and isinstance(c.hidden_size, tuple),
        lambda c: c.num_layers > 1 and c.connect == "residual",
        lambda c: c.num_layers > 1 and c.connect == "dense" and c.bidirectional,
        lambda c: c.bidirectional and c.merge == "none",
        lambda c: c.bidirectional and c.merge == "mul",
        lambda c: c.reverse and c.batch_first,
        lambda c: not c.bias and c.initial_state == "learned",
        lambda c: c.output == "last",
        lambda c: c.input_size == c.hidden_size == 4,
    ],
)
def test_configurations_reach(wanted):
    assert reaches(gs.rnn_configs(), wanted)


def test_configurations_reach_every_cell_with_an_input():
    seen = set()
    assert not reaches(gs.rnn_configs(), lambda c: seen.add(c.cell), examples=600)
    assert seen == set(gs.CELLS) - {"autonomous"}


def test_configurations_never_reach_what_changes_from_call_to_call():
    configs = gs.rnn_configs()
    assert not reaches(configs, lambda c: c.dropout or c.stateful or c.cell == "autonomous")
    assert reaches(gs.rnn_configs(stateful=True), lambda c: c.stateful and not c.bidirectional)
    assert reaches(gs.rnn_configs(dropout=(0.0, 0.5)), lambda c: c.dropout == 0.5)


def test_configurations_shrink_to_one_tanh_layer_of_width_one():
    assert minimal(gs.rnn_configs()) == gs.RecurrentConfig("rnn", 1, 1)
    found = minimal(gs.rnn_configs(), lambda c: c.bidirectional and c.num_layers > 1)
    assert found == gs.RecurrentConfig("rnn", 1, 1, 2, bidirectional=True)
    found = minimal(gs.rnn_configs(), lambda c: isinstance(c.hidden_size, tuple))
    assert found == gs.RecurrentConfig("rnn", 1, (1, 2), 2)
    assert minimal(gs.rnn_configs(("gru", "lstm"))).cell == "gru"


@given(gs.rnn_configs("gru", 2, 3, (4, 5), bidirectional=True, batch_first=False,
                      merge=["sum", "mean"], connect="residual", output="all"))  # fmt: skip
def test_options_can_be_fixed_or_chosen_from(config):
    assert (config.cell, config.num_layers, config.input_size) == ("gru", 2, 3)
    assert config.hidden_size in (4, 5)
    assert config.bidirectional
    assert not config.reverse
    assert config.merge in ("sum", "mean")
    assert config.connect == "residual"


def test_cells_of_other_names_are_drawn_and_built():
    configs = gs.rnn_configs({"mine": Leaky, "gru": gs.CELLS["gru"]}, bias=True)
    assert reaches(configs, lambda c: c.cell == "gru" and c.factory is None)
    found = minimal(configs)
    assert found.cell == "mine"
    assert isinstance(found.build().cells()[0], Leaky)
    assert repr(found) == (
        "RecurrentConfig(cell='mine', input_size=1, hidden_size=1, factory=Leaky)"
    )


def test_a_failing_example_shows_what_is_not_usual():
    @given(gs.rnn_configs())
    def fails(config):
        assert not config.bidirectional

    assert (
        "config=RecurrentConfig(cell='rnn', input_size=1, hidden_size=1, bidirectional=True)"
        in failure(fails)
    )


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: gs.rnn_configs(("rnn", "lstmm")), "cells has 'lstmm', expected some of rnn, lstm"),
        (lambda: gs.rnn_configs(()), "cells has nothing, expected some of"),
        (lambda: gs.rnn_configs({"mine": 3}), "cells is {'mine': 3}, expected names"),
        (lambda: gs.rnn_configs(layers=0), "layers is 0, expected a whole number from 1 up"),
        (lambda: gs.rnn_configs(layers=(3, 2)), "layers is (3, 2), expected the smaller"),
        (lambda: gs.rnn_configs(hidden_size=-1), "hidden_size is -1"),
        (lambda: gs.rnn_configs(input_size=(0, 2)), "input_size is 0"),
        (lambda: gs.rnn_configs("autonomous", 2), "layers is 2, expected 1 among them"),
        (lambda: gs.rnn_configs(projection=3), "options has 'projection', expected some of bid"),
        (lambda: gs.rnn_configs(merge=("sum", "avg")), "merge is 'avg', expected one of ('concat'"),
        (lambda: gs.rnn_configs(merge=()), "merge is (), expected at least one value"),
        (lambda: gs.rnn_configs(bidirectional=True, reverse=True), "bidirectional and reverse"),
        (lambda: gs.rnn_configs(unequal=True, connect="highway"), "expected equal widths"),
        (lambda: gs.RecurrentConfig("mine", 1, 1), "cell has 'mine', expected some of rnn"),
    ],
)  # fmt: skip
def test_wrong_arguments_raise_at_the_call(call, says):
    with pytest.raises(ValueError) as raised:
        call()
    assert says in str(raised.value)


def test_flags_are_true_or_false():
    with pytest.raises(TypeError, match="rnn_configs: bias is 1, expected True or False"):
        gs.rnn_configs(bias=1)
