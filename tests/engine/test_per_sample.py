"""per_sample_grads gives what a walk back from each row's loss gives, in one walk where it can."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.nn.test_cell_options import TOGETHER
from tinygrad_rnn import nn, ops
from tinygrad_rnn.transforms import samples
from tinygrad_rnn.transforms.row_marks import RowMarks


def draw(*shape):
    return tg.randn(*shape, dtype=np.float64)


def weight(*shape):
    return draw(*shape).requires_grad_()


def row_after_row(losses, wanted):
    """The definition."""
    rows = [
        tg.grad(losses[b], wanted, retain_graph=True, allow_unused=True) for b in range(len(losses))
    ]
    return [
        np.stack([np.zeros(p.shape) if g is None else g.numpy() for g in parts])
        for p, parts in zip(wanted, zip(*rows, strict=True), strict=True)
    ]


def check(losses, wanted, monkeypatch=None):
    """The gradients of rows; with ``monkeypatch`` they must not take a walk for each."""
    if monkeypatch is not None:
        monkeypatch.setattr(samples, "_row_after_row", lambda *_: pytest.fail("rows one by one"))
    for found, expected in zip(
        tg.per_sample_grads(losses, wanted), row_after_row(losses, wanted), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-13)


def looped(x, w):
    """A recurrence written out: (T, B, H) -> (B, H)."""
    h = x[0]
    for x_t in x:
        h = (x_t + h @ w).tanh()
    return h


SHARED = {
    # inputs that rows share, and the losses of rows by x (B, 4, 3)
    "a product": ([(3, 2)], lambda x, w: ((x @ w) ** 2).sum((1, 2))),
    "rows in the second axis": ([(3, 2)], lambda x, w: ((x.swapaxes(0, 1) @ w) ** 2).sum((0, 2))),
    "linear": ([(3, 2), (2,)], lambda x, w, b: ops.linear(x, w, b).tanh().sum((1, 2))),
    "sums and products": ([(4, 1), (), (3,)], lambda x, a, b, c: ((x + a) * b / c).sum((1, 2))),
    "where": ([(3,), (3,)], lambda x, a, b: (ops.where(x > 0, a, b) * x).sum((1, 2))),
    "repeated": ([(3,)], lambda x, a: (a.expand(len(x), -1) * x[:, 0]).tanh().sum(1)),
    "a loop over time": ([(3, 3)], lambda x, w: looped(x.swapaxes(0, 1), w).sum(1)),
    "computed weights": ([(2, 3)], lambda x, w: (x @ w.tanh().T).sum((1, 2)) * 3),
    "twice": ([(3, 3), (3,)], lambda x, w, b: ((x @ w + b).tanh() @ w + b).square().sum((1, 2))),
    "added to all losses": ([(3,)], lambda x, w: (x * w).sum((1, 2)) + 0.1 * (w * w).sum()),
    "fewer rows": ([(3, 2)], lambda x, w: (x[1:] @ w).square().sum((1, 2)).concat(x[:1, 0, 0])),
    "other order": ([(3, 2)], lambda x, w: (x[::-1] @ w).square().sum((1, 2))),
    "several places": ([(3, 2)], lambda x, w: (x.repeat(2, 0) @ w).sum((1, 2))[1::2]),
}


@pytest.mark.parametrize("name", SHARED)
@pytest.mark.parametrize("rows", [1, 2, 5])
def test_shared_inputs_get_a_gradient_from_each_row_in_one_walk(name, rows, monkeypatch):
    shapes, losses = SHARED[name]
    weights = [weight(*shape) for shape in shapes]
    check(losses(draw(rows, 4, 3), *weights), weights, monkeypatch)


@given(st.integers(0, 99), st.integers(1, 4), st.integers(1, 4), st.booleans())
def test_a_network_with_rows_in_any_axis(seed, rows, steps, first):
    tg.seed(seed)
    table, w, b, v = weight(5, 3), weight(3, 4), weight(4), weight(4, 5)
    ids = np.random.default_rng(seed).integers(0, 5, (rows, steps) if first else (steps, rows))
    scores = (ops.linear(ops.embedding(table, ids), w, b).tanh() @ v).softmax(-1)
    check((scores * scores).sum((1, 2) if first else (0, 2)), [table, w, b, v])


def test_tied_weights_and_tensors_named_twice(monkeypatch):
    table = weight(5, 3)
    ids = np.array([[0, 3, 3], [4, 0, 1]])
    vectors = ops.embedding(table, ids) * ops.embedding(table, ids[:, ::-1])
    losses = (vectors @ table.T).tanh().sum((1, 2))
    check(losses, [table, table], monkeypatch)
    a, b = tg.per_sample_grads(losses, [table, table])
    a._data[...] = 0
    assert b.numpy().any()  # they share no memory


def test_results_of_operations_may_be_asked_for(monkeypatch):
    x, w = weight(4, 3), weight(3, 3)
    y = x @ w
    w_twice = w * 2.0
    check((y @ w_twice).tanh().sum(1), [x, y, w, w_twice], monkeypatch)


@pytest.mark.parametrize("rows", [64, 65, 150])
def test_many_rows_are_told_apart(rows, monkeypatch):
    w = weight(3)
    check((draw(rows, 3) * w).tanh().sum(1), [w], monkeypatch)


@pytest.mark.parametrize("rows", [4, 65])
def test_gradients_that_vanish_are_not_taken_for_mixed_ones(rows, monkeypatch):
    monkeypatch.setattr(samples, "_row_after_row", lambda *_: pytest.fail("rows one by one"))
    w, x = tg.randn(3, 3).requires_grad_(), tg.randn(6, rows, 3)
    fading = tg.tensor(10.0 ** (-9.0 * np.arange(6)[:, None, None])).astype(np.float32)
    losses = ((x @ w) * 0.7 * fading).sum((0, 2))  # down to 1e-45, of which 0.7 rounds
    (found,) = tg.per_sample_grads(losses, [w])
    expected = 0.7 * (x * fading).sum(0).numpy()[:, :, None] * np.ones(3)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


# ----- recurrences -----

LAYERS = {
    "lstm": lambda: nn.LSTM(3, 4, num_layers=2, initial_state="learned"),
    "gru": lambda: nn.GRU(3, 4, bidirectional=True, batch_first=True),
    "lstm_options": lambda: nn.LSTM(3, 4, **TOGETHER),
    "gru_composite": lambda: nn.GRU(3, 4, fused=False),
}


HOW = {
    "plain": {},
    "lengths": {"lengths": [5, 0, 3]},
    "resets": {"resets": np.arange(15).reshape(5, 3) % 4 == 2},
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("how", HOW)
def test_layers_of_cells_walk_once_for_all_rows(name, how, monkeypatch):
    layer = LAYERS[name]().astype(np.float64)
    x = weight(3, 5, 3) if layer.batch_first else weight(5, 3, 3)
    how = {
        key: np.transpose(value) if layer.batch_first else value for key, value in HOW[how].items()
    }
    y, final = layer(x, **how)
    state = final[1] if isinstance(final, tuple) else final
    losses = (y**2).sum((1, 2) if layer.batch_first else (0, 2)) + state.tanh().sum((0, 2))
    check(losses, [x, *layer.parameters()], monkeypatch)


# ----- rows that are mixed -----


MIXED = {
    "the mean of a batch": lambda h: ((h - h.mean(0)) ** 2).sum(1),
    "similarities": lambda h: (h @ h.T).tanh().sum(1),
    "a difference": lambda h: h.sum(1) - h[[1, 2, 0]].sum(1),
    "3 - 1": lambda h: ops.stack([h[0].sum(), 3.0 * h[1].sum(), (h[2] - h[1]).sum()]),
    "not a number": lambda h: (h * np.array([[np.inf], [1], [1]])).sum(1),
    "a checkpoint": lambda h: tg.checkpoint(lambda h: (h * h).sum(1), h),
}


@pytest.mark.parametrize("name", MIXED)
def test_mixed_rows_are_found_out(name):
    w, b = weight(3, 2), weight(2)
    check(MIXED[name]((draw(3, 3) @ w + b).tanh()), [w, b])


def test_a_weight_inside_a_checkpoint():
    x, w = draw(3, 2), weight(2, 2)
    check(tg.checkpoint(lambda x: (x @ w).tanh().sum(1), x), [w])


def test_hooks_see_the_gradients_of_one_row():
    x, w = draw(3, 2), weight(2, 2)
    h = x @ w
    h.register_hook(lambda g: g.clip(-0.5, 0.5))
    check((h * h).sum(1), [w])
    v = weight(2, 2)
    v.register_hook(lambda g: g.clip(-0.5, 0.5))
    check((x @ v).square().sum(1), [v])
    u = weight(2, 2)
    turned = u.T
    turned.register_hook(lambda g: g.clip(-0.5, 0.5))
    check((x @ turned).square().sum(1), [u])


# ----- the marks -----


@pytest.mark.parametrize("rows", [1, 64, 4096])
def test_every_row_has_marks_of_its_own(rows):
    marks = RowMarks(rows)
    assert len({tuple(pair) for pair in zip(*marks.seeds(np.float64), strict=True)}) == rows
    ids = np.random.default_rng(0).integers(0, rows, 50)
    plain = np.random.default_rng(1).standard_normal((2, 50, 3))
    marked = [plain, *(plain * f for f in marks.factors(ids, plain, 1))]
    np.testing.assert_array_equal(marks.along([(marked, 1)]), ids)
    if rows > 1:
        assert marks.along([(marked, 0)]) is None
