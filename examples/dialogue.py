"""Learn to answer the questions of a dialogue about an image: what is "it", and "the other one"?

    before the first answer it reads   there is a yellow star. END is it small or large? END
    before the next                    small what colour is the thing below it? END
    before each word                   a_t by [h_{t-1}; e_t]     h_t = LSTM([e_t; c_t], h_{t-1})
    answer                             softmax(tanh(tanh([h_T; c_T; e_T] W_j) W) W_a)

All is one text, which is read with the image in view, so "it" is what h knows of where was looked.
It learns from questions that stand alone (asked.py), then from dialogues (talks.py) about drawn
scenes, and is asked about others, with things of looks that it has never seen. An encoder learns
first what stands where, as in answer.py. Beside it learn three from which something is hidden:
the image, the question, or what was said before. Answers are given in view of the right answers
before, or of its own.

    dialogue.py --seed 1 --out out/dialogue

The folder of --out gets the model, and ``dialogues.html``: scenes with what is said of them.
"""

import argparse
from pathlib import Path

import answer
import asked
import command
import numpy as np
import talks
from caption import shown

import tinygrad_rnn as tg
from tinygrad_rnn import inspect, models, text, training

SHORT = answer.SHORT
# Scenes that are learned from, are asked, are drawn.
LEARNED, ASKED, DRAWN = (24, 8, 2) if SHORT else (3_000, 400, 12)
# Times 8 questions, and dialogues, about a scene; and dialogues where something is hidden.
ALONE, TALKED, HIDES = (1, 1, 1) if SHORT else (3, 7, 2)
HIDDEN, RATE = (8, 6e-3) if SHORT else (256, 6e-3)
WAYS = {
    "all of it": {},
    "without what was said": {"history": False},
    "without the image": {"image": False},
    "without the question": {"question": False},
}


class Talks:
    """Dialogues to learn from and dialogues that are asked, and what an encoder sees."""

    def __init__(self, seed: int, drawn: bool = True, times: int = TALKED) -> None:
        self.learned, self.asked = talks.talks(LEARNED, ASKED, seed, times)
        self.scenes = [talk.scene for talk in self.learned[:LEARNED]]
        self.alone = answer.Scenes(seed, False, talks.THINGS)  # the same
        if drawn:
            self.pictures = shown(self.scenes)
            self.others = shown([talk.scene for talk in self.asked])
        said = [self.text_of(talk) for talk in self.learned + self.asked]
        self.words = text.Words.of("\n".join([*said, *self.alone.words.pieces]))
        self.of = np.array([one.of for talk in self.asked for one in talk.rounds])

    def asked_of(self) -> tuple[list[str], list[list[tuple[str, str]]]]:
        """Captions and rounds of what is asked."""
        return [talk.caption for talk in self.asked], [talk.told() for talk in self.asked]

    @staticmethod
    def text_of(talk: talks.Talk) -> str:
        """All that is said."""
        return "\n".join([talk.caption, *(f"{q} {a}" for q, a in talk.told())])


def model_of(given: Talks, settings: dict) -> models.Dialogue:
    """A model that has learned nothing yet."""
    return models.Dialogue(
        given.words, asked.ANSWERS, None, answer.EMBEDDING, HIDDEN,
        features=(answer.WIDTH, 2, 2), attend=True, word_asks=True, cell="LSTM", num_layers=1,
        **settings,
    )  # fmt: skip


def learned_alone(
    given: Talks, seen: np.ndarray, times: int = ALONE, **how
) -> tuple[models.Dialogue, training.History]:
    """A model that has learned from questions that stand alone; ``how`` is for ``Trainer.fit``."""
    model = model_of(given, {})
    known = given.alone.known(seen, times)
    questions, answers, of = known.flat()
    rounds = [[pair] for pair in zip(questions, answers, strict=True)]  # dialogues of one round
    images = [known.images[number] for number in of]
    batches = model.batches(images, [None] * len(rounds), rounds, 128, shuffle=True)
    return model, answer.fitted(model, batches, 1, RATE, **how)


