"""Multi30k, English to German, with the settings of LIUM's text-only system for WMT 2017.

TINYGRAD_DATA names the folder that holds ``multi30k/``; sentencepiece and sacrebleu are needed.
An epoch takes some two minutes on one thread; runs go on where they were interrupted, and the
table is made of what is there.

    python benchmarks/multi30k_german.py --folder runs --seeds 2 --epochs 30
    python benchmarks/multi30k_german.py --folder runs --seeds 2 --annealed 1 --epochs 26
    TINYGRAD_MULTI30K_GERMAN=runs python benchmarks/run.py multi30k_german     the table
"""

import argparse
import json
import math
import os
import time
from functools import partial
from pathlib import Path

import numpy as np
from sides.multi30k_data import missing, sentences
from table import show, table

import tinygrad_rnn as tg
from tinygrad_rnn import decoding, files, metrics, models, nn, optim, text, training

PIECES, EMBEDDING, HIDDEN, BATCH, RATE = 10_000, 128, 256, 32, 4e-4
# The system clips norms at 5 and adds 1e-5 |w|², whose gradient is 2e-5 w, where its loss is that
# of a sentence, of some 14 tokens. These are of the loss of a token.
CLIP, DECAY = 0.36, 1.5e-6
FIRST = 0.014  # how far vectors of tokens begin from 0: by He et al. for 10,000 rows
DROPOUT = {"dropout": 0.3, "memory_dropout": 0.5, "output_dropout": 0.5}
SETTINGS = {
    "pieces": PIECES, "embedding": EMBEDDING, "hidden": HIDDEN, "batch": BATCH, "rate": RATE,
    "clip": CLIP, "decay": DECAY, "first": FIRST, **DROPOUT,
}  # fmt: skip
# Of an annealed run: the rate falls from its highest by a cosine, after some steps of rising.
HIGHEST, RISING, LEAST, SMOOTHING = 1e-3, 1000, 0.02, 0.1
AVERAGED = 5  # epochs whose weights are averaged: the best ones on the validation set
BAR = (
    "Goal: 39.00 BLEU on the test set of 2016, and 39.5 by whatever helps. Words of the files (in "
    f"tokens, lower case) in {PIECES:,} pieces that both languages share, vectors of {EMBEDDING}, "
    f"a GRU of {HIDDEN} that reads both ways, a GRU that reads the word, additive attention asked "
    "by it, another GRU that reads the context, products normalised; one table for target vectors "
    f"and scores; dropout {DROPOUT['dropout']} of vectors, {DROPOUT['memory_dropout']} of what was "
    f"read and {DROPOUT['output_dropout']} of what scores are made of; Adam {RATE}, batches of "
    f"{BATCH}, norms of a token's loss clipped at {CLIP}, weight decay {DECAY}. In annealed runs, "
    f"which are not the published system's, the rate falls from {HIGHEST} by a cosine, and targets "
    f"are smoothed by {SMOOTHING}. The epoch counts that is best on the validation set, by greedy "
    "choice. BLEU by sacrebleu, tokenize=none."
)


def lines(part: str, language: str) -> list[str]:
    """The sentences of a file, each beginning as any word within does."""
    return ["".join(f" {word}" for word in words) for words in sentences(part, language)]


def pairs(part: str) -> list[tuple[str, str]]:
    """English and German."""
    return list(zip(lines(part, "en"), lines(part, "de"), strict=True))


def pieces(folder: Path) -> text.Subwords:
    """What both languages are cut into; learned once."""
    path = folder / "pieces.model"
    if not path.exists():
        sample = "\n".join([*lines("train", "en"), *lines("train", "de")])
        path.write_bytes(text.Subwords.learn(sample, PIECES).model)
    return text.Subwords(path.read_bytes())


def made(vocabulary: text.Subwords) -> models.Seq2Seq:
    """The model that has learned nothing."""
    model = models.Seq2Seq(
        vocabulary, vocabulary, EMBEDDING, HIDDEN, input_feeding="conditional",
        read_out="deep_tanh", bridge="average", tied=True, layer_norm=True, **DROPOUT,
    )  # fmt: skip
    for embedding in (model.encoder.embedding, model.target_embedding):
        nn.init.normal_(embedding.weight, std=FIRST)
    return model


def bleu(said: list[str], part: str) -> float:
    """Of translations of a part."""
    return metrics.bleu(
        [one.strip() for one in said], [one.strip() for one in lines(part, "de")], tokenize="none"
    ).score


def annealing(optimizer: optim.Optimizer, steps: int) -> optim.schedules.LambdaLR:
    """The rate rises over the first steps, and falls over all of them."""

    def share(step: int) -> float:
        falling = LEAST + (1 - LEAST) * (1 + math.cos(math.pi * step / steps)) / 2
        return min(1.0, (step + 1) / RISING) * falling

    return optim.schedules.LambdaLR(optimizer, share)


