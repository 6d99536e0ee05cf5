"""Random checks of right gradients, none of which may fail: the figure in docs/testing.md.

    python -m tests.testing.false_alarms 100000 [seed [names ...]]

As many of every operation of the library as of every system written by hand.
"""

import sys
import time

from tests.ops.specs import SMOOTH
from tests.testing.hunt import cases_of, checking, checking_op, hunt, op_cases
from tests.testing.systems import SYSTEMS

AT_ONCE = 1000  # examples of one run of Hypothesis


def main(total: int, start: int = 0, *names: str) -> int:
    """Run the checks; print what failed and return how many did."""
    grounds = [(f"ops.{spec.name}", checking_op(spec.name), op_cases(spec.name)) for spec in SMOOTH]
    grounds += [
        (system.name, checking(system, system.backward), cases_of(system))
        for system in SYSTEMS.values()
    ]
    grounds = [ground for ground in grounds if not names or ground[0] in names]
    each, ran, failed, begun = -(-total // len(grounds)), 0, 0, time.perf_counter()
    for name, check, cases in grounds:
        left = each
        while left > 0:
            catch = hunt(check, cases, start=start + left, examples=min(left, AT_ONCE))
            ran, left = ran + catch.drawn, left - AT_ONCE
            if catch.failure is not None:
                failed += 1
                sys.stdout.write(f"{name} at {catch.case}:\n{catch.failure}\n\n")
                break
    seconds = time.perf_counter() - begun
    sys.stdout.write(f"{failed} false alarms in {ran} checks, {seconds:.0f} s\n")
    return failed


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:3]), *sys.argv[3:]) > 0)
