"""What networks of images share: stages by name, and features of any of them."""

from collections.abc import Callable, Mapping
from typing import Any

from tinygrad_rnn import nn
from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.errors import ArgumentError, ShapeError
from tinygrad_rnn.nn.checks import check_like
from tinygrad_rnn.tensor import Tensor, as_tensor

__all__ = ["ImageNetwork", "Stage"]

Stage = Callable[[Tensor], Any]


class ImageNetwork(nn.Module):
    """A network that goes by stages from images to the scores of classes."""

    channels: int  # of an image
    smallest = 1  # how many rows and columns an image needs

    def stages(self) -> Mapping[str, Stage]:
        """What is computed one after the other, under the names that ``features`` knows."""
        raise NotImplementedError

    def forward(self, images: Any) -> Tensor:
        """images (B, channels, H, W) -> the scores of classes (B, classes)."""
        return self._until(images, list(self.stages())[-1])

    # A property: VGG has layers that torchvision calls so, and its method all the same.
    @property
    def features(self) -> Callable[..., Tensor]:
        """``features(images, until="conv5")``: what a stage gives, by the stage's name."""
        return self._until

    def _until(self, images: Any, until: str) -> Tensor:
        """images (B, channels, H, W) -> what the stage ``until`` gives."""
        where, stages = type(self).__name__, self.stages()
        if until not in stages:
            raise ArgumentError(
                f"{where}: until is {shortened(until)}, expected one of {', '.join(stages)}."
            )
        x: Any = as_tensor(images, where)
        if x.ndim != 4 or x.shape[1] != self.channels or min(x.shape[2:]) < self.smallest:
            raise ShapeError(
                f"{where}: images have shape {x.shape}, expected (B, {self.channels}, H, W), H and "
                f"W from {self.smallest} up."
            )
        check_like(where, "images", x, next(self.parameters()))
        for name, stage in stages.items():
            x = stage(x)
            if name == until:
                break
        return x  # type: ignore[no-any-return]
