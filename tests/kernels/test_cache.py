"""What was compiled once is loaded ever after, and never where it would be wrong.

Most tests run Python on a small copy of the package, whose one family has its helper in
another file than its kernel.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tinygrad_rnn import cache
from tinygrad_rnn.kernels import _cache, _jit, _numba

ROOT = Path(__file__).resolve().parents[2]
compiled = pytest.mark.skipif(_jit.DISABLED, reason="nothing is compiled")

HELPER = """
from tinygrad_rnn.kernels._jit import helper

@helper
def change(x):
    return x + x
"""
CPU = """
from tinygrad_rnn.kernels._jit import FASTMATH, NO_FASTMATH, helper, kernel
from tinygrad_rnn.kernels.demo.part import change

@kernel("intp, intp, intp, const(T[::1]), T[::1]", fastmath=FASTMATH)
def change_all(start, stop, past, x, y):
    for i in range(start, stop):
        y[i] = change(x[i + past])

def make(factor):
    @kernel("intp, intp, T[::1]")
    def scale(start, stop, x):
        for i in range(start, stop):
            x[i] = x[i] * factor
    return scale
"""
CALL = """
import numpy as np
from tinygrad_rnn.kernels import _jit
from tinygrad_rnn.kernels.demo.cpu import change_all
for dtype in ({dtypes}):
    x = np.array([1, 2, 3], dtype)
    y = np.zeros_like(x)
    change_all(0, 3, 0, x, y)
    print(dtype, *y, "loaded" if _jit.BUILDS[-1].loaded else "compiled")
"""
SINGLE, BOTH = CALL.format(dtypes="'float32',"), CALL.format(dtypes="'float32', 'float64'")


class Package:
    """A copy of the package, and a cache folder."""

    def __init__(self, folder):
        self.folder, self.cache = folder, folder / "cache"
        kernels = folder / "tinygrad_rnn" / "kernels"
        self.demo = kernels / "demo"
        self.demo.mkdir(parents=True)
        for path in [*(ROOT / "kernels").glob("_*.py")]:
            shutil.copy(path, kernels)
        for name in ("errors", "cache"):
            shutil.copy(ROOT / "tinygrad_rnn" / f"{name}.py", folder / "tinygrad_rnn")
        (folder / "tinygrad_rnn" / "__init__.py").touch()
        (self.demo / "__init__.py").touch()
        (self.demo / "part.py").write_text(HELPER)
        (self.demo / "cpu.py").write_text(CPU)

    def start(self, *arguments, **environment):
        kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
        environment = {
            **kept,
            "PYTHONPATH": str(self.folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TINYGRAD_CACHE_DIR": str(self.cache),
            **environment,
        }
        return subprocess.Popen(
            [sys.executable, *arguments],
            env={name: value for name, value in environment.items() if value is not None},
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments, **environment):
        process = self.start(*arguments, **environment)
        out, self.said = process.communicate()
        assert process.returncode == 0, self.said
        return out

    def call(self, program, **environment):
        return self.run("-c", program, **environment)


@pytest.fixture
def package(tmp_path):
    return Package(tmp_path)


@compiled
def test_the_first_process_compiles_and_says_so_once_and_the_next_loads(package):
    first = package.call(BOTH, PYTHONHASHSEED="1")
    assert first == "float32 2.0 4.0 6.0 compiled\nfloat64 2.0 4.0 6.0 compiled\n"
    assert package.said.count("\n") == 1
    assert package.said.startswith(
        "tinygrad_rnn: compiling new kernels for this machine (each once;"
    )
    assert str(package.cache) in package.said
    assert package.call(BOTH, PYTHONHASHSEED="2") == first.replace("compiled", "loaded")
    assert package.said == ""


@compiled
def test_whatever_changes_is_compiled_again(package):
    quiet = {"TINYGRAD_QUIET": "1"}
    assert package.call(SINGLE, **quiet) == "float32 2.0 4.0 6.0 compiled\n"
    assert package.said == ""
    # A helper in another file, which Numba's own cache does not look at.
    (package.demo / "part.py").write_text(HELPER.replace("x + x", "x + x + x"))
    assert package.call(SINGLE) == "float32 3.0 6.0 9.0 compiled\n"
    # An option.
    (package.demo / "cpu.py").write_text(CPU.replace("=FASTMATH", "=NO_FASTMATH"))
    assert package.call(SINGLE) == "float32 3.0 6.0 9.0 compiled\n"
    # A file that the kernel does not reach.
    with (package.demo.parent / "_entry.py").open("a") as file:
        file.write("# an edit\n")
    assert package.call(SINGLE) == "float32 3.0 6.0 9.0 compiled\n"
    # A flag.
    process = package.start("-c", SINGLE.replace("0, 3, 0", "0, 3, 1"), NUMBA_BOUNDSCHECK="1")
    assert "IndexError" in process.communicate()[1]


RACE = """
import pathlib, sys, time
from numba.core.caching import IndexDataCacheFile as Index
me, other, folder = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])

