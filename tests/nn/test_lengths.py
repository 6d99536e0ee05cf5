"""How lengths and masks are given, in every configuration; ``test_laws`` has what they mean."""

import numpy as np
import pytest
from hypothesis import given

import tinygrad_rnn as tg
from tests.nn.cell_list import H, I
from tests.nn.layers import B, T, double, randn
from tinygrad_rnn import nn
from tinygrad_rnn.kernels._twin import use_reference
from tinygrad_rnn.testing import strategies as gs


def test_a_mask_of_one_sequence(reference):
    layer = double(nn.LSTM(I, H, bidirectional=True))
    x, mask = randn(T, B, I), np.array([[0, 0], [0, 1], [1, 1], [1, 0], [1, 1]], np.bool_)
    y, (h, c) = layer(x[:, :2], mask=mask)
    for b in range(2):
        alone, (h_b, c_b) = layer(x[:, b], mask=mask[:, b])
        np.testing.assert_array_equal(alone, y[:, b])
        np.testing.assert_array_equal(h_b, h[:, b])
        np.testing.assert_array_equal(c_b, c[:, b])


def test_lengths_are_a_mask(reference):
    layer = double(nn.GRU(I, H))
    x, n = randn(T, B, I), np.array([3, 0, 5, 1])
    y, h = layer(x, lengths=n)
    y_2, h_2 = layer(x, mask=np.arange(T)[:, None] < n)
    np.testing.assert_array_equal(y, y_2)
    np.testing.assert_array_equal(h, h_2)
    for as_given in (list(n), tg.tensor(n), n.astype(np.uint8)):
        np.testing.assert_array_equal(layer(x, lengths=as_given)[0], y)
    np.testing.assert_array_equal(layer(x, lengths=[T] * B)[0], layer(x)[0])


def flat(results):
    """Outputs or states as arrays, in whatever tuples they come."""
    if isinstance(results, tuple):
        return [array for part in results for array in flat(part)]
    return [results.numpy()]


def run(config, layer, data, lengths):
    """Outputs (T, B, ...), or (1, B, ...) of the last steps, and states (..., B, H)."""
    y, state = layer(data.swapaxes(0, 1) if config.batch_first else data, lengths=lengths)
    if config.output == "last":
        return [part[None] for part in flat(y)], flat(state)
    return [part.swapaxes(0, 1) if config.batch_first else part for part in flat(y)], flat(state)


@given(
    config=gs.rnn_configs(("rnn", "lstm", "gru", "mut1"), input_size=3),
    batch=gs.sequence_batches(features=3),
)
def test_in_every_configuration_a_row_is_what_it_is_alone(config, batch):
    layer = config.build()
    with use_reference():
        y, state = run(config, layer, batch.data, batch.lengths)
        clean, _ = run(config, layer, batch.clean, batch.lengths)
        for got, want in zip(y, clean, strict=True):
            np.testing.assert_array_equal(got, want)
        for b, steps in enumerate(batch.lengths):
            alone, ends = run(config, layer, batch.row(b)[:, None], [steps])
            for got, want in zip(y, alone, strict=True):
                np.testing.assert_allclose(got[: len(want), b], want[:, 0], atol=1e-12)
                assert not got[len(want) :, b].any()
            for got, want in zip(state, ends, strict=True):
                np.testing.assert_allclose(got[..., b, :], want[..., 0, :], atol=1e-12)


class Logarithmic(nn.Cell):
    """A cell whose equations are not defined at 0, where padding might be put."""

    state, params = ("h",), {"w": "I H", "u": "H H"}

    def step(self, x, h, p):
        return (x.log() @ p.w + h @ p.u).tanh()


@pytest.mark.parametrize("way", ["line by line", "replayed"])
def test_held_rows_are_no_part_of_a_step_in_any_way_to_run_it(way):
    layer = nn.Recurrent(Logarithmic(3, 4), fused=way == "replayed")
    x = tg.rand(4, 2, 3) + 0.5
    state = np.zeros((1, 2, 4), np.float32)
    state[:, 1] = np.nan  # of a row that never steps
    for lengths, start in (([4, 2], None), ([4, 0], tg.tensor(state))):
        y, _ = layer(x, start, lengths=lengths)
        grads = tg.grad(y.sum(), list(layer.parameters()), create_graph=way == "replayed")
        assert all(np.isfinite(g.numpy()).all() for g in grads)
        alone, _ = layer(x[: lengths[0], :1])
        np.testing.assert_array_equal(y.numpy()[: lengths[0], :1], alone.numpy())
