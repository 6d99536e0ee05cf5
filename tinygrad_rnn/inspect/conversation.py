"""Dialogues about an image, drawn: what was asked, and what each of some has answered."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.inspect.frame import RIGHT_OR_WRONG, escape, framed, stacked
from tinygrad_rnn.inspect.gallery import gallery
from tinygrad_rnn.inspect.pixels import check_picture, source_of

__all__ = ["Conversation", "page_of_conversations", "picture_of_conversations"]

Array = NDArray[Any]

SIDE, LINE, LETTER, MARGIN, GAP = 172, 25, 6.9, 16, 22
STYLE = (
    ".said{font-size:15px;font-weight:600}.asked{font-size:13px}.who{font-size:12px;opacity:.6}"
    ".answer{font-size:13px;font-weight:600}.line{stroke:#9aa3ab;stroke-opacity:.35}"
    f"{RIGHT_OR_WRONG}"
)


@dataclass(frozen=True, eq=False)
class Conversation:
    """An image, what is said of it first, questions about it, and their answers.

        one = inspect.Conversation(picture, "there is a star.", ["what colour is it?"], ["red"])
        pathlib.Path("talk.svg").write_text(one.svg())

    picture (H, W, 3)  bytes of red, green and blue
    caption            what is said first
    questions          R of them
    answers            those that are right
    said               what each of some has answered, R each, by who it is
    """

    picture: Array
    caption: str
    questions: Sequence[str]
    answers: Sequence[str]
    said: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_picture("Conversation", self.picture)
        counts = {"answers": len(self.answers), **{who: len(own) for who, own in self.said.items()}}
        for who, count in counts.items():
            if count != len(self.questions):
                raise ShapeError(
                    f"Conversation: {len(self.questions)} questions and {count} answers "
                    f"({who}), expected as many."
                )

    def svg(self) -> str:
        """The image, with what is said beside it."""
        drawn, width, height = self.drawn()
        return framed(drawn, width, height, STYLE, self.label())

    def drawn(self) -> tuple[str, int, int]:
        """The parts of the drawing, its width and its height."""
        left, top = MARGIN + SIDE + GAP, MARGIN + 14
        parts = [
            f'<image x="{MARGIN}" y="{MARGIN}" width="{SIDE}" height="{SIDE}" '
            f'href="{source_of(self.picture)}"/>',
            f'<text class="said" x="{left}" y="{top}">{escape(self.caption)}</text>',
        ]
        columns = {"": self.answers} if not self.said else self.said
        begin = left + LETTER * max(map(len, self.questions), default=0) + GAP
        for number, question in enumerate(self.questions):
            y = top + LINE * (number + 2)
            parts.append(f'<text class="asked" x="{left}" y="{y}">{escape(question)}</text>')
        for who, own in columns.items():
            parts.append(f'<text class="who" x="{begin:.0f}" y="{top + LINE}">{escape(who)}</text>')
            for number, (answer, true) in enumerate(zip(own, self.answers, strict=True)):
                mark, kind = ("✓", "right") if answer == true else ("✗", "wrong")
                parts.append(
                    f'<text class="answer {kind}" x="{begin:.0f}" '
                    f'y="{top + LINE * (number + 2)}">{mark} {escape(answer)}</text>'
                )
            begin += max(LETTER * len(who), 80) + GAP
        for number in range(len(self.questions)):
            y = top + LINE * (number + 1) + 8
            parts.append(f'<path class="line" d="M{left} {y}H{begin - GAP:.0f}"/>')
        wide = max(begin, left + 8.5 * len(self.caption))
        height = max(MARGIN + SIDE, top + LINE * (len(self.questions) + 1) + 8) + MARGIN
        return "".join(parts), round(wide + MARGIN), round(height)

    def label(self) -> str:
        """What a reader hears who does not see the image."""
        rounds = zip(self.questions, self.answers, strict=True)
        return " ".join([self.caption, *(f"{question} {answer}." for question, answer in rounds)])


def page_of_conversations(
    talks: Iterable[Conversation],
    *,
    title: str = "What is said about it",
    note: str = "",
    figures: Mapping[str, str] | None = None,
) -> str:
    """A page in HTML that holds all it needs: dialogues, then figures with their names."""
    return gallery((one.svg() for one in talks), title, note, figures)


def picture_of_conversations(talks: Iterable[Conversation]) -> str:
    """Several of them, one below the other, as one image."""
    return stacked(((one.label(), one.drawn()) for one in talks), STYLE)
