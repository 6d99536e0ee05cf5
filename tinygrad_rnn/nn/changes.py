"""When an attribute of any module was last set or deleted.

What was asked of modules holds until then. What is changed inside a list or a dict, or past
``__setattr__``, is not seen: whoever relies on this looks at such places himself.
"""

from tinygrad_rnn.tensor.version import tick

__all__ = ["CHANGES"]


class _Changes:
    """The time of the last change."""

    __slots__ = ("latest",)

    def __init__(self) -> None:
        self.latest = 0

    def note(self) -> None:
        """Something has been set now."""
        self.latest = tick()


CHANGES = _Changes()
