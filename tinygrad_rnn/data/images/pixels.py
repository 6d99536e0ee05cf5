"""Image files as arrays, by pillow, which is loaded when the first one is read."""

import os
from typing import Any

import numpy as np

from tinygrad_rnn.arguments import choice, shape_of, shortened
from tinygrad_rnn.errors import ArgumentError, FileFormatError

__all__ = ["read_image", "scaled", "shape_of_images"]

Place = str | os.PathLike[str]
Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Array = np.ndarray[Any, Any]

MODES, FITS = ("RGB", "L"), ("crop", "stretch", "pad")
_WHITE = (255, 255, 255)


def read_image(place: Place, size: Any = None, *, mode: str = "RGB", fit: str = "crop") -> Bytes:
    """An image file as bytes (C, H, W), C being 3 or, for "L", 1.

    Whatever a file holds becomes this mode: palettes, 16 bits, CMYK; what is transparent turns
    white, and what a camera has noted as turned is turned back. Of several frames it is the first.

    Args:
        size: (height, width) to bring it to; None leaves it as it is.
        mode: "RGB", or "L" for shades of grey.
        fit: Where the sides are of another relation: "crop" cuts off what is too long, equally on
            both sides, "stretch" keeps all and its relation not, "pad" puts white around.
    """
    where = "images.read_image"
    height_and_width = shape_of_images(where, size)
    choice(where, "mode", mode, MODES)
    choice(where, "fit", fit, FITS)
    image_of, ops_of = _pillow()
    try:
        with image_of.open(place) as file:
            image = ops_of.exif_transpose(file)
            image = _in_mode(image_of, image, mode)
            if height_and_width is not None:
                image = _sized(image_of, ops_of, image, height_and_width, fit)
            found = np.asarray(image, np.uint8)
    except (MemoryError, FileNotFoundError):
        raise
    except Exception as error:  # what a damaged file raises depends on its format
        told = "it is no image" if type(error).__name__ == "UnidentifiedImageError" else str(error)
        raise FileFormatError(
            f"{where}: {os.fspath(place)!r} cannot be read: {told or type(error).__name__}."
        ) from error
    return np.ascontiguousarray(found[None] if found.ndim == 2 else found.transpose(2, 0, 1))


def scaled(
    pixels: Any, mean: Any = (0.485, 0.456, 0.406), std: Any = (0.229, 0.224, 0.225)
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Bytes (..., C, H, W) as numbers: of 0 to 1, less ``mean``, by ``std``.

    The usual ones are those of ImageNet, as networks trained on it expect; 0.5 for both brings
    bytes between -1 and 1.
    """
    given = np.asarray(pixels)
    if given.dtype != np.uint8 or given.ndim < 3:
        raise ArgumentError(
            f"images.scaled: pixels holds {given.dtype} of shape {given.shape}, expected bytes "
            "(..., C, H, W)."
        )
    channels = given.shape[-3]
    for name, value in (("mean", mean), ("std", std)):
        if np.size(value) not in (1, channels):
            raise ArgumentError(
                f"images.scaled: {name} is {shortened(value)}, expected one number, or as many as "
                f"pixels has channels: {channels}."
            )
    mean, std = (np.asarray(value, np.float32).reshape(-1, 1, 1) for value in (mean, std))
    found: np.ndarray[Any, np.dtype[np.float32]] = given.astype(np.float32)
    found /= 255
    found -= mean
    found /= std
    return found


def shape_of_images(where: str, size: Any) -> tuple[int, int] | None:
    """(height, width), or None."""
    if size is None:
        return None
    found = shape_of(where, (size,), "size", least=1)
    if len(found) != 2:
        raise ArgumentError(f"{where}: size is {size}, expected (height, width).")
    return found[0], found[1]


def _in_mode(image_of: Any, image: Any, mode: str) -> Any:
    if image.mode.startswith("I"):  # whole numbers, as a rule of 16 bits
        image = image_of.fromarray((np.asarray(image) / 257).clip(0, 255).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("it holds floating-point numbers, of which nobody says what is white")
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        ground = image_of.new("RGBA", image.size, (*_WHITE, 255))
        image = image_of.alpha_composite(ground, image)
    return image.convert(mode)


def _sized(image_of: Any, ops_of: Any, image: Any, size: tuple[int, int], fit: str) -> Any:
    height, width = size
    if fit == "crop":
        return ops_of.fit(image, (width, height))
    if fit == "pad":
        white = _WHITE if image.mode == "RGB" else 255
        return ops_of.pad(image, (width, height), color=white)
    return image.resize((width, height), image_of.Resampling.BICUBIC)


def _pillow() -> tuple[Any, Any]:
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise ImportError(
            "images.read_image needs the package pillow. Install it with: "
            "pip install 'tinygrad-rnn[plot]'"
        ) from None
    return Image, ImageOps