def train(folder: Path, name: str, epochs: int) -> None:
    """A run, or the rest of it; after each epoch its weights and how good they are."""
    kind, seed = name.split("-")
    own, annealed = folder / name, kind == "annealed"
    if (own / f"{epochs}.json").exists():
        return
    run = training.RunFolder(own, {**SETTINGS, "seed": int(seed), "epochs": epochs})
    tg.seed(int(seed))
    model = made(pieces(folder))
    rate, smoothing = (HIGHEST, SMOOTHING) if annealed else (RATE, 0.0)
    optimizer = optim.Adam(model.parameters(), lr=rate, weight_decay=DECAY)
    learned = model.batches(pairs("train"), BATCH, shuffle=True, seed=int(seed))
    schedule = annealing(optimizer, epochs * len(learned)) if annealed else None
    kept = [source for source, _ in pairs("valid")]

    def evaluated(trainer: training.Trainer) -> str:
        found = bleu(model.translate(kept), "valid")
        arrays, rest = files.flatten(dict(model.state_dict()))
        files.write(own / f"{trainer.epoch}.weights", arrays, {"rest": json.dumps(rest)})
        record = {"epoch": trainer.epoch, "bleu": found}
        (own / f"{trainer.epoch}.json").write_text(json.dumps(record))
        return f"{name}, epoch {trainer.epoch}: {found:.2f} BLEU"

    trainer = training.Trainer(
        model, optimizer, lambda model, batch: model.loss(*batch, label_smoothing=smoothing),
        schedule=schedule, clip_norm=CLIP,
        weight=lambda batch: sum(map(len, batch[1])) + len(batch[1]),
    )  # fmt: skip
    run.begin()
    trainer.fit(
        learned, epochs, resume=run.resumes, progress=False,
        callbacks=[training.Sample(evaluated), training.Checkpoints(own / "checkpoints", keep=1)],
    )  # fmt: skip
    run.finish()


# ----- the table -----


def loaded(folder: Path, name: str, epochs: list[int]) -> models.Seq2Seq:
    """The model of a run whose weights are the mean of those of some epochs."""
    model, found = made(pieces(folder)), []
    for epoch in epochs:
        arrays, metadata = files.read(folder / name / f"{epoch}.weights")
        found.append(files.restored(arrays, json.loads(metadata["rest"])))
    model.load_state_dict(
        {name: np.mean([one[name] for one in found], axis=0) for name in found[0]}
    )
    return model.eval()


def records(folder: Path) -> dict[str, list[dict]]:
    """What the epochs of each run came to; those with the published settings first."""
    found: dict[str, list[dict]] = {}
    for run in [*sorted(folder.glob("seed-*")), *sorted(folder.glob("annealed-*"))]:
        own = sorted(run.glob("[0-9]*.json"), key=lambda path: int(path.stem))
        found[run.name] = [json.loads(path.read_text()) for path in own]
    return {name: epochs for name, epochs in found.items() if epochs}


def measured(name: str, translate, sources: list[str]) -> str:
    """A row: how good translations of the test set are, and how long they took."""
    begun = time.perf_counter()
    said = translate(sources)
    seconds = time.perf_counter() - begun
    score = bleu(said, "test")
    print(f"{name}: {score:.2f}", flush=True)
    return f"| {name} | **{score:.2f}** | {len(sources) / seconds:.0f} |"


def together(several: list[models.Seq2Seq]):
    """Translations by the mean of the probabilities of several models."""
    first, step = several[0], decoding.ensemble([one.step for one in several], how="prob")

    def translate(sources: list[str]) -> list[str]:
        said = []
        for begin in range(0, len(sources), 64):
            ids = list(map(first.source_vocabulary.encode, sources[begin : begin + 64]))
            states = [one.start(one.encode(ids)) for one in several]
            found = decoding.beam_search(
                step,
                states,
                beam=12,
                bos=[first.end] * len(ids),
                eos=first.end,
                max_length=80,
            )
            for best, *_ in found:
                tokens = [token for token in best.tokens if token != first.end]
                said.append(first.target_vocabulary.decode(tokens))
        return said

    return translate


def of_runs(folder: Path) -> list[str]:
    """The table of what runs in a folder came to; nothing if there is none."""
    rows, means, sources = [], [], lines("test", "en")
    for name, epochs in records(folder).items():
        by_bleu = [one["epoch"] for one in sorted(epochs, key=lambda one: -one["bleu"])]
        called = name.replace("seed-", "seed ").replace("annealed-", "annealed, seed ")
        what = f"{called}: epoch {by_bleu[0]} of {len(epochs)}"
        best, mean = (loaded(folder, name, by_bleu[:count]) for count in (1, AVERAGED))
        means.append(mean)
        rows.append(measured(f"{what}, greedy", best.translate, sources))
        for beam in (5, 12):
            translate = partial(best.translate, beam=beam)
            rows.append(measured(f"{what}, beam of {beam}", translate, sources))
        what = f"{called}: mean of the weights of its {AVERAGED} best epochs, beam of 12"
        rows.append(measured(what, partial(mean.translate, beam=12), sources))
    for count in range(2, len(means) + 1):
        what = f"the means of the first {count} together, beam of 12"
        rows.append(measured(what, together(means[:count]), sources))
    return table(BAR, ["en → de", "BLEU", "sentences a second"], rows) if rows else []


def sections() -> dict[str, list[str]]:
    """What ``run.py`` writes into RESULTS.md, of the folder that TINYGRAD_MULTI30K_GERMAN names."""
    folder = os.environ.get("TINYGRAD_MULTI30K_GERMAN")
    if folder is None:
        print("multi30k_german: skipped, TINYGRAD_MULTI30K_GERMAN names no folder of runs")
    if folder is None or missing("multi30k_german"):
        return {}
    found = of_runs(Path(folder))
    return {"Multi30k into German": found} if found else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--folder", type=Path, default=os.environ.get("TINYGRAD_MULTI30K_GERMAN"))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--annealed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=30)
    given = parser.parse_args()
    if missing("multi30k_german"):
        return
    if given.folder is None:
        parser.error("--folder or TINYGRAD_MULTI30K_GERMAN has to say where runs are kept")
    given.folder.mkdir(parents=True, exist_ok=True)
    runs = [f"seed-{seed}" for seed in range(given.seeds)]
    runs += [f"annealed-{given.seeds + number}" for number in range(given.annealed)]
    for name in runs:
        train(given.folder, name, given.epochs)
    show({"Multi30k into German": of_runs(given.folder)})


if __name__ == "__main__":
    main()
