"""Learn to answer questions about drawn scenes, and look at where it looks for the answer.

    u = tanh(z W_z)   q = tanh([h_T; c_T] W_q)   P(answer) = softmax(tanh((u q) W) W_a)
    a_t = softmax(MLP(h_{t-1}, e_t, z_i))   c_t = Σ_i a_ti z_i   h_t = LSTM([e_t; c_t], h_{t-1})

Without arguments it draws scenes (asked.py). An encoder learns first what stands where; by what it
sees then learns one that looks at the image before each word of a question, one that multiplies
image and question, and two from which image or question is hidden. They are asked about scenes
with things of looks that they have never seen, with four answers to choose from, too, and once
more after they have learned where some answers are usual: who has learned these loses most. With
arguments it is a tool (own_images.py) for images, or features of them, with questions in the
layout of easy-VQA or of VQA (see tinygrad_rnn.data.images):

    answer.py train/images train/questions.json --kept test/images test/questions.json --size 64
    answer.py vgg.npz questions.json annotations.json --hidden 512 --answers 1000 --out out/vqa
    answer.py --out out/vqa --resume                     go on with a run that was interrupted
    answer.py --out out/vqa --ask my.jpg "what colour is the ball?" "is it a cat?"

The folder of --out gets the model, and of the scenes ``looks.html``: an image for each word of a
question, lit where it is looked at. Of files also checkpoints and tables of the loss.
"""

import argparse
import os
from collections import Counter
from itertools import cycle
from pathlib import Path

import asked
import command
import numpy as np
import own_images
from asked import Told, told
from caption import Eyes, shown

import tinygrad_rnn as tg
from tinygrad_rnn import data, inspect, losses, models, nn, optim, text, training

SHORT = bool(os.environ.get("TINYGRAD_SHORT"))
# Scenes that are learned from, those that are asked, questions about each, scenes on the page.
LEARNED, ASKED, EACH, DRAWN = (24, 8, 4, 2) if SHORT else (3_000, 400, 8, 12)
# Times that scenes are seen; and asked about, each time anew, by who looks and by others, of which
# the second are for learning where some answers are usual.
SEEN, LOOKED, READ = (1, (1, 1), (1, 1)) if SHORT else (3, (10, 6), (4, 2))
RATE = 8e-3
WIDTH, EMBEDDING, HIDDEN = (10, 4, 8) if SHORT else (64, 48, 128)


def fitted(model, learns: data.Batches, epochs: int, rate: float, **how) -> training.History:
    """Train a model; ``how`` is for ``Trainer.fit``."""
    optimizer = optim.AdamW(model.parameters(), lr=rate)
    schedule = optim.schedules.OneCycleLR(
        optimizer, rate, total_steps=max(epochs * len(learns), 20), pct_start=0.2
    )
    trainer = training.Trainer(
        model, optimizer, lambda model, batch: model.loss(*batch), schedule=schedule, clip_norm=1.0
    )
    history = trainer.fit(learns, epochs, progress=False, **how)
    if history.interrupted:
        raise KeyboardInterrupt
    return history


def seconds(history: training.History) -> float:
    """How long it took."""
    return sum(logs["seconds"] for logs in history.epochs)


class Scenes:
    """Scenes to learn from and scenes that are asked, their pictures and questions."""

    def __init__(self, seed: int, drawn: bool = True, things: tuple[int, ...] = asked.THINGS):
        self.learned, self.asked = asked.asked_scenes(LEARNED, ASKED, seed, things)
        if drawn:
            self.pictures, self.others = shown(self.learned), shown(self.asked)
        self.seed = seed
        self.tests = self.of(self.asked, seed=seed + 1)
        said = [one.text for own in self.of(self.learned + self.asked) for one in own]
        self.words = text.Words.of("\n".join(said))
        self.kinds = np.array([one.kind for own in self.tests for one in own])

    def of(self, drawn, usual=None, seed=None) -> list[list[asked.Question]]:
        """Questions about scenes; with answers that are usual, or others."""
        asker = asked.Asker(self.seed if seed is None else seed, usual)
        return [asker.questions(scene, EACH) for scene in drawn]

    def known(self, seen: np.ndarray, times: int, usual=None) -> Told:
        """What is learned from: the scenes, so many times, each time with questions of their own.

        So no answer can be learned by heart.
        """
        return told([*seen] * times, self.of(self.learned * times, usual))


# ----- eyes -----


