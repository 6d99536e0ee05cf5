"""An example as a module, for tests that call what is in it, or run it as a command."""

import importlib.util
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def loaded(name):
    """A module of its own each time."""
    spec = importlib.util.spec_from_file_location(f"{name}_example", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def command(module, name, monkeypatch, capsys):
    """A function that runs an example with arguments: what it wrote, and what it died of."""

    def run(*arguments):
        monkeypatch.setattr("sys.argv", [f"{name}.py", *map(str, arguments)])
        try:
            module.main()
            died = ""
        except SystemExit as end:
            died = str(end.code)
        written = capsys.readouterr()
        return written.out, written.err if died == "2" else died

    run.module = module
    return run
