"""Every exception that the library raises on purpose.

Each is also the built-in that a caller would expect to catch. A message says where it
happened, what was given, what was expected and how that follows, and the likely cause.
"""

__all__ = [
    "ArgumentError",
    "CellError",
    "DTypeError",
    "DeviceError",
    "DistributedError",
    "FileFormatError",
    "GradientError",
    "IndexRangeError",
    "ModuleError",
    "NotFiniteError",
    "OutOfMemoryError",
    "SaveError",
    "ShapeError",
    "StateDictError",
    "TinygradError",
    "TraceError",
    "VocabularyError",
]


class TinygradError(Exception):
    """The base of all exceptions of this library."""


class ArgumentError(TinygradError, TypeError, ValueError):
    """An argument of the wrong kind: 1.5 for a count, a text for a number."""


class ShapeError(TinygradError, ValueError):
    """Sizes or axes that do not fit together."""


class DTypeError(TinygradError, TypeError):
    """Element types that are mixed, or that an operation cannot use."""


class DeviceError(TinygradError, RuntimeError):
    """Arrays of different devices, or a device that cannot be had."""


class DistributedError(TinygradError, RuntimeError):
    """Processes that cannot go on together: one is gone, silent, or does something else."""


class GradientError(TinygradError, RuntimeError):
    """A derivative that cannot be had: no graph, a freed graph, a changed saved array."""


class IndexRangeError(TinygradError, IndexError):
    """An index, token id or length outside its range."""


class ModuleError(TinygradError, AttributeError):
    """An attribute that a module cannot have: a wrong name, or a value of the wrong kind."""


class TraceError(TinygradError, TypeError):
    """Something in a cell's equations that cannot become part of a program."""


class CellError(TraceError):
    """A recurrent cell that is wrong however it is run: its declaration, or what it returns."""


class StateDictError(TinygradError, KeyError):
    """A state dict whose names or shapes do not fit the module."""

    def __str__(self) -> str:  # KeyError would print the repr of the message
        return str(self.args[0]) if self.args else ""


class FileFormatError(TinygradError, ValueError):
    """A file that is damaged, or none of the kind that was expected."""


class VocabularyError(TinygradError, ValueError):
    """A text that a vocabulary cannot write, or vocabularies that do not fit together."""


class NotFiniteError(TinygradError, ArithmeticError):
    """NaN or infinity where a run cannot go on with it: in a loss, a gradient, a weight."""


class OutOfMemoryError(TinygradError, MemoryError):
    """More memory than a device has left."""


class SaveError(TinygradError, OSError):
    """A file that could not be written: a full disk, a folder that is not there."""

    def __init__(self, message: str, errno: int | None = None) -> None:
        super().__init__(message)
        self.errno = errno
