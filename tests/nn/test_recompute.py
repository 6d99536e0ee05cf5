"""recompute= keeps little and changes nothing."""

import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.nn.cell_list import CELLS, draw, make
from tests.nn.layers import double, randn
from tests.nn.test_cell_options import TOGETHER
from tinygrad_rnn import nn
from tinygrad_rnn.kernels import recurrence
from tinygrad_rnn.kernels.noise import Noise
from tinygrad_rnn.kernels.recurrence import pieces
from tinygrad_rnn.ops.recurrence import RULES

LAYERS = {
    "lstm": lambda **o: nn.LSTM(3, 4, num_layers=2, bidirectional=True, **o),
    "gru": lambda **o: nn.GRU(3, 4, reverse=True, initial_state="learned", **o),
    "options": lambda **o: nn.LSTM(3, 4, reverse=True, **TOGETHER, **o),
}
COUNTS = st.sampled_from([True, 1, 2, 3, 100])


def results(layer, recompute, x, lengths, derive):
    """The outputs, and what ``derive`` makes of them."""
    layer.recompute = recompute
    tg.seed(0)  # options draw the same numbers
    y, final = layer(x, lengths=lengths)
    final = final if isinstance(final, tuple) else (final,)
    loss = (y * y).sum() + sum(state.tanh().sum() for state in final)
    return [y, *final], derive(loss, [x, *layer.parameters()])


@pytest.mark.parametrize("name", LAYERS)
@given(T=st.integers(0, 9), count=COUNTS, masked=st.booleans())
def test_outputs_are_the_same_to_the_bit_and_gradients_to_rounding(name, T, count, masked):
    tg.seed(T)
    layer, x = double(LAYERS[name]()), randn(T, 3, 3).requires_grad_()
    lengths = [T, T // 2, 0] if masked else None
    plain, d_plain = results(layer, False, x, lengths, tg.grad)
    again, d_again = results(layer, count, x, lengths, tg.grad)
    for a, b in zip(plain, again, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(d_plain, d_again, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", CELLS)
def test_every_cell_goes_on_from_where_a_piece_has_ended(name, monkeypatch):
    """Over the interpreter: what pieces are given and give is the same for every cell."""
    cell = make(name)
    x, states = draw(cell, 5, 2)
    weights = {n: w.numpy() for n, w in cell.weights().items()}

    def sequence(program, x, states, params, **how):
        how = {key: how[key] for key in ("steps", "mask", "reverse", "restart")}
        y, finals = recurrence.reference.sequence(
            program, recurrence.reference.NUMPY, x, states, params, **how
        )
        return y, finals, None

    mask = np.random.default_rng(0).choice([0, 1, 3], (5, 2)).astype(np.uint8)
    for reverse in (False, True):
        how = {"steps": 5, "mask": mask, "reverse": reverse}
        plain = sequence(cell.program, x, states, weights, restart=None, **how)
        monkeypatch.setattr(recurrence, "forward", sequence)
        parts = pieces.forward(cell.program, x, states, weights, count=3, **how)
        for a, b in zip([plain[0], *plain[1]], [parts[0], *parts[1]], strict=True):
            np.testing.assert_array_equal(a, b)


def test_only_the_states_between_pieces_are_kept(monkeypatch):
    runs = []
    forward = recurrence.forward

    def watched(*args, steps, **how):
        y, finals, run = forward(*args, steps=steps, **how)
        runs.append((steps, weakref.ref(run)))
        return y, finals, run

    monkeypatch.setattr(recurrence, "forward", watched)
    layer = double(nn.LSTM(3, 4, recompute=True))
    y, _ = layer(randn(100, 2, 3))
    assert [steps for steps, _ in runs] == [10] * 10
    assert [run() is not None for _, run in runs] == [False] * 9 + [True]
    y.sum().backward()
    assert len(runs) == 19  # the last piece is not run again


def test_the_states_between_pieces_are_no_views_of_what_the_pieces_left():
    cell = make("lstm")
    x, states = draw(cell, 6, 2)
    params = {n: w.numpy() for n, w in cell.weights().items()}
    _, finals, run = pieces.forward(cell.program, x, states, params, count=3, steps=6, rules=RULES)
    assert all(state.base is None for state in [*finals, *run.starts[1], *run.starts[2]])


def test_a_piece_has_the_noise_of_its_own_steps(monkeypatch):
    seen = []
    forward = recurrence.forward

    def watched(*args, noise, **how):
        seen.append((noise.first_step, how["steps"]))
        return forward(*args, noise=noise, **how)

    monkeypatch.setattr(recurrence, "forward", watched)
    cell = make("lstm")
    x, states = draw(cell, 7, 2)
    params = {n: w.numpy() for n, w in cell.weights().items()}
    for reverse in (False, True):
        y, finals, run = pieces.forward(
            cell.program, x, states, params, count=3, steps=7, reverse=reverse,
            noise=Noise(1, first_step=20), rules=RULES,
        )  # fmt: skip
        pieces.backward(run, y, finals, needs_x=False, needed=set())
    there, back = [(20, 2), (22, 2), (24, 3)], [(24, 3), (22, 2), (20, 2)]
    assert seen == [*there, (22, 2), (20, 2), *back, (22, 2), (24, 3)]


def test_higher_derivatives_and_gradients_of_rows():
    layer, x = double(nn.LSTM(3, 4)), randn(6, 2, 3).requires_grad_()

    def second(loss, inputs):
        first = tg.grad(loss, inputs, create_graph=True)
        return tg.grad(sum((g * g).sum() for g in first), inputs)

    def along(_loss, _inputs):
        return tg.jvp(lambda x: layer(x)[0], x.detach(), tg.ones_like(x))

    def by_rows(_loss, inputs):
        y, _ = layer(inputs[0])
        return tg.per_sample_grads((y * y).sum((0, 2)), inputs)

    for derive in (second, along, by_rows):
        _, plain = results(layer, False, x, None, derive)
        _, again = results(layer, 3, x, None, derive)
        for a, b in zip(plain, again, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)


def test_step_by_step_everything_is_kept():
    layer, x = double(nn.GRU(3, 4, fused=False)), randn(5, 2, 3).requires_grad_()
    (_, plain), (_, again) = (results(layer, r, x, None, tg.grad) for r in (False, True))
    for a, b in zip(plain, again, strict=True):
        np.testing.assert_array_equal(a, b)


def test_it_is_shown_and_checked():
    assert "recompute=True" in repr(nn.GRU(3, 4, recompute=True))
    cell = make("gru")
    x, states = draw(cell, 2, 2)
    with pytest.raises(tg.errors.ShapeError, match="recurrence: recompute is 0, expected a whole"):
        cell.sequence(tg.tensor(x), [tg.tensor(s) for s in states], recompute=0)
