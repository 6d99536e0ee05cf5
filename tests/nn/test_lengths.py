"""Rows of any length: lengths and masks are what each row is alone, without padding."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.nn.cell_list import H, I, make
from tests.nn.layers import B, T, double, randn
from tinygrad_rnn import nn
from tinygrad_rnn.kernels._twin import use_reference
from tinygrad_rnn.testing import strategies as gs


@given(n=gs.lengths(B, T), name=st.sampled_from(["lstm", "gru", "mut1", "lstm_FGR", "rhn"]))
def test_a_row_is_what_it_is_alone_without_padding(n, name):
    with use_reference():
        layer = nn.Recurrent(make(name), num_layers=2, bidirectional=True).astype(np.float64)
        x = randn(T, B, I)
        poisoned = x.numpy().copy()
        for b, steps in enumerate(n):
            poisoned[steps:, b] = np.nan
        y, state = layer(poisoned, lengths=n)
        state = state if isinstance(state, tuple) else (state,)
        assert not y.numpy()[np.arange(T)[:, None] >= np.array(n)].any()
        for b, steps in enumerate(n):
            alone, ends = layer(x[:steps, b])
            np.testing.assert_allclose(y[:steps, b], alone, atol=1e-12)
            ends = ends if isinstance(ends, tuple) else (ends,)
            for whole, end in zip(state, ends, strict=True):
                np.testing.assert_allclose(whole[:, b], end, atol=1e-12)


@settings(max_examples=8)
@given(n=gs.lengths(B, T), seed=st.integers(0, 99))
def test_gradients_of_padding_are_zero_and_of_weights_those_of_the_rows_alone(n, seed):
    tg.seed(seed)
    layer = double(nn.GRU(I, H, bidirectional=True))
    x = randn(T, B, I)
    x.requires_grad = True
    y, h = layer(x, lengths=n)
    (y.sum() + (h * h).sum()).backward()
    assert not x.grad.numpy()[np.arange(T)[:, None] >= np.array(n)].any()
    together = {name: w.grad.numpy() for name, w in layer.named_parameters()}
    layer.zero_grad()
    for b in np.flatnonzero(n):  # a row without steps is a constant
        alone, end = layer(x.detach()[: n[b], b])
        (alone.sum() + (end * end).sum()).backward()
    for name, w in layer.named_parameters():
        one_by_one = 0.0 if w.grad is None else w.grad.numpy()
        np.testing.assert_allclose(together[name], one_by_one, atol=1e-10)


def test_masks_take_padding_on_any_side_and_gaps(reference):
    layer = double(nn.LSTM(I, H, bidirectional=True))
    x = randn(T, B, I)
    mask = np.array(
        [[0, 1, 1, 0], [0, 1, 0, 0], [1, 1, 1, 0], [1, 0, 0, 0], [1, 0, 1, 0]], np.bool_
    )
    y, (h, c) = layer(x, mask=mask)
    for b in range(B):
        alone, (h_b, c_b) = layer(x[mask[:, b], b])
        np.testing.assert_allclose(y[mask[:, b], b], alone, atol=1e-12)
        assert not y.numpy()[~mask[:, b], b].any()
        np.testing.assert_allclose(h[:, b], h_b, atol=1e-12)
        np.testing.assert_allclose(c[:, b], c_b, atol=1e-12)
    first = double(nn.LSTM(I, H, bidirectional=True, batch_first=True))
    first.load_state_dict(layer.state_dict())
    turned, _ = first(x.swapaxes(0, 1), mask=mask.T)
    np.testing.assert_array_equal(turned.swapaxes(0, 1), y)
    np.testing.assert_array_equal(layer(x[:, 2], mask=mask[:, 2])[0], y[:, 2])


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