class Naming(nn.Module):
    """Names what stands in each quarter of a picture, or that nothing does; so eyes learn to see.

    Things are seen in places (width, 6, 6); the mean of a quarter's is all that is read.
    """

    groups = tuple(["", *kinds] for kinds in (asked.SIZES, asked.COLOURS, asked.SHAPES))

    def __init__(self, width: int) -> None:
        super().__init__()
        self.eyes = nn.Sequential(Eyes(width), nn.AvgPool2d(3))
        self.outs = [nn.Linear(width, len(names)) for names in self.groups]

    def loss(self, pictures: np.ndarray, named: np.ndarray) -> tuple[tg.Tensor, dict]:
        """Of pictures, and the numbers of names (B, 4, 3)."""
        seen = self.eyes(tg.tensor(pictures.astype(np.float32) / 255))
        quarters = seen.reshape(*seen.shape[:2], 4).swapaxes(1, 2)
        scores = [out(quarters) for out in self.outs]
        found = [losses.cross_entropy(s, named[..., k]) for k, s in enumerate(scores)]
        right = [s.numpy().argmax(-1) == named[..., k] for k, s in enumerate(scores)]
        return sum(found), {"accuracy": np.mean(right)}

    def names(self, drawn) -> np.ndarray:
        """What it is to learn of scenes."""
        found = np.zeros((len(drawn), 4, 3), np.intp)
        for n, scene in enumerate(drawn):
            for quarter, thing in scene.placed:
                own = thing.size, thing.colour, thing.shape
                found[n, quarter] = [
                    g.index(name) for g, name in zip(self.groups, own, strict=True)
                ]
        return found


def see(pictures: np.ndarray, drawn, **how) -> tuple[nn.Module, training.History]:
    """Eyes that have learned what stands in the quarters of pictures."""
    model = Naming(WIDTH)
    batches = data.Batches((pictures, model.names(drawn)), 16, shuffle=True)
    history = fitted(model, batches, SEEN, 5e-3, **how)
    return model.eyes, history


def features(eyes: nn.Module, pictures: np.ndarray) -> np.ndarray:
    """What they make of pictures, (N, D, h, w)."""
    eyes.eval()
    with tg.no_grad():
        parts = [pictures[k : k + 64] for k in range(0, len(pictures), 64)]
        return np.concatenate([eyes(tg.tensor(p.astype(np.float32) / 255)).numpy() for p in parts])


# ----- ways to answer -----


def answerer(words: text.Vocabulary, **how) -> models.Answerer:
    """A model for what eyes have seen."""
    how = {"cell": "LSTM", "num_layers": 1, "word_asks": True, **how}
    return models.Answerer(
        words, asked.ANSWERS, None, EMBEDDING, HIDDEN, features=(WIDTH, 2, 2), **how
    )


def learned(
    words: text.Vocabulary, known: Told, settings: dict, **how
) -> tuple[models.Answerer, training.History]:
    """A model that has learned from questions."""
    model = answerer(words, **settings)
    return model, fitted(model, model.batches(*known, 32, shuffle=True), 1, RATE, **how)


WAYS = {
    "looking at every word": {"attend": True},
    "image times question": {},
    "the question alone": {"image": False},
    "the image alone": {"question": False},
}


def times(how: dict, usual: bool = False) -> int:
    """How often a way of learning asks about each scene."""
    return (LOOKED if how.get("attend") else READ)[usual]


# ----- all of it, and what came of it -----


def learn(seed: int, folder: Path | None = None) -> dict:
    """All of it, with drawn scenes: which shares of answers are right; drawn into a folder."""
    tg.seed(seed)
    scenes = Scenes(seed)
    print(
        f"{LEARNED:,} scenes to learn from, {LOOKED[0]} or {READ[0]} times {EACH} questions about "
        f"each; {ASKED} others, each with a thing of a look that was never seen"
    )
    eyes, history = see(scenes.pictures, scenes.learned)
    print(f"eyes have learned to see in {seconds(history):.0f} s")
    seen, others = features(eyes, scenes.pictures), features(eyes, scenes.others)
    tests, made, found = told(others, scenes.tests), {}, {}
    for name, how in WAYS.items():
        known = scenes.known(seen, times(how))
        made[name], history = learned(scenes.words, known, how)
        found[name] = tests.right(made[name])
        print(f"{name}: {found[name].mean():.1%} right, learned in {seconds(history):.0f} s")
    usual = Counter(scenes.known(seen, 1).flat()[1]).most_common(1)[0][0]
    found[f"always “{usual}”"] = np.array(tests.flat()[1]) == usual
    rows = {name: by_kind(scenes, right) for name, right in found.items()}
    table("right, by kind of question", rows)
    chosen = [one.choices() for own in scenes.tests for one in own]
    of_four = {name: float(tests.right(model, chosen).mean()) for name, model in made.items()}
    print("of four choices", *(f"{name} {share:.1%}" for name, share in of_four.items()), sep="  ")
    looking = made["looking at every word"]
    if folder is not None:
        draw(scenes, looking, others, folder)
        looking.save(folder / "model")
    return {
        "right": rows, "of four": of_four, "pointed": pointed(scenes, looking, others),
        "frequencies": frequencies(scenes, seen, others),
    }  # fmt: skip


def by_kind(scenes: Scenes, right: np.ndarray) -> dict[str, float]:
    """Shares of all answers that are right, and of those to each kind of question."""
    parts = {kind: float(right[scenes.kinds == kind].mean()) for kind in asked.KINDS}
    return {"all": float(right.mean()), **parts}


def table(title: str, rows: dict[str, dict[str, float]]) -> None:
    """Print shares, a row for each name."""
    head = list(next(iter(rows.values())))
    print(f"{title:>28}  {'  '.join(head)}")
    for name, row in rows.items():
        cells = [f"{row[column]:{max(4, len(column))}.0%}" for column in head]
        print(f"{name:>28}  {'  '.join(cells)}")


