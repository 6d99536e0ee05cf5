"""The captioning example as a tool, and the scenes that it draws."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from tests.loaded_example import EXAMPLES, command, goes_on_to_the_same_bits, loaded

SMALL = "--hidden 8 --embedding 4 --width 10 --batch 16 --epochs 2".split()


@pytest.fixture
def scenes(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return loaded("scenes")


@pytest.fixture
def tool(monkeypatch, capsys, tmp_path):
    """A function that runs the command in an empty folder: what it wrote, and what it died of."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    module = loaded("caption")
    for name, count in (("LEARNED", 96), ("ASKED", 8), ("DRAWN", 2)):
        monkeypatch.setattr(module, name, count)
    monkeypatch.chdir(tmp_path)

    return command(module, "caption", monkeypatch, capsys)


def test_an_interrupted_run_goes_on_to_the_same_bits(tool):
    said = goes_on_to_the_same_bits(tool, (*SMALL, "--save-every", 4), 7)
    assert "96 images to learn from, 8 to validate with" in said
    for told in (r"never seen: [\d.]+% exact", "a bag of what is seen", "wrote whole/looks.html"):
        assert re.search(told, said)
    assert Path("whole/looks.html").read_text().count("<section>") == 2
    _, died = tool("--out", "whole", "--evaluate", "val")
    assert died == "caption.py: --evaluate: expected images and a file of captions."


def layout(names):
    """A file of captions in Karpathy's layout."""
    entries = [
        {
            "filename": f"{name}.jpg",
            "split": split,
            "sentences": [{"raw": "A Dog"}, {"raw": "a cat"}],
        }
        for name, split in names
    ]
    Path("captions.json").write_text(json.dumps({"images": entries}))


def test_features_of_images_from_files(tool):
    names = [(f"i{n}", "train" if n < 20 else "val") for n in range(24)]
    layout([*names, ("gone", "train")])
    rng = np.random.default_rng(0)
    np.savez("vgg.npz", **{name: rng.random(5, np.float32) for name, _ in names})
    said, died = tool("vgg.npz", "captions.json", *SMALL, "--image", "first", "--save-every", 1)
    assert not died, died
    assert "captions without features, 2: gone.jpg" in said
    assert "20 images to learn from, 4 to validate with; " in said
    assert re.search(r"4 images never seen: [\d.]+% exact, ROUGE-L", said)
    said, died = tool("--evaluate", "val")
    assert said.splitlines()[-1].startswith("4 images: ")
    assert not died
    said, died = tool("--describe", "vgg.npz")
    assert len(re.findall(r"^i\d+: ", said, re.M)) == 24
    assert not died


def photos(names):
    """A folder of pictures, of a size that halves unevenly."""
    image = pytest.importorskip("PIL.Image", reason="pillow is not installed")
    Path("photos").mkdir()
    for number, name in enumerate(names):
        image.new("RGB", (20, 17), (10 * number, 0, 99)).save(f"photos/{name}.png")


def test_pictures_without_splits_are_learned_and_others_described(tool):
    names = [f"i{n}" for n in range(20)]
    photos(names)
    coco = {
        "images": [{"id": n, "file_name": f"{name}.png"} for n, name in enumerate(names)],
        "annotations": [{"image_id": n, "caption": "a dog"} for n in range(20)],
    }
    Path("coco.json").write_text(json.dumps(coco))
    said, died = tool("photos", "coco.json", *SMALL, "--size", 15)
    assert not died, died
    assert "the file of captions has no splits: a tenth is kept" in said
    assert "18 images to learn from, 2 to validate with" in said
    said, died = tool("photos", "coco.json", "--evaluate", "all")
    assert said.splitlines()[-1].startswith("20 images: ")
    Path("bad.png").write_bytes(b"none")
    said, died = tool("--describe", "bad.png", "photos/i3.png", "gone.png", "photos")
    assert died == "caption.py: 2 of 4 could not be described"
    assert "bad.png: images.captioned: 'bad.png' has no images that can be used" in said
    assert "cannot be read, 1: bad.png (it is no image)" in said
    assert "gone.png: images.captioned: there is no file or folder 'gone.png'" in said
    assert len(re.findall(r"^(photos/)?i\d+\.png: ", said, re.M)) == 21
    assert Path("out/caption/described.html").read_text().count("<section>") == 21


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("vgg.npz", "images: expected a folder, or features, and a file of captions"),
        ("vgg.npz captions.json", "'captions.json'"),
        ("--resume", "there is no run in 'out/caption' to resume"),
        ("--describe a.jpg", "'out/caption/model' holds no model.json"),
        ("--epochs 0", "--epochs is 0, expected a whole number from 1 up"),
        ("--size 7", "--size is 7, expected a whole number from 8 up"),
        ("--cell Foo", "cell is 'Foo'"),
    ],
)
def test_what_cannot_be_done_is_said_and_leaves_nothing(tool, arguments, told):
    _, died = tool(*arguments.split())
    assert told in died
    assert not Path("out").exists()


# ----- scenes -----


def test_what_is_asked_has_a_combination_that_was_never_learned(scenes):
    learned, asked = scenes.scenes(600, 100)
    assert (learned, asked) == scenes.scenes(600, 100)
    known = {one for scene in learned for one in scene.combinations()}
    assert all(set(scene.combinations()) - known for scene in asked)
    words = {word for scene in learned for one in scene.captions() for word in one.split()}
    assert {word for scene in asked for one in scene.captions() for word in one.split()} <= words


def test_captions_are_true(scenes):
    for scene in scenes.scenes(200, 0, seed=3)[0]:
        one, other = scene.things
        along, across = one.x - other.x, one.y - other.y
        if scene.relation in ("above", "below"):
            along, across = across, along
        assert (along < 0) == (scene.relation in ("left of", "above"))
        assert abs(along) >= 2 * abs(across) - 1e-9
        assert np.hypot(along, across) > one.radius + other.radius
        for thing in scene.things:
            assert min(thing.box) > 0
            assert max(thing.box) < 1
        captions = scene.captions()
        assert len(set(captions)) == 8
        assert f"{one} {scene.relation} {other}" in captions
        assert set(scenes.told(scene, 5)) < set(captions)


def test_pictures_show_things_where_they_are_in_their_colour(scenes):
    for scene in scenes.scenes(40, 0, seed=4)[0]:
        for pixels in (48, 96):
            picture = scene.picture(pixels).astype(int)
            assert picture.shape == (pixels, pixels, 3)
            for thing in scene.things:
                place = picture[int(thing.y * pixels), int((thing.x - 0.4 * thing.radius) * pixels)]
                away = {
                    name: np.abs(place - colour).sum() for name, colour in scenes.COLOURS.items()
                }
                if thing.shape != "star":
                    assert min(away, key=away.get) == thing.colour


def test_it_is_known_what_words_are_about_and_whether_looks_are_on_it(scenes):
    thing = scenes.Thing("small", "red", "star", 0.25, 0.25, 0.12, 0.0)
    other = scenes.Thing("large", "blue", "moon", 0.75, 0.75, 0.2, 0.0)
    scene = scenes.Scene((thing, other), "left of", 0)
    said = "a large blue moon with a small red star on its left"
    told = [None, 1, 1, 1, None, None, 0, 0, 0, None, None, None]
    assert scene.told(said) == told
    weights = np.zeros((12, 4, 4))
    weights[:9, 3, 3] = weights[9:, 0, 0] = 1
    found = scenes.pointed(scene, said, weights)
    np.testing.assert_array_equal(found[:, 0], [1, 1, 1, 0, 0, 0])
    assert 0 < found[:, 1].max() < 0.4
