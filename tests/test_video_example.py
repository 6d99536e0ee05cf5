"""The video example as a tool, and the films that it learns from."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from tests.loaded_example import EXAMPLES, command, goes_on_to_the_same_bits, loaded

SMALL = "--hidden 8 --embedding 4 --batch 4 --epochs 2 --min-count 1".split()


@pytest.fixture
def tool(monkeypatch, capsys, tmp_path, reference):
    """A function that runs the command in an empty folder: what it wrote, and what it died of."""
    monkeypatch.syspath_prepend(str(EXAMPLES))  # where moving.py and scenes.py are
    module = loaded("video")
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    clips = {f"v{n}": rng.standard_normal((2 + n % 3, 5)) for n in range(8)}
    np.savez("clips.npz", **clips, empty=np.zeros((0, 5)))
    said = {
        "images": [
            {
                "filename": f"{name}.mp4", "split": "val" if name == "v7" else "train",
                "sentences": [{"raw": "a dog runs"}, {"raw": "it is a dog"}],
            }
            for name in (*clips, "empty")
        ]
    }  # fmt: skip
    Path("said.json").write_text(json.dumps(said))

    return command(module, "video", monkeypatch, capsys)


@pytest.mark.parametrize("kind", ["S2VT", "MeanPooling"])
def test_clips_of_ones_own_are_learned_and_evaluated(tool, kind):
    run = ("clips.npz", "said.json", "--split", "train", "--validation", "val", *SMALL)
    said, died = tool(*run, "--model", kind)
    assert not died
    assert "left out:\ncannot be read, 1: empty (it is empty, of shape (0, 5))" in said
    assert "7 clips with 14 captions to learn from, 1 to validate with" in said
    assert re.search(r"1 clips: .*ROUGE-L [\d.]+, CIDEr-D 0.00", said)
    assert "wrote out/video/model" in said
    said, died = tool("clips.npz", "said.json", "--split", "train", "--evaluate")
    assert not died
    assert len(re.findall(r"^v\d\t", said, re.M)) == 7
    np.save("lone.npy", np.ones((2, 3, 4)))
    said, died = tool("--describe", "clips.npz", "none", "lone.npy")
    assert died == "video.py: 2 of 3 could not be described"
    assert len(re.findall(r"^v\d\t", said, re.M)) == 8
    assert "cannot be read, 1: empty (it is empty, of shape (0, 5))" in said
    assert "none: images.captioned: there is no file or folder 'none'" in said
    assert re.search(r"lone.npy: \w+: clips have shape \(3, 2, 4\), expected \(3, 2, 5\)", said)


def test_folders_of_frames_that_are_no_squares_are_learned_and_described(tool):
    image = pytest.importorskip("PIL.Image", reason="pillow is not installed")
    for clip in range(3):
        for frame in range(1 + clip):
            Path(f"frames/v{clip}").mkdir(parents=True, exist_ok=True)
            image.new("RGB", (24, 13), (90 * clip, 9 * frame, 0)).save(
                f"frames/v{clip}/{frame}.png"
            )
    once = ("frames", "said.json", "--split", "train", *SMALL, "--epochs", 1)
    _, died = tool(*once, "--size", 12)
    assert not died
    said, died = tool("--describe", "frames", "frames/v2")
    assert (re.findall(r"^(v\d)\t", said, re.M), died) == (["v0", "v1", "v2", "v2"], "")
    said, died = tool("frames", "said.json", "--split", "train", "--evaluate")
    assert (re.findall(r"^(v\d)\t", said, re.M), died) == (["v0", "v1", "v2"], "")
    _, died = tool(*once, "--out", "wide")
    assert not died


def test_an_interrupted_run_goes_on_to_the_same_bits(tool):
    goes_on_to_the_same_bits(tool, ("clips.npz", "said.json", *SMALL, "--save-every", 1), 3)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("clips.npz", "expected clips and a file of captions"),
        ("clips.npz said.json --epochs 0", "--epochs is 0, expected a whole number from 1 up"),
        ("none said.json", "there is no file or folder 'none'"),
        ("clips.npz said.json --split dev", "split is 'dev', expected one of train, val"),
        ("clips.npz said.json --evaluate", "'out/video/model' holds no model.json"),
        ("--resume", "there is no run in 'out/video' to resume"),
        ("--evaluate", "expected clips and a file of captions"),
    ],
)
def test_what_cannot_be_done_is_said_and_leaves_nothing(tool, arguments, told):
    _, died = tool(*arguments.split())
    assert told in died
    assert not Path("out").exists()


def test_help_shows_how_it_is_used(tool):
    said, died = tool("--help")
    assert died == "0"
    assert "video.py frames captions.json --split train" in said


# ----- the films -----


@pytest.fixture
def moving(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return loaded("moving")


def test_what_is_asked_was_never_learned_and_order_matters_in_half(moving):
    learned, asked = moving.films(300, 60)
    assert (learned, asked) == moving.films(300, 60)
    assert (len(learned), len(asked)) == (300, 60)
    combinations = lambda films: {(f.colour, f.shape, m) for f in films for m in f.motions}
    assert not any(film.is_held_out() for film in learned)
    assert all(film.is_held_out() for film in asked)
    for film in asked:
        assert combinations([film]) - combinations(learned)
    for films in (learned, asked):
        assert np.mean([film.order_matters() for film in films]) == 0.5
    alike = {film.action(): set(film.motions) for film in learned if film.how == "together"}
    assert len(alike) == 6  # of four motions, whichever is told first
    words = {word for film in learned for one in film.captions() for word in one.split()}
    assert {word for film in asked for one in film.captions() for word in one.split()} <= words


def test_a_film_backwards_is_the_film_of_what_is_true_backwards(moving):
    """So order matters just where the same frames the other way round ask for other captions."""
    for film in moving.films(60, 0)[0]:
        other = film.backwards()
        assert other.backwards() == film
        assert film.how == "then" or other.action() == moving.ONE_WAY.get(
            film.action(), film.action()
        )
        assert other.labels() == [moving.ONE_WAY.get(one, one) for one in film.labels()[::-1]]
        difference = film.picture()[::-1].astype(int) - other.picture()
        assert np.abs(difference).max() <= 1
        assert len(film.labels()) == len(film.picture()) == film.frames
        shared = set(film.captions()) & set(other.captions())
        assert bool(shared) != film.order_matters()


def test_pictures_say_where_a_thing_is(moving):
    films = moving.films(200, 0)[0]
    said = " ".join(film.stills(0)[0] for film in films)
    for where in ("on the left", "on the right", "in the middle", "in the air", "on the floor"):
        assert where in said
    film = next(film for film in films if film.motions == ("goes right",))
    assert "on the left" in film.stills(0)[0]
    assert "on the right" in film.stills(film.frames - 1)[0]
