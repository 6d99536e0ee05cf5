"""One seeded source of randomness for initialisers, dropout and shuffling.

The generator is counter-based (Philox), so its state is a few numbers that a checkpoint
can hold, and draws on every device come from the same stream of the CPU.
"""

from __future__ import annotations  # np.random is loaded by the first draw, not by the import

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from tinygrad_rnn.arguments import shortened, whole
from tinygrad_rnn.device import Array, host_array, to_device
from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.kernels.noise import Noise

__all__ = [
    "fork", "generator", "get_state", "noise", "seed", "set_state", "standard_normal", "uniform",
]  # fmt: skip


def __dir__() -> list[str]:
    """What users call; not what it is made of."""
    return [*__all__, "__doc__", "__file__", "__name__"]


_lock = threading.Lock()
_generator: np.random.Generator | None = None
_forked: ContextVar[np.random.Generator | None] = ContextVar("forked", default=None)


class Mark:
    """A place in the stream; to look it up costs more than a draw, so the first draw does."""

    __slots__ = ("__weakref__", "_state", "source")

    def __init__(self, source: np.random.Generator) -> None:
        self.source = source
        self._state: dict[str, Any] | None = None

    def state(self) -> dict[str, Any]:
        """The place, for ``fork`` and ``set_state``."""
        if self._state is None:
            self._state = dict(self.source.bit_generator.state)
        return self._state


_marked: Callable[[], Mark | None] = lambda: None  # the newest mark, while somebody keeps it


def mark() -> Mark:
    """Mark the place in the stream, for who will mostly not need it."""
    global _marked
    found = Mark(generator())
    _marked = weakref.ref(found)
    return found


def seed(value: int) -> None:
    """Start the library's stream of random numbers anew; equal seeds give equal numbers."""
    value = whole("seed", "value", value, least=0, too_small=ArgumentError)
    set_state(dict(np.random.Philox(np.random.SeedSequence(value)).state))


def generator() -> np.random.Generator:
    """The library's generator."""
    global _generator
    source = _forked.get() or _generator
    if source is None:
        source = _generator = np.random.Generator(np.random.Philox())
    marked = _marked()
    if marked is not None and marked.source is source:
        marked.state()  # who asks for the generator is about to draw
    return source


def get_state() -> dict[str, Any]:
    """The place in the stream, for ``set_state``."""
    with _lock:
        return dict(generator().bit_generator.state)


def set_state(state: dict[str, Any]) -> None:
    """Go back to a place in the stream, which ``get_state`` has given."""
    with _lock:
        _put("set_state", generator(), state)


def _put(where: str, source: np.random.Generator, state: Any) -> None:
    """Bring a generator to a place; a wrong one leaves it where it was."""
    before = source.bit_generator.state
    try:
        source.bit_generator.state = state
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        source.bit_generator.state = before
        raise ArgumentError(
            f"random.{where}: state is {shortened(state)}, expected one that random.get_state() "
            f"has given ({type(error).__name__}: {str(error).strip('.')})."
        ) from error


@contextmanager
def fork(state: dict[str, Any] | None = None) -> Iterator[None]:
    """Draw inside without moving the stream outside; from ``state`` if one is given.

    What other threads draw meanwhile is neither disturbed nor part of it.
    """
    source = np.random.Generator(np.random.Philox())
    _put("fork", source, get_state() if state is None else state)
    token = _forked.set(source)
    try:
        yield
    finally:
        _forked.reset(token)


def noise(first_step: int = 0, rows: Any = None) -> Noise:
    """Noise for one call of a recurrent layer, under a key that is drawn from the stream.

    Who gives the same noise to two calls gets the same numbers in both. ``first_step`` is the
    number of the first step; pieces of one sequence share a noise, ``noise.later(t)`` for the one
    that begins with step t. ``rows`` are names of the
    rows (whole numbers), by which a row gets the same numbers in any batch.
    """
    first_step = whole("random.noise", "first_step", first_step, least=0)
    if rows is not None:
        rows = row_ids("random.noise", "rows", rows)
    with _lock:
        key = int(generator().integers(-(2**63), 2**63 - 1, endpoint=True))
    return Noise(key, first_step, rows)


def row_ids(where: str, name: str, ids: Any) -> Array:
    """Names of rows: whole numbers from 0 to 2^32 - 1, along one axis."""
    ids = host_array(ids)
    if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
        raise ArgumentError(
            f"{where}: {name} is {shortened(ids)}, expected whole numbers, one for each row."
        )
    if ids.size and not (ids.min() >= 0 and ids.max() < 2**32):
        raise ArgumentError(
            f"{where}: {name} go from {ids.min()} to {ids.max()}, expected 0 to 4294967295."
        )
    return ids.astype(np.uint32)


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
    if np.dtype(dtype) == np.float16:
        drawn = np.floor(drawn * 2048) / 2048  # what is nearest to 1 would be rounded to it
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
