"""The pictures of docs/translation.md.

    python benchmarks/translation_pictures.py train none          and: train additive
    python benchmarks/translation_pictures.py bottleneck          draws with both of them
    python benchmarks/translation_pictures.py widths FOLDER       of a run of examples/translate.py
    python benchmarks/translation_pictures.py rules FOLDER        of the same

The first ones train an encoder and a decoder on long sentences of the examples' grammar, without
attention and with it, and ask them sentences of all lengths. The last ones decode what the run in
a folder has kept aside, with beams of all widths and by all length rules.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "examples")]

import french  # noqa: E402

import tinygrad_rnn as tg  # noqa: E402
from tinygrad_rnn import decoding, inspect, metrics, models, optim, text, training  # noqa: E402
from tinygrad_rnn.inspect import Chart, Line  # noqa: E402

OUT, DOCS = Path("out/translation_pictures"), ROOT / "docs"
KINDS = {"additive": "with attention", "none": "without"}
ASKED = 600
ABOUT = f"BLEU of {ASKED} sentences, English to French"
WIDTHS = (1, 2, 3, 5, 8, 12, 20, 30)
RULES = {"none": "Σ log P", "average": "Σ log P / t", "gnmt": "GNMT, 0.6"}
POWERS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)


def sentences(count: int, clauses: tuple[int, ...], seed: int) -> list[text.Pair]:
    """Different ones, of any of these numbers of clauses."""
    writer, found = french.Writer(seed), {}
    while len(found) < count:
        english, français = writer.sentence(writer.random.choice(clauses))
        found[english] = text.Pair(english, français)
    return list(found.values())


def train(attention: str) -> None:
    """An encoder that reads forwards, a decoder that goes on from its last state."""
    pairs = sentences(16_000, (1, 2, 3, 4), seed=1)
    vocabularies = [text.Words.of("\n".join(side), parts=True) for side in zip(*pairs, strict=True)]
    tg.seed(0)
    model = models.Seq2Seq(
        *vocabularies, 64, 128, bidirectional=False, bridge="last", read_out="tanh",
        attention=None if attention == "none" else attention, dropout=0.1, output_dropout=0.1,
    )  # fmt: skip
    batches = model.batches(pairs, 64, shuffle=True)
    optimizer, epochs = optim.AdamW(model.parameters(), lr=5e-3), 6
    trainer = training.Trainer(
        model,
        optimizer,
        lambda model, batch: model.loss(*batch),
        schedule=optim.schedules.OneCycleLR(
            optimizer, 5e-3, total_steps=epochs * len(batches), pct_start=0.1
        ),
        clip_norm=1.0,
    )
    trainer.fit(batches, epochs)
    model.save(OUT / attention)


def bottleneck() -> None:
    """BLEU and exact matches by length; gradients by distance."""
    asked = sentences(1_500, (1, 2, 3, 4, 5, 6), seed=2)
    lengths = np.array([len(pair.source.split()) for pair in asked])
    bins = [(low, low + 5) for low in range(3, 48, 5)]
    bleu, exact, far = [], [], []
    for colour, (kind, name) in enumerate(KINDS.items()):
        model = models.load(OUT / kind)
        said = model.translate([pair.source for pair in asked], batch_size=250, max_length=100)
        rows = []
        for low, high in bins:
            which = np.flatnonzero((lengths >= low) & (lengths < high))
            ours, theirs = [said[n] for n in which], [asked[n].target for n in which]
            rows.append(
                ((low + high - 1) / 2, metrics.bleu(ours, theirs).score,
                 100 * metrics.exact_match(ours, theirs), len(which))
            )  # fmt: skip
            print(f"{name:>15}  {low:2}-{high - 1:2} words: BLEU, exact, sentences", *rows[-1][1:])
        x, of_bleu, of_exact, _ = zip(*rows, strict=True)
        bleu.append(Line(name, x, of_bleu, colour))
        exact.append(Line(name, x, of_exact, colour))
        far.append(Line(name, *by_distance(model, asked), colour))
        for module in model.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()  # as before learning
        far.append(Line(f"{name}, untrained", *by_distance(model, asked), colour, dashed=True))
    words = "words of the source (learned: up to about 45)"
    save("bottleneck", [
        Chart("BLEU by length", words, "BLEU", bleu, ends={"y": (0, 103)}),
        Chart("Exact translations by length", words, "%", exact, ends={"y": (0, 103)}),
    ])  # fmt: skip
    title, y = "How strongly the loss depends on states of the encoder", "‖∂loss/∂hₛ‖"
    save("shortcut", [Chart(title, "words until the end, S − s", y, far, log_y=True, width=720)])


def by_distance(model: models.Seq2Seq, asked: list[text.Pair]) -> tuple[list[int], list[float]]:
    """How strongly all words together depend on a state, by how far it is from the end."""
    source, target = model.source_vocabulary, model.target_vocabulary
    pairs = [(source.encode(one), target.encode(other)) for one, other in asked]
    some = [pair for pair in pairs if len(pair[0]) == 40][:20]
    norms = inspect.gradient_to_source(model, *zip(*some, strict=True))
    found = np.sqrt((norms**2).sum(axis=0) / len(some))[::-1]
    return list(range(len(found))), found.tolist()


def decoded(folder: str) -> Callable[..., float]:
    """A function of settings: the BLEU of what a run has kept aside, decoded by them."""
    import translate

    model = models.load(Path(folder) / "model")
    settings = training.RunFolder(folder, {}, resume=True).settings
    _, kept = translate.texts(argparse.Namespace(**settings))
    sources, references = map(list, zip(*kept[:ASKED], strict=True))

    def score(**how) -> float:
        began = time.perf_counter()
        said = model.translate(sources, early_stopping="never", **how)
        seconds = time.perf_counter() - began
        bleu = metrics.bleu(said, references).score
        ratio = sum(map(len, said)) / sum(map(len, references))
        print(f"BLEU {bleu:5.2f}, {ratio:.3f} times as long, {seconds:5.1f} s: {how}", flush=True)
        return bleu

    return score


def widths(folder: str) -> None:
    """The width of a beam against BLEU."""
    score = decoded(folder)
    lines = [
        Line(name, WIDTHS, [score(beam=beam, length_rule=rule) for beam in WIDTHS], colour)
        for colour, (rule, name) in enumerate(RULES.items())
    ]
    chart = Chart("Beam width", "hypotheses that are kept", ABOUT, lines, log_x=True, width=720)
    save("beam_width", [chart])


def rules(folder: str) -> None:
    """Length rules against BLEU."""
    score, lines = decoded(folder), []
    for colour, beam in enumerate((5, 12)):
        for name, rule in (("power", decoding.Power), ("GNMT", decoding.GNMT)):
            bleus = [score(beam=beam, length_rule=rule(a)) for a in POWERS]
            lines.append(Line(f"{name}, beam of {beam}", POWERS, bleus, colour, name == "GNMT"))
    what = "a (of the power 0 is the sum, 1 the average)"
    save("length_rules", [Chart("Length rules", what, ABOUT, lines, width=720)])


def save(name: str, charts: list[Chart]) -> None:
    """A picture for the docs."""
    image = inspect.page_of_charts(charts, columns=2)
    (DOCS / f"{name}.svg").write_text(image + "\n", "utf-8")
    print(f"wrote docs/{name}.svg")


def main() -> None:
    """One part."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = {"train": train, "bottleneck": bottleneck, "widths": widths, "rules": rules}
    parser.add_argument("part", choices=parts)
    parser.add_argument("what", nargs="?", help="none or additive; the folder of a run")
    args = parser.parse_args()
    parts[args.part](*[args.what] if args.what else [])


if __name__ == "__main__":
    main()