def pointed(scenes: Scenes, model: models.Answerer, seen: np.ndarray) -> float:
    """How often the last look is at the thing that is asked for; and how often by chance."""
    own = [
        (k, one)
        for k, several in enumerate(scenes.tests)
        for one in several
        if one.about is not None and one.kind != "beside"
    ]
    of = np.array([k for k, _ in own])
    looks = model.attention(seen, [one.text for _, one in own], of)
    quarters = [scenes.asked[k].placed[one.about][0] for k, one in own]
    hits = [w[-1].argmax() == q for w, q in zip(looks, quarters, strict=True)]
    print(f"the last look is at the thing that is asked for: {np.mean(hits):.1%}; by chance 25.0%")
    return float(np.mean(hits))


def frequencies(scenes: Scenes, seen: np.ndarray, others: np.ndarray) -> dict[str, dict]:
    """Learned where some answers are usual; asked where they are, too, and where others are."""
    tests = {
        what: told(others, scenes.of(scenes.asked, usual, scenes.seed + 1))
        for what, usual in {"as usual": True, "others are": False}.items()
    }
    rows = {}
    for name, how in WAYS.items():
        known = scenes.known(seen, times(how, usual=True), usual=True)
        model, _ = learned(scenes.words, known, how)
        rows[name] = {what: float(test.right(model).mean()) for what, test in tests.items()}
    table("answers that are frequent", rows)
    return rows


def draw(scenes: Scenes, model: models.Answerer, seen: np.ndarray, folder: Path) -> None:
    """Where it looks for the answers to some questions, as a page and as a picture."""
    gazes = []
    for number, kind in zip(range(min(DRAWN, len(scenes.asked))), cycle(asked.KINDS), strict=False):
        own = scenes.tests[number]
        one = next((one for one in own if one.kind == kind), own[0])
        image, picture = seen[number], scenes.asked[number].picture(192)
        right = model.answers(image[None], [one.text]) == [one.answer]
        gazes.append(inspect.gaze(model, image, one.text, picture, right))
    note = (
        "Scenes with a thing of a look that was never seen in what was learned. Each "
        "picture is lit where it is looked at before a word is read, the last one where the answer "
        "is looked for."
    )
    page = inspect.page_of_gazes(gazes, title="Where it looks for an answer", note=note)
    (folder / "looks.html").write_text(page, "utf-8")
    (folder / "looks.svg").write_text(inspect.picture_of_gazes(gazes[:4]), "utf-8")


# ----- the command -----


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=command.AsWritten)
    add = parser.add_argument
    add("images", nargs="*", help="a folder of images, or features, and files of questions")
    add("--kept", nargs="+", metavar="FILE", help="the same, to be asked when all is learned")
    add("--ask", nargs="+", metavar="FILE", help="an image, and questions about it")
    for name, value, what in (
        ("out", "out/answer", "the folder for everything that is written"),
        ("size", 64, "pixels on each side that images from files are brought to"),
        ("answers", 1000, "the most answers, of which the usual ones are taken"),
        ("min-count", 1, "words that come less often are unknown"),
        ("width", 64, "of a place, as the encoder makes it"),
        ("embedding", 48, "width of a word's vector"),
        ("hidden", 128, "width of the layers"),
        ("layers", 2, "how many read a question"),
        ("epochs", 8, "times that the images are seen"),
        ("batch", 16, "images side by side"),
        ("save-every", 500, "steps from checkpoint to checkpoint"),
        ("seed", 0, "of all random numbers"),
        ("rate", 2e-3, "learning rate"),
        ("dropout", 0.0, "share of vectors of words, and of what scores are made of"),
    ):
        add(f"--{name}", type=type(value), default=value, help=what)
    add("--attend", action="store_true", help="look at places before each word")
    add("--resume", action="store_true", help="go on with the run in --out")
    add("--anew", action="store_true", help="begin again, whatever is in --out")
    args = command.parsed(parser)
    if any(places and len(places) not in (2, 3) for places in (args.images, args.kept)):
        parser.error(
            "expected a folder of images, or features, and a file of questions, or this and one of "
            "annotations"
        )
    if args.ask and len(args.ask) == 1:
        parser.error("--ask: expected an image and a question, or several")
    if not (args.images or args.ask or args.resume):
        command.refuse(parser, args, "out seed", "is for images of yours: give some")
    for name, least in (("epochs", 1), ("batch", 1), ("size", 8), ("width", 9), ("answers", 2)):
        if (value := getattr(args, name)) < least:
            parser.error(f"--{name} is {value}, expected a whole number from {least} up")
    return args


@command.ended()
def main() -> None:
    """Do what the command line asks for; what is wrong with it is one line, not a traceback."""
    args = arguments()
    folder = Path(args.out)
    if args.ask:
        own_images.ask(args, folder)
    elif args.images or args.resume:
        own_images.train(args, folder)
    else:
        learn(args.seed, command.made(folder))
        for name in ("looks.html", "looks.svg", "model"):
            print(f"wrote {folder / name}")


if __name__ == "__main__":
    main()
