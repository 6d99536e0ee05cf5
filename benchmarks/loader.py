"""Batches of 10,000 ragged examples: how much is padding, how many a second; PyTorch's too.

python benchmarks/loader.py        (TINYGRAD_PEER_PYTHON=/path/to/python with PyTorch)
"""

from duel import HERE, duel, short
from sides.loader_ours import batches
from sides.ragged import BATCH, COUNT, TOKENS, examples
from table import show, table

from tinygrad_rnn.data import padding_share

OURS, PYTORCH = HERE / "sides" / "loader_ours.py", HERE / "sides" / "loader_torch.py"
CASES = {
    "shuffled": f"{BATCH} rows, shuffled",
    "buckets": f"{BATCH} rows, in buckets",
    "tokens": f"{TOKENS} places, in buckets",
    "buckets ahead": f"{BATCH} rows, in buckets, read ahead",
}


def epochs() -> list[str]:
    """Rows: an epoch of each kind of batches."""
    _, _, lengths = examples()
    rows = []
    for result in duel(list(CASES), OURS, PYTORCH, rounds=9, seconds=0.2):
        of_epoch = batches(result.case.split()[0]).rows()
        share = padding_share(lengths[batch] for batch in of_epoch)
        ours, best, peer, peer_best = (
            short(len(of_epoch) / seconds)
            for seconds in (result.ours, result.ours_best, result.peer, result.peer_best)
        )
        rows.append(
            f"| {CASES[result.case]} | {100 * share:.1f} % | {ours} ({best}) "
            f"| {peer} ({peer_best}) | **{result.ratio:.2f}** |"
        )
    head = ["a batch", "padding", "ours, batches/s (best)", "PyTorch, batches/s (best)"]
    text = (
        f"{COUNT} examples of 1 to 200 tokens with a label, padded; no bar. PyTorch's DataLoader "
        "has a sampler of the same buckets and `pad_sequence`; ahead reads a thread here, a "
        "process there."
    )
    return table(text, [*head, "times as fast"], rows)


def sections() -> dict[str, list[str]]:
    """What ``run.py`` writes into RESULTS.md."""
    return {"Batches of ragged examples": epochs()}


if __name__ == "__main__":
    show(sections())
