"""Fused or step by step: one decision, asked for, explained, and warned about once."""

from pathlib import Path

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.nn.cell_list import H, I, draw, make
from tinygrad_rnn import nn
from tinygrad_rnn.errors import TraceError
from tinygrad_rnn.kernels._twin import use_reference
from tinygrad_rnn.ops.recurrence import obstacle


class Ranked(nn.Cell):
    state = ("h",)
    params = {"w_x": "I H", "w_h": "H H"}

    def step(self, x, h, p):
        return (x @ p.w_x + h @ p.w_h).cumsum(axis=-1).tanh()


def test_what_cannot_be_fused_runs_step_by_step_and_says_so_once():
    cell = Ranked(I, H).astype(np.float64)
    assert cell.plan == "composite"
    x, (h,) = draw(cell, 3, 2)
    message = r"Ranked runs step by step.*cumsum is nothing.*test_plan.py:\d+: return"
    with pytest.warns(RuntimeWarning, match=message) as caught:
        y, _ = cell.sequence(tg.tensor(x), [tg.tensor(h)])
    assert caught[0].filename == __file__
    for other in (cell, Ranked(I, H)):
        other(x[0].astype(other.w_x.dtype))  # no second warning, which would be an error
    w_x, w_h = cell.w_x.numpy(), cell.w_h.numpy()
    for t in range(3):
        h = np.tanh(np.cumsum(x[t] @ w_x + h @ w_h, axis=-1))
        np.testing.assert_allclose(y[t], h, atol=1e-12)
    y.sum().backward()
    assert cell.w_h.grad.numpy().any()
    assert cell.output_size == H
    with pytest.raises(TraceError, match="cumsum"):
        _ = cell.program


def test_require_raises_with_the_reason():
    cell = Ranked(I, H)
    cell.fused = "require"
    for ask in (lambda: cell.plan, lambda: cell(tg.ones(2, I))):
        with pytest.raises(TraceError, match=r"Ranked cannot be fused: .*cumsum"):
            ask()


def test_false_runs_the_program_without_a_kernel():
    cell = make("lstm")
    x, states = draw(cell, 2, 3)
    tensors = [tg.tensor(s) for s in states]
    fused, _ = cell.sequence(tg.tensor(x), tensors)
    cell.fused = False
    assert cell.plan == "composite"
    slow, _ = cell.sequence(tg.tensor(x), tensors)
    np.testing.assert_allclose(fused, slow, atol=1e-12)


def test_a_class_that_is_defined_anew_is_warned_about_anew():
    def define():
        class Centred(nn.Cell):
            state = ("h",)
            params = {"w": "I H"}

            def step(self, x, h, p):
                return (x @ p.w + h - h.mean()).tanh()

        return Centred

    for kind in (define(), define()):
        layer = nn.Recurrent(kind(I, H), num_layers=2, bidirectional=True)
        with pytest.warns(RuntimeWarning, match="Centred runs step by step") as caught:
            layer(tg.randn(4, 2, I))
        assert [w.filename for w in caught] == [__file__]
        source = Path(__file__).read_text().splitlines()
        assert "layer(tg.randn(4, 2, I))" in source[caught[0].lineno - 1]
        layer(tg.randn(4, 2, I))


def test_half_precision_has_no_kernel_and_says_so():
    class Half(nn.GRUCell):
        pass

    layer = nn.Recurrent(Half(I, H), num_layers=2).astype(np.float16)
    assert layer.plan == "composite"
    x = tg.randn(4, 2, I)
    message = "Half runs step by step, .*: there is no kernel for float16 on cpu"
    with pytest.warns(RuntimeWarning, match=message) as caught:
        y, _ = layer(x.astype(np.float16))
    assert len(caught) == 1
    assert y.dtype == np.float16
    want, _ = layer.astype(np.float32)(x)
    np.testing.assert_allclose(y.astype(np.float32), want, atol=0.01)


def test_asking_for_the_reference_is_no_fault_of_a_cell():
    with use_reference():
        nn.LSTMCell(I, H)(tg.ones(2, I))


@pytest.mark.parametrize(
    ("members", "name"),
    [
        ({"state": {"h": "4"}, "params": {"w": "4 4", "u": "I 4"}}, "h is 4 wide"),
        ({"state": {"h": "4"}, "params": {"w": "4 4", "u": "4 4"}, "input": "4"}, "h is 4 wide"),
        ({"params": {"w": "H 4", "u": "I H", "v": "4 H"}}, "w is 4 wide"),
        ({"params": {"w": "H H", "u": "I H", "a": "1"}}, "a is 1 wide"),
        ({"params": {"w": "H H", "u": "1 H", "a": ""}, "input": "1"}, "x is 1 wide"),
    ],
)
def test_widths_without_letters_have_no_kernel_and_say_so(members, name):
    def step(self, x, h, p):
        if hasattr(self, "v"):
            return (x @ p.u + (h @ p.w).tanh() @ p.v).tanh()
        z = x @ p.u + h @ p.w
        if hasattr(self, "a"):
            z = z + (p.a if self.params["a"] else x * p.a)
        return z.tanh()

    kind = type("Numbered", (nn.Cell,), {"state": ("h",), "step": step, **members})
    cell = kind(int(members.get("input", I)), H)
    assert cell.plan == "composite"
    message = f"Numbered runs step by step.*{name}, but kernels take widths by letters, such as K"
    with pytest.warns(RuntimeWarning, match=message):
        y, _ = nn.Recurrent(cell)(tg.randn(3, 2, cell.input_size))
    (y * tg.randn(*y.shape)).sum().backward()
    assert all(w.grad.numpy().any() for w in cell.parameters())


def test_an_x_of_a_number_of_features_is_fused_where_it_is_only_multiplied():
    class Scalar(nn.Cell):
        state = ("h",)
        input = "1"
        params = {"w_x": "1 H", "w_h": "H H"}

        def step(self, x, h, p):
            return (x @ p.w_x + h @ p.w_h).tanh()

    cell = Scalar(1, H)
    assert cell.plan == "fused"
    x = tg.randn(3, 2, 1)
    y, _ = nn.Recurrent(cell)(x)
    cell.fused = False
    np.testing.assert_allclose(nn.Recurrent(cell)(x)[0], y, atol=1e-6)


def test_one_function_says_why_there_is_no_kernel():
    cell = nn.GRUCell(I, H)
    assert obstacle(cell.program, np.zeros(1, np.float32)) == ""
    reason = obstacle(cell.program, np.zeros(1, np.float16))
    assert reason == "there is no kernel for float16 on cpu"
    assert cell.plan == "fused"
    assert cell.astype(np.float16).plan == "composite"
