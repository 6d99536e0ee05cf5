"""Multi30k, English to German, with the settings of LIUM's text-only system of 2017 (TARGETS 4).

TINYGRAD_DATA names the folder that holds ``multi30k/``; sentencepiece and sacrebleu are needed.
An epoch takes some two minutes on one thread; runs go on where they were interrupted, and the
table is made of what is there.

    python benchmarks/multi30k_german.py --folder runs --seeds 2 --epochs 20
    TINYGRAD_MULTI30K_GERMAN=runs python benchmarks/run.py multi30k_german     the table
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
from sides.multi30k_data import missing, sentences
from table import show, table

import tinygrad_rnn as tg
from tinygrad_rnn import decoding, files, metrics, models, nn, optim, text, training

PIECES, EMBEDDING, HIDDEN, BATCH, RATE, CLIP, DECAY = 10_000, 128, 256, 32, 4e-4, 5.0, 1e-5
FIRST = 0.014  # how far vectors of tokens begin from 0: by He et al. for 10,000 rows
DROPOUT = {"dropout": 0.3, "memory_dropout": 0.5, "output_dropout": 0.5}
AVERAGED = 5  # epochs whose weights are averaged: the last ones that are no better
BAR = (
    "Goal: 39.00 BLEU on the test set of 2016, and 39.5 by whatever helps. Words of the files (in "
    "tokens, lower case) in 10,000 pieces that both languages share, vectors of 128, a GRU of 256 "
    "that reads both ways, a GRU that reads the word, additive attention asked by it, another GRU "
    "that reads the context, products normalised; one table for target vectors and scores; dropout "
    "0.3 of vectors, 0.5 of what was read and of what scores are made of; Adam 4e-4, batches of "
    "32, norms clipped at 5, weight decay 1e-5. The "
    "epoch counts that is best on the validation set, by greedy choice. BLEU by sacrebleu, "
    "tokenize=none."
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


def train(folder: Path, seed: int, epochs: int) -> None:
    """A run, or the rest of it; after each epoch its weights and how good they are."""
    own = folder / f"seed-{seed}"
    if (own / f"{epochs}.json").exists():
        return
    run = training.RunFolder(own, {"seed": seed, "epochs": epochs})
    tg.seed(seed)
    model = made(pieces(folder))
    optimizer = optim.Adam(model.parameters(), lr=RATE, weight_decay=DECAY)
    learned = model.batches(pairs("train"), BATCH, shuffle=True, seed=seed)
    kept = [source for source, _ in pairs("valid")]
    begun = time.perf_counter()

    def evaluated(trainer: training.Trainer) -> str:
        minutes = (time.perf_counter() - begun) / 60
        found = bleu(model.translate(kept), "valid")
        arrays, rest = files.flatten(dict(model.state_dict()))
        files.write(own / f"{trainer.epoch}.weights", arrays, {"rest": json.dumps(rest)})
        record = {"epoch": trainer.epoch, "bleu": found, "minutes": minutes}
        (own / f"{trainer.epoch}.json").write_text(json.dumps(record))
        return f"seed {seed}, epoch {trainer.epoch}: {found:.2f} BLEU, {minutes:.1f} minutes"

    trainer = training.Trainer(
        model, optimizer, lambda model, batch: model.loss(*batch), clip_norm=CLIP,
        weight=lambda batch: sum(map(len, batch[1])) + len(batch[1]),
    )  # fmt: skip
    run.begin()
    trainer.fit(
        learned, epochs, resume=run.resumes, progress=False,
        callbacks=[training.Sample(evaluated), training.Checkpoints(own / "checkpoints", keep=1)],
    )  # fmt: skip
    run.finish()


# ----- the table -----


def loaded(folder: Path, seed: int, epochs: list[int]) -> models.Seq2Seq:
    """The model of a run whose weights are the mean of those of some epochs."""
    model, found = made(pieces(folder)), []
    for epoch in epochs:
        arrays, metadata = files.read(folder / f"seed-{seed}" / f"{epoch}.weights")
        found.append(files.restored(arrays, json.loads(metadata["rest"])))
    model.load_state_dict(
        {name: np.mean([one[name] for one in found], axis=0) for name in found[0]}
    )
    return model.eval()


def records(folder: Path) -> dict[int, list[dict]]:
    """What the epochs of each run came to."""
    found: dict[int, list[dict]] = {}
    for run in sorted(folder.glob("seed-*")):
        own = sorted(run.glob("[0-9]*.json"), key=lambda path: int(path.stem))
        found[int(run.name.split("-")[1])] = [json.loads(path.read_text()) for path in own]
    return {seed: epochs for seed, epochs in found.items() if epochs}


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
    first = several[0]

    def translate(sources: list[str]) -> list[str]:
        vocabulary, said = first.source_vocabulary, []
        for source in sources:
            ids = [vocabulary.encode(source)]
            steps, states = zip(
                *((one.step, one.start(one.encode(ids))) for one in several), strict=True
            )
            best = decoding.beam_search(
                decoding.ensemble(list(steps), how="prob"), list(states), beam=12, bos=first.end,
                eos=first.end, max_length=80, length_rule="average",
            )  # fmt: skip
            said.append(first.target_vocabulary.decode(best[0][0].tokens))
        return said

    return translate


def sections() -> dict[str, list[str]]:
    """What ``run.py`` writes into RESULTS.md, of the folder that TINYGRAD_MULTI30K_GERMAN names."""
    folder = os.environ.get("TINYGRAD_MULTI30K_GERMAN")
    if folder is None:
        print("multi30k_german: skipped, TINYGRAD_MULTI30K_GERMAN names no folder of runs")
    if folder is None or missing("multi30k_german"):
        return {}
    rows, best, sources = [], [], lines("test", "en")
    for seed, epochs in records(Path(folder)).items():
        chosen = max(epochs, key=lambda one: one["bleu"])
        last = [one["epoch"] for one in sorted(epochs, key=lambda one: -one["bleu"])[:AVERAGED]]
        what = f"seed {seed}, epoch {chosen['epoch']} of {len(epochs)}"
        model = loaded(Path(folder), seed, [chosen["epoch"]])
        mean = loaded(Path(folder), seed, last)
        best.append(mean)
        rows.append(measured(f"{what}, greedy", model.translate, sources))
        for beam in (5, 12):
            how = {"beam": beam, "length_rule": "average"}
            rows.append(
                measured(
                    f"{what}, beam of {beam}",
                    lambda s, m=model, h=how: m.translate(s, **h),
                    sources,
                )
            )
        name = f"seed {seed}, mean of the weights of {len(last)} epochs, beam of 12"
        rows.append(measured(name, lambda s, m=mean: m.translate(s, beam=12), sources))
    if len(best) > 1:
        rows.append(measured(f"{len(best)} such models together", together(best), sources))
    head = ["en → de", "BLEU", "sentences a second"]
    return {"Multi30k into German": table(BAR, head, rows)} if rows else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--folder", type=Path, default=os.environ.get("TINYGRAD_MULTI30K_GERMAN"))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=20)
    given = parser.parse_args()
    if missing("multi30k_german"):
        return
    if given.folder is None:
        parser.error("--folder or TINYGRAD_MULTI30K_GERMAN has to say where runs are kept")
    given.folder.mkdir(parents=True, exist_ok=True)
    for seed in range(given.seeds):
        train(given.folder, seed, given.epochs)
    os.environ["TINYGRAD_MULTI30K_GERMAN"] = str(given.folder)
    show(sections())


if __name__ == "__main__":
    main()
