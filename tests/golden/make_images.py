"""Makes images.npz: what networks of images give, stage by stage, by PyTorch in float64.

    python tests/golden/make_images.py      # with PyTorch installed

The modules have torchvision's names and are written out here. Their weights are drawn by name
(``weights``), so only results are stored: ``case/stage``, and the gradient of the images.
"""

from pathlib import Path
from zlib import crc32

import numpy as np

GOLDEN = Path(__file__).with_name("images.npz")
# name -> the class of ours, its arguments, the shape of the images
CASES = {
    "vgg13": ("VGG", {"depth": 13, "width": 2, "hidden_size": 6, "classes": 3}, (2, 3, 32, 66)),
    "vgg16": ("VGG", {"depth": 16, "width": 1, "hidden_size": 4, "classes": 2}, (1, 3, 33, 40)),
    "resnet18": ("ResNet", {"depth": 18, "width": 2, "classes": 3}, (2, 3, 37, 30)),
    "small": ("ResNet", {"depth": 10, "width": 3, "classes": 2, "small": True}, (2, 3, 9, 12)),
}


def weights(shapes):
    """Numbers for each name that depend on the name and nothing else."""
    found = {}
    for name, shape in shapes.items():
        drawn = np.random.default_rng(crc32(name.encode())).standard_normal(shape)
        if name.endswith("running_var"):
            drawn = 0.5 + drawn**2
        elif len(shape) > 1:
            drawn *= (2 / np.prod(shape[1:])) ** 0.5
        elif name.endswith("num_batches_tracked"):
            drawn = np.array(1)
        found[name] = drawn
    return found


def vgg(depth, width, hidden_size, classes):
    from torch import nn

    counts = {13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3)}[depth]
    layers, ends, before = [], {}, 3
    for block, (count, times) in enumerate(zip(counts, (1, 2, 4, 8, 8), strict=True), 1):
        for _ in range(count):
            layers += [nn.Conv2d(before, times * width, 3, padding=1), nn.ReLU()]
            before = times * width
        ends[f"conv{block}"] = len(layers)
        layers.append(nn.MaxPool2d(2, 2))
        ends[f"pool{block}"] = len(layers)

    class VGG(nn.Module):
        def __init__(self):
            super().__init__()
            self.features = nn.Sequential(*layers)
            self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
            self.classifier = nn.Sequential(
                nn.Linear(before * 49, hidden_size), nn.ReLU(), nn.Dropout(),
                nn.Linear(hidden_size, hidden_size), nn.ReLU(), nn.Dropout(),
                nn.Linear(hidden_size, classes),
            )  # fmt: skip

        def stages(self, x):
            start = 0
            for name, end in ends.items():
                x = self.features[start:end](x)
                yield name, x
                start = end
            x = self.classifier[:2](self.avgpool(x).flatten(1))
            yield "fc1", x
            x = self.classifier[2:5](x)
            yield "fc2", x
            yield "fc3", self.classifier[5:](x)

    return VGG()


def resnet(depth, width, classes, small=False):
    from torch import nn

    class Block(nn.Module):
        def __init__(self, before, own, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(before, own, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(own)
            self.relu = nn.ReLU()
            self.conv2 = nn.Conv2d(own, own, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(own)
            self.downsample = None
            if stride > 1 or before != own:
                self.downsample = nn.Sequential(
                    nn.Conv2d(before, own, 1, stride, bias=False), nn.BatchNorm2d(own)
                )

        def forward(self, x):
            y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
            return self.relu(y + (x if self.downsample is None else self.downsample(x)))

    class ResNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(3, width, *((3, 1, 1) if small else (7, 2, 3)), bias=False)
            self.bn1 = nn.BatchNorm2d(width)
            before = width
            for n, count in enumerate({10: (1, 1, 1, 1), 18: (2, 2, 2, 2)}[depth]):
                own = width * 2**n
                blocks = [Block(before, own, 2 if n else 1)]
                blocks += [Block(own, own, 1) for _ in range(count - 1)]
                setattr(self, f"layer{n + 1}", nn.Sequential(*blocks))
                before = own
            self.fc = nn.Linear(before, classes)

        def stages(self, x):
            x = self.bn1(self.conv1(x)).relu()
            yield "conv1", x
            x = x if small else nn.functional.max_pool2d(x, 3, 2, 1)
            yield "pool1", x
            for n in range(1, 5):
                x = getattr(self, f"layer{n}")(x)
                yield f"layer{n}", x
            x = nn.functional.adaptive_avg_pool2d(x, 1).flatten(1)
            yield "mean", x
            yield "fc", self.fc(x)

    return ResNet()


def compute(kind, options, shape):
    """What each stage gives, and the gradient of the images for the sum of the scores squared."""
    import torch

    model = {"VGG": vgg, "ResNet": resnet}[kind](**options).double().eval()
    state = model.state_dict()
    drawn = weights({name: tuple(a.shape) for name, a in state.items()})
    model.load_state_dict({name: torch.from_numpy(a) for name, a in drawn.items()})
    x = torch.from_numpy(images(shape)).requires_grad_()
    found = dict(model.stages(x))
    (list(found.values())[-1] ** 2).sum().backward()
    return {name: y.detach().numpy() for name, y in found.items()} | {"d_images": x.grad.numpy()}


def images(shape):
    return np.random.default_rng(0).standard_normal(shape)


if __name__ == "__main__":
    # A few numbers of each will do.
    arrays = {
        f"{case}/{name}": a.reshape(-1)[:: max(1, a.size // 50)]
        for case in CASES
        for name, a in compute(*CASES[case]).items()
    }
    np.savez_compressed(GOLDEN, **arrays)
