"""Saturation is counted, and memory is that of processes whose memory is known."""

import numpy as np
import pytest

from tinygrad_rnn import inspect
from tinygrad_rnn.errors import ArgumentError

C, F, O = (inspect.Row(0, "forward", name) for name in "cfo")


def test_saturation_is_the_share_of_steps():
    gate = np.array([[0.05, 0.95], [0.5, 0.91], [0.0, 0.9], [0.1, 1.0]])
    found = inspect.Activations({C: gate * 2 - 1, F: gate}, [C])
    (row, shares), *more = inspect.saturation(found).items()
    assert row == F
    assert not more
    np.testing.assert_array_equal(shares.shut, [0.5, 0])
    np.testing.assert_array_equal(shares.open, [0, 0.75])
    with pytest.raises(ArgumentError, match=r"low is 0\.95"):
        inspect.saturation(found, low=0.95)


@pytest.mark.parametrize("rho", [0.5, 0.9, 0.98])
def test_a_leaky_unit_remembers_as_long_as_its_gate_says(rho):
    """c = rho c + noise: its autocorrelation is rho to the lag, as is what the gate lets pass."""
    rng = np.random.default_rng(0)
    steps, units = 40_000, 3
    noise, c = rng.standard_normal((steps, units)), np.zeros((steps, units))
    for t in range(1, steps):
        c[t] = rho * c[t - 1] + noise[t]
    gate = np.full((steps, units), rho)
    found = inspect.Activations({C: c, F: gate}, [C], retention={C: gate})
    memory = inspect.memory(found)[C]
    want = -1 / np.log(rho)
    np.testing.assert_allclose(memory.allowed, want)
    np.testing.assert_allclose(memory.lag, want, rtol=0.15)
    assert abs(memory.lag.mean() / want - 1) < 0.1
    np.testing.assert_allclose(memory.gates["f"], rho)


def test_memory_is_that_of_the_definition():
    rng = np.random.default_rng(0)
    values = np.cumsum(rng.standard_normal((90, 4)), axis=0)
    values[:, 1] = 3.0
    found = inspect.Activations({C: values, O: rng.random((90, 4))}, [C])
    got = inspect.memory(found)[C]
    assert got.allowed is None
    for unit in (0, 2, 3):
        centred = values[:, unit] - values[:, unit].mean()
        by_lag = [(centred[: 90 - n] * centred[n:]).sum() / (centred**2).sum() for n in range(90)]
        n = next(n for n, r in enumerate(by_lag) if r < np.exp(-1))
        assert n - 1 < got.lag[unit] <= n
        at = np.interp(got.lag[unit], range(90), by_lag)
        assert at == pytest.approx(np.exp(-1))
    assert np.isnan(got.lag[1])


def test_gates_that_let_everything_or_nothing_pass():
    kept = np.stack([np.ones(5), np.zeros(5), np.full(5, 0.5)], axis=1)
    values = np.random.default_rng(0).standard_normal((5, 3))
    found = inspect.Activations({C: values}, [C], retention={C: kept})
    np.testing.assert_allclose(inspect.memory(found)[C].allowed, [np.inf, 0, 1 / np.log(2)])
