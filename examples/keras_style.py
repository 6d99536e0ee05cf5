"""Keras' five steps on digits that are drawn here: define, compile, fit, evaluate, predict.

    p = softmax(relu(x W_1 + b_1) W_2 + b_2)        x: a drawing of 10 by 10 pixels

Then the model is saved and loaded, and what it has learnt of digits is used to read letters, of
which there are few drawings. Takes a second; the last line printed is the word that is read.
"""

import argparse
import os
import tempfile
from pathlib import Path

import command
import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import optim
from tinygrad_rnn.nn import Activation, Dense
from tinygrad_rnn.training import Sequential, load_model, to_categorical

SHORT = bool(os.environ.get("TINYGRAD_SHORT"))
DRAWINGS = 3000 if SHORT else 6000  # of digits
SHIFTS = 3  # places where a glyph may stand
FEW = 8  # drawings of each letter
WORD = "PEACH"
# Five rows of three pixels, each row as a number from 0 to 7.
DIGITS = "75557 26227 71747 71717 55711 74717 74757 71111 75757 75717".split()
LETTERS = {"P": "75744", "E": "74647", "A": "25755", "C": "74447", "H": "55755"}

rng = np.random.default_rng(0)


def draw(glyph: str) -> np.ndarray:
    """100 pixels: the glyph, twice as large, somewhere between left and right, under noise."""
    pixels = [[int(row) >> k & 1 for k in (2, 1, 0)] for row in glyph]
    image = -np.ones((10, 10))
    left = rng.integers(SHIFTS)
    image[:, left : left + 6] = np.kron(2 * np.array(pixels) - 1, np.ones((2, 2)))
    return (image + 0.4 * rng.standard_normal(image.shape)).ravel()


def drawings(glyphs: list[str], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Drawings (count, 100) of glyphs by chance, and which glyph each is, as a vector."""
    kinds = rng.integers(len(glyphs), size=count)
    return np.stack([draw(glyphs[k]) for k in kinds]), to_categorical(kinds, len(glyphs))


def shown(image: np.ndarray) -> list[str]:
    """The rows of a drawing: the darker a pixel, the more ink."""
    ink = " .:*#"
    shades = np.clip(2.5 * image + 2.5, 0, 4).reshape(10, 10)
    return ["".join(ink[int(shade)] * 2 for shade in row) for row in shades]


def show_predictions(model: Sequential, images: np.ndarray) -> None:
    """Drawings beside each other, and below each what the model takes it for."""
    rows = zip(*map(shown, images), strict=True)
    print("\n".join("  |  ".join(row) for row in rows))
    said = [f"{p.argmax()}, with {p.max():.0%}" for p in model.predict(images)]
    print("  |  ".join(text.center(20) for text in said))


def digits() -> Sequential:
    """The five steps."""
    x_train, y_train = drawings(DIGITS, DRAWINGS)
    x_test, y_test = drawings(DIGITS, 500)

    # 1. define
    model = Sequential()
    model.add(Dense(units=64, input_dim=100))
    model.add(Activation("relu"))
    model.add(Dense(units=10))
    model.add(Activation("softmax"))

    # 2. compile
    model.compile(loss="categorical_crossentropy", optimizer="sgd", metrics=["accuracy"])

    # 3. fit
    history = model.fit(x_train, y_train, epochs=5, batch_size=32)
    if history.interrupted:  # by Ctrl-C
        raise KeyboardInterrupt
    for loss, accuracy in zip(history["loss"], history["accuracy"], strict=True):
        print(f"loss {loss:.3f}   accuracy {accuracy:.3f} {'=' * round(40 * accuracy)}")

    # 4. evaluate
    loss, accuracy = model.evaluate(x_test, y_test, batch_size=128)
    print(f"\nnew drawings: loss {loss:.3f}, accuracy {accuracy:.3f}\n")

    # 5. predict
    show_predictions(model, x_test[:3])
    return model


def letters(path: Path) -> str:
    """Cut the head of a saved model and train a new one on few drawings, then all of it."""
    x_train = np.stack([draw(glyph) for glyph in LETTERS.values() for _ in range(FEW)])
    y_train = to_categorical(np.repeat(np.arange(len(LETTERS)), FEW))
    x_test, y_test = drawings(list(LETTERS.values()), 500)

    def train(model: Sequential, groups: list[dict], what: str) -> None:
        model.compile(optim.Adam(groups, lr=0.01), "categorical_crossentropy", ["accuracy"])
        if model.fit(x_train, y_train, epochs=60, batch_size=10).interrupted:
            raise KeyboardInterrupt
        count = sum(p.size for p in model.parameters() if p.requires_grad)
        accuracy = model.evaluate(x_test, y_test).accuracy
        print(f"  {what:<34} {count:5,} weights trained, accuracy {accuracy:.3f}")

    print(f"\nfive letters, from {FEW} drawings of each:")
    body = load_model(path)[:-2]
    head = Dense(units=len(LETTERS), input_dim=64, activation="softmax")
    model = Sequential(*body, head)
    body.freeze()
    train(model, [{"params": head.parameters()}], "a new head on what digits taught")
    body.unfreeze()
    below = {"params": body.parameters(), "lr": 0.001}
    train(model, [below, {"params": head.parameters()}], "then all of it, slowly below")

    fresh = Sequential([Dense(64, 100, "relu"), Dense(len(LETTERS), 64, "softmax")])
    train(fresh, [{"params": fresh.parameters()}], "a model that knows no digits")

    images = np.stack([draw(LETTERS[letter]) for letter in WORD])
    print("\n" + "\n".join(" ".join(row) for row in zip(*map(shown, images), strict=True)))
    return "".join(list(LETTERS)[k] for k in model.predict(images).argmax(-1))


@command.ended()
def main() -> str:
    """Digits, a file, letters."""
    tg.seed(0)
    model = digits()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "digits.safetensors"
        model.save(path)
        print(f"\nsaved in {path.stat().st_size:,} bytes: weights and a description, no code")
        word = letters(path)
    print(f"read: {word}")
    return word


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.split("\n")[0]).parse_args()  # --help
    main()
