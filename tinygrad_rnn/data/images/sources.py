"""Where images, clips or features come from: each is a set of names, and a way to read one."""

import os
import re
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from tinygrad_rnn.data.images.pixels import read_image
from tinygrad_rnn.errors import ArgumentError, FileFormatError
from tinygrad_rnn.files import read

__all__ = ["Source", "Wrong", "source_of"]

Array = np.ndarray[Any, Any]

IMAGES = frozenset(".jpg .jpeg .png .gif .bmp .webp .tif .tiff .ppm .pgm".split())


class Wrong(Exception):
    """One of many cannot be used; why."""


class Source(ABC):
    """Arrays by name.

    A name is found by all of it, with the folder before it or without; or by its last part, or
    this without its suffix, where it is the only one: "val2014/a.jpg", "a.jpg", "a".
    """

    kind = "images"

    def __init__(self, names: Iterable[str], folder: Path | None = None) -> None:
        self.names = list(names)
        self._place = () if folder is None else folder.absolute().parts  # where names begin
        self._own = set(self.names)

    def find(self, called: Iterable[str]) -> dict[str, str | None]:
        """The own names of what somebody calls by others; None for what is not there."""
        called = list(dict.fromkeys(called))
        ours, theirs = _by_form(self.names), _by_form(called)
        found: dict[str, str | None] = {}
        for name in called:
            found[name] = self._whole(name)
            for form in _forms(name):
                # Of two that are told of at greater length, either might be ours.
                one = form == name or len([n for n in theirs[form] if n != form]) == 1
                if found[name] is None and one and len(ours.get(form, ())) == 1:
                    found[name] = ours[form][0]
        return found

    def _whole(self, name: str) -> str | None:
        """The own name that is all of a name, or all behind the folder's."""
        parts = PurePosixPath(name).parts
        below = [parts[n:] for n in range(1, len(parts)) if self._place[-n:] == parts[:n]]
        whole = [name, *("/".join(rest) for rest in below)]
        return next((own for own in whole if own in self._own), None)

    @abstractmethod
    def read(self, name: str) -> Array:
        """The array of an own name, or ``Wrong``."""


class ImageFiles(Source):
    """Images of a folder, by their places in it; all, and those of folders in it, unless named."""

    def __init__(
        self, folder: Path, how: dict[str, Any], names: Iterable[str] | None = None
    ) -> None:
        self.folder, self.how = folder, how
        super().__init__(_files(folder, IMAGES) if names is None else names, folder)

    def read(self, name: str) -> Array:
        """Bytes (C, H, W)."""
        try:
            return read_image(self.folder / name, **self.how)
        except FileFormatError as error:
            raise Wrong(str(error).partition("cannot be read: ")[2].rstrip(".")) from None
        except OSError as error:
            raise Wrong((error.strerror or str(error)).lower()) from None


class FramesInFolders(ImageFiles):
    """Clips: folders of images, whose names say the order, 2 before 10.

    A folder that has none in it is a clip itself.
    """

    kind = "clips"

    def __init__(self, folder: Path, how: dict[str, Any]) -> None:
        super().__init__(folder, how)
        self.frames: dict[str, list[str]] = {}
        if _is_leaf(folder):
            self.frames[folder.resolve().name] = self.names
            Source.__init__(self, self.frames, folder)
            return
        for place in sorted(folder.rglob("*")):
            if place.is_dir() and not place.name.startswith("."):
                self.frames[place.relative_to(folder).as_posix()] = []
        for name in self.names:
            clip = PurePosixPath(name).parent.as_posix()
            if clip in self.frames:
                self.frames[clip].append(name)
        clips = [c for c in self.frames if self.frames[c] or _is_leaf(folder / c)]
        Source.__init__(self, clips, folder)

    def read(self, name: str) -> Array:
        """Bytes (T, C, H, W)."""
        frames = [super(FramesInFolders, self).read(f) for f in _in_order(self.frames[name])]
        if not frames:
            raise Wrong("it has no frame")
        if len({frame.shape for frame in frames}) > 1:
            raise Wrong("its frames are of different sizes, which size= would make equal")
        return np.stack(frames)


class ArrayFiles(Source):
    """A folder of .npy files, each the features of what it is named after."""

    kind = "features"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__(_files(folder, frozenset([".npy"])), folder)

    def read(self, name: str) -> Array:
        """(D,), (D, h, w), ..."""
        return _numbers(lambda: np.load(self.folder / name, allow_pickle=False))


