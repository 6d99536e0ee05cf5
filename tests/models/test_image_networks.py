"""VGG and ResNet give what PyTorch's of the same names give, stage by stage."""

import copy
import pickle

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.golden.make_images import CASES, GOLDEN, compute, images, weights
from tests.golden.stored import fresh, stored
from tinygrad_rnn import interop, models
from tinygrad_rnn.errors import ArgumentError, DTypeError, ShapeError, StateDictError


def loaded(kind, options):
    """Our network, with the weights that both sides draw by their names."""
    model = getattr(models, kind)(**options).astype(np.float64).eval()
    named = weights({name: a.shape for name, a in interop.to_torch(model).items()})
    return interop.from_torch(named, model)


def agrees(case, expected):
    kind, options, shape = CASES[case]
    model, x = loaded(kind, options), tg.tensor(images(shape), requires_grad=True)
    assert [*model.stages(), "d_images"] == list(expected)
    found = {name: model.features(x, until=name) for name in model.stages()}
    y = model(x)
    assert np.array_equal(y, list(found.values())[-1])
    (y**2).sum().backward()
    found["d_images"] = x.grad
    for name, values in found.items():
        want, values = expected[name], values.numpy()
        if want.shape != values.shape:
            values = values.reshape(-1)[:: max(1, values.size // 50)]
        bound = 1e-10 * max(1.0, np.abs(want).max())
        np.testing.assert_allclose(values, want, rtol=0, atol=bound, err_msg=name)


@pytest.mark.parametrize("case", CASES)
def test_golden_networks(case):
    agrees(case, stored(GOLDEN, case))


@fresh
@pytest.mark.parametrize("case", CASES)
def test_fresh_networks(case):
    agrees(case, compute(*CASES[case]))


@pytest.mark.parametrize("kind", ["VGG", "ResNet"])
def test_no_images_have_no_scores(kind):
    options = {"VGG": {"depth": 11, "hidden_size": 4}, "ResNet": {"depth": 10}}[kind]
    model = getattr(models, kind)(width=2, classes=3, **options).eval()
    assert model(np.zeros((0, 3, 32, 32), np.float32)).shape == (0, 3)


def test_names_and_shapes_of_weights_are_those_of_torchvision(tmp_path):
    model = models.VGG(16, width=2, hidden_size=4, classes=3)
    named = interop.to_torch(model)
    assert [n for n in named if n.startswith("classifier") and n.endswith("weight")] == [
        f"classifier.{n}.weight" for n in (0, 3, 6)
    ]
    assert named["classifier.0.weight"].shape == (4, 16 * 49)
    numbers = sorted({int(n.split(".")[1]) for n in named if n.startswith("features")})
    assert numbers == [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
    tg.save(tmp_path / "vgg.safetensors", named)
    other = models.VGG(16, width=2, hidden_size=4, classes=3)
    interop.from_torch(tg.load(tmp_path / "vgg.safetensors"), other)
    x = images((1, 3, 32, 32)).astype(np.float32)
    assert np.array_equal(model.eval()(x), other.eval()(x))
    residual = interop.to_torch(models.ResNet(18, width=2))
    assert "layer2.0.downsample.1.running_var" in residual
    assert "layer1.0.downsample.0.weight" not in residual
    assert len(residual) == 122  # as torchvision's resnet18 has


def test_the_layouts_have_as_many_weights_as_published():
    """138 M of VGG-16, 133 M of VGG-13, 11.7 M of ResNet-18: by shapes, without making them."""
    for model, scale, expected in (
        (models.VGG(16, width=8, hidden_size=8, classes=8), 8, 13),
        (models.VGG(13, width=8, hidden_size=8, classes=8), 8, 10),
    ):
        assert sum(p.ndim == 4 for p in model.parameters()) == expected
        assert [m.shape[0] for m in model.convolutions.parameters() if m.ndim == 4][-1] == 8 * scale
    assert sum(p.size for p in models.ResNet(18).parameters()) == 11_689_512


def test_copies_hold_their_own_layers():
    model = loaded(*CASES["vgg13"][:2])
    x = images((1, 3, 32, 32))
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert np.array_equal(other.features(x, until="conv2"), model.features(x, until="conv2"))
        next(other.parameters()).assign_(0.0 * next(other.parameters()).numpy())
        assert not np.array_equal(other(x), model(x))


def test_dropout_is_for_training_alone():
    model = models.VGG(11, width=1, hidden_size=50, classes=4, dropout=0.5)
    x = images((2, 3, 32, 32)).astype(np.float32)
    assert not np.array_equal(model(x), model(x))
    model.eval()
    assert np.array_equal(model(x), model(x))


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: models.VGG(15), ArgumentError, r"VGG: depth is 15, expected one of \(11, 13, 16"),
        (lambda: models.ResNet(50), ArgumentError, "ResNet: depth is 50"),
        (
            lambda: NET.features(X, until="conv5"),
            ArgumentError,
            "until is 'conv5', expected",
        ),
        (lambda: NET(X[0]), ShapeError, r"ResNet: images have shape .* \(B, 3, H, W\)"),
        (lambda: NET(X.astype(np.float64)), DTypeError, "images holds float64"),
        (lambda: models.VGG(11, width=1, hidden_size=1)(X), ShapeError, "H and W from 32 up"),
        (lambda: interop.from_torch({}, NET), StateDictError, "conv1.weight"),
    ],
)
def test_what_does_not_fit_is_refused(call, kind, words):
    with pytest.raises(kind, match=words):
        call()


NET, X = models.ResNet(10, width=1, small=True), np.ones((1, 3, 8, 8), np.float32)
