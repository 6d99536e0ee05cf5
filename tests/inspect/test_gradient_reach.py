"""Gradients fall and grow with the lag as the Jacobians of the steps say."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.nn.cell_list import draw, make
from tinygrad_rnn import inspect, models, nn, text
from tinygrad_rnn.errors import ArgumentError, ShapeError

pytestmark = pytest.mark.usefixtures("reference")
H, STEPS, BURN_IN = 12, 160, 60


def matrix(kind, radius, rng):
    """A matrix of that spectral radius, normal or not."""
    drawn = rng.standard_normal((H, H))
    if kind == "orthogonal":
        return radius * np.linalg.qr(drawn)[0]
    if kind == "symmetric":
        values = radius * np.array([1.0, *rng.uniform(-0.9, 0.9, H - 1)])
        turned = np.linalg.qr(drawn)[0]
        return turned * values @ turned.T
    if kind == "sheared":  # its largest singular value is many times its radius
        values = radius * np.array([1.0, *rng.uniform(-0.9, 0.9, H - 1)])
        return np.diag(values) + np.triu(rng.standard_normal((H, H)), 1)
    return drawn * radius / np.abs(np.linalg.eigvals(drawn)).max()


def by_lag(w, activation, steps=STEPS, rows=1):
    layer = nn.RNN(1, H, nonlinearity=activation).astype(np.float64)
    layer.layers[0]["forward"].w_h.assign_(w)
    x = 0.3 * np.random.default_rng(0).standard_normal((steps, rows, 1))
    (norms,) = inspect.gradient_by_lag(layer, x).values()
    return norms


@pytest.mark.parametrize("kind", ["orthogonal", "symmetric", "sheared", "gaussian"])
@pytest.mark.parametrize("radius", [0.85, 1.15])
def test_the_slope_of_a_linear_network_is_the_log_of_the_spectral_radius(kind, radius):
    w = matrix(kind, radius, np.random.default_rng(3))
    assert np.abs(np.linalg.eigvals(w)).max() == pytest.approx(radius)
    rest = np.log(by_lag(w, "identity")[BURN_IN:])
    slope = np.polyfit(np.arange(len(rest)), rest, 1)[0]
    assert abs(slope - np.log(radius)) < 0.01
    if kind in ("sheared", "gaussian"):
        assert np.linalg.norm(w, 2) > 1.5 * radius  # which tells nothing of the slope


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
@pytest.mark.parametrize("largest", [0.5, 0.95, 2.0, 6.0])
def test_the_largest_singular_value_bounds_a_network(activation, largest):
    w = matrix("gaussian", 1.0, np.random.default_rng(int(10 * largest)))
    w *= largest / np.linalg.norm(w, 2)
    norms = by_lag(w, activation, steps=60, rows=4)
    slope = {"tanh": 1.0, "sigmoid": 0.25}[activation] * largest
    bound = norms[0] * slope ** np.arange(60.0)
    assert (norms <= bound * (1 + 1e-12)).all()


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_norms_are_those_of_the_trace(name):
    layer, T = nn.Recurrent(make(name), num_layers=2).astype(np.float64), 5
    x, _ = draw(make(name), T, 2)

    def loss(result):
        return (result[0][-2] ** 2).sum()

    found = inspect.gradient_by_lag(layer, x, loss=loss, at=-2)
    y, _, trace = layer(x, return_trace=True)
    (y[-2] ** 2).sum().backward()
    assert {row.layer for row in found} == {0, 1}
    for row, norms in found.items():
        want = trace.layers[row.layer]["forward"].gradient_norms(row.name).numpy()
        np.testing.assert_allclose(norms, want[3::-1], rtol=1e-10)
    assert any(norms[0] > 0 for norms in found.values())


def test_the_first_lag_is_the_direction_itself_and_rows_add_up():
    layer, x = nn.GRU(3, 4).astype(np.float64), tg.randn(6, 5, 3, dtype=np.float64)
    (norms,) = inspect.gradient_by_lag(layer, x).values()
    assert norms[0] == pytest.approx(np.sqrt(5))
    alone = [next(iter(inspect.gradient_by_lag(layer, x[:, n : n + 1]).values())) for n in range(5)]
    np.testing.assert_allclose(norms, np.sqrt(np.square(alone).sum(axis=0)))
    first = nn.GRU(3, 4, batch_first=True).astype(np.float64)
    first.load_state_dict(layer.state_dict())
    (again,) = inspect.gradient_by_lag(first, x.swapaxes(0, 1)).values()
    np.testing.assert_allclose(again, norms)


def test_directions_and_models():
    both = nn.RNN(3, 4, bidirectional=True)
    found = inspect.gradient_by_lag(both, tg.randn(6, 3), at=1)
    assert len(found[0, "forward", "h"]) == 2
    assert len(found[0, "reverse", "h"]) == 5
    assert all(norms.all() for norms in found.values())
    model = models.LanguageModel(text.Bytes(), 3, 4, num_layers=2, output_dropout=0.5)
    model.train()
    found = inspect.gradient_by_lag(model, "abcdef")
    assert set(found) == {(n, "forward", name) for n in (0, 1) for name in "hc"}
    assert len(found[0, "forward", "c"]) == 6
    assert all(p.grad is None for p in model.parameters())
    assert model.output_dropout.training


def test_depth():
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal((4, 4)) for _ in range(5)]
    x = rng.standard_normal((3, 4))
    layers = [lambda x, w=w: x @ tg.tensor(w, dtype=np.float64) for w in weights]
    values = [x]
    for w in weights:
        values.append(values[-1] @ w)
    g, want = values[-1] / values[-1].size, []
    for w in [*reversed(weights), None]:
        want.append(np.linalg.norm(g))
        g = g if w is None else g @ w.T
    np.testing.assert_allclose(inspect.gradient_by_depth(layers, x), want[::-1], rtol=1e-10)
    norms = inspect.gradient_by_depth([nn.LSTM(4, 5), nn.Linear(5, 2)], tg.randn(3, 1, 4))
    assert norms.shape == (3,)
    assert norms.all()


def test_stacks_of_depth_with_a_way_around_keep_the_gradient():
    tg.seed(0)
    found = {}
    for kind in ("plain", "residual", "highway", "dense"):
        stack = []
        for n in range(20):
            dense = kind == "dense"
            f = nn.Dense(2 if dense else 8, activation="tanh", input_dim=8 + 2 * n * dense)
            f.weight.assign_(0.5 * f.weight.numpy())
            around = {"residual": nn.Residual, "dense": nn.DenselyConnected}.get(kind, lambda f: f)
            stack.append(nn.Highway(f, 8) if kind == "highway" else around(f))
            if kind == "highway":
                stack[-1].gate.b.assign_(np.full(8, -4.0, np.float32))
        norms = inspect.gradient_by_depth(stack, tg.randn(6, 8))
        found[kind] = norms[0] / norms[-1]
    assert found["plain"] < 1e-4
    assert all(found[kind] > 0.3 for kind in ("residual", "highway", "dense"))


def test_wrong_arguments():
    layer, x = nn.GRU(3, 4), tg.randn(6, 3)
    with pytest.raises(ShapeError, match="at is 6, expected one of 6 steps"):
        inspect.gradient_by_lag(layer, x, at=6)
    with pytest.raises(ArgumentError, match="Linear has no recurrent layer"):
        inspect.gradient_by_lag(nn.Linear(3, 4), x)
    with pytest.raises(ArgumentError, match="the model gives tuple first, expected outputs"):
        inspect.gradient_by_lag(nn.GRU(3, 4, bidirectional=True, merge="none"), x)
    with pytest.raises(ArgumentError, match="layers is empty"):
        inspect.gradient_by_depth([], x)


class Gained(nn.Cell):
    """Its output is scaled by a parameter that the carried memory does not depend on."""

    state = ("h", "c")
    params = {"w_x": "I H", "w_h": "H H", "gain": ""}

    def step(self, x, h, c, p):
        c = (x @ p.w_x + c @ p.w_h).tanh()
        return c * p.gain, c


@pytest.mark.parametrize("fused", [True, False])
def test_states_count_that_do_not_depend_on_every_parameter(fused):
    tg.seed(0)
    layer = nn.Recurrent(Gained(3, 4), fused=fused).astype(np.float64)
    x = tg.randn(6, 2, 3, dtype=np.float64)
    found = inspect.gradient_by_lag(layer, x)
    y, _, trace = layer(x, return_trace=True)
    direction = np.random.default_rng(0).standard_normal(4)
    (y[-1] * tg.tensor(direction / np.linalg.norm(direction))).sum().backward()
    for name in ("h", "c"):
        want = trace.gradient_norms(name).numpy()[::-1]
        np.testing.assert_allclose(found[0, "forward", name], want, rtol=1e-10)
    assert found[0, "forward", "c"].all()


class Summed(nn.Cell):
    """It has nothing to train."""

    state = ("h",)

    def step(self, x, h, p):
        return x + 0.5 * h


def test_a_cell_that_trains_nothing_passes_gradients_on_to_what_it_reads():
    layer = nn.Recurrent(Summed(3, 3), fused=False).astype(np.float64)
    x = tg.randn(6, 2, 3, dtype=np.float64, requires_grad=True)
    y, _, trace = layer(2 * x, return_trace=True)
    trace.go_back(y[-1].sum())
    want = np.sqrt(6) * 0.5 ** np.arange(5.0, -1, -1)
    np.testing.assert_allclose(trace.gradient_norms("h"), want, rtol=1e-12)
    assert x.grad is None
