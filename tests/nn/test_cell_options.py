"""Options of cells: what each does, written out by hand, and that none leaves the kernel."""

import copy
import pickle
import warnings

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.nn.cell_list import CELLS, make
from tinygrad_rnn import nn, ops
from tinygrad_rnn.errors import ArgumentError, CellError, ShapeError
from tinygrad_rnn.kernels.noise import uniform
from tinygrad_rnn.nn import cell_changes as changes

T, B, I, H = 4, 3, 2, 5
STEPS, ROWS = range(T), np.arange(B)

# Each option by itself, as every cell takes it; those that draw come first.
OPTIONS = {
    "input_dropout": {"input_dropout": 0.4},
    "locked": {"input_dropout": 0.4, "locked": True},
    "recurrent_dropout": {"recurrent_dropout": 0.4},
    "weight_drop": {"weight_drop": 0.4},
    "zoneout": {"zoneout": 0.3},
    "layer_norm": {"layer_norm": True},
    "state_clip": {"state_clip": 0.3},
    "functions": {"activation": "softsign", "gate_activation": "hard_sigmoid"},
    "projection": {"proj_size": 2},
}


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def standard(row):
    return (row - row.mean(-1, keepdims=True)) / np.sqrt(row.var(-1, keepdims=True) + 1e-5)


def numbers(noise, site, width, *, locked=False):
    steps = [0] * T if locked else STEPS
    return uniform(noise.key, site, steps, ROWS, width, np.zeros(1))


def kept(noise, site, width, rate, *, locked=False):
    return (numbers(noise, site, width, locked=locked) >= rate) / (1 - rate)


def by_hand(w, x, noise, **option):
    """An LSTM with one option, in NumPy."""
    h, c = np.zeros((2, B, option.get("proj_size", H)))[0], np.zeros((B, H))
    see = see_h = np.ones((T, 1, 1))
    if "input_dropout" in option:
        see = kept(noise, changes.INPUT, I, option["input_dropout"], locked="locked" in option)
    if "recurrent_dropout" in option:
        see_h = kept(noise, changes.OPERANDS, H, option["recurrent_dropout"], locked=True)
    w_h, tanh, gate = w["w_h"], np.tanh, sigmoid
    if "weight_drop" in option:
        drawn = uniform(noise.key, changes.WEIGHTS, [0], np.arange(H), 4 * H, np.zeros(1))[0]
        w_h = w_h * (drawn >= option["weight_drop"]) / (1 - option["weight_drop"])
    if "activation" in option:
        tanh = lambda z: z / (1 + abs(z))
        gate = lambda z: np.clip(z / 6 + 0.5, 0, 1)
    outputs = []
    for t in STEPS:
        z_x, z_h = (x[t] * see[t]) @ w["w_x"], (h * see_h[t]) @ w_h
        if "layer_norm" in option:
            z_x, z_h = standard(z_x) * w["gain_w_x"], standard(z_h) * w["gain_w_h"]
        i, f, g, o = np.split(z_x + z_h + w["b"], 4, axis=1)
        new_c = gate(f) * c + gate(i) * tanh(g)
        if "state_clip" in option:
            new_c = np.clip(new_c, -option["state_clip"], option["state_clip"])
        seen = new_c
        if "layer_norm" in option:
            seen = standard(new_c) * w["gain_c"] + w["shift_c"]
        new_h = gate(o) * tanh(seen)
        if "state_clip" in option:
            new_h = np.clip(new_h, -option["state_clip"], option["state_clip"])
        if "proj_size" in option:
            new_h = new_h @ w["w_proj"]
        if "zoneout" in option:
            stay = [numbers(noise, changes.STATES + k, H)[t] < option["zoneout"] for k in (0, 1)]
            new_h, new_c = np.where(stay[0], h, new_h), np.where(stay[1], c, new_c)
        h, c = new_h, new_c
        outputs.append(h)
    return np.stack(outputs), h, c


def generic(cell, seed=0):
    """Weights in double precision with nothing special about them."""
    draw = np.random.default_rng(seed)
    cell.astype("float64")
    for p in cell.parameters():
        p.assign_(p.numpy() + 0.3 * draw.standard_normal(p.shape))
    return cell


