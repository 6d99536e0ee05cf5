"""What derivative rules compute with: every primitive by name, over arrays and over Tensors.

A rule gets one of the two as its ``F``: ``ARRAYS`` in an ordinary walk, ``TENSORS`` in one that
is recorded itself. ``primitive`` fills them as operations are declared.
"""

from types import SimpleNamespace

__all__ = ["ARRAYS", "TENSORS"]

ARRAYS = SimpleNamespace()
TENSORS = SimpleNamespace()
