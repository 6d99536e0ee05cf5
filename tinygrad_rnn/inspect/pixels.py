"""Tables of numbers as pixels of an SVG image: a PNG picture within the text."""

import base64
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_rnn.errors import ShapeError

__all__ = ["COLD", "WARM", "check_picture", "image", "of_most", "source_of"]

Array = NDArray[Any]
WARM, COLD = (232, 93, 4), (12, 106, 201)  # above and below 0; as in page.css


def image(shares: Array, *, smooth: bool = False) -> str:
    """A table (rows, columns) of numbers from -1 to 1 as an <image> that fills the unit square.

    Orange above 0, blue below; the paler the nearer to 0, so that it fits any background.

    Args:
        smooth: Whether neighbouring pixels run into each other.
    """
    shares = np.clip(np.nan_to_num(np.asarray(shares, dtype=float)), -1.0, 1.0)
    pixels = np.empty((*shares.shape, 4), np.uint8)
    pixels[..., :3] = np.where(shares[..., None] > 0, WARM, COLD)
    pixels[..., 3] = np.round(np.abs(shares) * 255)
    style = "" if smooth else ' style="image-rendering:pixelated"'
    return (
        f'<image width="1" height="1" preserveAspectRatio="none"{style} '
        f'href="{source_of(pixels)}"/>'
    )


def check_picture(where: str, picture: Array) -> None:
    """Raise where it is no picture of bytes (H, W, 3)."""
    shape = np.shape(picture)
    if len(shape) != 3 or shape[2] != 3 or 0 in shape or picture.dtype != np.uint8:
        raise ShapeError(
            f"{where}: picture holds {picture.dtype} of shape {shape}, expected bytes (H, W, 3)."
        )


def source_of(pixels: Array) -> str:
    """Bytes (rows, columns, 3), or 4 with opacity, as what an image in a page has as its source."""
    return f"data:image/png;base64,{base64.b64encode(_png(pixels)).decode()}"


def _png(pixels: Array) -> bytes:
    """Pixels (rows, columns, 3) of red, green and blue, or 4 with opacity, as a file."""

    def chunk(name: bytes, data: bytes) -> bytes:
        check = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)

    rows, columns, channels = pixels.shape
    lines = b"".join(b"\0" + row.tobytes() for row in pixels)  # 0: each line as it is
    kind = 2 if channels == 3 else 6  # colours, or colours with opacity
    head = struct.pack(">2I5B", columns, rows, 8, kind, 0, 0, 0)  # 8 bits
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def of_most(weights: Array) -> Array:
    """Weights as shares of the largest; 0 where one is no number, or none is above 0."""
    known: Array = np.nan_to_num(np.asarray(weights, float), posinf=0.0, neginf=0.0)
    return known / (known.max(initial=0.0) or 1.0)
