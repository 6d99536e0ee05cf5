"""The page of all equations, docs/equations.md, made of the docstrings that state them.

python -m tests.equations_page > docs/equations.md
"""

import inspect
import re
import sys
from pathlib import Path

from tinygrad_rnn import losses, nn, optim
from tinygrad_rnn.nn import attention_scores

ROOT = Path(__file__).parents[1]
HEAD = """# Equations

Every cell, layer, optimiser, schedule and loss with the equation that its class or function
states: this page is made of their docstrings, and a test holds it to them. What each is for, and
its options, stand in [recurrences](recurrences.md), [options](options.md), [layers](layers.md)
and [training](training.md). `[a; b]` is side by side, σ the logistic function, ← an update.

    python -m tests.equations_page > docs/equations.md
"""
SECTIONS = {
    "Cells": (nn, lambda name: name.endswith("Cell")),
    "Layers": (nn, lambda name: not name.endswith("Cell")),
    "Scores of attention": (attention_scores, lambda name: True),
    "Optimisers": (optim, lambda name: True),
    "Schedules": (optim.schedules, lambda name: True),
    "Losses": (losses, lambda name: True),
}
# What states nothing: bases, containers, tools.
WITHOUT = {
    "Accumulation", "Cell", "Flatten", "Module", "ModuleList", "Optimizer", "Parameter",
    "Recurrent", "Sampler", "Schedule", "Score", "Sequential", "SequentialLR", "init", "per_gate",
    "read_vectors", "schedules",
}  # fmt: skip
_EQUATION = re.compile(r"=|←|·|\^|√|``.*[-(\[]")
_PROSE = re.compile(r"[A-Z][a-z]+\b")
_CODE = re.compile(r"\b(nn|optim|schedules|testing|ema|schedule|accumulation|self)\.|import ")


def stated(thing):
    """The summary and the paragraphs with equations of a docstring."""
    text = (inspect.getdoc(thing) or "").partition("\nArgs:")[0].rstrip()
    summary, *paragraphs = re.split(r"\n\s*\n", text)
    indented = any(p.startswith("    ") for p in paragraphs)
    found = [
        inspect.cleandoc("\n" + p)
        for p in paragraphs
        if p.startswith("    ") or not (indented or _PROSE.match(p))
        if _EQUATION.search(p) and not _CODE.search(p)
    ]
    return " ".join(summary.split()), found


def states_one(summary, equations):
    """Whether there is an equation: apart, or in the summary itself."""
    return bool(equations or _EQUATION.search(summary))


def entries():
    """(section, name, summary, equations) of everything public that states one."""
    for section, (module, belongs) in SECTIONS.items():
        for name in sorted(module.__all__, key=str.lower):
            if belongs(name) and name not in WITHOUT:
                yield section, name, *stated(getattr(module, name))


def page():
    lines, current = [HEAD], None
    for section, name, summary, equations in entries():
        if section != current:
            lines.append(f"## {section}\n")
            current = section
        lines.append(f"**{name}.** {summary}\n")
        if equations:
            lines.append("```text\n" + "\n\n".join(equations) + "\n```\n")
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