def rounded(rate):
    return np.ceil(rate * 2**24) / 2**24


@pytest.mark.parametrize("name", OPTIONS)
def test_an_lstm_with_an_option_is_what_its_definition_says(name):
    option = {k: rounded(v) if isinstance(v, float) and k != "state_clip" else v
              for k, v in OPTIONS[name].items()}  # fmt: skip
    cell = generic(nn.LSTMCell(I, H).configure(**option))
    x = np.random.default_rng(1).standard_normal((T, B, I))
    noise = tg.random.noise()
    layer = nn.Recurrent(cell, fused=False)
    y, (h, c) = layer(tg.tensor(x), noise=noise)
    weights = {n: p.numpy() for n, p in cell.named_parameters()}
    for ours, theirs in zip((y, h[0], c[0]), by_hand(weights, x, noise.fold(0, 0), **option),
                            strict=True):  # fmt: skip
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", CELLS)
def test_every_cell_takes_every_option_and_is_fused(name):
    for option in OPTIONS.values():
        cell = make(name)
        if cell.input is None and "input_dropout" in option:
            continue
        for training in (True, False):
            assert cell.configure(**option).train(training).plan == "fused"


def test_a_wide_state_is_projected_for_its_products_and_for_the_output():
    cell = generic(nn.GRUCell(I, H).configure(proj_size=2))
    assert cell.state_sizes == {"h": H}
    assert (cell.w_h.shape, cell.output_size) == ((2, 3 * H), 2)
    x = np.random.default_rng(1).standard_normal((T, B, I))
    w, h, outputs = {n: p.numpy() for n, p in cell.named_parameters()}, np.zeros((B, H)), []
    for t in STEPS:
        x_r, x_z, x_n = np.split(x[t] @ w["w_x"] + w["b"], 3, axis=1)
        h_r, h_z, h_n = np.split(h @ w["w_proj"] @ w["w_h"], 3, axis=1)
        z = sigmoid(x_z + h_z)
        n = np.tanh(x_n + sigmoid(x_r + h_r) * (h_n + w["b_h"]))
        h = z * h + (1 - z) * n
        outputs.append(h @ w["w_proj"])
    for output, expected in (("all", np.stack(outputs)), ("last", outputs[-1])):
        y, final = nn.Recurrent(cell, output=output, fused=False)(tg.tensor(x))
        np.testing.assert_allclose(y.numpy(), expected, atol=1e-12)
        np.testing.assert_allclose(final.numpy()[0], h, atol=1e-12)


# All options at once, in the two ways that states and products go together.
TOGETHER = {
    "input_dropout": 0.2, "recurrent_dropout": 0.3, "weight_drop": 0.2, "zoneout": 0.2,
    "layer_norm": True, "state_clip": 0.9, "activation": "softsign", "proj_size": 3,
}  # fmt: skip


def everything(layer, x, noise, **how):
    """Outputs, final states, and the gradients of everything."""
    x = tg.tensor(x, requires_grad=True)
    y, states = layer(x, noise=noise, **how)
    states = states if isinstance(states, tuple) else (states,)
    loss = ops.square(y).sum() + sum((s * s * 0.3).sum() for s in states)
    names = [n for n, _ in layer.named_parameters()]
    grads = tg.grad(loss, [x, *layer.parameters()])
    found = dict(zip(["x", *names], grads, strict=True)) | {"y": y}
    found |= {f"state {k}": s for k, s in enumerate(states)}
    return {name: t.numpy() for name, t in found.items()}


@pytest.mark.parametrize("kind", [nn.LSTM, pytest.param(nn.GRU, marks=pytest.mark.slow)])
def test_all_options_at_once_give_in_the_kernel_what_they_give_line_by_line(kind):
    layer = kind(I, H, fused="require", **TOGETHER)
    generic(layer)
    x = np.random.default_rng(2).standard_normal((T, B, I))
    noise = tg.random.noise(first_step=7, rows=[9, 0, 4])
    for how in ({}, {"lengths": [2, 4, 0]}):
        fused = everything(layer, x, noise, **how)
        layer.fused = False
        slow = everything(layer, x, noise, **how)
        layer.fused = True
        for name, value in fused.items():
            bound = 1e-10 * max(1, abs(slow[name]).max())
            np.testing.assert_allclose(value, slow[name], rtol=0, atol=bound, err_msg=name)


