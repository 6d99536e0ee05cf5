"""Where compiled kernels are kept between processes. Needs no Numba."""

import hashlib
import json
import os
import sys
import tempfile
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["announce", "fingerprint", "folder", "root", "source_digest"]


def root() -> Path | None:
    """Return the folder of all caches of this library, or None where caching is off.

    TINYGRAD_CACHE_DIR names it, or turns caching off with "0" or "off".
    """
    chosen = os.environ.get("TINYGRAD_CACHE_DIR")
    if chosen is not None and chosen.strip().lower() in ("", "0", "off"):
        return None
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "tinygrad-rnn"


def source_digest() -> str:
    """Digest every Python source of the kernels.

    Numba looks only at the file of the function itself, so an edited helper in another
    file, or a changed constant, would leave stale code in its cache.
    """
    here = Path(__file__).resolve().parent
    digest = hashlib.sha256()
    for path in sorted(here.rglob("*.py")):
        digest.update(path.relative_to(here).as_posix().encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()


_folder: list[Path | None] = []


def folder(facts: Callable[[], dict[str, Any]]) -> Path | None:
    """Return this process's cache folder, made if need be; None where none can be made."""
    if not _folder:
        _folder.append(_make_folder(facts()))
    return _folder[0]


def _make_folder(facts: dict[str, Any]) -> Path | None:
    top = root()
    if top is None:
        return None
    about = {"python": sys.version, **facts}
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    digest.update(source_digest().encode())
    path = top / digest.hexdigest()[:16]
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError:
        return None
    return path


def announce(path: Path | None) -> None:
    """Tell the user why the first call takes long."""
    if os.environ.get("TINYGRAD_QUIET", "0") not in ("", "0"):
        return
    where = f"once; cached in {path}" if path else "in every process; no cache folder"
    print(  # noqa: T201
        f"tinygrad_rnn: compiling kernels for this machine ({where})", file=sys.stderr, flush=True
    )


def fingerprint(function: Any, *options: object) -> str:
    """Digest a function's file, and the constants and functions that it reaches."""
    digest = hashlib.sha256(repr(options).encode())
    _reach(function, digest.update, set())
    return digest.hexdigest()[:10]


_CONSTANTS = (int, float, complex, str, bytes, tuple, frozenset, type(None))


def _reach(value: Any, update: Callable[[bytes], None], seen: set[int]) -> None:
    value = getattr(value, "py_func", value)
    value = getattr(value, "_defn", value)
    if isinstance(value, _CONSTANTS) or hasattr(value, "dtype"):
        update(repr(value).encode())
    if not isinstance(value, types.FunctionType) or id(value) in seen:
        return
    seen.add(id(value))
    update(value.__qualname__.encode() + _file_bytes(value.__code__.co_filename))
    for cell in value.__closure__ or ():
        _reach(cell.cell_contents, update, seen)
    for name in value.__code__.co_names:
        if name in value.__globals__:
            update(name.encode())
            _reach(value.__globals__[name], update, seen)


def _file_bytes(path: str) -> bytes:
    try:
        return hashlib.sha256(Path(path).read_bytes()).digest()
    except OSError:
        return b""
