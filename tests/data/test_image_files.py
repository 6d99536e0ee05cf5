"""Files of images: what is read of them, and what is wrong with some."""

import sys

import numpy as np
import pytest

from tests.data.writing import write
from tinygrad_rnn.data import Batches, images
from tinygrad_rnn.errors import ArgumentError, FileFormatError


def test_one_image_is_found_by_its_own_place(here, pillow):
    (here / "sub").mkdir()
    for name in ("one", "other"):
        pillow.new("RGB", (3, 2), (9, 8, 7)).save(f"sub/{name}.png")
    found = images.captioned("sub/one.png", None)
    assert (found.names, found.images.shape) == (["one.png"], (1, 3, 2, 3))
    with pytest.raises(ArgumentError, match=r"source is 'sub/one.png', expected a folder of im"):
        images.captioned("sub/one.png", None, clips=True)


def test_images_of_every_mode_and_size(here, pillow):
    """Red, or what is nearest to it; what is transparent is white."""
    red = (255, 0, 0)
    made = {
        "rgb.png": pillow.new("RGB", (8, 6), red),
        "alpha.png": pillow.new("RGBA", (6, 6), (*red, 0)),
        "palette.gif": pillow.new("RGB", (6, 8), red).convert("P"),
        "cmyk.tiff": pillow.new("CMYK", (6, 6), (0, 255, 255, 0)),
        "grey.jpg": pillow.new("L", (6, 6), 255),
        "deep.png": pillow.fromarray(np.full((6, 6), 65535, np.uint16)),
        "bits.png": pillow.new("1", (6, 6), 1),
    }
    for name, image in made.items():
        image.save(name)
    write("k.txt", "".join(f"{name}\tx\n" for name in made))
    found = images.captioned(".", "k.txt", size=(6, 6))
    assert found.images.shape == (7, 3, 6, 6)
    assert not found.left_out
    assert str(found.left_out) == "nothing was left out"
    for name, pixels in zip(found.names, found.images, strict=True):
        expected = red if name[:3] in ("rgb", "pal", "cmy") else (255, 255, 255)
        assert (pixels == np.array(expected, np.uint8)[:, None, None]).all(), name
    pillow.fromarray(np.full((6, 6), 128 * 257, np.uint16)).save("half.png")
    assert (images.read_image("half.png", mode="L") == 128).all()
    grey = images.captioned(".", "k.txt", size=(3, 5), mode="L", fit="stretch")
    assert grey.images.shape == (7, 1, 3, 5)
    as_they_are = images.captioned(".", "k.txt")
    assert as_they_are.images.shape == (5, 3, 6, 6)
    assert as_they_are.left_out.names["of another shape than most"] == {
        "rgb.png": "(3, 6, 8), most (3, 6, 6)", "palette.gif": "(3, 8, 6), most (3, 6, 6)",
    }  # fmt: skip


def test_sides_are_cut_stretched_or_padded(here, pillow):
    pixels = np.zeros((2, 6, 3), np.uint8)
    pixels[:, 2:4] = 200
    pillow.fromarray(pixels).save("wide.png")
    read = lambda fit: images.read_image("wide.png", (2, 2), fit=fit)
    assert (read("crop") == 200).all()
    assert read("stretch").min() < 200
    padded = images.read_image("wide.png", (6, 6), fit="pad")
    assert (padded[:, :2] == 255).all()
    assert (padded[:, 2:4, 2:4] == 200).all()


def test_what_a_camera_has_turned_is_turned_back(here, pillow):
    pixels = np.zeros((4, 8, 3), np.uint8)
    image = pillow.fromarray(pixels)
    exif = image.getexif()
    exif[0x0112] = 6
    image.save("turned.jpg", exif=exif)
    assert images.read_image("turned.jpg").shape == (3, 8, 4)


def test_images_that_cannot_be_read_are_named_and_the_rest_goes_on(here, pillow):
    rng = np.random.default_rng(0)
    whole = pillow.fromarray(rng.integers(256, size=(32, 32, 3)).astype(np.uint8))
    for name in ("a.jpg", "b.png", "c.png", "float.tiff"):
        whole.save(name)
    (here / "half.jpg").write_bytes((here / "a.jpg").read_bytes()[:600])
    (here / "half.png").write_bytes((here / "b.png").read_bytes()[:900])
    damaged = bytearray((here / "b.png").read_bytes())
    damaged[1500:1510] = bytes(10)
    (here / "damaged.png").write_bytes(damaged)
    (here / "text.jpg").write_text("no image")
    (here / "nothing.jpg").write_bytes(b"")
    pillow.fromarray(rng.random((32, 32)).astype(np.float32)).save("float.tiff")
    names = ["a.jpg", "b.png", "half.jpg", "half.png", "damaged.png", "text.jpg", "nothing.jpg"]
    write("k.txt", "".join(f"{name}\tx\n" for name in (*names, "float.tiff", "gone.jpg")))
    found = images.captioned(".", "k.txt")
    assert found.names == ["a.jpg", "b.png"]
    told = found.left_out.names
    assert told["captions without images"] == {"gone.jpg": ""}
    assert told["without captions"] == {"c.png": ""}
    assert set(told["cannot be read"]) == {*names[2:], "float.tiff"}
    assert "truncated" in told["cannot be read"]["half.jpg"].lower()
    assert told["cannot be read"]["text.jpg"] == "it is no image"
    assert told["cannot be read"]["nothing.jpg"] == "it is no image"
    assert "floating-point numbers" in told["cannot be read"]["float.tiff"]
    with pytest.raises(FileFormatError, match=r"'text.jpg' cannot be read: it is no image\.$"):
        images.read_image("text.jpg")
    with pytest.raises(FileNotFoundError):
        images.read_image("gone.jpg")


def test_images_too_large_for_memory_are_read_again(here, pillow):
    for number in range(3):
        pillow.new("RGB", (4, 4), (number, 0, 0)).save(f"{number}.png")
    (here / "bad.png").write_bytes(b"")
    write("k.txt", "0.png\tx\nbad.png\tx\n1.png\tx\n2.png\tx\n")
    found = images.captioned(".", "k.txt", memory=100)
    assert [int(image[0, 0, 0]) for image in found.images] == [0, 1, 2]
    (batch,) = Batches(found.images, 3)
    assert batch.shape == (3, 3, 4, 4)
    assert batch.dtype == np.uint8
    (here / "1.png").write_bytes(b"")
    with pytest.raises(FileFormatError, match=r"'1.png' cannot be read: it is no image\.$"):
        found.images[1]


def test_bytes_become_numbers():
    pixels = np.array([0, 255, 51], np.uint8).reshape(3, 1, 1)
    assert images.scaled(pixels, 0.5, 0.5).ravel().tolist() == pytest.approx([-1, 1, -0.6])
    first = images.scaled(np.stack([pixels] * 2))
    assert first.shape == (2, 3, 1, 1)
    assert first[0].ravel() == pytest.approx(
        [-0.485 / 0.229, 0.544 / 0.224, -0.206 / 0.225], rel=1e-5
    )
    assert first.dtype == np.float32


def test_without_pillow_the_way_to_it_is_told(here, monkeypatch):
    (here / "a.png").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(
        ImportError, match=r"images.read_image needs the package pillow. Install it "
    ):
        images.captioned(".", write("k.txt", "a.png\tx\n"))