def test_a_row_has_its_bits_alone_in_the_batch_and_in_pieces():
    layer = nn.LSTM(I, H, **TOGETHER)
    x = np.random.default_rng(2).standard_normal((T, B, I)).astype("float32")
    noise = tg.random.noise()
    whole = everything(layer, x, noise)
    again = everything(layer, x, noise)
    alone = everything(layer, x[:, 1:2], noise, row_ids=[1])
    for name in ("x", "y"):
        np.testing.assert_array_equal(again[name], whole[name])
        np.testing.assert_array_equal(alone[name], whole[name][:, 1:2])
    first, state = layer(x[:2], noise=noise)
    rest, _ = layer(x[2:], state, noise=noise.later(2))
    pieces = np.concatenate([first.numpy(), rest.numpy()])
    np.testing.assert_array_equal(pieces, whole["y"])


def test_other_rates_need_no_other_kernel_and_other_seeds_drop_something_else():
    cells = [nn.LSTMCell(I, H).configure(zoneout=rate, state_clip=rate) for rate in (0.1, 0.7)]
    assert cells[0].program is cells[1].program
    layer, x = nn.GRU(I, H, 2, dropout=0.5, fused=False), tg.randn(T, B, I)
    tg.seed(1)
    first, second = layer(x)[0].numpy(), layer(x)[0].numpy()
    assert (first != second).any()
    tg.seed(1)
    np.testing.assert_array_equal(layer(x)[0].numpy(), first)
    noise = tg.random.noise()
    locked = nn.GRU(I, H, 2, dropout=0.5, locked=True, fused=False)
    locked.load_state_dict(layer.state_dict())
    assert (locked(x, noise=noise)[0].numpy() != layer(x, noise=noise)[0].numpy()).any()


def test_a_trained_layer_drops_nothing_and_zones_out_on_average():
    drops = {"input_dropout": 0.4, "recurrent_dropout": 0.4, "weight_drop": 0.4}
    plain, layer = nn.LSTM(I, H, fused=False), nn.LSTM(I, H, fused=False, **drops).eval()
    layer.load_state_dict(plain.state_dict())
    x = tg.randn(T, B, I)
    np.testing.assert_array_equal(layer(x)[0].numpy(), plain(x)[0].numpy())
    cell = nn.RNNCell(I, H).configure(zoneout=0.25).eval()
    x, h = tg.randn(B, I), tg.randn(B, H)
    new = nn.RNNCell(I, H)
    new.load_state_dict(cell.state_dict())
    expected = 0.25 * h.numpy() + 0.75 * new(x, h).numpy()
    np.testing.assert_allclose(cell(x, h).numpy(), expected, rtol=1e-6, atol=1e-6)


def test_options_come_along_when_cells_are_copied_cloned_and_stored():
    layer = nn.LSTM(I, H, 2, bidirectional=True, layer_norm=True, proj_size=2, zoneout={"c": 0.5})
    layer.eval()
    x = tg.randn(T, B, I)
    expected, (h, c) = layer(x)
    assert (h.shape, c.shape) == ((4, B, 2), (4, B, H))
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        np.testing.assert_array_equal(other(x)[0].numpy(), expected.numpy())
    assert "layers.1.reverse.gain_w_h" in dict(layer.named_parameters())
    assert "zoneout={'c': 0.5}" in repr(layer)


def test_an_option_can_be_set_and_taken_back_and_weights_keep_their_numbers():
    cell = nn.LSTMCell(I, H).astype("float64")
    before = cell.state_dict()
    cell.configure(layer_norm=["w_h", "c"], activation=ops.softplus)
    assert {n for n, _ in cell.named_parameters()} - set(before) == {
        "gain_w_h",
        "gain_c",
        "shift_c",
    }
    assert cell.gain_c.dtype == np.float64
    assert (cell.gain_c.numpy() == 1).all()
    cell.configure(layer_norm=False, activation=None)
    assert list(cell.state_dict()) == list(before)
    for name, value in cell.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    assert cell.program is nn.LSTMCell(I, H).program


