"""Images as they are given to a model, side by side, and what is said or asked of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_rnn import nn
from tinygrad_rnn.arguments import shortened, whole
from tinygrad_rnn.device import Array, host_array, there, to_device
from tinygrad_rnn.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from tinygrad_rnn.tensor import Tensor, as_array
from tinygrad_rnn.text.vocabulary import Ids

__all__ = [
    "Pairs", "count_of", "feature_shape", "features_of", "image_of_each", "of_one_type",
    "places_of", "side_by_side", "together",
]  # fmt: skip


def count_of(where: str, images: Any) -> int:
    """How many images there are."""
    if isinstance(images, str) or not hasattr(images, "__len__"):
        raise ArgumentError(
            f"{where}: images is {shortened(images)}, expected images, or features, side by side "
            "or in a list."
        )
    return len(images)


def side_by_side(where: str, images: Any, like: Tensor) -> Tensor:
    """Images, or features, of one shape as a Tensor (B, ...); bytes as numbers from 0 to 1.

    like  a weight: what is given as arrays goes where it is, bytes as they are
    """
    if isinstance(images, list | tuple):
        arrays = [host_array(image) for image in images]
        for number, array in enumerate(arrays):
            if images[number] is None:
                raise ArgumentError(f"{where}: images[{number}] is None, expected an image.")
            if array.shape != arrays[0].shape:
                raise ShapeError(
                    f"{where}: images[{number}] has shape {array.shape}, images[0] "
                    f"{arrays[0].shape}; expected one size for all."
                )
        if not arrays:
            raise ArgumentError(f"{where}: there are no images, expected one or more.")
        of_one_type(where, "images", arrays)
        images = np.stack(arrays)
    if isinstance(images, Tensor):
        return images
    array = to_device(as_array(images, where), like.device)
    with there(array):
        return Tensor(array.astype(like.dtype) / 255 if array.dtype == np.uint8 else array)


def of_one_type(where: str, name: str, arrays: Sequence[Array]) -> None:
    """Raise where bytes stand beside numbers, of which they would make numbers up to 255."""
    for number, array in enumerate(arrays):
        if array.dtype != arrays[0].dtype:
            raise DTypeError(
                f"{where}: {name}[{number}] holds {array.dtype}, {name}[0] {arrays[0].dtype}; "
                "expected one type for all: bytes, or the numbers of the weights."
            )


def feature_shape(where: str, given: Any) -> tuple[int, ...]:
    """D or (D, h, w), as a tuple."""
    sizes = tuple(given) if isinstance(given, list | tuple) else (given,)
    if len(sizes) not in (1, 3):
        raise ShapeError(
            f"{where}: features is {shortened(given)}, expected D, or (D, h, w) of places."
        )
    return tuple(whole(where, "features", size, 1) for size in sizes)


def features_of(
    where: str, images: Any, encoder: nn.Module | None, features: tuple[int, ...], like: Tensor
) -> Tensor:
    """What an encoder makes of images, (B, D) or (B, D, h, w)."""
    given = side_by_side(where, images, like)
    found: Tensor = given if encoder is None else encoder(given)
    if found.shape[1:] != features:
        of = "images" if encoder is None else "the encoder's outputs"
        raise ShapeError(
            f"{where}: {of} have shape {found.shape}, expected (B, "
            f"{', '.join(map(str, features))}), as features says."
        )
    return found


def places_of(features: Tensor) -> Tensor:
    """Features (B, D, h, w) as those of places (B, h w, D)."""
    return features.reshape(*features.shape[:2], -1).swapaxes(1, 2)


class Pairs(Sequence[Any]):
    """Images with what is said or asked of each; an image is read when it is asked for."""

    def __init__(self, images: Sequence[Any], said: Sequence[Any]) -> None:
        self.images, self.said = images, said

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, number: Any) -> Any:
        return self.images[number], self.said[number]


def together(pairs: Sequence[Any]) -> tuple[list[Any], list[Ids], Array]:
    """Images, all their captions, and which image each of these is of."""
    images = [image for image, _ in pairs]
    counts = [len(tokens) for _, tokens in pairs]
    captions = [caption for _, tokens in pairs for caption in tokens]
    return images, captions, np.repeat(np.arange(len(images)), counts)


def image_of_each(
    where: str, given: Any, images: int, count: int, what: str = "captions"
) -> Array | None:
    """The image of each caption, or question; None where it is the one at its place."""
    if given is None:
        if images != count:
            raise ArgumentError(
                f"{where}: {images} images and {count} {what}, expected as many, or of=, which "
                f"says the image of each."
            )
        return None
    of = host_array(given)
    if of.shape != (count,) or (of.size and of.dtype.kind not in "iu"):
        raise ShapeError(
            f"{where}: of holds {of.dtype} of shape {of.shape}, expected ({count},): the "
            f"number of an image for each of the {what}."
        )
    if of.size and not (of.min() >= 0 and of.max() < images):
        raise IndexRangeError(
            f"{where}: of goes from {of.min()} to {of.max()}, expected 0 to {images - 1}."
        )
    return of
