"""Images with what is asked about them and answered: easy-VQA, VQA, and lines of JSON."""

import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.data.images.captions import split_of
from tinygrad_rnn.data.images.left_out import LeftOut
from tinygrad_rnn.data.images.pairing import Place, Reader, paired
from tinygrad_rnn.errors import FileFormatError

__all__ = ["Asked", "Questions", "asked", "read_questions"]


class Questions(NamedTuple):
    """What is asked about one image: pairs of question and answer.

    name   of its file, or its number
    split  "train", "val", "test", ...; None where the file does not say
    """

    name: str
    texts: list[tuple[str, str]]
    split: str | None


class Asked(NamedTuple):
    """Images, or features, and what is asked about each, with the answers.

    images     (N, C, H, W) bytes, or features (N, D), (N, D, h, w)
    questions  about each one or more
    answers    as many
    left_out   what could not be used; a text that says so
    """

    names: list[str]
    images: Any
    questions: list[list[str]]
    answers: list[list[str]]
    left_out: LeftOut


def asked(
    source: Place,
    questions: Place,
    answers: Place | None = None,
    *,
    split: str | None = None,
    size: Any = None,
    mode: str = "RGB",
    fit: str = "crop",
    memory: int = 2**29,
) -> Asked:
    """Images with questions, from a folder and a file; or features of them.

        found = images.asked("images", "questions.json", size=(64, 64))
        found = images.asked("val2014", "v2_val_questions.json", "v2_val_annotations.json")
        print(found.left_out)

    What cannot be used is left out, counted and named: questions without an image, a word, or an
    answer, and images that cannot be read.

    Args:
        source: As of ``captioned``.
        questions: A file as ``read_questions`` reads it.
        answers: The file of annotations, in the layout of VQA.
        split, size, mode, fit, memory: As of ``captioned``.
    """
    left_out = LeftOut()
    known = read_questions(questions, answers, left_out)
    how = {"size": size, "mode": mode, "fit": fit}
    reader = Reader("images.asked", source, known, False, None, how)
    numbers = _by_number(reader.source.names)
    known = [one._replace(name=numbers.get(one.name, one.name)) for one in known]
    names, arrays, texts, _ = paired(reader, questions, known, "questions", split, memory, left_out)
    pairs = [([q for q, _ in own], [a for _, a in own]) for own in texts]
    return Asked(names, arrays, [q for q, _ in pairs], [a for _, a in pairs], left_out)


def read_questions(
    questions: Place, answers: Place | None = None, left_out: LeftOut | None = None
) -> list[Questions]:
    """The questions of a file, image by image; those of several splits apart.

    | layout   |                                                                            |
    |----------|----------------------------------------------------------------------------|
    | easy-VQA | ``[[question, answer, number or name of the image], ...]``                  |
    | VQA      | ``{"questions": [{"question", "image_id", "question_id"}]}``, and in another |
    |          | file ``{"annotations": [{"question_id", "multiple_choice_answer"}]}``       |
    | objects  | ``[{"question", "answer", "image", "split"}, ...]``, or one on each line     |

    Args:
        left_out: Where to note what cannot be used.
    """
    left_out = LeftOut() if left_out is None else left_out
    where = "images.read_questions"
    given = _json(where, questions)
    if isinstance(given, dict) and "questions" in given:
        rows = _of_vqa(where, questions, given, {} if answers is None else _json(where, answers))
    elif isinstance(given, list):
        rows = [_row(where, questions, number, row) for number, row in enumerate(given)]
    else:
        raise FileFormatError(
            f"{where}: {os.fspath(questions)!r} holds {shortened(given)}, expected a list, or the "
            "layout of VQA."
        )
    found: dict[tuple[str, str | None], Questions] = {}
    for image, question, answer, split in rows:
        name = str(image)
        if not (isinstance(question, str) and question.strip()):
            left_out.add("questions without a word", name)
        elif not (said := _said(answer)):
            left_out.add("questions without an answer", name, question)
        else:
            one = found.setdefault((name, split), Questions(name, [], split))
            one.texts.append((question.strip(), said))
    return list(found.values())


def _said(answer: Any) -> str:
    """An answer as a text; "" where it is none."""
    number = isinstance(answer, int | float) and not isinstance(answer, bool)
    return str(answer).strip() if number or isinstance(answer, str) else ""


Row = tuple[Any, Any, Any, str | None]  # image, question, answer, split


def _json(where: str, place: Place) -> Any:
    """What a file of JSON holds, or the lines of one."""
    text = Path(place).read_bytes()
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        try:
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        except (ValueError, RecursionError):
            raise FileFormatError(f"{where}: {os.fspath(place)!r} is no JSON: {error}.") from None


def _row(where: str, place: Place, number: int, row: Any) -> Row:
    if isinstance(row, list) and len(row) == 3:
        return row[2], row[0], row[1], None
    if isinstance(row, dict) and {"question", "image"} <= set(row):
        return row["image"], row["question"], row.get("answer"), split_of(row)
    raise FileFormatError(
        f"{where}: entry {number} of {os.fspath(place)!r} is {shortened(row)}, expected "
        "[question, answer, image], or an object with these names."
    )


def _of_vqa(where: str, place: Place, given: Any, told: Any) -> list[Row]:
    try:
        notes = told.get("annotations", given.get("annotations", []))
        answers = {note["question_id"]: _usual(note) for note in notes}
        return [
            (one["image_id"], one["question"], answers.get(one["question_id"]), None)
            for one in given["questions"]
        ]
    except (KeyError, TypeError, AttributeError) as error:
        told = f"lack {error}" if isinstance(error, KeyError) else f"cannot be used: {error}"
        raise FileFormatError(
            f"{where}: {os.fspath(place)!r} or its annotations {told}, expected the layout "
            "of VQA: questions with image_id and question_id, annotations with question_id and "
            "multiple_choice_answer or answers."
        ) from None


def _usual(note: dict[str, Any]) -> Any:
    """The answer of most people; None where nobody gave one."""
    if "multiple_choice_answer" in note:
        return note["multiple_choice_answer"]
    counts = Counter(one["answer"] for one in note["answers"]).most_common(1)
    return counts[0][0] if counts else None


def _by_number(names: list[str]) -> dict[str, str]:
    """Names by the number that they end with, as VQA tells of COCO's images; of one alone."""
    found: dict[str, list[str]] = {}
    for name in names:
        if number := re.search(r"(\d+)(\.\w+)?$", name):
            found.setdefault(str(int(number[1])), []).append(name)
    return {number: own[0] for number, own in found.items() if len(own) == 1}
