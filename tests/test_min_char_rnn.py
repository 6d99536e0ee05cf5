"""The example min_char_rnn.py is the classic: equal to a plain NumPy version of it, step for step.

``benchmarks/min_char_rnn.py`` goes on for 1,000 iterations.
"""

import math

import numpy as np
import pytest

from tests.loaded_example import loaded
from tests.min_char_rnn_numpy import CharRNN, Ours, apart, differences, left_alone, train

TEXT = np.frombuffer(b"the writer of the books is here, and the tickets are lost. " * 2, np.uint8)
TEXT = TEXT[:101]  # a fourth chunk, with what follows it, would just end here: that is too late
LETTERS, IDS = np.unique(TEXT, return_inverse=True)


def test_every_iteration_is_that_of_plain_numpy():
    """Losses, weights and sums of squares, over several passes, and so with resets."""
    np.testing.assert_array_less(differences(100, IDS, len(LETTERS)), 1e-10)


def test_runs_are_equal_until_rounding_has_grown():
    """Over a reset; two runs of plain NumPy that begin a rounding apart part as fast."""
    assert apart(30, IDS, len(LETTERS)) > 6
    assert apart(30, IDS, len(LETTERS), nudge=2**-52) < 30


def test_runs_are_equal_where_nothing_is_chaotic():
    assert left_alone(100, IDS, len(LETTERS), after=100)[0] < 1e-10


def test_the_smooth_loss_starts_from_even_chances():
    module = loaded("min_char_rnn")
    ours = Ours(module, len(LETTERS))
    expected = next(train(CharRNN(*ours.weights()), IDS))
    first, _ = next(module.train(ours.model, IDS))
    even = 25 * math.log(len(LETTERS))
    assert first == pytest.approx(even, rel=1e-4)
    assert first == pytest.approx(expected, rel=1e-14)


def test_a_sample_is_drawn_every_hundred_iterations_before_the_update(monkeypatch):
    module = loaded("min_char_rnn")
    model = Ours(module, len(LETTERS)).model
    start = model.out.weight.numpy().copy()
    seen = []

    def sample(model, h, first, length):
        seen.append((model.out.weight.numpy().copy(), first, length))
        return [first] * length

    monkeypatch.setattr(module, "sample", sample)
    run = module.train(model, IDS)
    samples = [next(run)[1] is not None for _ in range(102)]
    assert np.flatnonzero(samples).tolist() == [0, 100]
    np.testing.assert_array_equal(seen[0][0], start)
    assert [first for _, first, _ in seen] == [IDS[0], IDS[100 % 3 * 25]]
    assert {length for *_, length in seen} == {200}


def test_a_sample_follows_the_chances():
    """A network that knows the text goes on with it."""
    module = loaded("min_char_rnn")
    model = Ours(module, 3).model
    cell = model.rnn.cells()[0]
    w_x, out = np.zeros(cell.w_x.shape), np.zeros(model.out.weight.shape)
    for token in range(3):  # 0 -> 1 -> 2 -> 0
        w_x[token, token], out[token, (token + 1) % 3] = 10, 100
    for weight, value in (
        (cell.w_x, w_x),
        (cell.w_h, 0 * cell.w_h.numpy()),
        (model.out.weight, out),
    ):
        weight.assign_(value)
    assert module.sample(model, None, 0, 6) == [1, 2, 0, 1, 2, 0]