def learned(
    given: Talks, seen: np.ndarray, settings: dict, alone: models.Dialogue, times: int, **how
) -> tuple[models.Dialogue, training.History]:
    """A model that has learned from so many dialogues about each scene that eyes have seen.

    It goes on from what was learned ``alone``, or begins anew if the image or the question is
    hidden.
    """
    model = model_of(given, settings)
    if model.image and model.question:
        model.load_state_dict(alone.state_dict())
    talked = given.learned[: LEARNED * times]
    captions, told = [talk.caption for talk in talked], [talk.told() for talk in talked]
    batches = model.batches([*seen] * times, captions, told, 64, shuffle=True)
    return model, answer.fitted(model, batches, 1, RATE, **how)


def learn(seed: int, folder: Path | None = None) -> dict:
    """All of it: which shares of answers are right; drawn into a folder."""
    tg.seed(seed)
    given = Talks(seed)
    print(
        f"{len(given.learned):,} dialogues of {talks.ROUNDS} rounds about {LEARNED:,} scenes to "
        f"learn from, {ASKED} about others"
    )
    eyes, history = answer.see(given.pictures, given.scenes)
    print(f"eyes have learned to see in {answer.seconds(history):.0f} s")
    seen, others = (answer.features(eyes, one) for one in (given.pictures, given.others))
    captions, told = given.asked_of()
    true = np.array([one for own in told for _, one in own])
    alone, history = learned_alone(given, seen)
    print(f"and to answer questions that stand alone in {answer.seconds(history):.0f} s")
    rows, answers = {}, {}
    for name, how in WAYS.items():
        model, history = learned(given, seen, how, alone, HIDES if how else TALKED)
        said = model.answers(others, captions, told)
        rows[name] = by_reference(given, np.concatenate(said) == true)
        if not how:
            questions = [[question for question, _ in own] for own in told]
            own = model.talk(others, captions, questions)
            rows["in view of its own answers"] = by_reference(given, np.concatenate(own) == true)
            if folder is not None:
                model.save(folder / "model")
        answers[name] = said
        print(f"{name}: {rows[name]['all']:.1%} right, learned in {answer.seconds(history):.0f} s")
    if folder is not None:
        draw(given, answers, folder)
    answer.table("right, by what is spoken of", rows)
    return rows


def by_reference(given: Talks, right: np.ndarray) -> dict[str, float]:
    """Shares of all answers that are right, and where a thing is named, is "it", or the other."""
    names = {"name": "by its name", "it": "“it”", "other": "“the other one”"}
    parts = {what: float(right[given.of == of].mean()) for of, what in names.items()}
    needed = float(right[given.of != "name"].mean())
    return {"all": float(right.mean()), **parts, "it or other": needed}


def draw(given: Talks, said: dict[str, list[list[str]]], folder: Path) -> None:
    """Dialogues that were asked, with what each has answered, on a page and as a picture."""
    shown = [
        inspect.Conversation(
            talk.scene.picture(344),
            talk.caption,
            [one.question for one in talk.rounds],
            [one.answer for one in talk.rounds],
            {name: own[number] for name, own in said.items()},
        )
        for number, talk in enumerate(given.asked[:DRAWN])
    ]
    note = (
        "Scenes with a thing of a look that was never seen in what was learned; what is said of "
        "each first, and answers in view of those before."
    )
    page = inspect.page_of_conversations(shown, title="Dialogues about scenes", note=note)
    (folder / "dialogues.html").write_text(page, "utf-8")
    (folder / "dialogues.svg").write_text(inspect.picture_of_conversations(shown[:3]), "utf-8")


@command.ended()
def main() -> None:
    """Learn, and draw what was said."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=command.AsWritten)
    parser.add_argument("--out", default="out/dialogue", help="the folder that is written to")
    parser.add_argument("--seed", type=int, default=0, help="of all random numbers")
    args = parser.parse_args()
    folder = Path(args.out)
    learn(args.seed, command.made(folder))
    for name in ("dialogues.html", "dialogues.svg", "model"):
        print(f"wrote {folder / name}")


if __name__ == "__main__":
    main()
