"""What both sides of Multi30k read and do alike: pairs, batches, first weights, epochs.

The model and the settings are those of a widely used PyTorch tutorial: words that come twice,
vectors of 256, a GRU of 512 that reads both ways, tanh of a product of its two last states, another
GRU of 512 that reads word and context, additive attention asked by the state before, scores of
state, context and word; dropout 0.5 of vectors; Adam 1e-3, batches of 128, norms clipped at 1; at
each step all rows are told what they should have said, or none is, by half. Weights begin from
N(0, 0.01²) and biases from 0.

A sentence ends with a token of its own, which is also what the decoder begins with; the tutorial
has two, and its sources begin with one, too. Otherwise tokens are those of the files, which are in
tokens and lower case; what is unknown is one token.
"""

import gzip
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

FOLDER = Path(os.environ.get("TINYGRAD_DATA", "")) / "multi30k"
FILES = {"train": "train", "valid": "val", "test": "test_2016_flickr"}
BATCH, POOL, DROPOUT, RATE, CLIP, FORCED, LONGEST = 128, 100, 0.5, 1e-3, 1.0, 0.5, 50
GRUS = [f"encoder.layers.layers.0.{way}" for way in ("forward", "reverse")]
GRUS += ["decoder.layers.layers.0.forward"]
SCORE = "decoder.attention.attention.score"


def missing(benchmark):
    """Whether the data is not there; then it says that nothing is measured."""
    if not FOLDER.is_dir():
        print(f"{benchmark}: skipped, TINYGRAD_DATA names no folder with {FOLDER.name}/")
    return not FOLDER.is_dir()


def sentences(part, language):
    """The lines of a file, each a list of words."""
    path = FOLDER / f"{FILES[part]}.lc.norm.tok.{language}.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [line.split() for line in file]


class Data(NamedTuple):
    """Pairs of numbers of each part, German and English, and the words of both."""

    parts: dict
    german: list
    english: list

    @classmethod
    def read(cls):
        """Words that come twice in the sentences to learn from; 0 stands for all others."""
        words, parts = [], {part: [] for part in FILES}
        for language in ("de", "en"):
            counts = Counter(w for line in sentences("train", language) for w in line)
            often = ["<unk>", *(word for word, count in counts.most_common() if count > 1)]
            numbers = {word: number for number, word in enumerate(often)}
            words.append(often)
            for part, sides in parts.items():
                lines = sentences(part, language)
                sides.append([[numbers.get(w, 0) for w in line] for line in lines])
        pairs = {part: list(zip(*sides, strict=True)) for part, sides in parts.items()}
        return cls(pairs, *words)

    def sizes(self):
        """Those of the experiment."""
        return Sizes(len(self.german), len(self.english), 256, 512)


class Sizes(NamedTuple):
    """How many words there are, and how wide vectors and layers."""

    sources: int
    targets: int
    E: int
    H: int

    def shapes(self):
        """Of all weights by our names, in our layout, x @ w."""
        sources, targets, E, H = self
        reads = dict(zip(GRUS, (E, E, E + 2 * H), strict=True))
        shapes = {
            "encoder.embedding.weight": (sources + 1, E),
            "target_embedding.weight": (targets + 1, E),
            f"{SCORE}.w_q": (H, H),
            f"{SCORE}.w_k": (2 * H, H),
            f"{SCORE}.b": (H,),
            f"{SCORE}.v": (H,),
            "bridge.products.0.0.weight": (2 * H, H),
            "bridge.products.0.0.bias": (H,),
            "out.weight": (3 * H + E, targets + 1),
            "out.bias": (targets + 1,),
        }
        for gru, width in reads.items():
            own = {"w_x": (width, 3 * H), "w_h": (H, 3 * H), "b": (3 * H,), "b_h": (H,)}
            shapes |= {f"{gru}.{name}": shape for name, shape in own.items()}
        return shapes

    def weights(self, seed, scale=0.01, bias=0.0):
        """What both sides begin with."""
        rng = np.random.default_rng(seed)
        return {
            name: rng.normal(0, bias if name.endswith((".b", ".b_h", ".bias")) else scale, shape)
            for name, shape in self.shapes().items()
        }


