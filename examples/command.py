"""What commands of examples have in common: their help, and an end in one line, no traceback.

    @command.ended()
    def main(): ...

What a command is good for stands in the other files; each says it with --help.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tinygrad_rnn as tg


class AsWritten(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Help with the lines of a file's beginning, and what arguments are if not given."""


@contextmanager
def ended(*others: type[Exception]) -> Iterator[None]:
    """What is wrong with files and arguments is one line; ``others`` are errors that mean it too.

    So is Ctrl-C: in a training that may --resume the second one, or one elsewhere.
    """
    name = Path(sys.argv[0]).name
    try:
        try:
            yield
        finally:
            sys.stdout.flush()  # here, where it is found out that nobody reads on
    except BrokenPipeError:  # as of | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (tg.errors.TinygradError, OSError, UnicodeError, ImportError, *others) as error:
        sys.exit(f"{name}: {error}")
    except KeyboardInterrupt:
        sys.exit(f"\n{name}: interrupted")


if __name__ == "__main__":
    print("every example says with --help what it is good for")
