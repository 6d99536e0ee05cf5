"""The page docs/mutants.md: how soon each wrong gradient is found, how small it becomes.

    python -m tests.testing.mutant_table [names of systems or operations ...]

For every mutant three hunts with seeds of their own; the middle one counts. Then one more,
which also makes the case smaller.
"""

import statistics
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tests.testing.hunt import Catch, cases_of, caught, checking, checking_op, hunt, op_cases
from tests.testing.mutants import MUTANTS as RULES
from tests.testing.mutants import Mutant, installed
from tests.testing.system_edit import Edit, mutated
from tests.testing.system_mutants import MUTANTS
from tests.testing.systems import SYSTEMS

SEEDS = (0, 1, 2)
HOPELESS = sys.maxsize

# At a kink anything between the two slopes is a right gradient, so it takes a stricter check to
# see that relu has another slope at 0 than elsewhere in this library.
STRICT = {("indrnn", "relu' counts zero as positive"): {"kinks": "ignore"}}


class Row(NamedTuple):
    """One mutant: examples until found (the middle of three), and the smallest case."""

    where: str
    name: str
    examples: int | None
    sizes: dict[str, Any]
    nonzero: tuple[str, ...]


def middle_of(check: Callable[[Any], None], cases: Any) -> int | None:
    """Examples until found, in the middle one of three hunts."""
    counts = []
    for start in SEEDS:
        catch = hunt(check, cases, start=start)
        counts.append(catch.examples if caught(catch) else HOPELESS)
    middle = sorted(counts)[len(counts) // 2]
    return None if middle == HOPELESS else middle


def row_of_edit(edit: Edit) -> Row:
    """Hunt one mistake in a system written by hand."""
    check, cases = hunting_ground(edit)
    sizes, inputs = _smallest(check, cases).case or ({}, {})
    nonzero = tuple(n for n, x in inputs.items() if x.dtype.kind == "f" and np.any(x))
    return Row(edit.system, edit.name, middle_of(check, cases), sizes, nonzero)


def hunting_ground(edit: Edit) -> tuple[Callable[[Any], None], Any]:
    """The check and the cases for a mistake in a system."""
    system = SYSTEMS[edit.system]
    options = STRICT.get((edit.system, edit.name), {})
    return checking(system, mutated(edit), **options), cases_of(system)


def row_of_rule(mutant: Mutant) -> Row:
    """Hunt one wrong rule of an operation."""
    check, cases = checking_op(mutant.primitive), op_cases(mutant.primitive)
    with installed(mutant):
        case = _smallest(check, cases).case
        middle = middle_of(check, cases)
    inputs = {f"input {i}": x for i, x in enumerate(case.inputs)} if case else {}
    sizes = {name: list(x.shape) for name, x in inputs.items()}
    return Row(mutant.primitive, mutant.name, middle, sizes,
               tuple(name for name, x in inputs.items() if np.any(x)))  # fmt: skip


def _smallest(check: Callable[[Any], None], cases: Any) -> Catch:
    return hunt(check, cases, start=3, examples=100, shrink=True)


def summary(rows: list[Row]) -> str:
    """The figures that bars are set for."""
    found = [row.examples for row in rows if row.examples is not None]
    small = [row for row in rows if _largest(row) <= 2]
    return (
        f"{len(found)} of {len(rows)} found within 20 examples, in the median after "
        f"{statistics.median(found):g}, at most {max(found)}; {len(small)} of them shrink to no "
        "size above 2"
    )


def _largest(row: Row) -> int:
    """The longest axis or size of the smallest case."""
    sizes = [n if isinstance(n, list) else [n] for n in row.sizes.values()]
    return max((n for part in sizes for n in part), default=1)


def table(rows: list[Row]) -> str:
    """The rows in Markdown."""
    lines = ["| where | what is wrong | examples | smallest case | not all 0 |",
             "|---|---|---|---|---|"]  # fmt: skip
    for row in rows:
        sizes = " ".join(
            "x".join(map(str, n)) or "1" if isinstance(n, list) else f"{letter}{n}"
            for letter, n in row.sizes.items()
        )
        examples = row.examples or "not found"
        lines.append(f"| {row.where} | {row.name} | {examples} | {sizes} | "
                     f"{', '.join(row.nonzero)} |")  # fmt: skip
    return "\n".join(lines)


def by_place(rows: list[Row]) -> str:
    """One line for each system or operation, in Markdown."""
    lines = [
        "| where | wrong gradients | examples, median (most) | longest axis of a smallest case |",
        "|---|---|---|---|",
    ]
    for where in dict.fromkeys(row.where for row in rows):
        here = [row for row in rows if row.where == where]
        found = [row.examples or HOPELESS for row in here]
        lines.append(f"| {where} | {len(here)} | {statistics.median(found):g} ({max(found)}) | "
                     f"{max(map(_largest, here))} |")  # fmt: skip
    return "\n".join(lines)


PAGE = """# Wrong gradients, and how soon they are found

{count} wrong backward passes: mistakes of people in {systems} systems written by hand in NumPy
(`tests/testing/systems*.py`, by somebody who had not seen the toolkit), and wrong rules of this
library's operations (`tests/testing/mutants.py`). For each, Hypothesis draws cases until the check
fails: the middle one of three runs with seeds of their own counts. One more run makes the failing
case smaller, and the sizes of its axes are those of the last column but one. A test of the default
suite asserts that each is found within 20 examples.

    python -m tests.testing.mutant_table > docs/mutants.md

**{summary}.**

{places}

{table}
"""


def main(names: list[str]) -> None:
    """Print the page, or the tables of some systems or operations alone."""
    rows = [row_of_edit(edit) for edit in MUTANTS if not names or edit.system in names]
    systems = len({row.where for row in rows})
    rows += [row_of_rule(rule) for rule in RULES if not names or rule.primitive in names]
    if names:
        sys.stdout.write(f"{table(rows)}\n\n{summary(rows)}\n")
        return
    sys.stdout.write(PAGE.format(
        count=len(rows), systems=systems, summary=summary(rows), places=by_place(rows),
        table=table(rows),
    ))  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
