"""Where compiled kernels are kept between processes. Needs no Numba.

Numba's own rule is that a cached function is fresh as long as its file is: it sees neither
an edited helper in another file, nor changed options or flags, nor another NumPy. So each
state of all of these has a folder of its own, named by a digest of them.
"""

import hashlib
import importlib.util
import json
import linecache
import os
import re
import shutil
import sys
import tempfile
import types
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Entry", "announce", "clear", "entries", "fingerprint", "folder", "load_source", "root"]

_KEPT = 20  # folders; each edit of a kernel begins a new one


def root() -> Path | None:
    """Return the folder of all caches of this library, or None where there is to be none.

    TINYGRAD_CACHE_DIR names it, or is "0" or "off" for no caching.
    """
    chosen = os.environ.get("TINYGRAD_CACHE_DIR", "")
    if chosen.strip().lower() in ("0", "off"):
        return None
    if chosen:
        return Path(chosen).expanduser()
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        if base := os.environ.get(name):
            return Path(base) / "tinygrad-rnn"
    home = Path(os.path.expanduser("~"))
    return home / ".cache" / "tinygrad-rnn" if home.is_absolute() else None


# ----- this process's folder -----

_folder: list[Path | None] = []


def folder(facts: Callable[[], dict[str, Any]]) -> Path | None:
    """Return this process's folder, made on the first call; None where none can be made.

    Args:
        facts: Returns all that compiled code depends on, besides Python and the sources.
    """
    if not _folder:
        _folder.append(_make_folder(facts))
    return _folder[0]


def _make_folder(facts: Callable[[], dict[str, Any]]) -> Path | None:
    top = root()
    if top is None:
        return None
    about = {"python": sys.version, "sources": _source_digest(), **facts()}
    text = json.dumps(about, indent=1, sort_keys=True)
    path = top / hashlib.sha256(text.encode()).hexdigest()[:16]
    try:
        if not path.exists():
            path.mkdir(mode=0o700, parents=True, exist_ok=True)  # another may be as fast
            with suppress(OSError):  # somebody else may be removing them
                _forget_oldest(top)
        _write(path / "about.json", text)  # also shows that the folder can be written to
    except OSError:
        return None
    return path


def _source_digest() -> str:
    """Digest every Python source of the kernels."""
    here = Path(__file__).resolve().parent
    digest = hashlib.sha256()
    for path in sorted(here.rglob("*.py")):
        digest.update(path.relative_to(here).as_posix().encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()


def _write(path: Path, text: str) -> None:
    """Write a file all at once: other processes see it whole or not at all."""
    handle, name = tempfile.mkstemp(dir=path.parent)
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def load_source(name: str, text: str, directory: Path | None) -> types.ModuleType:
    """Make a module of generated source, kept in ``directory`` for people and debuggers to read.

    The same text gives the same module.
    """
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    full_name = f"tinygrad_rnn_generated.{name}_{digest}"
    if full_name in sys.modules:
        return sys.modules[full_name]
    path = (directory or Path("generated")) / f"{name}_{digest}.py"
    try:
        if directory is not None and (not path.exists() or path.read_text("utf-8") != text):
            _write(path, text)
    except (OSError, UnicodeDecodeError):
        pass  # tracebacks and Numba read it from here
    linecache.cache[str(path)] = (len(text), None, text.splitlines(keepends=True), str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(full_name, None))  # type: ignore[arg-type]
    module.__file__ = str(path)
    exec(compile(text, path, "exec"), vars(module))
    # Numba looks modules of cached functions up by name.
    return sys.modules.setdefault(full_name, module)


def announce(directory: Path | None) -> None:
    """Tell the user why the first call takes long, unless TINYGRAD_QUIET is set."""
    if os.environ.get("TINYGRAD_QUIET", "0") not in ("", "0"):
        return
    where = "in each process: there is no cache folder"
    if directory:
        where = f"each once; cached in {directory}"
    sys.stderr.write(f"tinygrad_rnn: compiling new kernels for this machine ({where})\n")


# ----- all folders -----


class Entry(NamedTuple):
    """One folder of compiled kernels."""

    path: Path
    functions: int
    size: int
    used: float
    about: dict[str, Any]


def entries(top: Path | None = None) -> list[Entry]:
    """Return all folders of compiled kernels, the one used last first."""
    return sorted(map(_entry, _folders(top or root())), key=lambda entry: -entry.used)


def clear(top: Path | None = None) -> list[Entry]:
    """Remove all folders of compiled kernels; return what they were."""
    found = entries(top)
    for entry in found:
        shutil.rmtree(entry.path, ignore_errors=True)
    return found


def _folders(top: Path | None) -> Iterator[Path]:
    """Yield the folders that are ours, whatever else may lie beside them."""
    if top is not None and top.is_dir():
        for path in top.iterdir():
            if re.fullmatch("[0-9a-f]{16}", path.name) and (path / "about.json").is_file():
                yield path


def _entry(path: Path) -> Entry:
    files = [file.stat() for file in path.rglob("*") if file.is_file()]
    functions = sum(1 for _ in path.rglob("*.nbc"))
    about = json.loads((path / "about.json").read_text("utf-8"))
    used = (path / "about.json").stat().st_mtime  # written by each process that begins
    return Entry(path, functions, sum(file.st_size for file in files), used, about)


def _forget_oldest(top: Path) -> None:
    """Keep the number of folders small. A process that uses one has loaded from it already."""
    by_age = sorted(_folders(top), key=lambda path: -(path / "about.json").stat().st_mtime)
    for path in by_age[_KEPT:]:
        shutil.rmtree(path, ignore_errors=True)


# ----- one function -----


def fingerprint(function: Any, *options: object) -> str:
    """Digest a function, its file, and the constants and functions that it reaches.

    For its name: compiled functions are linked by name, and two closures of one factory,
    compiled in different processes, would otherwise be taken for each other.
    """
    digest = hashlib.sha256(repr(options).encode())
    _reach(function, digest.update, set())
    return digest.hexdigest()[:10]


def _reach(value: Any, update: Callable[[bytes], None], seen: set[int]) -> None:
    value = getattr(value, "py_func", value)  # of a Numba function
    value = getattr(value, "_defn", value)  # of a Numba intrinsic
    if id(value) in seen:
        return
    if isinstance(value, types.FunctionType):
        seen.add(id(value))
        code = value.__code__
        constants = [item for item in code.co_consts if not isinstance(item, types.CodeType)]
        update(f"{value.__qualname__}{constants}{code.co_names}".encode() + code.co_code)
        update(_text_of(code.co_filename))
        for cell in value.__closure__ or ():
            _reach(cell.cell_contents, update, seen)
        for name in code.co_names:
            if name in value.__globals__:
                _reach(value.__globals__[name], update, seen)
    elif isinstance(value, np.ndarray):
        update(f"{value.dtype}{value.shape}".encode() + value.tobytes())
    elif isinstance(value, tuple | list):
        for item in value:
            _reach(item, update, seen)
    elif isinstance(value, set | frozenset):
        update(repr(sorted(map(repr, value))).encode())
    elif not isinstance(value, types.ModuleType):
        # What shows an address is another object in each process; its file speaks for it.
        text = repr(value)
        update((type(value).__name__ if " at 0x" in text else text).encode())


@cache
def _text_of(path: str) -> bytes:
    """Digest a file of source, or what stands for one."""
    try:
        text = Path(path).read_bytes()
    except OSError:
        text = "".join(linecache.getlines(path)).encode()
    return hashlib.sha256(text).digest()
