"""Reading: what is no safetensors file, or is damaged, is an error that says so."""

import json
import os
import re
import stat
from collections.abc import Mapping
from typing import Any

from tinygrad_rnn.errors import FileFormatError
from tinygrad_rnn.files.layout import CODES, DIGEST, MARK, TREE, Arrays, digest_of
from tinygrad_rnn.files.trees import restored

__all__ = ["load", "read"]

Path = str | os.PathLike[str]

_PICKLE = (
    "{}. No code is run from a file with weights, and {} can run any. Where it was made, write "
    "the arrays as safetensors: safetensors.torch.save_file(model.state_dict(), ...)."
)
_STARTS = (
    (b"PK\x03\x04", _PICKLE.format("it is a zip archive, such as torch.save makes", "its pickle")),
    (b"PK\x05\x06", "it is an empty zip archive."),
    (b"\x80", _PICKLE.format("it is a pickle, such as torch.save made earlier", "a pickle")),
    (b"\x89HDF", "it is an HDF5 file, such as Keras makes. Write the arrays as safetensors."),
    (b"\x93NUMPY", "it is an array of NumPy; np.load(..., allow_pickle=False) reads it."),
)
_NPZ = re.compile(rb"PK\x03\x04.{26}[^\x00-\x1f]{1,200}?\.npy", re.DOTALL)  # byte 30: a name


def load(path: Path) -> dict[str, Any]:
    """The arrays of a safetensors file by name, a state dict; or the dict that was saved.

        model.load_state_dict(tg.load("model.safetensors"))
        adam.load_state_dict(tg.load("run.safetensors")["optimizer"])

    A file that ``save`` has made is the same to the bit, or the error is a FileFormatError. Files
    of other libraries have no digest: their headers are checked, damaged numbers cannot be seen.
    No code is ever run: pickles are refused.
    """
    arrays, metadata = read(path)
    if TREE not in metadata:
        return arrays
    try:
        found: dict[str, Any] = restored(arrays, json.loads(metadata[TREE]))
    except (ValueError, RecursionError, FileFormatError) as error:
        what = "what it says of its arrays is nothing that save writes."
        raise _wrong("load", path, what) from error
    return found


def read(path: Path, where: str = "load") -> tuple[Arrays, dict[str, str]]:
    """The arrays, and the texts that stand beside them; ``where`` is what errors name."""
    _check_start(where, path)
    arrays, metadata = _opened(where, path)
    ours = {name: text for name, text in metadata.items() if name in (MARK, DIGEST)}
    if ours and metadata.get(DIGEST) != digest_of(arrays, metadata):
        raise _wrong(
            where, path, "it is damaged: what it holds does not have the digest that it was "
            "written with."
        )  # fmt: skip
    return arrays, {name: text for name, text in metadata.items() if name not in ours}


def _opened(where: str, path: Path) -> tuple[Arrays, dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(os.fspath(path), framework="np") as file:
            names = list(file.keys())
            _check_types(where, path, {name: file.get_slice(name).get_dtype() for name in names})
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except FileFormatError:
        raise
    except (SafetensorError, ValueError, OSError) as error:
        raise _wrong(where, path, f"it is no whole safetensors file ({error}).") from error


def _check_types(where: str, path: Path, codes: Mapping[str, str]) -> None:
    unknown = [f"{name} {code}" for name, code in codes.items() if code not in CODES.values()]
    if unknown:
        raise _wrong(
            where, path, f"it holds types that NumPy does not have: {', '.join(unknown)}. Convert "
            "them to F32 where it was made."
        )  # fmt: skip


def _check_start(where: str, path: Path) -> None:
    """Refuse what is no file, and what its first bytes show to be something else."""
    if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would never end
        raise _wrong(where, path, "it is no file.")
    with open(path, "rb") as file:
        start = file.read(300)
    if _NPZ.match(start):
        raise _wrong(
            where, path, "it is an archive of NumPy's; np.load(path), which is a dict of arrays, "
            "reads it."
        )  # fmt: skip
    if start[8:9] != b"{":
        for known, reason in _STARTS:
            if start.startswith(known):
                raise _wrong(where, path, reason)


def _wrong(where: str, path: Path, reason: str) -> FileFormatError:
    return FileFormatError(f"{where}: {os.fspath(path)!r} cannot be read: {reason}")
