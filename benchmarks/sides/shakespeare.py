"""The text that several benchmarks read, from the folder of data that TINYGRAD_DATA names."""

import gzip
import os
from pathlib import Path

FOLDER = Path(os.environ.get("TINYGRAD_DATA", "")) / "tinyshakespeare"


def missing(benchmark):
    """Whether the text is not there; then it says that nothing is measured."""
    if not FOLDER.is_dir():
        print(f"{benchmark}: skipped, TINYGRAD_DATA names no folder with {FOLDER.name}/")
    return not FOLDER.is_dir()


def text():
    """The whole text; the folder holds it packed or not."""
    files = [p for p in FOLDER.iterdir() if p.suffix in (".gz", ".txt") and "README" not in p.name]
    (path,) = files
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        return file.read().decode()
