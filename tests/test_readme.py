"""What the README shows is what happens."""

import contextlib
import io
import re
from pathlib import Path

README = (Path(__file__).resolve().parents[1] / "README.md").read_text()


def test_the_code_prints_what_stands_below_it():
    shown = re.findall(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```)?", README, re.S)
    assert shown
    for code, expected in shown:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
        assert printed.getvalue() == expected


def test_python_stands_on_the_first_screen():
    assert README.splitlines().index("```python") < 15


def test_every_link_leads_somewhere():
    root = Path(__file__).resolve().parents[1]
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (root / target).exists(), target
