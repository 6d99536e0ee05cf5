"""The examples of questions: the tool, what they ask, and what they hold out."""

import json
import random
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.loaded_example import EXAMPLES, command, goes_on_to_the_same_bits, loaded

SMALL = "--hidden 8 --embedding 4 --batch 4 --epochs 2".split()


@pytest.fixture
def asked(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return loaded("asked")


@pytest.fixture
def talks(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return loaded("talks")


@pytest.fixture
def tool(monkeypatch, capsys, tmp_path, reference):
    """A function that runs the command in an empty folder: what it wrote, and what it died of."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    module = loaded("answer")
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    np.savez("vgg.npz", **{str(n): rng.standard_normal((3, 2, 2)) for n in range(8)})
    np.save("one.npy", rng.standard_normal((3, 2, 2)).astype(np.float32))
    rows = [["Is it red?", "yes" if n % 2 else "no", n] for n in range(8)]
    Path("questions.json").write_text(
        json.dumps([*rows, ["what?", "an owl", 3], ["is it?", "", 2]])
    )
    return command(module, "answer", monkeypatch, capsys)


@pytest.mark.parametrize("how", [[], ["--attend", "--layers", 1]])
def test_features_of_ones_own_are_learned_and_asked(tool, how):
    files = ("vgg.npz", "questions.json")
    said, died = tool(*files, *SMALL, "--answers", 2, "--kept", *files, *how)
    assert not died, died
    assert "questions without an answer, 1: 2 (is it?)" in said
    assert "1 questions are left out, whose answers are not among the 2" in said
    assert "8 images with 8 questions to learn from" in said
    assert re.search(r"questions kept aside: [\d.]+% right\nwrote out/answer/model", said)
    said, died = tool("--ask", "one.npy", "is it red?", "is it a quux?")
    assert not died, died
    assert re.match(
        r"is it red\? (yes|no) \(\d+%\), (yes|no) \(\d+%\)\nnever learned:.* quux", said
    )
    first = said.splitlines()[0]
    said, died = tool("--ask", "one.npy", " ", "is it red?")
    assert not died, died
    assert said.splitlines() == ['" " has no word: nothing is answered', first]
    Path("photo.jpg").write_bytes(b"no image")
    for place in ("photo.jpg", "vgg.npz"):
        _, died = tool("--ask", place, "is it red?")
        assert f"{place} is no .npy file of numbers, expected the features of an image" in died


def test_the_small_files_can_be_learned_from(tool):
    loaded("own_images").write_small_files()
    said, died = tool("scenes.npz", "questions.json", *SMALL, "--epochs", 1)
    assert not died, died
    assert "40 images with 320 questions to learn from" in said


def test_an_interrupted_run_goes_on_to_the_same_bits(tool):
    goes_on_to_the_same_bits(tool, ("vgg.npz", "questions.json", *SMALL, "--save-every", 1), 3)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("vgg.npz", "expected a folder of images, or features, and a file of questions"),
        ("vgg.npz none.json", "none.json"),
        ("vgg.npz questions.json --epochs 0", "--epochs is 0, expected a whole number from 1 up"),
        ("vgg.npz questions.json --size 4", "--size is 4, expected a whole number from 8 up"),
        ("none questions.json", "images.asked: there is no file or folder 'none'"),
        ("vgg.npz questions.json a.json b.json", "expected a folder of images, or features, and"),
        ("vgg.npz questions.json --width 8", "--width is 8, expected a whole number from 9 up"),
        ("vgg.npz questions.json --kept vgg.npz none.json", "none.json"),
        ("--ask one.npy", "--ask: expected an image and a question"),
        ("--ask one.npy what?", "'out/answer/model' holds no model.json"),
        ("--resume", "there is no run in 'out/answer' to resume"),
    ],
)
def test_what_cannot_be_done_is_said_and_leaves_nothing(tool, arguments, told):
    _, died = tool(*arguments.split())
    assert told in died
    assert not Path("out").exists()


# ----- what is asked -----


def test_what_is_held_out_is_never_learned_nor_asked_for(asked):
    learned, others = asked.asked_scenes(300, 60)
    assert (learned, others) == asked.asked_scenes(300, 60)
    looks = lambda scenes: {(t.size, t.colour, t.shape) for scene in scenes for t in scene.things}
    assert not looks(learned) & asked.HELD_OUT
    assert all(looks([scene]) & asked.HELD_OUT for scene in others)
    assert len(asked.HELD_OUT) == 12
    assert looks(learned) | looks(others) == looks(learned) | asked.HELD_OUT
    asker = asked.Asker(1)
    questions = [one for scene in learned for one in asker.questions(scene, 6)]
    words = {word for one in questions for word in one.text.split()}
    tests = [one for scene in others for one in asker.questions(scene, 6)]
    assert {word for one in tests for word in one.text.split()} <= words


def test_scenes_are_asked_about_anew_each_time(asked, tool):
    answer = tool.module
    answer.LEARNED, answer.ASKED = 12, 4
    scenes = answer.Scenes(0, drawn=False)
    known = scenes.known(np.arange(12), 3)
    assert list(known.images) == [*range(12)] * 3
    first, second, third = (known.questions[n : n + 12] for n in (0, 12, 24))
    assert first != second != third != first
    of = [s.things for s in scenes.learned * 3]
    for things, own, answers in zip(of, known.questions, known.answers, strict=True):
        assert len(own) == answer.EACH
        looks = {look for t in things for look in (t.size, t.colour, t.shape)}
        assert set(answers) <= looks | {"yes", "no"}


def test_who_asks_for_more_than_there_is_to_ask_gets_all(asked):
    scene = next(s for s in asked.asked_scenes(20, 0)[0] if len(s.things) == 2)
    found = asked.Asker(0).questions(scene, 1000)
    assert 20 < len(found) < 200
    assert len({one.text for one in found}) == len(found)


def described(asked, scene, name):
    """The things that a name, "the small red thing", may mean."""
    words = set(name.removeprefix("the ").removesuffix("?").split()) - {"thing"}
    return [t for t in scene.things if words <= {t.size, t.colour, t.shape}]


def test_answers_are_true(asked):
    """By what the words of each question say, read from the text alone."""
    places = lambda scene: {thing: quarter for quarter, thing in scene.placed}
    steps = {"left of": -1, "right of": 1, "above": -2, "below": 2}
    for scene in asked.asked_scenes(150, 50, seed=3)[1]:
        at = places(scene)
        for one in asked.Asker(2).questions(scene, 8):
            relation = next((r for r in steps if f" {r} " in one.text), None)
            if one.kind == "corner":
                corner = re.search(r"at the (\w+ \w+)", one.text)[1]
                (thing,) = [t for t in at if asked.CORNERS[at[t]] == corner]
            elif one.kind == "neighbour":
                name = one.text.partition(f" {relation} ")[2]
                (other,) = described(asked, scene, name)
                (thing,) = [t for t in at if at[t] == at[other] + steps[relation]]
                assert (at[thing] % 2 == at[other] % 2) == (relation in ("above", "below"))
            elif one.kind == "beside":
                (thing,) = described(asked, scene, one.text.partition(f" {relation} ")[2])
                there = at[thing] + steps[relation] in at.values()
                assert one.answer == ("yes" if there else "no")
            elif one.kind == "is there":
                found = described(asked, scene, re.sub("^is there an? ", "", one.text))
                assert one.answer == ("yes" if found else "no")
                continue
            else:
                name = re.search(r"is (the .*?)( small or large)?\?", one.text)[1]
                (thing,) = described(asked, scene, name)
            if one.kind != "beside":
                assert one.answer in (thing.colour, thing.shape, thing.size)
            assert scene.things[one.about] == thing


def test_choices_are_four_of_which_one_is_right(asked):
    for scene in asked.asked_scenes(20, 0)[0]:
        for one in asked.Asker(0).questions(scene, 8):
            assert len(set(one.choices())) == 4
            assert one.answer in one.choices()
            assert one.choices() == one.choices()


def test_answers_are_as_frequent_as_they_are_to_be(asked):
    learned = asked.asked_scenes(300, 0)[0]
    for usual in (None, True, False):
        asker = asked.Asker(0, usual)
        questions = [one for scene in learned for one in asker.questions(scene, 4)]
        for kind in asked.KINDS:
            counts = Counter(one.answer for one in questions if one.kind == kind)
            share = sum(counts[name] for name in asked.USUAL) / counts.total()
            if usual is None:
                assert max(counts.values()) < 0.62 * counts.total()
            else:
                assert (share > 0.7) if usual else (share < 0.3)


def test_dialogues_speak_of_what_was_spoken_of(talks):
    learned, others = talks.talks(60, 20)
    assert [learned, others] == talks.talks(60, 20)
    twice, _ = talks.talks(60, 20, times=2)
    assert [talk.scene for talk in twice] == 2 * [talk.scene for talk in learned]
    assert twice[:60] == learned
    assert all(one.told() != other.told() for one, other in zip(twice, twice[60:], strict=False))
    kinds = Counter(one.of for talk in learned for one in talk.rounds)
    assert set(kinds) == {"name", "it", "other"}
    assert min(kinds.values()) > 0.1 * kinds.total()
    for talk in learned + others:
        assert len(talk.rounds) == talks.ROUNDS
        assert talk.rounds[0].of != "other"
        for one in talk.rounds:
            assert ("the other one" in one.question) == (one.of == "other")
            assert bool(re.search(r"\bit\b", one.question)) == (one.of == "it")


def meant(asked, scene, question, named):
    """What a question asks for, and of which things it may be, if a thing is named or not."""
    kind = re.match(r"what (\w+)|is", question)[1] or "size"
    found = re.search(rf"({'|'.join(asked.BESIDE)}) (.*)\?", question)
    if found is None:
        return kind, set(range(len(scene.things))) if named is None else {named}
    near = {
        one for one, relation, other in scene.beside
        if relation == found[1] and named in (None, other)
    }  # fmt: skip
    return kind, near


def test_it_is_what_the_last_answer_was_about_and_cannot_be_guessed(asked, talks):
    for talk in talks.talks(60, 0)[0]:
        scene, known, other = talk.scene, set(), None
        (thing,) = described(asked, scene, talk.caption.split(maxsplit=3)[-1].strip("."))
        it = scene.things.index(thing)
        for one in talk.rounds:
            if one.of == "name":
                name = re.sub(
                    r"^(what|is) .*(of|above|below|is) the |^is the | small or.*", "", one.question
                )
                (thing,) = described(asked, scene, name)
                named = scene.things.index(thing)
            else:
                named = {"it": it, "other": other}[one.of]
            kind, (about,) = meant(asked, scene, one.question, named)
            assert getattr(scene.things[about], kind) == one.answer
            assert (about, kind) not in known
            known.add((about, kind))
            _, maybe = meant(asked, scene, one.question, None)
            assert len({getattr(scene.things[number], kind) for number in maybe}) > 1
            if about != it:
                it, other = about, it


def test_of_things_that_are_alike_all_that_can_be_asked_is(asked, talks):
    looks = [(size, colour, "circle") for size in asked.SIZES for colour in ("red", "blue")]
    placed = [(n, asked.Thing(*look, 0.5, 0.5, 0.1, 0.0)) for n, look in enumerate(looks)]
    scene = asked.Scene(tuple(placed), 0)
    found = [len(talks.talk(scene, random.Random(seed)).rounds) for seed in range(30)]
    assert min(found) >= 3, found
