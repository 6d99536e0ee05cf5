"""What gates do: how often they are shut or open, and how long units remember."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_rnn.arguments import bounded
from tinygrad_rnn.inspect.activations import Activations, Row

__all__ = ["Memory", "Saturation", "memory", "saturation"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Saturation:
    """Of each unit of a gate (H,): the share of steps at which it is all but shut, or open."""

    shut: Array
    open: Array


def saturation(
    activations: Activations, low: float = 0.1, high: float = 0.9
) -> dict[Row, Saturation]:
    """How often each gate is below ``low`` and above ``high`` (Karpathy et al. 2015, figure 3).

    A forget gate in the corner open = 1 belongs to a unit that remembers for very long; one that
    is often shut and often open resets its cell at will.
    """
    bounded("saturation", "low", low, least=0.0, most=high)
    bounded("saturation", "high", high, most=1.0)
    return {
        row: Saturation(
            (activations[row] < low).mean(axis=0), (activations[row] > high).mean(axis=0)
        )
        for row in activations.gates
    }


@dataclass(frozen=True)
class Memory:
    """How long the units of a state remember, and what their gates do on average.

    lag      (H,) the lag at which a unit's autocorrelation falls below 1/e, between steps by
             interpolation; NaN of a unit that never changes
    allowed  (H,) the lag at which the direct way through the unit, the product of all that
             each step keeps (``Trace.retention``), falls to 1/e on average; None if not known
    gates    the mean of each gate (H,) by its name
    """

    lag: Array
    allowed: Array | None
    gates: dict[str, Array]


def memory(activations: Activations) -> dict[Row, Memory]:
    """How long each unit of each state remembers, beside the means of its gates.

    ``lag`` is measured on what the unit does, not on its gates: so comparing both says something,
    and it can be had of any cell. It depends on the text, as it should, and wants one that is
    much longer than the memories. ``allowed`` is what the gates would let it remember.
    """
    found = {}
    for row in activations.states:
        beside = [g for g in activations.gates if g[:2] == row[:2]]
        values = activations[row]
        gates = {g.name: activations[g].mean(axis=0, dtype=np.float64) for g in beside}
        fitting = {name: mean for name, mean in gates.items() if len(mean) == values.shape[1]}
        kept = activations.retention.get(row)
        found[row] = Memory(_lag(values), None if kept is None else _allowed(kept), fitting)
    return found


def _lag(values: Array) -> Array:
    """Where the autocorrelation of each column (T, H) falls below 1/e."""
    steps, units = values.shape
    found = np.full(units, np.nan)
    for unit in np.flatnonzero(np.ptp(values, axis=0) > 0):
        column = values[:, unit].astype(np.float64)
        spectrum = np.abs(np.fft.rfft(column - column.mean(), 2 * steps)) ** 2
        by_lag = np.fft.irfft(spectrum)[:steps]
        # The usual estimate: a sum over fewer and fewer steps divided by the same number.
        by_lag /= by_lag[0]
        n = np.flatnonzero(by_lag < np.exp(-1))[0]  # there is one: they add up to 0, both ways
        found[unit] = n - (np.exp(-1) - by_lag[n]) / (by_lag[n - 1] - by_lag[n])
    return found


def _allowed(kept: Array) -> Array:
    """-1 / mean log of what each step keeps; 0 where a step keeps nothing."""
    with np.errstate(divide="ignore"):
        rate = np.log(np.abs(kept.astype(np.float64))).mean(axis=0)
        return np.where(rate < 0, -1.0 / np.minimum(rate, -1e-300), np.inf)
