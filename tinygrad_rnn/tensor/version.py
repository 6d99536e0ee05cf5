"""When arrays were written."""

from collections.abc import Callable
from itertools import count

__all__ = ["CONSTANT", "Version", "tick"]

# One clock for the whole library: nodes are numbered by it as they are made, and a change
# of a tensor's array is stamped by it, so "changed after it was saved" is one comparison.
tick: Callable[[], int] = count(1).__next__


class Version:
    """When an array was last written; shared by a tensor and everything that views it."""

    # Class attributes, and no constructor: views are made for every step of a sequence.
    changed = 0
    latest = 0  # the last change of any array: engines skip all checks before it

    def bump(self) -> None:
        """Note that the array is being changed now."""
        self.changed = Version.latest = tick()


CONSTANT = Version()  # of Python numbers and of arrays that no Tensor stands for
