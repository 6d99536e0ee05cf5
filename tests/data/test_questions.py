"""Questions about images, from files of several layouts; what cannot be used is named."""

import json

import numpy as np
import pytest

from tinygrad_rnn.data import images
from tinygrad_rnn.errors import FileFormatError

EASY = [["what is it?", "circle", 0], ["is it red?", "no", 0], ["is it red?", "yes", 1]]
VQA = {
    "questions": [
        {"question": "what is it?", "image_id": 7, "question_id": 70},
        {"question": "is it red?", "image_id": 9, "question_id": 90},
        {"question": "why?", "image_id": 9, "question_id": 91},
    ]
}
NOTES = {
    "annotations": [
        {"question_id": 70, "multiple_choice_answer": "a cat"},
        {"question_id": 90, "answers": [{"answer": "no"}, {"answer": "yes"}, {"answer": "yes"}]},
    ]
}


@pytest.fixture
def folder(tmp_path):
    """A function that writes a file of JSON."""

    def write(name, given):
        text = given if isinstance(given, str) else json.dumps(given)
        (tmp_path / name).write_text(text)
        return tmp_path / name

    write.path = tmp_path
    return write


def features(folder, *names):
    np.savez(folder.path / "vgg.npz", **{name: np.full(2, n) for n, name in enumerate(names)})
    return folder.path / "vgg.npz"


def test_the_layout_of_easy_vqa(folder):
    found = images.asked(features(folder, "0", "1"), folder("questions.json", EASY))
    assert found.names == ["0", "1"]
    assert found.questions == [["what is it?", "is it red?"], ["is it red?"]]
    assert found.answers == [["circle", "no"], ["yes"]]
    np.testing.assert_array_equal(found.images[:, 0], [0, 1])
    assert not found.left_out


def test_questions_of_several_splits_about_one_image(folder):
    rows = [
        {"question": "what?", "answer": "cat", "image": "a", "split": "train"},
        {"question": "where?", "answer": "here", "image": "a", "split": "test"},
        {"question": "how many?", "answer": 3, "image": "a", "split": "test"},
        {"question": " ", "answer": "x", "image": "a", "split": "test"},
        {"question": "", "answer": "x", "image": "a", "split": "test"},
    ]
    source, file = features(folder, "a"), folder("q.json", rows)
    train, test, both = (images.asked(source, file, split=s) for s in ("train", "test", None))
    assert (train.questions, train.answers) == ([["what?"]], [["cat"]])
    assert (test.questions, test.answers) == ([["where?", "how many?"]], [["here", "3"]])
    assert both.questions == [["what?", "where?", "how many?"]]
    assert str(both.left_out) == "questions without a word, 2: a"
    rows = folder("q.json", [row | {"image": "a.jpg"} for row in rows])
    np.save(folder.path / "rows.npy", np.ones((1, 2)))
    assert images.asked(folder.path / "rows.npy", rows, split="test").names == ["a.jpg"]


def test_the_layout_of_vqa_whose_images_have_numbers(folder):
    source = features(folder, "COCO_val2014_000000000009.jpg", "COCO_val2014_000000000007.jpg")
    found = images.asked(source, folder("q.json", VQA), folder("a.json", NOTES))
    assert dict(zip(found.names, found.answers, strict=True)) == {
        "COCO_val2014_000000000007.jpg": ["a cat"], "COCO_val2014_000000000009.jpg": ["yes"],
    }  # fmt: skip
    assert str(found.left_out) == "questions without an answer, 1: 9 (why?)"


def test_a_question_that_nobody_answered_is_left_out(folder):
    notes = [NOTES["annotations"][0], {"question_id": 90, "answers": []}]
    found = images.asked(
        features(folder, "7", "9"), folder("q.json", VQA), folder("a.json", {"annotations": notes})
    )
    assert found.answers == [["a cat"]]
    assert "questions without an answer, 2: 9 (is it red?)" in str(found.left_out)


def test_a_number_is_that_of_one_image_alone(folder):
    given = [["is it?", "yes", 7], ["is it?", "no", 8]]
    found = images.asked(features(folder, "a_7", "b_7", "a_8"), folder("questions.json", given))
    assert found.names == ["a_8"]
    assert found.left_out.names["questions without features"] == {"7": ""}


def test_objects_in_a_list_or_one_on_each_line(folder):
    rows = [
        {"image": f"{name}.png", "question": " is it? ", "answer": "yes", "split": split}
        for name, split in (("a", "train"), ("b", "val"))
    ]
    lines = "\n".join(map(json.dumps, rows)) + "\n"
    for place in (folder("list.json", rows), folder("lines.json", lines)):
        found = images.asked(features(folder, "a", "b"), place, split="val")
        assert found.names == ["b"]
        assert found.questions == [["is it?"]]


def test_what_cannot_be_used_is_named_and_the_rest_goes_on(folder):
    given = [*EASY, ["is it?", "yes", 5], ["", "yes", 0], ["is it?", " ", 1], ["is it?", "no", 3]]
    np.savez(folder.path / "vgg.npz", **{"0": [1.0], "1": [2.0], "2": [3.0], "3": [np.nan]})
    found = images.asked(folder.path / "vgg.npz", folder("questions.json", given))
    assert found.names == ["0", "1"]
    assert [len(own) for own in found.questions] == [2, 1]
    assert found.left_out.names == {
        "questions without a word": {"0": ""},
        "questions without an answer": {"1": "is it?"},
        "questions without features": {"5": ""},
        "without questions": {"2": ""},
        "cannot be read": {"3": "it holds NaN or infinity"},
    }


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("{", r"'.*q.json' is no JSON"),
        ('{"a": 1}', r"holds \{'a': 1\}, expected a list, or the layout of VQA"),
        ('[["is it?", "yes"]]', r"entry 0 of '.*q.json' is \['is it\?', 'yes'\], expected \[quest"),
        ('{"questions": [{"question": "is it?"}]}', "lack 'image_id', expected the layout of VQA"),
        ('{"questions": null}', "cannot be used: 'NoneType' object is not iterable, expected the"),
        ('[["is it?", "yes", 3]]', "have no features with questions in common"),
    ],
)
def test_files_of_another_layout_are_refused(folder, given, told):
    with pytest.raises(FileFormatError, match=told):
        images.asked(features(folder, "0"), folder("q.json", given))
