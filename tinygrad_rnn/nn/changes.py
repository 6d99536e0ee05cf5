"""When anything about any module was last set: what was asked of modules holds until then."""

from tinygrad_rnn.tensor.version import tick

__all__ = ["CHANGES"]


class _Changes:
    """The time of the last change; an object, for a class that changes slows down Python."""

    __slots__ = ("latest",)

    def __init__(self) -> None:
        self.latest = 0

    def note(self) -> None:
        """Something has been set now."""
        self.latest = tick()


CHANGES = _Changes()
