"""tinyshakespeare on the split of nanoGPT: how low the loss is after 3 and after 10 minutes.

The first 90 % of the text are learned, the loss is that of the last 10 %, read in one go.
TINYGRAD_DATA names the folder that holds ``tinyshakespeare/``; without it nothing is measured.

    python benchmarks/nanogpt_split.py
"""

import time

import numpy as np
from sides.shakespeare import missing, text
from table import show, table

import tinygrad_rnn as tg
from tinygrad_rnn import data, models, optim, training
from tinygrad_rnn.text import Characters

ROWS, STEPS, WIDTH, EMBEDDING, RATE = 32, 64, 512, 64, 4e-3
RUNS = {"3 minutes": (3, 0.1), "10 minutes": (11, 0.4)}  # epochs, dropout


def run(epochs: int, dropout: float) -> tuple[float, float, int, float]:
    """Minutes of training, the loss, parameters, bits a character."""
    whole = text()
    cut = int(0.9 * len(whole))
    letters = Characters.of(whole)
    tg.seed(0)
    model = models.LanguageModel(letters, EMBEDDING, WIDTH, output_dropout=dropout)
    chunks = data.Streams(letters.encode(whole[:cut]), ROWS, STEPS)
    optimizer = optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.99), weight_decay=0.01)
    schedule = optim.schedules.OneCycleLR(
        optimizer, max_lr=RATE, total_steps=epochs * len(chunks), pct_start=0.1
    )
    trainer = training.Trainer(
        model,
        optimizer,
        lambda model, chunk, state: model.loss(chunk.x, chunk.y, state),
        schedule=schedule,
        clip_norm=1.0,
        carry_state=True,
    )
    model.loss(*next(iter(chunks))[:2])[0].backward()  # compiles
    begin = time.perf_counter()
    trainer.fit(chunks, epochs)
    minutes = (time.perf_counter() - begin) / 60
    nats = -float(np.mean(model.log_likelihoods(letters.encode(whole[cut:]))))
    return minutes, nats, sum(p.size for p in model.parameters()), nats / np.log(2)


def sections() -> dict[str, list[str]]:
    """What ``run.py`` writes into RESULTS.md."""
    if missing("nanogpt_split"):
        return {}
    rows = []
    for budget, settings in RUNS.items():
        minutes, nats, parameters, bits = run(*settings)
        print(f"{budget}: {minutes:.1f} minutes, {nats:.3f}", flush=True)
        rows.append(
            f"| {budget} | {settings[0]} | {settings[1]} | {parameters:,} | {minutes:.1f} "
            f"| **{nats:.3f}** | {bits:.3f} |"
        )
    bar = "Bars: below 1.88 after 3 minutes, at most 1.60 after 10, on two cores."
    head = ["at most", "epochs", "dropout", "parameters", "minutes", "nats", "bits a character"]
    return {"tinyshakespeare on nanoGPT's split": table(bar, head, rows)}


if __name__ == "__main__":
    show(sections())