def wait_for(name):
    for _ in range(3000):
        if (folder / name).exists():
            return
        time.sleep(0.01)
    raise SystemExit("the other process never came")

load_index, save_index, save_data = Index._load_index, Index._save_index, Index._save_data
saving = []

def load(self):
    index = load_index(self)
    if saving:  # both read the index before either has written it
        (folder / f"{me}.read").touch()
        wait_for(f"{other}.read")
    return index

def save(self, key, data):
    saving.append(1)
    try:
        whole_save(self, key, data)
    finally:
        saving.clear()

def write_index(self, overloads):
    if me == "float64":  # the index is last written by float64,
        wait_for("float32.index")
    save_index(self, overloads)
    (folder / f"{me}.index").touch()

def write_data(self, name, data):
    if me == "float32":  # and the data by float32
        wait_for("float64.data")
    save_data(self, name, data)
    (folder / f"{me}.data").touch()

whole_save = Index.save
Index._load_index, Index._save_index, Index._save_data = load, write_index, write_data
Index.save = save
"""


@compiled
def test_processes_that_race_for_one_cache_leave_it_right(package):
    pairs = [("float32", "float64"), ("float64", "float32")]
    programs = [RACE + CALL.format(dtypes=f"{me!r},") for me, _ in pairs]
    racing = [
        package.start("-c", program, *pair, str(package.folder))
        for program, pair in zip(programs, pairs, strict=True)
    ]
    for process, (me, _) in zip(racing, pairs, strict=True):
        out, error = process.communicate()
        assert out == f"{me} 2.0 4.0 6.0 compiled\n", error
    right = "float32 2.0 4.0 6.0 loaded\nfloat64 2.0 4.0 6.0 loaded\n"
    assert package.call(BOTH) == right


@compiled
def test_a_damaged_cache_is_put_right(package):
    package.call(BOTH)
    answers = "float32 2.0 4.0 6.0 {}\nfloat64 2.0 4.0 6.0 loaded\n"
    for damage in ("another type", "half of it"):
        single, double = sorted(package.cache.rglob("*change_all*.nbc"))
        assert "float32" in single.name
        if damage == "another type":
            shutil.copy(double, single)
        else:
            single.write_bytes(single.read_bytes()[: single.stat().st_size // 2])
        assert package.call(BOTH) == answers.format("compiled")
    assert package.call(BOTH) == answers.format("loaded")


@compiled
def test_a_read_only_install_without_a_home_works_without_a_cache(package):
    before = sorted(package.folder.rglob("*"))
    package.demo.chmod(0o555)
    no_home = {"TINYGRAD_CACHE_DIR": None, "HOME": "/dev/null/nobody"}
    assert package.call(SINGLE, **no_home) == "float32 2.0 4.0 6.0 compiled\n"
    assert "in each process: there is no cache folder" in package.said
    assert sorted(package.folder.rglob("*")) == before


@compiled
def test_caching_can_be_turned_off(package):
    assert "compiled" in package.call(SINGLE, TINYGRAD_CACHE_DIR="off", HOME=str(package.cache))
    assert not package.cache.exists()


@compiled
def test_closures_compiled_in_different_processes_are_not_taken_for_each_other(package):
    program = """
import numpy as np
from tinygrad_rnn.kernels.demo.cpu import make
x = np.ones(1)
for factor in {}:
    make(factor)(0, 1, x)
print(*x)
"""
    assert package.call(program.format("[2]")) == "2.0\n"
    assert package.call(program.format("[3, 2, 5]")) == "30.0\n"


def test_fingerprints_are_the_same_in_all_processes(package):
    program = """
from tinygrad_rnn.kernels import _cache
names, numbers, thing = frozenset("abcdefgh"), (1.5, "x", None), object()
def inner():
    return names, thing
def outer():
    return inner, numbers
print(_cache.fingerprint(outer, 1, "two"))
"""
    one, two = (package.call(program, PYTHONHASHSEED=seed) for seed in "12")
    assert one == two


def test_fingerprints_tell_constants_and_functions_apart():
    def make(number, names, array):
        def inner(x):
            return x + number

        return lambda x: (inner(x), names, array)

    first = (1.5, frozenset("ab"), np.arange(3.0))
    others = [(1.25, *first[1:]), (1.5, frozenset("ac"), first[2]), (*first[:2], np.arange(4.0))]
    found = [_cache.fingerprint(make(*values)) for values in (first, *others)]
    assert _cache.fingerprint(make(*first)) == found[0]
    assert _cache.fingerprint(make(*first), "an option") != found[0]
    assert len(set(found)) == 4


@compiled
def test_generated_source_lies_in_the_cache_and_is_compared_before_use(package):
    text = CPU.replace("change_all", "made").replace("change(", "2 * change(")
    program = f"""
