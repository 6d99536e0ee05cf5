"""Images with what is said of them; what cannot be used is named."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any, NamedTuple

import numpy as np

from tinygrad_rnn.arguments import choice, flag, whole
from tinygrad_rnn.data.images.captions import read_captions
from tinygrad_rnn.data.images.left_out import LeftOut
from tinygrad_rnn.data.images.pixels import FITS, MODES, shape_of_images
from tinygrad_rnn.data.images.sources import Source, Wrong, source_of
from tinygrad_rnn.errors import ArgumentError, FileFormatError

__all__ = ["Captioned", "Reader", "captioned", "paired"]

Place = str | os.PathLike[str]
Array = np.ndarray[Any, Any]


class Captioned(NamedTuple):
    """Images, or features, and what is said of each.

    images    (N, C, H, W) bytes, or features (N, D), (N, D, h, w); for clips a list of (T, ...).
              Where they are too many for memory, a sequence that reads each when it is asked for
    captions  of each one or more
    left_out  what could not be used; a text that says so
    """

    names: list[str]
    images: Any
    captions: list[list[str]]
    left_out: LeftOut

    def pairs(self) -> list[tuple[int, str]]:
        """The number of an image and one of its captions, for all of them."""
        return [(number, text) for number, own in enumerate(self.captions) for text in own]


def captioned(
    source: Place,
    captions: Place | None,
    *,
    split: str | None = None,
    size: Any = None,
    mode: str = "RGB",
    fit: str = "crop",
    clips: bool = False,
    frames: int | None = None,
    memory: int = 2**29,
) -> Captioned:
    """Images with captions, from a folder and a file; or features of them, or clips.

        found = images.captioned("photos", "dataset_flickr8k.json", split="train", size=(64, 64))
        print(found.left_out)
        for number, text in found.pairs():
            found.images[number]

    Each is read once; what cannot be read, has another shape than most, or lacks captions is left
    out, counted and named, and so are captions without an image.

    Args:
        source: A folder of images (by pillow), or one image; or features: a folder of .npy files,
            .npz or .safetensors by name, or one .npy with a row for each image of the file of
            captions.
        captions: A file as ``read_captions`` reads it. None: all that there is, with no captions.
        split: Those of one split alone.
        size: (height, width) of images; None where all are of one size.
        mode: "RGB" or "L".
        fit: As of ``read_image``.
        clips: Whether names are those of clips: folders of frames, or features (T, ...). A folder
            without folders in it is one clip.
        frames: The most frames of a clip; of more, as many at equal distances.
        memory: Images of more bytes are not kept, but read again whenever they are asked for.
    """
    where = "images.captioned"
    clips = flag(where, "clips", clips)
    if frames is not None and not clips:
        raise ArgumentError(f"{where}: frames is {frames} without clips=True, expected both.")
    if captions is None and split is not None:
        raise ArgumentError(f"{where}: split is {split!r} without captions, expected both.")
    most = None if frames is None else whole(where, "frames", frames, 1)
    how = {"size": size, "mode": mode, "fit": fit}
    left_out = LeftOut()
    known = None if captions is None else read_captions(captions, left_out)
    reader = Reader(where, source, known, clips, most, how)
    return Captioned(*paired(reader, captions, known, "captions", split, memory, left_out))


def paired(
    reader: "Reader",
    file: Place | None,
    known: Sequence[Any] | None,
    what: str,
    split: str | None,
    memory: int,
    left_out: LeftOut,
) -> tuple[list[str], Any, list[Any], LeftOut]:
    """Names, arrays, and what a file says of each; without a file, of all that there is nothing."""
    where, source = reader.where, reader.source
    if known is None:
        texts: dict[str, Any] = {name: [] for name in source.names}
    else:
        texts = _matched(where, source, known, what, split, left_out)
    reader.names = list(texts)
    arrays = _usable(reader, left_out, whole(where, "memory", memory, 0))
    if arrays is None:
        told = f"{os.fspath(reader.place)!r} has no {source.kind} that can be used"
        if file is not None:
            told = (
                f"{os.fspath(reader.place)!r} and {os.fspath(file)!r} have no "
                f"{source.kind} with {what} in common"
                f"{'' if split is None else f' in split {split!r}'}"
            )
        raise FileFormatError(f"{where}: {told}.\n{left_out}")
    return reader.names, arrays, [texts[own] for own in reader.names], left_out


def _matched(
    where: str,
    source: Source,
    known: Sequence[Any],
    what: str,
    split: str | None,
    left_out: LeftOut,
) -> dict[str, Any]:
    """What is said of each, by its own name, where something is."""
    splits = sorted({entry.split for entry in known if entry.split is not None})
    if split is not None and (split := str(split)) not in splits:
        expected = f"one of {', '.join(splits)}: what" if splits else "None, which takes all:"
        raise ArgumentError(
            f"{where}: split is {split!r}, expected {expected} the file of {what} has"
            f"{'' if splits else ' no splits'}."
        )
    found: dict[str, Any] = {}
    spoken_of = set()
    own_names = source.find(entry.name for entry in known)
    for entry in known:
        own = own_names[entry.name]
        spoken_of.add(own)
        if split is not None and entry.split != split:
            continue
        if own is None:
            left_out.add(f"{what} without {source.kind}", entry.name, count=len(entry.texts))
        elif not entry.texts:
            left_out.add(f"without {what}", own)
        elif own in found:
            found[own].texts.extend(entry.texts)
        else:
            found[own] = entry
    for own in source.names:
        if own not in spoken_of:
            left_out.add(f"without {what}", own)
    return {own: entry.texts for own, entry in found.items()}


class Reader(Sequence[Array]):
    """The arrays of some names, each read when it is asked for.

    known  what a file says of each, by ``name``; None without a file
    how    size, mode and fit of images
    """

    def __init__(
        self,
        where: str,
        place: Place,
        known: Sequence[Any] | None,
        clips: bool,
        most: int | None,
        how: dict[str, Any],
    ) -> None:
        choice(where, "mode", how["mode"], MODES)
        choice(where, "fit", how["fit"], FITS)
        how = how | {"size": shape_of_images(where, how["size"])}
        self.where, self.place, self.clips, self.most = where, place, clips, most
        names = None if known is None else list(dict.fromkeys(entry.name for entry in known))
        self.source = source_of(where, place, names, clips, how)
        self.names: list[str] = []

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, number: Any) -> Any:
        if isinstance(number, slice):
            some = copy(self)
            some.names = self.names[number]
            return some
        name = self.names[number]
        try:
            return self.read(name)
        except Wrong as error:  # it was whole when all were read
            raise FileFormatError(f"{self.where}: {name!r} cannot be read: {error}.") from None

    def read(self, name: str) -> Array:
        """One of them, or ``Wrong``."""
        found = self.source.read(name)
        if self.clips and found.ndim < 2:
            raise Wrong(f"it has shape {found.shape}, and a clip features of each frame")
        if self.clips and self.most is not None and len(found) > self.most:
            found = found[np.linspace(0, len(found) - 1, self.most).round().astype(int)]
        return found

    def shape(self, array: Array) -> tuple[int, ...]:
        """What has to be the same for all."""
        return tuple(array.shape[1:] if self.clips else array.shape)


def _usable(reader: Reader, left_out: LeftOut, memory: int) -> Any:
    """All arrays that can be used, the reader knowing the names of no others; None if none can.

    An array of them, a list of clips, or, where they are too large together, the reader.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    kept: dict[str, Array] = {}
    size = 0
    for name, array in _readable(reader, left_out):
        shapes[name] = reader.shape(array)
        size += array.nbytes
        if size <= memory:
            kept[name] = array
        else:
            kept.clear()
    if not shapes:
        return None
    usual = Counter(shapes.values()).most_common(1)[0][0]
    for name, shape in shapes.items():
        if shape != usual:
            told = f"{shape}, most {usual}"
            left_out.add("of another shape than most", name, told)
    reader.names = [name for name, shape in shapes.items() if shape == usual]
    if size > memory:
        return reader
    arrays = [kept[name] for name in reader.names]
    return arrays if reader.clips else np.stack(arrays)


def _readable(reader: Reader, left_out: LeftOut) -> Iterator[tuple[str, Array]]:
    for name in reader.names:
        try:
            yield name, reader.read(name)
        except Wrong as error:
            left_out.add("cannot be read", name, str(error))
