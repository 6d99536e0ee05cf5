"""n-grams of the characters of Shakespeare: what each smoothing leaves, and how long it takes.

TINYGRAD_DATA names the folder that holds ``tinyshakespeare/``; without it nothing is measured.

    python benchmarks/ngram.py
"""

import time
from functools import partial

from sides.shakespeare import missing
from sides.shakespeare import text as speech
from table import show, table

from tinygrad_rnn import text
from tinygrad_rnn.models import NGram
from tinygrad_rnn.models.smoothing import NAMED

ORDERS = range(1, 9)
BAR = 1.669  # of order 5, Witten-Bell, last 10 %; counted independently of this library


def timed(work):
    start = time.perf_counter()
    found = work()
    return found, time.perf_counter() - start


def smoothings(vocabulary, train, test) -> list[str]:
    """Rows: a smoothing, its nats a character with each order, and times of order 5."""
    rows = []
    for name in NAMED:
        models = [NGram(order, vocabulary, smoothing=name) for order in ORDERS]
        times = [timed(partial(model.fit, train))[1] for model in models]
        scores = [timed(partial(model.score, test)) for model in models]
        nats = [f"{score.nats:.3f}" for score, _ in scores]
        if name == "witten-bell":
            nats[4] = f"**{nats[4]}**"
        rows.append(f"| {name} | {' | '.join(nats)} | {times[4]:.2f} | {scores[4][1]:.2f} |")
    head = ["smoothing", *(f"n = {order}" for order in ORDERS), "fit n = 5, s", "score it, s"]
    bar = (
        f"Nats a character on the last 10 % of {len(train) + len(test):,} characters, after the "
        f"first 90 %. Bar: {BAR} ± 0.005."
    )
    return table(bar, head, rows)


def sparsity(vocabulary, train, test) -> list[str]:
    """Rows: lengths, how many n-grams differ, and the share of those of the test never seen."""
    model = NGram(ORDERS[-1], vocabulary).fit(train)
    rows = [
        f"| {n} | {len(vocabulary) ** n:,} | {len(model.counts[n]):,} | {share:.1%} |"
        for n, share in enumerate(model.unseen(test), start=1)
    ]
    head = ["n", "possible", "counted", "of the last 10 %, never counted"]
    return table("", head, rows)[2:]


def sections() -> dict[str, list[str]]:
    """What ``run.py`` writes into RESULTS.md."""
    if missing("ngram"):
        return {}
    found = speech()
    vocabulary = text.Characters.of(found)
    ids = vocabulary.encode(found)
    cut = len(ids) * 9 // 10
    parts = vocabulary, ids[:cut], ids[cut:]
    return {"n-grams of Shakespeare": smoothings(*parts), "What counting misses": sparsity(*parts)}


if __name__ == "__main__":
    show(sections())
