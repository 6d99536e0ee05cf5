"""Rows are called what the equations call them: the variables of a cell's step."""

import copy
import functools
import gc
import pickle
import weakref

import pytest

from tests.nn.cell_list import H, I, make
from tinygrad_rnn import nn
from tinygrad_rnn.kernels.recurrence.symbols import Symbol

GATES = {
    "naive_memory": "g tanh",
    "lstm_without_forget": "i sigmoid, g tanh, o sigmoid",
    "lstm": "i sigmoid, f sigmoid, g tanh, o sigmoid",
    "lstm_peephole": "i sigmoid, f sigmoid, g tanh, o sigmoid",
    "lstm_NIG": "f sigmoid, g tanh, o sigmoid",
    "lstm_NIAF": "i sigmoid, f sigmoid, g chunk, o sigmoid",
    "lstm_CIFG": "i sigmoid, f sub, g tanh, o sigmoid",
    "lstm_FGR": "i sigmoid, f sigmoid, g tanh, o sigmoid",
    "gru": "r sigmoid, z sigmoid, n tanh",
    "gru_before": "r sigmoid, z sigmoid, n tanh",
    "mgu": "f sigmoid, n tanh",
    "mut1": "z sigmoid, r sigmoid, n tanh",
    "mut2_wide": "z sigmoid, r sigmoid, n tanh",
    "mut3": "z sigmoid, r sigmoid, n tanh",
    "nas": "a_0 sigmoid, a_3 relu, a_6 tanh, b_0 tanh, b_2 tanh, b_3 sigmoid",
    "rhn": "n tanh, t sigmoid",
}


@pytest.mark.parametrize("name", GATES)
def test_gates_of_the_library_are_named_after_their_activation(name):
    cell = make(name)
    operations = cell.program.operations
    for gate, kind in (pair.split() for pair in GATES[name].split(", ")):
        assert operations[cell.row_names[gate]].name == kind


def squashed(step):
    @functools.wraps(step)
    def squash(self, x, h, p):
        return step(self, x, h, p).tanh()

    return squash


class Plain(nn.Cell):
    state = ("h",)
    params = {"w_x": "I 2H", "w_h": "H 2H", "b": "2H", "a": ""}

    def step(self, x, h, p):
        rows = (x @ p.w_x + h @ p.w_h + p.b).chunk(2)
        k, kept, number = p.a.sigmoid(), h, 3
        return k * rows[0] + rows[1] / number + kept


class Wrapped(Plain):
    @squashed
    def step(self, x, h, p):
        sums = [super().step(x, h, p), super().step(x, h.tanh(), p)]
        k = sums[0].sigmoid()
        return k * (lambda inner: inner + sums[1])(k)

    def output(self, h):
        h = h * 2.0
        return h - 1.0


def test_variables_that_hold_rows_are_names_and_nothing_else():
    cell = Plain(I, H)
    assert set(cell.row_names) == {"h", "rows_0", "rows_1", "k"}
    assert cell.row_names["h"] == cell.program.results[0]


def test_steps_that_are_called_count_and_the_last_binding_wins():
    cell = Wrapped(H, H)
    operations, names = cell.program.operations, cell.row_names
    assert set(names) == {"h", "k", "kept", "rows_0", "rows_1", "sums_0", "sums_1"}
    assert operations[names["k"]].width.letter == "H"  # that of the outer step
    assert operations[names["h"]].name == "tanh"
    added = operations[operations[names["rows_0"]].args[0]].args[0]
    _, product = operations[added].args
    assert operations[operations[product].args[0]].name == "tanh"  # of the second call


def test_names_are_found_anew_and_belong_to_the_cell():
    class Other(Plain):
        def step(self, x, h, p):
            pieces = (x @ p.w_x + h @ p.w_h + p.b).chunk(2)
            return p.a.sigmoid() * pieces[0] + pieces[1] / 3 + h

    one, other = Plain(I, H), Other(I, H)
    assert one.program is other.program
    assert set(other.row_names) == {"h", "pieces_0", "pieces_1"}
    for again in (copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert "_names" not in vars(again)
        assert again.row_names == one.row_names


def test_frames_die_with_the_call():
    class Watched(Plain):
        def step(self, x, h, p):
            class Mark:
                pass

            mark = Mark()
            marks.append(weakref.ref(mark))
            return super().step(x, h, p)

    marks = []
    gc.disable()
    try:
        _ = Watched(I, H).program
        assert marks[0]() is None
        assert not [x for x in gc.get_objects() if type(x) is Symbol]
    finally:
        gc.enable()
