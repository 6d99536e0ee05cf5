"""The package holds all of its parts, however it is installed."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def packages_on_disk() -> set[str]:
    ours = {
        ".".join(init.parent.relative_to(ROOT).parts)
        for init in (ROOT / "tinygrad_rnn").rglob("__init__.py")
        if "kernels" not in init.relative_to(ROOT).parts
    }
    kernels = {
        ".".join(("tinygrad_rnn", *init.parent.relative_to(ROOT).parts))
        for init in (ROOT / "kernels").rglob("__init__.py")
    }
    return ours | kernels


def test_every_package_is_listed():
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == packages_on_disk()


def test_every_file_that_is_no_python_is_listed():
    listed = PROJECT["tool"]["setuptools"]["package-data"]
    ours = [
        path
        for path in (ROOT / "tinygrad_rnn").rglob("*.*")
        if "kernels" not in path.relative_to(ROOT).parts
    ]
    sources = [("tinygrad_rnn", path) for path in (ROOT / "kernels").rglob("*.cu*")]
    assert {f"{package}/{name}" for package, names in listed.items() for name in names} == {
        f"{'.'.join((*above, *path.parent.relative_to(ROOT).parts))}/{path.name}"
        for *above, path in [*((path,) for path in ours), *sources]
        if path.is_file() and path.suffix not in (".py", ".pyc", ".so")
    }


def test_the_link_to_the_kernels_is_committed():
    link = ROOT / "tinygrad_rnn" / "kernels"
    assert link.is_symlink()
    assert link.resolve() == ROOT / "kernels"


def test_kernels_are_never_imported_by_their_folder_name():
    assert not any(name == "kernels" or name.startswith("kernels.") for name in sys.modules)


@pytest.mark.parametrize(
    "heavy",
    ["numba", "cupy", "torch", "scipy", "hypothesis", "tinygrad_rnn.inspect", "tinygrad_rnn.data"],
)
def test_importing_the_library_loads_nothing_heavy(heavy):
    code = f"import sys, tinygrad_rnn; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "error", "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ["inspect", "models", "decoding", "metrics"])
def test_what_is_loaded_later_is_there_when_it_is_asked_for(name):
    code = f"import tinygrad_rnn as tg; assert {name!r} in dir(tg); tg.{name}; tg.nothing"
    run = [sys.executable, "-W", "error", "-c", code]
    said = subprocess.run(run, check=False, capture_output=True, text=True).stderr
    assert said.strip().endswith("module 'tinygrad_rnn' has no attribute 'nothing'")


def test_the_version_is_said_once():
    import tinygrad_rnn

    assert tinygrad_rnn.__version__ == PROJECT["project"]["version"]
