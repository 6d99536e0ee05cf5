"""A cell that is declared wrongly says which cell it is, what is wrong, and what would be right."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn
from tinygrad_rnn.errors import ArgumentError, CellError, ModuleError, ShapeError, TraceError


def declared(**members):
    """A cell of the class Wrong, whose declaration is right but for ``members``."""

    def step(self, x, h, p):
        return (x @ p.w + h).tanh()

    usual = {"state": ("h",), "params": {"w": "I H"}, "step": step}
    return type("Wrong", (nn.Cell,), usual | members)(2, 3)


def two(self, x, h, p):
    return h


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"state": ()}, r"Wrong has no state: nothing recurs\. Expected .* state = \(\"h\",\)"),
        ({"state": {}}, "Wrong has no state"),
        ({"state": None}, r"state is None, expected names, as \('h', 'c'\)"),
        ({"state": 3}, "state is 3, expected names"),
        ({"state": {"h"}}, "state is {'h'}, expected names"),
        ({"state": ("h", "h")}, "'h' is the name of two things, expected different names"),
        ({"state": ("h", 3)}, "state has the name 3, expected one that can stand in Python"),
        ({"state": ("h c",)}, "state has the name 'h c'"),
        ({"state": {"h": 3}}, "the width of the state 'h': 3 is not a width: expected a capital"),
        ({"state": {"h": "h"}}, "the width of the state 'h': 'h' is not a width"),
        ({"state": {"h": "00H"}}, "'00H' is not a width"),
        ({"state": ("w",)}, "'w' is the name of two things"),
        ({"state": ("x",)}, "'x' is the name of two things.*the input x"),
        ({"params": []}, r"params is \[\], expected names and shapes, as {'w': 'H H'"),
        ({"params": None}, "params is None, expected names and shapes"),
        ({"params": "I H"}, "params is 'I H', expected names and shapes"),
        ({"params": {"w": ("I", "H")}}, r"weight 'w' is \('I', 'H'\), expected widths in a string"),
        ({"params": {"w": 4}}, "the weight 'w' is 4, expected widths in a string, as 'I 4H'"),
        ({"params": {"w": "I, H"}}, "the shape of the weight 'w': 'I,' is not a width"),
        ({"params": {"w": "I xH"}}, "the shape of the weight 'w': 'xH' is not a width"),
        ({"params": {"w": "B H"}}, "'B' is not a width.*T and B are the number of steps and rows"),
        ({"params": {"w": "I H H"}}, "the weight 'w' is 'I H H', 3 axes, expected at most two"),
        ({"params": {"w 1": "I H"}}, "params has the name 'w 1'"),
        ({"params": {3: "I H"}}, "params has the name 3"),
        ({"params": {"_w": "I H"}}, "params has the name '_w', expected a letter at first"),
        ({"params": {"x": "I H"}}, "'x' is the name of two things"),
        ({"input": 4}, "Wrong: input: 4 is not a width"),
        ({"input": True}, "Wrong: input: True is not a width"),
        ({"initializers": {"v": nn.init.ones_}}, "initializers has 'v': .*for the weights w"),
        ({"initializers": {"w": 1.0}}, "initializers has 'w': 1.0, expected functions"),
        (
            {"step": lambda self, x, h: h},
            r"Wrong: step is defined as step\(x, h\) besides self, .* called as step\(x, h, p\)",
        ),
        ({"step": two, "state": ("h", "c")}, r"expected to be called as step\(x, h, c, p\)"),
        ({"step": two, "input": None}, r"expected to be called as step\(h, p\)"),
        ({"output": lambda self: 0}, r"output is defined as output\(\) .* called as output\(h\)"),
    ],
)
def test_a_wrong_declaration_is_refused_when_the_cell_is_made(members, message):
    with pytest.raises(CellError, match=message) as caught:
        declared(**members)
    assert str(caught.value).startswith("Wrong")


@pytest.mark.parametrize(
    "use",
    [
        lambda cell: cell(tg.ones(1, 2)),
        lambda cell: cell.plan,
        lambda cell: cell.hidden_size,
        lambda cell: nn.Recurrent(cell),
    ],
)
def test_a_constructor_that_forgets_the_one_above_it(use):
    class Forgets(nn.Cell):
        state = ("h",)
        params = {"w": "I H"}

        def __init__(self, input_size, hidden_size):
            self.rate = 0.1

        def step(self, x, h, p):
            return (x @ p.w + h).tanh()

    message = r"expected the constructor of Forgets to call super\(\).__init__\(input_size, hidd"
    with pytest.raises(ModuleError, match=message):
        use(Forgets(2, 3))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.GRUCell(2, 3, f=1), "GRUCell: 'f' is not an argument .* reset_after, bias"),
        (lambda: nn.LSTMCell(2, 3, f=1), "LSTMCell: given f, expected bias or one of input_size, "),
        (
            lambda: nn.LSTMCell(2, 3, zoneout=0.1),
            "given zoneout, .* hidden_size; .* to configure()",
        ),
        (
            lambda: nn.GRUCell(2, 3, zoneout=0.1),
            "'zoneout' is not an arg.* bias; .* to configure()",
        ),
        (lambda: nn.Recurrent(nn.GRUCell(2, 3), f=1), "Recurrent: 'f' is not an opt.* hidden_siz"),
        (lambda: nn.GRU(2, 3, dtype="f"), "GRU: 'dtype' is not an option, .* reset_after, bias"),
    ],
)
def test_unknown_arguments_of_constructors_are_answered_with_the_known(make, message):
    with pytest.raises(TypeError, match=message):
        make()


def test_what_may_be_written_in_two_ways():
    assert declared(state="hid").state_sizes == {"hid": 3}
    assert declared(state="h").state_sizes == {"h": 3}
    assert declared(state=["h"]).state_sizes == {"h": 3}

    class Position(nn.Cell):
        state = ("x",)  # nothing else is called x where there is no input
        input = None

        def step(self, x, p):
            return x * 0.5

    np.testing.assert_array_equal(Position(2)(tg.ones(2)), [0.5, 0.5])


def test_a_weight_that_changes_nothing_is_not_used():
    def step(self, x, h, p):
        unread = p.b * 2  # noqa: F841
        return (x @ p.w + h).tanh()

    cell = declared(params={"w": "I H", "b": "H"}, step=step)
    with pytest.raises(AttributeError, match="Wrong: step never uses 'b', expected every weight"):
        cell(tg.ones(2))


@pytest.mark.parametrize("fused", ["Require", 3, 1, 0, None, "composite"])
def test_fused_is_true_or_false_or_require(fused):
    message = r"fused is .*, expected one of \(True, False, 'require'\)"
    cell = declared()
    with pytest.raises(ValueError, match=f"Wrong: {message}"):
        cell.fused = fused
    with pytest.raises(ValueError, match=f"Wrong: {message}"):
        declared(fused=fused)
    if fused is not None:
        with pytest.raises(ValueError, match=r"GRU: fused is .* one of \(None, True, False, 'req"):
            nn.GRU(2, 3, fused=fused)
    layer = nn.GRU(2, 3, 2, fused=False)
    assert layer.fused is False
    layer.fused = True
    assert layer.plan == "fused"
    with pytest.raises(ValueError, match=f"GRUCell: {message}"):
        layer.fused = fused


@pytest.mark.parametrize("size", [0, -1, 2.0, True, "3", None, [3], np.bool_(True), np.float64(3)])
def test_sizes_are_whole_numbers_from_1_up(size):
    kind = ShapeError if type(size) is int else ArgumentError
    with pytest.raises(kind, match=r"LSTMCell: input_size is .*, expected a whole number"):
        nn.LSTMCell(size, 3)
    with pytest.raises(kind, match=r"LSTMCell: hidden_size is .*, expected a whole number"):
        nn.LSTMCell(3, size)
    with pytest.raises(kind, match=r"LSTM: input_size is .*, expected a whole number"):
        nn.LSTM(size, 3)
    with pytest.raises(kind, match=r"LSTM: num_layers is .*, expected a whole number"):
        nn.LSTM(2, 3, size)
    if size != [3]:
        with pytest.raises(kind, match=r"LSTM: hidden_size is .*, expected a whole number"):
            nn.LSTM(3, size)
        with pytest.raises(kind, match=r"LSTM: hidden_size\[1\] is .*, expected a whole"):
            nn.LSTM(3, [3, size])


def test_numbers_of_numpy_are_sizes():
    three = np.int64(3)
    for layer in (nn.LSTM(three, three, np.int32(2)), nn.LSTM(3, np.array([3, 3]))):
        y, _ = layer(tg.zeros(4, 2, 3))
        assert y.shape == (4, 2, 3)
        assert layer.num_layers == 2
    assert type(nn.LSTMCell(three, three).hidden_size) is int


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.LSTMCell(2, 3, bias="no"), "LSTMCell: bias is 'no', expected True or False"),
        (lambda: nn.LSTM(2, 3, bias=None), "LSTMCell: bias is None, expected True or False"),
        (lambda: nn.GRU(2, 3, bidirectional="yes"), "GRU: bidirectional is 'yes', expected True"),
        (lambda: nn.GRU(2, 3, batch_first=1), "GRU: batch_first is 1, expected True or False"),
        (lambda: nn.GRU(2, 3, reverse=None), "GRU: reverse is None, expected True or False"),
        (lambda: nn.GRU(2, 3, stateful="a"), "GRU: stateful is 'a', expected True or False"),
        (lambda: nn.GRU(2, 3, dropout=-0.1), "GRU: dropout is -0.1, expected a number from 0"),
        (lambda: nn.GRU(2, 3, dropout=float("nan")), "GRU: dropout is nan"),
        (lambda: nn.GRU(2, 3, dropout="0.5"), "GRU: dropout is '0.5', expected a number from 0"),
        (lambda: nn.GRU(2, 3, dropout=None), "GRU: dropout is None, expected a number from 0"),
        (lambda: nn.GRU(2, 3, dropout=False), "GRU: dropout is False, expected a number from 0"),
        (lambda: nn.GRU(2, 3, merge=None), "GRU: merge is None, expected one of"),
        (lambda: nn.GRU(2, 3, connect="skip"), "GRU: connect is 'skip', expected one of"),
        (lambda: nn.GRU(2, 3, initial_state=0), "GRU: initial_state is 0, expected one of"),
        (lambda: nn.GRU(2, 3, output="first"), "GRU: output is 'first', expected one of"),
        (
            lambda: nn.GRU(2, 3, connection="residual"),
            "GRU: 'connection' is not an option, expected one of .*bidirectional, .*connect,",
        ),
        (lambda: nn.LSTM(2, []), r"LSTM: hidden_size is \[\], expected a width for each layer"),
        (
            lambda: nn.LSTM(2, [3, 4], 3),
            r"LSTM: num_layers is 3, but \[3, 4\] are the widths of 2 layers",
        ),
        (
            lambda: nn.Recurrent(nn.GRUCell(2, 3), hidden_sizes=[4]),
            r"hidden_sizes is \[4\], expected 3 as the first, the width of the given cell",
        ),
        (lambda: nn.Recurrent(nn.GRUCell(2, 3), hidden_sizes=4), "hidden_sizes is 4, expected a w"),
        (
            lambda: nn.Recurrent(nn.GRUCell),
            r"cell is the class GRUCell, expected a Cell that is made, such as GRUCell\(8, 16\)",
        ),
    ],
)
def test_every_option_is_checked_and_named(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


def test_options_are_those_of_recurrent():
    import inspect

    from tinygrad_rnn.nn.cell_options import CellKeywords
    from tinygrad_rnn.nn.options import Options

    *named, of_cells = list(inspect.signature(nn.Recurrent.__init__).parameters)[4:]
    assert of_cells == "of_cells"
    assert {*named, *CellKeywords.__annotations__} == set(Options.__annotations__)


def cell_with(**members):
    return type("Wrong", (nn.Cell,), {"state": ("h",), "params": {"w": "I H"}, **members})


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.LSTMCell(0, 3), ShapeError, "LSTMCell: input_size is 0, expected a whole"),
        (lambda: nn.LSTMCell(3), ArgumentError, "LSTMCell: hidden_size is None"),
        (lambda: cell_with(state=())(2, 3), TraceError, "Wrong has no state: nothing recurs"),
        (lambda: cell_with(params={"w": "I P"})(2, 3), ShapeError, "no size is given for P"),
        (lambda: cell_with()(2, 3, P=4), TypeError, "Wrong: given P, expected bias or"),
        (lambda: cell_with(params={"w": "I x"})(2, 3), TraceError, "'x' is not a width"),
        (lambda: cell_with(params={"state": "I H"})(2, 3), ModuleError, "cannot be named 'state'"),
        (lambda: cell_with(params={"sizes": "I H"})(2, 3), ModuleError, "cannot be named 'sizes'"),
        (lambda: cell_with(input="H")(2, 3), ShapeError, "input_size is 2, expected 3, because x"),
        (lambda: cell_with()(2, 3).program, NotImplementedError, "Wrong has no method step"),
        (
            lambda: cell_with(step=lambda self, x, h, p: h)(2, 3).program,
            ModuleError,
            "step never uses 'w', expected every weight",
        ),
        (
            lambda: cell_with(step=lambda self, x, h, p: (x @ p.w, h))(2, 3).program,
            TraceError,
            "returned 2 rows, expected the new h",
        ),
        (
            lambda: cell_with(step=lambda self, x, h, p: x + 0 * p.w)(2, 3).program,
            TraceError,
            "the weight 'w' has two axes",
        ),
        (
            lambda: cell_with(step=lambda self, x, h, p: h @ p.w)(2, 3).program,
            TraceError,
            "a row of width H with 'w', which is 'I H'",
        ),
        (
            lambda: cell_with(step=lambda self, x, h, p: h + p.v)(2, 3).program,
            TraceError,
            r"step reads p\.v, but params declares w",
        ),
        (lambda: nn.RNNCell(2, 3, nonlinearity="tan"), ValueError, "nonlinearity is 'tan'"),
        (lambda: nn.LSTMVariantCell(2, 3, variant="X"), ValueError, "variant is 'X', expected"),
        (lambda: nn.GRUCell(2, 3).clone(depth=3), TypeError, "another depth"),
    ],
)
def test_wrong_cells_say_what_is_wrong(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("name", "shape", "option"),
    [
        ("gain_w", "H", {"layer_norm": True}),
        ("w_proj", "H", {"proj_size": 2}),
    ],
)
def test_a_weight_with_the_name_of_an_options(name, shape, option):
    def step(self, x, h, p):
        return (x @ p.w + h).tanh() + getattr(p, name)

    cell = cell_with(params={"w": "I H", name: shape}, step=step)(2, 3)
    (said,) = option
    with pytest.raises(CellError, match=f"{said} adds a weight '{name}', but the cell has one of"):
        cell.configure(**option)
    assert cell.program  # as it was