def batches(pairs, rng=None):
    """Sources and targets of each batch, whose sources have like lengths.

    With ``rng`` they are drawn: sorted within each 100 batches, and these in any order.
    """
    pairs = list(pairs) if rng is None else [pairs[n] for n in rng.permutation(len(pairs))]
    pool = len(pairs) if rng is None else POOL * BATCH
    found = []
    for first in range(0, len(pairs), pool):
        near = sorted(pairs[first : first + pool], key=lambda pair: len(pair[0]))
        cut = [near[n : n + BATCH] for n in range(0, len(near), BATCH)]
        found += cut if rng is None else [cut[n] for n in rng.permutation(len(cut))]
    return [tuple(zip(*batch, strict=True)) for batch in found]


def told(target, rng):
    """At which steps of a batch the decoder is told what it should have said, (T,)."""
    return rng.random(max(map(len, target)) + 1) < FORCED


def evaluated(side, pairs):
    """Nats of a token, each step reading what the one before found likeliest.

    The tutorial takes the mean of the means of batches; the other figure is that of all tokens.
    """
    found = np.array([side.nats(*batch) for batch in batches(pairs)])  # a sum and a count each
    total, count = found.sum(axis=0)
    return {"batches": float(np.mean(found[:, 0] / found[:, 1])), "tokens": float(total / count)}


class Experiment:
    """The epochs of one side, whose state is kept in files, so that they go on at any one.

    make(sizes, weights, dropout) -> a side: ``step`` learns from a batch, ``nats`` evaluates one,
    ``translated`` takes the likeliest word at every step.
    """

    def __init__(self, make):
        self.make, self.data = make, Data.read()
        self.side, self.at = None, None
        trial = self.begun(0)
        for source, target in batches(self.data.parts["valid"])[::7]:  # compiles, allocates
            trial.step(source, target, told(target, np.random.default_rng(0)))

    def begun(self, seed):
        """A side that has learned nothing."""
        sizes = self.data.sizes()
        return self.make(sizes, sizes.weights(seed), DROPOUT)

    def learned(self, seed, epoch, most=None):
        """Seconds and mean loss of an epoch, or of its first batches; the next one may follow."""
        rng = np.random.default_rng([seed, epoch])
        self.side.reseed(1000 * seed + epoch)
        chosen = batches(self.data.parts["train"], rng)[:most]
        begin = time.perf_counter()
        losses = [self.side.step(*batch, told(batch[1], rng)) for batch in chosen]
        return {"seconds": time.perf_counter() - begin, "train": float(np.mean(losses))}

    def epoch(self, seed, epoch, before, after):
        """An epoch and all that is recorded of it; ``before`` and ``after`` are files."""
        if self.at != (seed, epoch):
            self.side = self.begun(seed)
            if before:
                self.side.load(before)
        found = self.learned(seed, epoch)
        self.at = seed, epoch + 1
        self.side.save(after)
        for part in ("valid", "test"):
            found[part] = evaluated(self.side, self.data.parts[part])
        said = self.side.translated([source for source, _ in self.data.parts["test"]])
        found["said"] = [" ".join(self.data.english[token] for token in row) for row in said]
        return found

    def batches(self, most):
        """The same for a few batches, by what has learned nothing, to see what they take."""
        self.side, self.at = self.begun(0), None
        return self.learned(0, 0, most)


def serve(make):
    """For each line that comes in, a method and its arguments: what it gives, as JSON."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    experiment = Experiment(make)
    for line in sys.stdin:
        name, *given = json.loads(line)
        answers.write(json.dumps(getattr(experiment, name)(*given)) + "\n")
        answers.flush()


def gradients(make):
    """Losses and gradients of a small model without dropout, by which tokens are told."""
    sizes, rng = Sizes(7, 9, 3, 5), np.random.default_rng(0)
    source = [rng.integers(0, 7, length).tolist() for length in (3, 1, 5)]
    target = [rng.integers(0, 9, length).tolist() for length in (4, 6, 2)]
    forced = {
        "all": np.ones(7, np.bool_),
        "none": np.zeros(7, np.bool_),
        "some": np.array([True, False, True, True, False, True, False]),
    }
    side = make(sizes, sizes.weights(0, scale=1.0, bias=1.0), 0.0, double=True)
    return {
        case: {name: array.tolist() for name, array in side.gradients(source, target, told).items()}
        for case, told in forced.items()
    }
