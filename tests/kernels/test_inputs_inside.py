"""Steps that multiply with x themselves give the bits of one product over all steps."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn
from tinygrad_rnn.kernels._jit import DISABLED
from tinygrad_rnn.kernels._pool import num_threads
from tinygrad_rnn.kernels.recurrence import cpu

SIZES = [(5, 3, 7, 9)]
if not DISABLED:  # in Python others take minutes
    SIZES += [(6, 40, 33, 64), (4, 64, 300, 130), (7, 16, 64, 24)]


def results(kind, T, B, I, H, dtype, lengths):
    """What a layer gives, and all gradients."""
    tg.seed(0)
    layer = getattr(nn, kind)(I, H, bidirectional=lengths is not None).astype(dtype)
    rng = np.random.default_rng(1)
    x = tg.Tensor(rng.standard_normal((T, B, I)).astype(dtype), requires_grad=True)
    y, _ = layer(x, lengths=lengths)
    y.backward(rng.standard_normal(y.shape).astype(dtype))
    return [y, x.grad, *(weight.grad for weight in layer.parameters())]


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_it_changes_no_bit(kind, dtype, sizes, monkeypatch):
    T, B, _, _ = sizes
    for lengths in (None, [1 + row % T for row in range(B)]):
        found = []
        for inside in (False, True):
            monkeypatch.setattr(cpu, "does_inputs", lambda *_, inside=inside: inside)
            found.append(results(kind, *sizes, dtype, lengths))
        for one, other in zip(*found, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.skipif(DISABLED, reason="in Python it would take minutes")
def test_it_is_done_where_products_would_go_through_memory(monkeypatch):
    asked = []
    decide = cpu.does_inputs
    monkeypatch.setattr(cpu, "does_inputs", lambda *of: asked.append(decide(*of)) or asked[-1])
    layer, rows = nn.LSTM(64, 64), 16 * num_threads()
    many = 6144 // rows + 2  # steps, whose products with x are 256 wide each
    for T, B, inside in (
        (many, rows, True), (2, rows, False), (many, rows - 1, False), (1, 8, True), (1, 9, False),
    ):  # fmt: skip
        asked.clear()
        layer(tg.zeros(T, B, 64))
        assert asked == [inside], (T, B)
