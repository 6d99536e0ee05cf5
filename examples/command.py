"""What commands of examples have in common, so that each of their files is about its lesson.

    @command.ended()                                 what is wrong is one line, not a traceback
    def main():
        args = command.parsed(parser)                and which arguments were given at all
        run, args = command.run_of(args, folder)     begun, or gone on with as it was begun

What a command is good for stands in the other files; each says it with --help.
"""

import argparse
import json
import math
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tinygrad_rnn as tg
from tinygrad_rnn import models, training


class AsWritten(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Help with the lines of a file's beginning, and what arguments are if not given."""


def parsed(parser: argparse.ArgumentParser, line: list[str] | None = None) -> argparse.Namespace:
    """What a command line says; those arguments that stand in it also by themselves, ``given``.

    Rates and shares are numbers from 0 up.
    """
    args = parser.parse_args(line)
    for name, value in vars(args).items():
        if isinstance(value, float) and not 0 <= value < math.inf:
            parser.error(f"--{name.replace('_', '-')} is {value}, expected a number from 0 up")
    none = argparse.Namespace(**dict.fromkeys(vars(args)))  # where parsers put no defaults
    said = vars(parser.parse_args(line, none))
    args.given = {name: value for name, value in said.items() if value not in (None, [])}
    return args


def check_columns(parser: argparse.ArgumentParser, columns: list[int]) -> None:
    """Columns of a table are two, and the first of a line is 1."""
    if min(columns) < 1 or columns[0] == columns[1]:
        parser.error(f"--columns are {columns}, expected two different numbers from 1 up")


def refuse(parser: argparse.ArgumentParser, args: argparse.Namespace, but: str, why: str) -> None:
    """Of what stands in the command line only such names as these are of use, others an error."""
    for name in args.given:
        if name not in but.split():
            parser.error(f"--{name.replace('_', '-')} {why}")


def made(folder: Path) -> Path:
    """The folder of --out, before minutes of learning of which nothing could be kept."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise tg.errors.ArgumentError(
            f"--out {folder} can be no folder: {error.strerror}."
        ) from error
    if not os.access(folder, os.W_OK):
        raise tg.errors.ArgumentError(f"--out {folder} cannot be written to.")
    return folder


def model_of(place: Path, *kinds: type, custom: dict[str, type] | None = None) -> Any:
    """The model that was saved at a place, if it is of one of these kinds."""
    try:
        kind = json.loads((place / "model.json").read_bytes())["kind"]
    except (OSError, ValueError, TypeError, KeyError):
        kind = None  # what is wrong with it is said when it is loaded
    names = [one.__name__ for one in kinds]
    if kind in models.__all__ and kind not in names:
        raise tg.errors.ArgumentError(f"{place} holds a {kind}, expected a {' or '.join(names)}.")
    return models.load(place, custom=custom)


def run_of(
    args: argparse.Namespace, folder: Path, later: tuple[str, ...] = ()
) -> tuple[training.RunFolder, argparse.Namespace]:
    """The run in a folder, and its arguments: those that it was begun with, if it goes on.

    No run depends on arguments for ``later``. Others that one which goes on has not are an error.
    """
    settings = {name: value for name, value in vars(args).items() if name not in ("given", *later)}
    try:
        run = training.RunFolder(folder, settings, resume=args.resume, anew=args.anew)
    except tg.errors.ArgumentError as error:  # in words for who writes a program
        said = re.sub(r" (resume|anew)(?=,| and anew)", r" --\1", str(error))
        raise tg.errors.ArgumentError(said) from None
    if run.resumes:
        had = {name: run.settings.get(name, value) for name, value in args.given.items()}
        others = [name for name, value in args.given.items() if had[name] != value]
        if told := [f"{name} {had[name]}" for name in others if name != "out"]:
            raise tg.errors.ArgumentError(
                f"the run in {folder} was begun with {', '.join(told)}, and goes on with it. "
                "Expected --resume without other arguments, or --anew to begin again."
            )
        print(f"going on with the run in {folder}; --anew begins again")
    return run, argparse.Namespace(**vars(args) | run.settings)


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