import numpy as np
from tinygrad_rnn.kernels import _jit
module = _jit.load_source("made", {text!r})
x = np.ones(2, "float32"); y = np.zeros_like(x)
module.made(0, 2, 0, x, y)
print(*y, "loaded" if _jit.BUILDS[-1].loaded else "compiled")
"""
    assert package.call(program) == "4.0 4.0 compiled\n"
    (path,) = package.cache.glob("*/made_*.py")
    assert path.read_text() == text
    path.write_text("tampered with")
    assert package.call(program) == "4.0 4.0 loaded\n"
    assert path.read_text() == text


AHEAD = """
from tinygrad_rnn.kernels import _ahead
for build in _ahead.compile_all(("float32", "float64")):
    print(build.name.removeprefix("tinygrad_rnn.kernels."), build.dtype, build.loaded)
"""


@compiled
def test_every_kernel_of_every_family_is_made_ready_ahead(package):
    kernels = "_crew.serve  {0}\ndemo.cpu.change_all float32 {0}\ndemo.cpu.change_all float64 {0}\n"
    assert package.call(AHEAD) == kernels.format(False)
    assert package.call(AHEAD) == kernels.format(True)


@compiled
@pytest.mark.slow
def test_every_kernel_of_the_library_can_be_cached(tmp_path):
    """In the folder that all tests compile into, if there is one: they want the same kernels."""
    environment = {**os.environ, "TINYGRAD_CACHE_DIR": str(_cache.root() or tmp_path)}
    command = [sys.executable, "-m", "tinygrad_rnn.warmup"]
    subprocess.run(command, env=environment, check=True)
    again = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert "compiled" not in again.stdout
    assert again.stdout.count("recurrence_") == 6  # three cells, forward and backward


# --- within this process ------------------------------------------------------------------


@compiled
def test_numbas_own_cache_folder_is_left_as_it_is():
    @_jit.kernel("T[::1]")
    def one(x):
        x[0] = 1

    before = _numba.config.CACHE_DIR
    one(np.zeros(1))
    assert before == _numba.config.CACHE_DIR


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"TINYGRAD_CACHE_DIR": "/a/b", "XDG_CACHE_HOME": "/x"}, "/a/b"),
        ({"TINYGRAD_CACHE_DIR": "~/c", "HOME": "/h"}, "/h/c"),
        ({"TINYGRAD_CACHE_DIR": "0", "HOME": "/h"}, None),
        ({"TINYGRAD_CACHE_DIR": "Off", "HOME": "/h"}, None),
        ({"NUMBA_CACHE_DIR": "/n", "XDG_CACHE_HOME": "/x"}, "/n/tinygrad-rnn"),
        ({"XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/x/tinygrad-rnn"),
        ({"HOME": "/h"}, "/h/.cache/tinygrad-rnn"),
        ({"HOME": "relative"}, None),
    ],
)
def test_where_the_cache_is(monkeypatch, environment, expected):
    for name in ("TINYGRAD_CACHE_DIR", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert _cache.root() == (expected and Path(expected))


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYGRAD_CACHE_DIR", str(tmp_path))
    about = {"numba": "0.63", "numpy": "2.0", "cpu": ["haswell", ""]}
    for number in range(3):
        path = _cache._make_folder(lambda number=number: {**about, "flags": number})
        (path / "kernels_1").mkdir()
        (path / "kernels_1" / "f.1.nbc").write_bytes(bytes(500_000))
        os.utime(path / "about.json", (1e9 + number, 1e9 + number))
    (tmp_path / "precious.txt").touch()
    (tmp_path / "0123456789abcdef").mkdir()  # not ours: nothing in it says so
    return tmp_path


def test_the_command_shows_what_there_is(folders, capsys):
    cache.main([])
    lines = capsys.readouterr().out.splitlines()
    day = time.strftime("%Y-%m-%d", time.localtime(1e9))
    assert lines[0] == f"In {folders}:"
    assert all("1 functions, 0.5 MB" in line and f"used {day}" in line for line in lines[1:4])
    assert lines[1].endswith("numba 0.63, numpy 2.0, haswell")
    assert lines[4] == "3 folders, 1.5 MB"


def test_the_command_clears_what_is_ours_and_nothing_else(folders, capsys):
    cache.main(["clear"])
    assert capsys.readouterr().out.startswith(f"Removed from {folders}:")
    assert sorted(path.name for path in folders.iterdir()) == ["0123456789abcdef", "precious.txt"]
    cache.main([])
    assert capsys.readouterr().out.endswith("0 folders, 0.0 MB\n")


def test_the_command_says_when_there_is_no_cache(monkeypatch, capsys):
    monkeypatch.setenv("TINYGRAD_CACHE_DIR", "off")
    cache.main([])
    assert capsys.readouterr().out.startswith("Compiled kernels are not kept")


def test_folders_that_were_not_used_for_long_are_forgotten(folders, monkeypatch):
    monkeypatch.setattr(_cache, "_KEPT", 2)
    oldest = _cache.entries()[-1]
    _cache._make_folder(lambda: {"flags": "new"})
    assert len(_cache.entries()) == 3  # the new one has no file yet when others are counted
    assert not oldest.path.exists()
