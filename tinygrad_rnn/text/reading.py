"""Text from a file, or from all files of a folder."""

import os
from pathlib import Path

from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.errors import ArgumentError, FileFormatError

__all__ = ["read"]


def read(path: str | os.PathLike[str], pattern: str = "*") -> str:
    """The text of a file, or of the files of a folder that match, one after the other.

    Files are UTF-8. Ends of lines become ``"\\n"``. Each file of several ends with one.

        plays = text.read("shakespeare", "*.txt")

    Args:
        path: A file, or a folder, which is searched with the folders in it.
        pattern: Of the names of files, as ``"*.py"``. What begins with a dot is left out.
    """
    try:
        given = Path(path)
    except TypeError:
        raise ArgumentError(
            f"text.read: path is {shortened(path)}, expected the path of a file or folder."
        ) from None
    if not given.exists():
        raise FileNotFoundError(f"text.read: there is no file or folder {str(given)!r}.")
    parts = [_text(file) for file in _files(given, pattern)] if given.is_dir() else [_text(given)]
    parts = [part for part in parts if part]
    if not parts:
        what = f"all files in it that match {pattern!r} are" if given.is_dir() else "the file is"
        raise FileFormatError(f"text.read: nothing to read in {str(given)!r}: {what} empty.")
    return parts[0] if len(parts) == 1 else "".join(map(_whole_lines, parts))


def _files(folder: Path, pattern: str) -> list[Path]:
    try:
        found = sorted(file for file in folder.rglob(pattern) if file.is_file())
    except (TypeError, ValueError, NotImplementedError):
        raise ArgumentError(
            f"text.read: pattern is {shortened(pattern)}, expected one of names, such as '*.txt'."
        ) from None
    files = [
        file
        for file in found
        if not any(name.startswith(".") for name in file.relative_to(folder).parts)
    ]
    if not files:
        raise FileNotFoundError(
            f"text.read: no file in the folder {str(folder)!r} matches {pattern!r}."
        )
    return files


def _text(file: Path) -> str:
    content = file.read_bytes()
    try:
        found = content.decode("utf-8-sig")  # drops a mark of the byte order
    except UnicodeDecodeError as error:
        raise FileFormatError(
            f"text.read: {str(file)!r} is not UTF-8: byte {content[error.start]:#04x} at "
            f"{error.start}. Save it as UTF-8, or leave it out by the argument pattern."
        ) from None
    return found.replace("\r\n", "\n").replace("\r", "\n")


def _whole_lines(part: str) -> str:
    return part if part.endswith("\n") else part + "\n"
