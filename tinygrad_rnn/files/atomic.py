"""Files that are there whole or not at all, whatever happens while they are written."""

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import Any

from tinygrad_rnn.errors import SaveError

__all__ = ["UNFINISHED", "Writer", "replacing"]

UNFINISHED = ".unfinished"
_ADVICE = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota is used up",
    errno.EFBIG: "the file is larger than this system or its limits allow",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "that is not allowed",
    errno.ENOENT: "there is no such folder",
}


_AT_ONCE = 1 << 24  # bytes


class Writer:
    """Writes to a file that has no name yet."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def write(self, data: bytes | memoryview) -> None:
        """All of it: the system may take less at a time.

        It is told to bring what it has to the disk while the rest is written and digested, so
        that little is left to wait for at the end.
        """
        left = memoryview(data)
        while left:
            left = left[os.write(self.descriptor, left[:_AT_ONCE]) :]
            if hasattr(os, "posix_fadvise"):
                with contextlib.suppress(OSError):  # a mere hint; what fails is told by fsync
                    os.posix_fadvise(self.descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    def write_start(self, data: bytes) -> None:
        """What stands at the start of the file, anew."""
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        self.write(data)


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], where: str = "save") -> Iterator[Writer]:
    """In a with block, write a file that takes the place of ``path`` when the block is left.

    It is written beside it, brought to the disk, renamed, and the new name brought to the
    disk: a reader finds the old file or the new one. Where anything goes wrong, what was
    written is removed and the old file stays. After a kill or a power cut, a file that ends in
    ``.unfinished`` may be left.
    """
    final = os.path.realpath(os.fspath(path))
    folder, name = os.path.split(final)
    unfinished = os.path.join(folder, f".{name}.{os.urandom(4).hex()}{UNFINISHED}")
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            try:
                yield Writer(descriptor)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.replace(unfinished, final)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(unfinished)
            raise
        _settle(folder)
    except OSError as error:
        raise _failed(where, path, error) from error


def _settle(folder: str) -> None:
    """Bring the names of a folder to the disk, where the system can."""
    with contextlib.suppress(PermissionError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _failed(where: str, path: Any, error: OSError) -> SaveError:
    reason = _ADVICE.get(error.errno or 0, (error.strerror or str(error)).lower())
    state = "the file that is there is unchanged" if os.path.exists(path) else "nothing was left"
    return SaveError(
        f"{where}: {os.fspath(path)!r} could not be written: {reason}; {state}.", error.errno
    )
