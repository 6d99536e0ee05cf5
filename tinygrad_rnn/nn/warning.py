"""Warnings that point at the user's line, whatever called what inside the library."""

import sys
import warnings
from weakref import WeakKeyDictionary

__all__ = ["warn", "warn_step_by_step"]

_LIBRARY = __name__.partition(".")[0]

# Why each class has been warned about: its layers have many cells. Classes, not their names:
# a cell that is defined anew, as in a notebook, is another one.
_warned: WeakKeyDictionary[type, set[str]] = WeakKeyDictionary()


def warn(message: str, category: type[Warning]) -> None:
    """Warn about the nearest line that is not the library's own."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and _is_ours(str(frame.f_globals.get("__name__", ""))):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level + 1)


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == _LIBRARY


def warn_step_by_step(kind: type, reason: str) -> None:
    """Say once for a class of cells, and each reason, that its equations run slowly."""
    known = _warned.setdefault(kind, set())
    if reason not in known:
        known.add(reason)
        warn(
            f"{kind.__name__} runs step by step, many times slower than a kernel: {reason}. "
            "Set fused = False to do so without a warning.",
            RuntimeWarning,
        )
