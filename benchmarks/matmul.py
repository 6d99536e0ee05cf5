"""Matrix products against NumPy's OpenBLAS, and the machine's peak rate.

python benchmarks/matmul.py
"""

import sys

from duel import HERE, Result, Side, duel
from sides.peak import flops
from sides.sizes import parse
from table import show, table

from tinygrad_rnn.kernels._pool import num_threads

LARGE = [(2048, 2048, 2048), (3200, 512, 2048), (700, 200, 800)]
RECURRENT = [(20, 200, 800), (20, 650, 2600), (64, 512, 2048), (32, 128, 512)]
CASES = [
    *(f"{form} {M} {K} {N} float32" for M, K, N in LARGE for form in ("a b", "a bT", "aT b")),
    *(f"fifty {M} {K} {N} float32" for M, K, N in RECURRENT),
]
THREADS = ("TINYGRAD_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")


def _limit(threads: int) -> dict[str, str]:
    return dict.fromkeys(THREADS, str(threads))


def results(threads: int | None = None, cases: list[str] = CASES, rounds: int = 9) -> list[Result]:
    """Run the cases on so many threads, or as many as each side takes by itself."""
    return duel(
        cases,
        HERE / "sides" / "matmul_ours.py",
        HERE / "sides" / "matmul_numpy.py",
        rounds=rounds,
        rest=0.15,  # OpenBLAS' threads spin on for a while
        python=sys.executable,
        environment=None if threads is None else _limit(threads),
    )


def rate(result: Result, seconds: float) -> float:
    """GFLOP/s of a case that took so long."""
    form, M, K, N, _ = parse(result.case)
    return 2e-9 * M * K * N * (50 if form == "fifty" else 1) / seconds


def against_openblas(threads: int | None = None) -> list[str]:
    """Rows: GFLOP/s of both sides."""
    rows = [
        *(
            f"| {r.case} | {rate(r, r.ours):.0f} ({rate(r, r.ours_best):.0f}) "
            f"| {rate(r, r.peer):.0f} ({rate(r, r.peer_best):.0f}) | **{r.ratio:.2f}** |"
            for r in results(threads)
        ),
        f"| multiply-adds between registers | {peak(threads):.0f} | | |",
    ]
    head = ["M K N of a b", "ours, GFLOP/s (best)", "OpenBLAS, GFLOP/s (best)", "times as fast"]
    return table("Bars: 0.85 where large, 1.2 in a recurrence (fifty).", head, rows)


def peak(threads: int | None = None, dtype: str = "float32", rounds: int = 7) -> float:
    """GFLOP/s of multiply-adds between registers: what no product can exceed."""
    count = threads or num_threads()
    side = Side(HERE / "sides" / "peak.py", sys.executable, _limit(count))
    try:
        seconds = min(side.run(dtype, 20) for _ in range(rounds))
    finally:
        side.close()
    return flops(dtype, count) / seconds * 1e-9


def sections() -> dict[str, list[str]]:
    """What ``run.py`` writes into RESULTS.md."""
    return {
        "Matrix products": against_openblas(),
        "Matrix products on one thread": against_openblas(1),
    }


if __name__ == "__main__":
    show(sections())
