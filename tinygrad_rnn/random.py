"""One seeded source of randomness for initialisers, dropout and shuffling.

The generator is counter-based (Philox), so its state is a few numbers that a checkpoint
can hold, and draws on every device come from the same stream of the CPU.
"""

from __future__ import annotations  # np.random is loaded by the first draw, not by the import

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from tinygrad_rnn.arguments import whole
from tinygrad_rnn.device import Array, to_device

__all__ = ["fork", "generator", "get_state", "seed", "set_state", "standard_normal", "uniform"]


def __dir__() -> list[str]:
    """What users call; not what it is made of."""
    return [*__all__, "__doc__", "__file__", "__name__"]


_lock = threading.Lock()
_generator: np.random.Generator | None = None
_forked: ContextVar[np.random.Generator | None] = ContextVar("forked", default=None)


def seed(value: int) -> None:
    """Start the library's stream of random numbers anew; equal seeds give equal numbers."""
    set_state(
        dict(np.random.Philox(np.random.SeedSequence(whole("seed", "value", value, least=0))).state)
    )


def generator() -> np.random.Generator:
    """The library's generator."""
    global _generator
    forked = _forked.get()
    if forked is not None:
        return forked
    if _generator is None:
        _generator = np.random.Generator(np.random.Philox())
    return _generator


def get_state() -> dict[str, Any]:
    """The place in the stream, for ``set_state``."""
    with _lock:
        return dict(generator().bit_generator.state)


def set_state(state: dict[str, Any]) -> None:
    """Go back to a place in the stream."""
    with _lock:
        generator().bit_generator.state = state


@contextmanager
def fork(state: dict[str, Any] | None = None) -> Iterator[None]:
    """Draw inside without moving the stream outside; from ``state`` if one is given.

    What other threads draw meanwhile is neither disturbed nor part of it.
    """
    source = np.random.Generator(np.random.Philox())
    source.bit_generator.state = get_state() if state is None else state
    token = _forked.set(source)
    try:
        yield
    finally:
        _forked.reset(token)


def _draw_type(dtype: Any) -> Any:
    return np.float64 if np.dtype(dtype) in (np.float64, np.complex128) else np.float32


def uniform(
    shape: tuple[int, ...],
    dtype: Any = np.float32,
    device: str = "cpu",
    source: np.random.Generator | None = None,
) -> Array:
    """Numbers from [0, 1)."""
    with _lock:
        drawn = (source or generator()).random(shape, _draw_type(dtype))
    return to_device(np.asarray(drawn, dtype), device)


def standard_normal(
    shape: tuple[int, ...],
    dtype: Any = np.float32,
    device: str = "cpu",
    source: np.random.Generator | None = None,
) -> Array:
    """Normally distributed numbers of mean 0 and variance 1."""
    with _lock:
        drawn = (source or generator()).standard_normal(shape, _draw_type(dtype))
    return to_device(np.asarray(drawn, dtype), device)