class Arrays(Source):
    """The arrays of one file, by name: .npz or .safetensors."""

    kind = "features"

    def __init__(self, path: Path, where: str) -> None:
        self.arrays: Any
        if path.suffix == ".npz":
            file = path.open("rb")
            weakref.finalize(self, file.close)
            try:
                self.arrays = np.load(file, allow_pickle=False)
                names = self.arrays.files  # which a file of one array does not have
            except MemoryError:
                raise
            except Exception as error:
                file.close()
                raise _damaged(where, path, error) from error
        else:
            self.arrays = read(path, where)[0]
            names = list(self.arrays)
        super().__init__(names)

    def read(self, name: str) -> Array:
        """(D,), (D, h, w), ..."""
        return _numbers(lambda: self.arrays[name])


class Rows(Source):
    """The rows of one array, one for each image of the file of captions, in its order.

    Without such a file their numbers are their names.
    """

    kind = "features"

    def __init__(self, path: Path, names: list[str] | None, where: str) -> None:
        try:
            self.rows = np.load(path, allow_pickle=False, mmap_mode="r")
        except (ValueError, OSError, EOFError) as error:
            raise _damaged(where, path, error) from error
        if names is None:
            names = [str(number) for number in range(len(self.rows) if self.rows.ndim else 0)]
        if self.rows.ndim < 2 or len(self.rows) != len(names):
            raise FileFormatError(
                f"{where}: {str(path)!r} has shape {self.rows.shape}, expected "
                f"({len(names)}, ...): a row for each image of the file of captions, in its order."
            )
        self.number = {name: number for number, name in enumerate(names)}
        super().__init__(names)

    def read(self, name: str) -> Array:
        """(D,), (D, h, w), ..."""
        return _numbers(lambda: self.rows[self.number[name]])


def source_of(
    where: str,
    place: str | os.PathLike[str],
    names: list[str] | None,
    clips: bool,
    how: dict[str, Any],
) -> Source:
    """What a folder or file holds; ``names`` are those of the file of captions, if there is one."""
    path = Path(place)
    if not path.exists():
        raise FileNotFoundError(f"{where}: there is no file or folder {str(path)!r}.")
    if path.is_dir():
        if next(path.rglob("*.npy"), None) is not None:
            return ArrayFiles(path)
        return FramesInFolders(path, how) if clips else ImageFiles(path, how)
    if path.suffix in (".npz", ".safetensors"):
        return Arrays(path, where)
    if path.suffix == ".npy":
        return Rows(path, names, where)
    if path.suffix.lower() in IMAGES and not clips:
        return ImageFiles(path.parent, how, [path.name])
    raise ArgumentError(
        f"{where}: source is {str(path)!r}, expected a folder of images or of .npy files, "
        f"{'' if clips else 'an image, '}or a file of features: .npz, .safetensors, .npy."
    )


def _forms(name: str) -> tuple[str, str, str]:
    path = PurePosixPath(name)
    return name, path.name, path.stem


def _by_form(names: Iterable[str]) -> dict[str, list[str]]:
    """Names by each of their forms."""
    found: dict[str, list[str]] = {}
    for name in names:
        for form in dict.fromkeys(_forms(name)):
            found.setdefault(form, []).append(name)
    return found


def _files(folder: Path, suffixes: frozenset[str]) -> list[str]:
    found = [
        file.relative_to(folder)
        for file in folder.rglob("*")
        if file.suffix.lower() in suffixes and file.is_file()
    ]
    return sorted(
        file.as_posix() for file in found if not any(part[0] == "." for part in file.parts)
    )


def _is_leaf(folder: Path) -> bool:
    return not any(inside.is_dir() for inside in folder.iterdir())


def _in_order(names: list[str]) -> list[str]:
    return sorted(
        names, key=lambda name: [int(p) if p.isdecimal() else p for p in _PARTS.split(name)]
    )


_PARTS = re.compile(r"(\d+)")


def _numbers(load: Any) -> Array:
    """Features as floating-point numbers."""
    try:
        found = np.asarray(load())
    except MemoryError:
        raise
    except Exception as error:  # a damaged file, or one that holds Python's objects
        raise Wrong(str(error) or type(error).__name__) from None
    if found.dtype.kind not in "fiu" or not found.ndim:
        raise Wrong(f"it holds {found.dtype} of shape {found.shape}, no features")
    if not found.size:
        raise Wrong(f"it is empty, of shape {found.shape}")
    if not np.isfinite(found).all():
        raise Wrong("it holds NaN or infinity")
    return found.astype(np.float32, copy=False)


def _damaged(where: str, path: Path, error: Exception) -> FileFormatError:
    return FileFormatError(f"{where}: {str(path)!r} cannot be read: {error}.")
