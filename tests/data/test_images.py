"""Images with captions: every layout, every kind of file, and what is wrong with some of them."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.data.writing import write
from tinygrad_rnn.data import Batches, images
from tinygrad_rnn.errors import ArgumentError, FileFormatError

KARPATHY = {
    "images": [
        {"filename": "a.jpg", "split": "train", "sentences": [{"raw": "A dog ."}, {"raw": "x"}]},
        {"filename": "b.jpg", "filepath": "val2014", "split": "val", "sentences": [
            {"tokens": ["a", "cat"]}, {"raw": "  "}, {"tokens": []}
        ]},
    ],
    "dataset": "some",
}  # fmt: skip
COCO = {
    "images": [{"id": 7, "file_name": "a.jpg"}, {"id": 3, "file_name": "b.jpg"}],
    "annotations": [
        {"image_id": 3, "caption": "a cat"}, {"image_id": 7, "caption": "A dog ."},
        {"image_id": 9, "caption": "nothing"}, {"image_id": 7, "caption": "x"},
    ],
}  # fmt: skip
VIDEOS = {
    "videos": [{"video_id": "video7", "split": "train"}, {"video_id": "video8", "split": "test"}],
    "sentences": [{"video_id": "video8", "caption": "two"}, {"video_id": "video7", "caption": "x"}],
}
LINES = "a.jpg#0\tA dog .\na.jpg#1\tx\n\nb#c.jpg\ta cat\n"


# ----- captions -----


def test_captions_in_every_layout(here):
    left_out = images.LeftOut()
    first, second = images.read_captions(write("k.json", KARPATHY), left_out)
    assert first == ("a.jpg", ["A dog .", "x"], "train")
    assert second == ("val2014/b.jpg", ["a cat"], "val")
    assert left_out.names == {"captions without a word": {"val2014/b.jpg": ""}}
    left_out = images.LeftOut()
    found = images.read_captions(write("c.json", COCO), left_out)
    assert found == [("a.jpg", ["A dog .", "x"], None), ("b.jpg", ["a cat"], None)]
    assert str(left_out) == "captions of images that the file does not list, 1: 9"
    found = images.read_captions(write("v.json", VIDEOS))
    assert found == [("video7", ["x"], "train"), ("video8", ["two"], "test")]
    found = images.read_captions(write("Flickr8k.token.txt", LINES))
    assert found == [("a.jpg", ["A dog .", "x"], None), ("b#c.jpg", ["a cat"], None)]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "'x.json' is no JSON"),
        ("[1]", r"'x.json' holds \[1\], expected the layout of Karpathy, COCO or MSR-VTT"),
        ('{"a": 1}', "'x.json' has a in it, expected the layout"),
        ('{"images": 3}', "has 3 as images, expected"),
        ('{"images": [{"sentences": []}]}', r"as images\[0\], without 'filename'"),
        ('{"images": [{"filename": ""}]}', r"has '' as images\[0\].filename"),
        ('{"images": [{"filename": "a"}]}', r"has None as images\[0\].sentences"),
        ('{"images": [{"id": 1}], "annotations": []}', r"as images\[0\], without 'file_name'"),
        ('{"images": [], "annotations": [{"image_id": []}]}', r"\[\] as annotations\[0\].image_id"),
        (
            '{"videos": [], "sentences": [{"caption": ""}]}',
            r"as sentences\[0\], without 'video_id'",
        ),
    ],
)
def test_files_of_another_layout_are_refused(here, content, told):
    with pytest.raises(FileFormatError, match=told):
        images.read_captions(write("x.json", content))


def test_lines_that_are_no_captions_are_refused(here):
    with pytest.raises(
        FileFormatError, match=r"line 2 of 'x.txt' is 'b.jpg a cat', expected a nam"
    ):
        images.read_captions(write("x.txt", "a.jpg\ta dog\nb.jpg a cat\n"))
    (here / "y.txt").write_bytes(b"a.jpg\tcaf\xe9")
    with pytest.raises(FileFormatError, match=r"'y.txt' is not UTF-8: byte 0xe9 at 9"):
        images.read_captions("y.txt")


# ----- features -----


FEATURES = {"a": np.arange(3.0), "val2014/b.jpg": np.ones(3, np.float16)}


def saved(kind):
    if kind == "safetensors":
        tg.save("f.safetensors", {name: np.asarray(a) for name, a in FEATURES.items()})
        return "f.safetensors"
    if kind == "npz":
        np.savez("f.npz", **FEATURES)
        return "f.npz"
    if kind == "npy":
        np.save("f.npy", np.array(list(FEATURES.values())))
        return "f.npy"
    for name, array in FEATURES.items():
        path = __import__("pathlib").Path("f", name).with_suffix(".npy")
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, array)
    return "f"


@pytest.mark.parametrize("kind", ["safetensors", "npz", "npy", "folder"])
def test_features_from_every_kind_of_file(here, kind):
    found = images.captioned(saved(kind), write("k.json", KARPATHY))
    assert found.captions == [["A dog .", "x"], ["a cat"]]
    assert found.images.dtype == np.float32
    assert found.images.tolist() == [[0, 1, 2], [1, 1, 1]]
    assert found.pairs() == [(0, "A dog ."), (0, "x"), (1, "a cat")]
    only = images.captioned(saved(kind), "k.json", split="val")
    assert only.images.tolist() == [[1, 1, 1]]
    assert only.captions == [["a cat"]]
    assert str(only.left_out) == "captions without a word, 2: val2014/b.jpg"


def test_what_cannot_be_used_is_counted_and_named(here):
    np.savez(
        "f.npz", a=np.ones(3), b=np.ones(4), c=np.array([1, np.nan, 1]), d=np.zeros(0),
        e=np.array(["x"]), f=np.array([{}], object), g=np.ones(3), h=np.ones(3), i=np.ones(3),
    )  # fmt: skip
    said = [(name, ["x"]) for name in "abcdefg"] + [("h", [" "]), ("z", ["x"])]
    write("k.json", {"images": [
        {"filename": f"{name}.jpg", "split": "train", "sentences": [{"raw": t} for t in texts]}
        for name, texts in said
    ]})  # fmt: skip
    found = images.captioned("f.npz", "k.json", split="train")
    assert found.names == ["a", "g"]
    assert found.images.shape == (2, 3)
    assert found.left_out.names == {
        "captions without a word": {"h.jpg": ""},
        "captions without features": {"z.jpg": ""},
        "without captions": {"h": "", "i": ""},
        "cannot be read": {
            "c": "it holds NaN or infinity",
            "d": "it is empty, of shape (0,)",
            "e": "it holds <U1 of shape (1,), no features",
            "f": "Object arrays cannot be loaded when allow_pickle=False",
        },
        "of another shape than most": {"b": "(4,), most (3,)"},
    }
    told = str(found.left_out)
    assert "without captions, 2: h, i\n" in told
    assert "of shape (0,)), e (it holds <U1 of shape (1,), no features), 1 more" in told
    assert len(found.left_out) == 9
    assert list(found.left_out) == ["h.jpg", "h", "i", "z.jpg", *"cdef", "b"]


def test_features_too_large_for_memory_are_read_when_asked_for(here):
    for name in "abc":
        np.save(f"{name}.npy", np.full((1 + (name == "b"), 3), ord(name)))
    write("k.txt", "a\tx\nb\ty\nc\tz\nc\tw\n")
    found = images.captioned(".", "k.txt", memory=13)
    assert not isinstance(found.images, np.ndarray)
    assert found.names == ["a.npy", "c.npy"]
    assert found.captions == [["x"], ["z", "w"]]
    assert [array.tolist() for array in found.images] == [[[97.0] * 3], [[99.0] * 3]]
    assert len(found.images[1:]) == 1
    batches = Batches((found.images, np.arange(2)), 2)
    assert [x.shape for x, _ in batches] == [(2, 1, 3)]
    whole = images.captioned(".", "k.txt", memory=48)
    assert whole.images.tolist() == [[[97.0] * 3], [[99.0] * 3]]


def test_names_that_mean_several_are_not_guessed(here):
    np.savez("f.npz", **{"x/a": np.ones(1), "y/a": np.zeros(1), "b.c": np.ones(1)})
    found = images.captioned("f.npz", write("k.txt", "a\tone\ny/a\ttwo\nb.c\tthree\nb\tfour\n"))
    assert dict(zip(found.names, found.captions, strict=True)) == {
        "y/a": ["two"], "b.c": ["three", "four"],
    }  # fmt: skip
    assert found.left_out.names["captions without features"] == {"a": ""}


def test_captions_of_another_folder_are_not_those_of_a_namesake(here):
    (here / "cat").mkdir()
    np.save("cat/001.npy", np.ones(2))
    write("k.txt", "cat/001.jpg\ta cat\ndog/001.jpg\ta dog\n")
    with pytest.raises(FileFormatError, match=r"captions without features, 2: cat/001"):
        images.captioned("cat", "k.txt")  # either might be meant
    write("k.txt", "cat/001.npy\ta cat\ndog/001.npy\ta dog\n")
    found = images.captioned("cat", "k.txt")  # the folder tells
    assert (found.names, found.captions) == (["001.npy"], [["a cat"]])
    assert found.left_out.names == {"captions without features": {"dog/001.npy": ""}}


def test_of_names_that_differ_in_what_is_left_off_none_is_taken_for_another(here):
    np.savez("f.npz", **{"v.1": np.ones(1)})
    found = images.captioned("f.npz", write("k.txt", "v.1\tone\nv.2\ttwo\nv.2\tthree\n"))
    assert (found.names, found.captions) == (["v.1"], [["one"]])
    assert str(found.left_out) == "captions without features, 2: v.2"


def test_a_line_of_captions_ends_where_lines_end(here):
    np.savez("f.npz", a=np.ones(1), b=np.ones(1))
    (here / "k.txt").write_bytes("a\ta\u2028cat\x0c\x85x\r\nb\ta dog".encode())
    found = images.captioned("f.npz", "k.txt")
    assert found.captions == [["a\u2028cat\x0c\x85x"], ["a dog"]]


def test_splits_may_be_numbers(here):
    np.savez("f.npz", a=np.ones(1), b=np.zeros(1))
    write("k.json", {"images": [
        {"filename": "a", "split": 1, "sentences": [{"raw": "x"}]},
        {"filename": "b", "split": 2, "sentences": [{"raw": "y"}]},
    ]})  # fmt: skip
    for split in (1, "1"):
        assert images.captioned("f.npz", "k.json", split=split).captions == [["x"]]


def test_without_captions_it_is_all_that_there_is(here):
    np.savez("f.npz", a=np.ones(2), b=np.zeros(2), bad=np.full(2, np.nan))
    np.save("rows.npy", np.eye(3))
    found = images.captioned("f.npz", None)
    assert (found.names, found.captions, found.images.tolist()) == (
        ["a", "b"], [[], []], [[1, 1], [0, 0]]
    )  # fmt: skip
    assert found.left_out.names == {"cannot be read": {"bad": "it holds NaN or infinity"}}
    rows = images.captioned("rows.npy", None)
    assert rows.names == ["0", "1", "2"]
    assert rows.images.tolist() == np.eye(3).tolist()


# ----- clips -----


def test_features_of_clips_may_be_of_any_length_but_none(here):
    np.savez(
        "f.npz", a=np.arange(10.0).reshape(5, 2), b=np.ones((1, 2)), c=np.ones((0, 2)),
        d=np.ones(2), e=np.ones((4, 3)),
    )  # fmt: skip
    write("k.txt", "".join(f"{name}.mp4\tx\n" for name in "abcde"))
    found = images.captioned("f.npz", "k.txt", clips=True, frames=3)
    assert found.names == ["a", "b"]
    assert [array.tolist() for array in found.images] == [[[0, 1], [4, 5], [8, 9]], [[1, 1]]]
    assert found.left_out.names == {
        "cannot be read": {
            "c": "it is empty, of shape (0, 2)",
            "d": "it has shape (2,), and a clip features of each frame",
        },
        "of another shape than most": {"e": "(3,), most (2,)"},
    }


def test_clips_of_frames_in_folders(here, pillow):
    for clip, frames in {"a": (1, 2, 10), "b": (1,), "empty": (), "odd": (1,)}.items():
        (here / "clips" / "val" / clip).mkdir(parents=True)
        for number in frames:
            size = (4, 2) if clip != "odd" else (3, 3)
            pillow.new("RGB", size, (number, 0, 0)).save(f"clips/val/{clip}/frame{number}.png")
    pillow.new("RGB", (5, 5)).save("clips/val/odd/frame2.png")
    pillow.new("RGB", (4, 2)).save("clips/val/b/1²2.png")
    write("k.txt", "a\tx\nb\ty\nempty\tz\nodd\tw\n")
    found = images.captioned("clips", "k.txt", clips=True)
    assert [clip.shape for clip in found.images] == [(3, 3, 2, 4), (2, 3, 2, 4)]
    assert found.images[0][:, 0, 0, 0].tolist() == [1, 2, 10]
    assert found.left_out.names == {
        "cannot be read": {
            "val/empty": "it has no frame",
            "val/odd": "its frames are of different sizes, which size= would make equal",
        }
    }
    made = images.captioned("clips", "k.txt", clips=True, size=(2, 4), frames=2)
    assert [len(clip) for clip in made.images] == [2, 2, 2]
    (alone,) = images.captioned("clips/val/a", None, clips=True).images
    assert alone.tolist() == found.images[0].tolist()
    with pytest.raises(
        FileFormatError, match=r"no clips that can be used\.\n.*empty \(it has no fr"
    ):
        images.captioned("clips/val/empty", None, clips=True)


# ----- what is wrong -----


@pytest.mark.parametrize(
    ("make", "error", "told"),
    [
        (lambda: images.captioned("gone", "k.txt"), FileNotFoundError, "no file or folder 'gone'"),
        (lambda: images.captioned("k.txt", "k.txt"), ArgumentError, "source is 'k.txt', expected"),
        (lambda: images.captioned("f.npz", "gone"), FileNotFoundError, "gone"),
        (lambda: images.captioned("bad.npz", "k.txt"), FileFormatError, "'bad.npz' cannot be read"),
        (lambda: images.captioned("bad.npy", "k.txt"), FileFormatError, "'bad.npy' cannot be read"),
        (
            lambda: images.captioned("rows.npy", "k.txt"), FileFormatError,
            r"'rows.npy' has shape \(3, 2\), expected \(1, ...\): a row for each image",
        ),
        (
            lambda: images.captioned("f.npz", "k.txt", split="val"), ArgumentError,
            "split is 'val', expected None, which takes all: the file of captions has no splits",
        ),
        (
            lambda: images.captioned("f.npz", "k.json", split="dev"), ArgumentError,
            "split is 'dev', expected one of train, val",
        ),
        (
            lambda: images.captioned("f.npz", "k.txt"), FileFormatError,
            "have no features with captions in common.\ncaptions without features, 1: a.jpg\nwith",
        ),
        (
            lambda: images.captioned("f.npz", None, split="val"), ArgumentError,
            "split is 'val' without captions, expected both",
        ),
        (lambda: images.captioned("f.npz", "k.txt", frames=3), ArgumentError, "without clips=True"),
        (lambda: images.captioned("f.npz", "k.txt", mode="HSV"), ArgumentError, "mode is 'HSV'"),
        (lambda: images.captioned("f.npz", "k.txt", fit="cut"), ArgumentError, "fit is 'cut'"),
        (lambda: images.captioned("f.npz", "k.txt", size=(3,)), ArgumentError, r"size is \(3,\)"),
        (lambda: images.scaled(np.zeros((1, 2, 2), np.uint8)), ArgumentError, "channels: 1"),
        (lambda: images.scaled(np.zeros((3, 2, 2))), ArgumentError, "pixels holds float64 of shap"),
    ],
)  # fmt: skip
def test_errors_say_what_was_expected(here, make, error, told):
    write("k.txt", "a.jpg\tx\n")
    write("k.json", KARPATHY)
    np.savez("f.npz", q=np.ones(3))
    np.save("rows.npy", np.ones((3, 2)))
    write("bad.npz", "PK\x03\x04 and no more")
    write("bad.npy", "no array")
    with pytest.raises(error, match=told):
        make()
