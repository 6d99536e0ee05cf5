"""ResNet: blocks of two convolutions with a way around them (He et al. 2016)."""

from collections.abc import Mapping

from tinygrad_rnn import nn, ops
from tinygrad_rnn.arguments import choice, flag, whole
from tinygrad_rnn.models.image_network import ImageNetwork, Stage
from tinygrad_rnn.nn import init
from tinygrad_rnn.tensor import Tensor

__all__ = ["BasicBlock", "ResNet"]

_LAYOUTS = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}


class BasicBlock(nn.Module):
    """Two convolutions of 3 by 3, and what goes around them.

        y = relu(bn2(conv2(relu(bn1(conv1(x))))) + around(x))

    x (B, C, H, W)  ->  y (B, O, H', W'). ``around`` is the identity, or a convolution of 1 by 1
    and a normalisation (``downsample``) where sizes or channels change.

    Args:
        channels: C.
        out_channels: O.
        stride: How far the windows of conv1 are apart.
    """

    downsample: nn.Sequential | None

    def __init__(self, channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out_channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm(out_channels)
        self.downsample = None
        if stride != 1 or channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, out_channels, 1, stride, bias=False), nn.BatchNorm(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, H, W) -> (B, O, H', W')."""
        y = self.bn2(self.conv2(ops.relu(self.bn1(self.conv1(x)))))
        return ops.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(ImageNetwork):
    """A stem, four layers of blocks, a mean over all places, and one linear layer.

        conv1: conv-64 of 7 by 7, stride 2, normalised, ReLU; pool1: 3 by 3, stride 2
        layer1: blocks of 64, layer2: of 128, layer3: of 256, layer4: of 512; mean; fc: classes

        model = interop.from_torch(tg.load("resnet18.safetensors"), models.ResNet(18)).eval()
        model.features(images, until="layer4")      # (B, 512, H / 32, W / 32)
        model.features(images, until="mean")        # (B, 512)

    images (B, 3, H, W)  ->  scores (B, classes). Names and shapes of weights are torchvision's
    (``conv1.weight``, ``layer1.0.bn1.running_mean``), linear ones turned, as ``interop`` knows.

    Args:
        depth: How many layers have weights: 10, 18 or 34.
        classes: How many scores there are.
        channels: Those of an image.
        width: The channels of layer1, 64; the others have 2, 4 and 8 times as many.
        small: For images of about 32 by 32: conv1 is of 3 by 3, stride 1, and pool1 does nothing.
    """

    def __init__(
        self,
        depth: int = 18,
        classes: int = 1000,
        *,
        channels: int = 3,
        width: int = 64,
        small: bool = False,
    ) -> None:
        super().__init__()
        self.depth = choice("ResNet", "depth", depth, tuple(_LAYOUTS))
        self.channels = whole("ResNet", "channels", channels, 1)
        width = whole("ResNet", "width", width, 1)
        stem = (3, 1, 1) if flag("ResNet", "small", small) else (7, 2, 3)
        self.conv1 = nn.Conv2d(self.channels, width, *stem, bias=False)
        self.bn1 = nn.BatchNorm(width)
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(3, 2, 1)
        layers, before = [], width
        for number, count in enumerate(_LAYOUTS[depth]):
            own, stride = width << number, 2 if number else 1
            blocks = [BasicBlock(before, own, stride)]
            blocks += [BasicBlock(own, own) for _ in range(count - 1)]
            layers.append(nn.Sequential(*blocks))
            before = own
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        self.fc = nn.Linear(before, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                init.he_normal_(module.weight)

    def stages(self) -> Mapping[str, Stage]:
        """The stem, the layers, the mean, the scores."""
        return {
            "conv1": lambda x: ops.relu(self.bn1(self.conv1(x))), "pool1": self.maxpool,
            "layer1": self.layer1, "layer2": self.layer2, "layer3": self.layer3,
            "layer4": self.layer4, "mean": lambda x: x.mean((2, 3)), "fc": self.fc,
        }  # fmt: skip
