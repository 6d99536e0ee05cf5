"""The progress bar: one for each epoch, by tqdm, where there is somebody to look at it."""

import math
import sys
import time
from collections.abc import Callable
from typing import Any

__all__ = ["Bar"]

_NARROW = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"
_WIDE = 100  # columns that have room for batches a second, too
_PAUSE = 0.1  # seconds between two looks at the values: writing them takes longer than a step may


class Bar:
    """A bar, or nothing where progress is off or standard error is no terminal."""

    def __init__(self, wanted: bool, title: str, batches: Any, done: int) -> None:
        self._bar: Any = None
        self._next = 0.0
        if wanted and sys.stderr is not None and sys.stderr.isatty():
            from tqdm.auto import tqdm

            total = len(batches) if hasattr(batches, "__len__") else None
            self._bar = tqdm(  # from the first batch on: kernels may say before that they compile
                total=total, initial=done, desc=title, unit="batch", leave=True, delay=1e-9
            )
            if total is not None and self._columns() < _WIDE:
                self._bar.bar_format = _NARROW

    @property
    def shown(self) -> bool:
        """Whether there is one."""
        return self._bar is not None

    def advance(self, batches: int, values: Callable[[], dict[str, float]]) -> None:
        """Some batches more; ``values`` gives what is to stand behind the bar."""
        now = time.perf_counter()
        if now >= self._next:
            self.show(values())
            self._next = now + _PAUSE
        self._bar.update(batches)

    def show(self, values: dict[str, Any]) -> None:
        """Values behind the bar."""
        if self.shown:
            self._bar.set_postfix(_texts(values), refresh=False)

    def end(self, values: dict[str, Any]) -> None:
        """What the epoch came to, in place of the bar, which would leave no room for it."""
        if self.shown:
            self._bar.bar_format = "{desc}{postfix}"
            room = self._columns() - len(self._bar.desc)
            fitting = {}
            for name, text in _texts(values).items():
                room -= len(f", {name}={text}")
                if room < 0:  # half a number would be a wrong one
                    break
                fitting[name] = values[name]
            self.show(fitting)

    def close(self) -> None:
        """Leave the bar as it is."""
        if self.shown:
            self._bar.close()

    def _columns(self) -> float:
        return self._bar.ncols or math.inf  # none are known: nothing is cut off


def _texts(values: dict[str, Any]) -> dict[str, str]:
    return {name: f"{value:.4g}" for name, value in values.items() if isinstance(value, float)}
