"""VGG: convolutions of 3 by 3 and nothing else, deep (Simonyan & Zisserman 2015)."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from tinygrad_rnn import nn, ops
from tinygrad_rnn.arguments import choice, whole
from tinygrad_rnn.models.image_network import ImageNetwork, Stage
from tinygrad_rnn.nn import init
from tinygrad_rnn.tensor import Tensor

__all__ = ["VGG"]

# How many convolutions stand in each of the five blocks.
_LAYOUTS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
_PLACES = 7  # rows and columns that the classifier reads


class VGG(ImageNetwork):
    """Five blocks of convolutions, each halved by pooling, and three layers on top.

        conv1: conv-64 ..., pool1, conv2: conv-128 ..., pool2, conv3: conv-256 ..., pool3,
        conv4: conv-512 ..., pool4, conv5: conv-512 ..., pool5, fc1: 4096, fc2: 4096, fc3: classes

        model = interop.from_torch(tg.load("vgg16.safetensors"), models.VGG(16)).eval()
        model.features(images, until="fc2")     # (B, 4096), after its ReLU
        model.features(images, until="conv5")   # (B, 512, H / 16, W / 16), before the last pooling

    images (B, 3, H, W)  ->  scores (B, classes). Names and shapes of weights are torchvision's
    (``features.0.weight``, ``classifier.0.weight``), linear ones turned, as ``interop`` knows. What
    is below the classifier is averaged to 7 by 7 places, which images of 224 by 224 give as it is.

    Args:
        depth: How many layers have weights: 11, 13, 16 or 19.
        classes: How many scores there are.
        channels: Those of an image.
        width: The channels of the first block, 64; the others have 2, 4, 8 and 8 times as many.
        hidden_size: The width of fc1 and fc2.
        dropout: What fc1 and fc2 lose while training.
    """

    smallest = 32

    def __init__(
        self,
        depth: int = 16,
        classes: int = 1000,
        *,
        channels: int = 3,
        width: int = 64,
        hidden_size: int = 4096,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.depth = choice("VGG", "depth", depth, tuple(_LAYOUTS))
        self.channels = whole("VGG", "channels", channels, 1)
        width = whole("VGG", "width", width, 1)
        layers, before = nn.Sequential(), self.channels
        for count, times in zip(_LAYOUTS[depth], (1, 2, 4, 8, 8), strict=True):
            for _ in range(count):
                layers.extend([nn.Conv2d(before, times * width, 3, padding=1), nn.ReLU()])
                before = times * width
            layers.append(nn.MaxPool2d(2))
        vars(self)["features"] = layers  # torchvision's name, which is a method here
        self.classifier = nn.Sequential(
            nn.Linear(before * _PLACES**2, hidden_size), nn.ReLU(), nn.Dropout(dropout),
            nn.Linear(hidden_size, hidden_size), nn.ReLU(), nn.Dropout(dropout),
            nn.Linear(hidden_size, classes),
        )  # fmt: skip
        for parameter in layers.parameters():
            (init.he_normal_ if parameter.ndim > 1 else init.zeros_)(parameter)

    @property
    def convolutions(self) -> nn.Sequential:
        """The layers below the classifier."""
        return vars(self)["features"]  # type: ignore[no-any-return]

    def stages(self) -> Mapping[str, Stage]:
        """Blocks, before and after their pooling, and the layers on top."""
        found: dict[str, Stage] = {}
        start, layers = 0, self.convolutions
        for block, count in enumerate(_LAYOUTS[self.depth], 1):
            end = start + 2 * count
            found[f"conv{block}"], found[f"pool{block}"] = layers[start:end], layers[end]
            start = end + 1
        below, top = self.classifier[:2], self.classifier
        flatten = nn.Flatten()
        found["fc1"] = lambda x: below(flatten(_averaged(x)))
        return found | {"fc2": top[2:5], "fc3": top[5:]}


def _averaged(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, 7, 7), the means of parts that are about equally large."""
    if x.shape[2:] == (_PLACES, _PLACES):
        return x
    rows, columns = (Tensor(_means(n, x.dtype)).to(x.device) for n in x.shape[2:])
    return ops.matmul(ops.matmul(rows, x), columns.T)


@lru_cache(maxsize=64)
def _means(n: int, dtype: Any) -> Any:
    """(7, n): what takes the mean of each part, which begin and end at whole places."""
    found = np.zeros((_PLACES, n), dtype)
    for k, row in enumerate(found):
        begin, end = k * n // _PLACES, -(-(k + 1) * n // _PLACES)
        row[begin:end] = 1 / (end - begin)
    return found
