"""Damaged weight files: what becomes of 2,000 of ours and 2,000 of another library's.

python benchmarks/broken_files.py
"""

import resource

from damage import outcomes
from table import show, table


def sections() -> dict[str, list[str]]:
    """What ``run.py`` writes into RESULTS.md."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures, slowest = outcomes(2000)
    rise = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    bar = (
        "Bar: every damaged file of ours is an error. A file of another library has no digest: "
        "header damage is an error unless the header is a right one again (a letter of a name "
        "or of a text changed), damaged numbers are read as they are; nothing crashes, hangs or "
        f"allocates. Slowest: {1e3 * slowest:.1f} ms; memory rose by {rise / 1024:.1f} MiB."
    )
    rows = [
        f"| {' | '.join(which)} | {'**' if which[0] == 'ours' else ''}{times}"
        f"{'**' if which[0] == 'ours' else ''} |"
        for which, times in sorted(figures.items(), reverse=True)
    ]
    head = ["made by", "damaged", "reading gives", "files"]
    return {"Damaged weight files": table(bar, head, rows)}


if __name__ == "__main__":
    show(sections())