@pytest.mark.parametrize(
    ("option", "error", "message"),
    [
        ({"zoneout": 1.0}, ValueError, "LSTMCell: zoneout is 1.0, expected a number"),
        ({"zoneout": {"z": 0.1}}, ArgumentError, "zoneout is given for 'z', .* states h, c"),
        ({"zoneout": {"c": -1}}, ValueError, r"zoneout\['c'\] is -1, expected a number"),
        ({"weight_drop": "much"}, ArgumentError, "weight_drop is 'much', expected a number"),
        ({"recurrent_dropout": True}, ArgumentError, "recurrent_dropout is True, expected a"),
        ({"input_dropout": float("nan")}, ValueError, "input_dropout is nan, expected a number"),
        ({"layer_norm": ["w"]}, ArgumentError, "layer_norm is .'w'., .* some of w_x, w_h, c"),
        ({"layer_norm": 3}, ArgumentError, "layer_norm is 3, expected True, False, or some of"),
        ({"state_clip": 0}, ValueError, "state_clip is 0, expected a number above 0"),
        ({"state_clip": {"c": "a"}}, ArgumentError, r"state_clip\['c'\] is 'a', expected a number"),
        ({"proj_size": 0}, ShapeError, "proj_size is 0, expected a whole number from 1 up"),
        (
            {"activation": "tan"},
            ValueError,
            "activation is 'tan', expected tanh, relu, .* or a fun",
        ),
        ({"gate_activation": 1}, ValueError, "gate_activation is 1, expected tanh, relu"),
        (
            {"activation": np.tanh},
            CellError,
            "activation is <ufunc 'tanh'>, expected a function of a row .* operand 'Symbol'",
        ),
        (
            {"gate_activation": lambda row: None, "layer_norm": True},
            CellError,
            "LSTMCell: gate_activation is <function .* words of equations.*: a NoneType",
        ),
        (
            {"gate_activation": lambda row: row.chunk(2)[0]},
            CellError,
            "gate_activation is <function .* chunk: a row of width H in 2 equal",
        ),
        ({"state_clip": True}, ArgumentError, "state_clip is True, expected a number"),
        ({"locked": 2}, TypeError, "locked is 2, expected True, False or None"),
        ({"locked": 1}, TypeError, "locked is 1, expected True, False or None"),
        ({"locked": np.array([True, False])}, TypeError, "locked is array.* expected True, False"),
        (
            {"zone_out": 0.1},
            TypeError,
            "'zone_out' is not an option, expected one of input_dropout",
        ),
    ],
)
def test_a_wrong_option_is_named_and_changes_nothing(option, error, message):
    cell = nn.LSTMCell(I, H)
    names = list(cell.state_dict())
    with pytest.raises(error, match=message):
        cell.configure(**option)
    assert (list(cell.state_dict()), cell.chosen) == (names, {})


def test_options_are_those_of_the_time_when_they_were_given():
    rates, names = {"h": 0.1}, ["w_h"]
    cell = nn.LSTMCell(I, H).configure(zoneout=rates, layer_norm=names)
    rates["h"] = 7.0
    names.append("no weight")
    assert copy.deepcopy(cell).options.settings() == cell.options.settings()
    assert "zoneout={'h': 0.1}" in repr(cell.clone())


def test_a_state_that_the_step_does_not_read_anew_is_not_normalised():
    class Slow(nn.Cell):
        state, params = ("h", "c"), {"w": "I H", "u": "H H"}

        def step(self, x, h, c, p):
            return (x @ p.w + c @ p.u).tanh(), 0.9 * c + 0.1 * h

    cell = Slow(I, H).configure(layer_norm=True)
    assert cell.plan == "fused"
    assert [name for name, _ in cell.named_parameters()] == ["w", "u", "gain_w", "gain_u"]
    with pytest.raises(ArgumentError, match=r"Slow: layer_norm is 'c', expected .* some of w, u"):
        cell.configure(layer_norm="c")


