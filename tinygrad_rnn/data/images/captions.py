"""Files that say what is seen: those of Karpathy, COCO, MSR-VTT, and lines of text."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.data.images.left_out import LeftOut
from tinygrad_rnn.errors import FileFormatError

__all__ = ["Captions", "read_captions", "split_of"]

Place = str | os.PathLike[str]

EMPTY = "captions without a word"


class Captions(NamedTuple):
    """What is said of one image, or clip.

    name   of its file, with folders between where the file of captions has them
    split  "train", "val", "test", ...; None where the file does not say
    """

    name: str
    texts: list[str]
    split: str | None


def read_captions(place: Place, left_out: LeftOut | None = None) -> list[Captions]:
    """The captions of a file, image by image, in its order.

    | layout    |                                                                              |
    |-----------|------------------------------------------------------------------------------|
    | Karpathy  | ``{"images": [{"filename", "split", "sentences": [{"raw" or "tokens"}]}]}``  |
    | COCO      | ``{"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}`` |
    | MSR-VTT   | ``{"videos": [{"video_id", "split"}], "sentences": [{"video_id", "caption"}]}`` |
    | lines     | ``photo.jpg#0<tab>a caption``, as in Flickr8k.token.txt; the number may lack |

    A caption is a text, or a list of its tokens. One without a word is left out.

    Args:
        left_out: Where to note what cannot be used.
    """
    left_out = LeftOut() if left_out is None else left_out
    where, path = "images.read_captions", Path(place)
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileFormatError(
            f"{where}: {str(path)!r} is not UTF-8: byte {content[error.start]:#04x} at "
            f"{error.start}."
        ) from None
    if path.suffix.lower() != ".json" and not text.lstrip().startswith("{"):
        found = _of_lines(where, path, text)
    else:
        try:
            found = _of_json(json.loads(text), left_out)
        except (ValueError, RecursionError) as error:
            raise FileFormatError(f"{where}: {str(path)!r} is no JSON: {error}.") from None
        except _Unknown as error:
            raise FileFormatError(
                f"{where}: {str(path)!r} {error}, expected the layout of Karpathy, COCO or MSR-VTT."
            ) from None
    return [Captions(name, _with_words(name, said, left_out), split) for name, said, split in found]


Given = tuple[str, list[Any], str | None]  # as Captions, with whatever the file says


class _Unknown(Exception):
    """A file of another layout."""


def _of_lines(where: str, path: Path, text: str) -> list[Given]:
    found: dict[str, Given] = {}
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        name, tab, said = line.partition("\t")
        if not tab and line.strip():
            raise FileFormatError(
                f"{where}: line {number} of {str(path)!r} is {shortened(line)}, expected a name, a "
                "tab and a caption."
            )
        if tab:
            known, sign, count = name.rpartition("#")
            name = known if sign and count.isdigit() else name
            found.setdefault(name, (name, [], None))[1].append(said)
    return list(found.values())


def _of_json(given: Any, left_out: LeftOut) -> list[Given]:
    if not isinstance(given, dict):
        raise _Unknown(f"holds {shortened(given)}")
    if "images" in given and "annotations" in given:
        return _joined(
            given, left_out, of=("images", "id", "file_name"), said=("annotations", "image_id")
        )
    if "videos" in given and "sentences" in given:
        return _joined(
            given, left_out, of=("videos", "video_id", "video_id"), said=("sentences", "video_id")
        )
    if "images" not in given:
        raise _Unknown(f"has {', '.join(given) or 'nothing'} in it")
    found: list[Given] = []
    for number, image in enumerate(_items(given, "images")):
        name = _text(image, "filename", f"images[{number}]")
        if folder := image.get("filepath"):
            name = f"{folder}/{name}"
        sentences = _items(image, "sentences", f"images[{number}]")
        texts = [sentence.get("raw", sentence.get("tokens")) for sentence in sentences]
        found.append((name, texts, split_of(image)))
    return found


def _joined(
    given: dict[str, Any], left_out: LeftOut, of: tuple[str, str, str], said: tuple[str, str]
) -> list[Given]:
    """Of a list of images and a list of captions, which say of which image they are."""
    images, key, name = of
    found: dict[str, Given] = {}
    for number, image in enumerate(_items(given, images)):
        place = f"{images}[{number}]"
        known = _text(image, name, place)
        found[_text(image, key, place)] = (known, [], split_of(image))
    for number, caption in enumerate(_items(given, said[0])):
        place = f"{said[0]}[{number}]"
        which = _text(caption, said[1], place)
        if which in found:
            found[which][1].append(_told(caption, "caption", place))
        else:
            left_out.add(f"captions of {images} that the file does not list", which)
    return list(found.values())


def split_of(item: Mapping[str, Any]) -> str | None:
    """The split that a file says something is of, if it does."""
    found = item.get("split")
    return None if found is None else str(found)


def _items(given: dict[str, Any], key: str, place: str = "") -> list[dict[str, Any]]:
    found = given.get(key)
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise _Unknown(f"has {shortened(found)} as {place + '.' if place else ''}{key}")
    return found


def _told(item: dict[str, Any], key: str, place: str) -> Any:
    if key not in item:
        raise _Unknown(f"has {shortened(item)} as {place}, without {key!r}")
    return item[key]


def _text(item: dict[str, Any], key: str, place: str) -> str:
    found = _told(item, key, place)
    if not isinstance(found, str | int) or not str(found):
        raise _Unknown(f"has {shortened(found)} as {place}.{key}")
    return str(found)


def _with_words(name: str, given: list[Any], left_out: LeftOut) -> list[str]:
    """The captions that say something, tokens joined."""
    found = []
    for said in given:
        tokens = said if isinstance(said, list) else [said]
        text = " ".join(token for token in tokens if isinstance(token, str)).strip()
        if text:
            found.append(text)
        else:
            left_out.add(EMPTY, name)
    return found
