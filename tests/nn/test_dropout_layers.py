"""Dropout of numbers, of units and of words: laws, shares, and what stays the same."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import nn, random
from tinygrad_rnn.errors import DTypeError, ShapeError
from tinygrad_rnn.testing import laws

pytestmark = pytest.mark.usefixtures("reference")


def three_axes(module):
    """A module of (T, B, H) as a function of any x, with ``training``."""

    def call(x, training):
        module.train(training)
        shape = (x.shape[0], *([1] * (3 - x.ndim)), *x.shape[1:])
        return module(x.reshape(shape)).reshape(x.shape)

    return call


@pytest.mark.parametrize("law", [laws.dropout_off_is_identity, laws.dropout_mask_replayed])
@pytest.mark.parametrize("module", [nn.Dropout(0.3), nn.LockedDropout(0.4)], ids=repr)
def test_it_keeps_the_laws_of_dropout(module, law):
    @settings(max_examples=10, deadline=None)
    @given(st.data())
    def holds(data):
        law(three_axes(module), data.draw)

    holds()


@pytest.mark.parametrize("batch_first", [False, True])
def test_locked_dropout_drops_the_same_units_at_all_steps(batch_first):
    x = tg.ones(6, 50, 40) if not batch_first else tg.ones(50, 6, 40)
    y = nn.LockedDropout(0.25, batch_first)(x).numpy()
    y = y.swapaxes(0, 1) if batch_first else y
    assert (y == y[0]).all()
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs((y[0] == 0).mean() - 0.25) < 0.05
    assert (y[0, 0] != y[0, 1]).any()


def test_dropout_drops_its_share_and_keeps_the_mean():
    y = nn.Dropout(0.25)(tg.ones(200, 100)).numpy()
    assert abs((y == 0).mean() - 0.25) < 0.02
    assert abs(y.mean() - 1) < 0.03


def test_word_dropout_replaces_tokens_by_the_unknown_one():
    module = nn.WordDropout(0.5, 1, keep=(0,))
    ids = np.array([[0, 5, 6], [7, 0, 0]] * 200)
    y = module(ids)
    assert y.dtype == ids.dtype
    assert (y[ids == 0] == 0).all()
    changed = y[ids != 0] != ids[ids != 0]
    assert abs(changed.mean() - 0.5) < 0.1
    assert (y[ids != 0][changed] == 1).all()
    assert module.eval()(ids) is ids


def test_words_are_dropped_wherever_they_stand():
    m = nn.Embedding(30, 4, word_dropout=0.5)
    ids = np.arange(30).repeat(3).reshape(3, 30)
    with random.fork():
        y = m(ids).numpy().reshape(30, 3, 4)
    gone = (y == 0).all((1, 2))
    assert 5 < gone.sum() < 25
    np.testing.assert_allclose(y[~gone], 2 * m.weight.numpy()[~gone][:, None].repeat(3, 1))
    m.eval()
    assert np.array_equal(m(ids), m.weight.numpy()[ids])


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: nn.Dropout(1.0), ValueError, "Dropout: rate is 1.0, expected a number"),
        (lambda: nn.LockedDropout(-0.1), ValueError, "LockedDropout: rate is -0.1"),
        (lambda: nn.LockedDropout()(tg.ones(2, 3)), ShapeError, r"expected \(T, B, H\)"),
        (lambda: nn.WordDropout(0.1, 1)([0.5]), DTypeError, "ids hold float"),
        (lambda: nn.WordDropout(0.1, 300)(np.uint8([5])), DTypeError, "uint8, .* unknown_id, 300"),
        (lambda: nn.Embedding(3, 2, word_dropout=1), ValueError, "word_dropout is 1"),
    ],
)
def test_what_does_not_fit_is_refused(call, kind, words):
    with pytest.raises(kind, match=words):
        call()