def test_an_old_state_that_is_kept_as_another_is_read_as_it_was():
    class Delayed(nn.Cell):
        state, params = ("h", "c"), {"w": "I H", "u": "H H", "v": "H H"}

        def step(self, x, h, c, p):
            return (x @ p.w + h @ p.u + c @ p.v).tanh(), h

    cell = generic(Delayed(I, H).configure(state_clip={"c": 0.1}, zoneout={"c": 0.25})).eval()
    x, h, c = (np.random.default_rng(3).standard_normal((B, n)) for n in (I, H, H))
    new, kept_one = cell(tg.tensor(x), (tg.tensor(h), tg.tensor(c)))
    w = {name: p.numpy() for name, p in cell.named_parameters()}
    np.testing.assert_allclose(new.numpy(), np.tanh(x @ w["w"] + h @ w["u"] + c @ w["v"]))
    np.testing.assert_allclose(kept_one.numpy(), 0.25 * c + 0.75 * np.clip(h, -0.1, 0.1))
    assert not {"gain_c", "shift_c"} & set(cell.configure(layer_norm=True).weights())


def test_an_awd_lstm_has_as_many_layers_as_widths():
    shapes = {tuple(map(len, nn.AWDLSTM(I, [H] * n).layers)): n for n in (1, 2, 4)}
    assert shapes == {(1,) * n: n for n in (1, 2, 4)}
    assert (nn.AWDLSTM(I, H).num_layers, nn.AWDLSTM(I, H, 2).num_layers) == (3, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of dropout between layers where there is one
        assert [nn.AWDLSTM(I, size, 1).dropout for size in (H, [H])] == [0.0, 0.0]


def test_what_cannot_have_an_option_says_so():
    with pytest.raises(CellError, match="input_dropout is given, but the cell reads no input"):
        nn.AutonomousCell(H).configure(input_dropout=0.1)

    class Odd(nn.Cell):
        state, params = ("h",), {"w": "I H"}

        def step(self, x, h, p):
            return ops.softmax(x @ p.w + h)

    with pytest.raises(
        CellError, match="Odd: options are for equations that can be fused: softmax"
    ):
        Odd(I, H).configure(zoneout=0.1)
    for option in ("activation", "gate_activation"):
        with pytest.raises(CellError, match=f"{option} is .*it gives a comparison"):
            nn.Recurrent(nn.GRUCell(I, H), **{option: lambda row: row > 0})
    layer, x = nn.LSTM(I, H, zoneout=0.1, fused=False), tg.randn(T, B, I)
    with pytest.raises(ShapeError, match="LSTM: given 2 row_ids, expected 3"):
        layer(x, row_ids=[0, 1])
    with pytest.raises(ArgumentError, match="LSTM: row_ids go from -1 to 1, expected 0 to"):
        layer(x, row_ids=[0, 1, -1])
    with pytest.raises(ArgumentError, match="LSTM: noise is a int, expected what random"):
        layer(x, noise=3)


def test_layers_with_names_are_lstm_and_gru_with_options_set():
    x = tg.randn(T, B, I)
    for kind in (nn.LayerNormLSTM, nn.LayerNormGRU):
        layer = kind(I, H)
        assert {n.rpartition(".")[2] for n, _ in layer.named_parameters()} >= {
            "gain_w_x", "gain_w_h",
        }  # fmt: skip
    y, (h, c) = nn.ProjectedLSTM(I, H, 2, num_layers=2, fused=False)(x)
    assert (y.shape, h.shape, c.shape) == ((T, B, 2), (2, B, 2), (2, B, H))
    layer = nn.AWDLSTM(I, [H, 4, 2], fused=False)
    noise = tg.random.noise()
    y = layer(x, noise=noise)[0].numpy()
    gone = (y == 0).all(axis=0)  # outputs are dropped, for all steps alike
    assert gone.any()
    assert not (y[:, ~gone] == 0).any()
    assert not (layer.eval()(x)[0].numpy() == 0).any()
    assert [c.chosen["input_dropout"] for c in layer.cells()] == [0.4, 0.0, 0.0]
    with pytest.raises(ShapeError, match="ProjectedLSTM: proj_size is 0, expected a whole number"):
        nn.ProjectedLSTM(I, H, 0)
