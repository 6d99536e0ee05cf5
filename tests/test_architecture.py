"""Imports point downwards, files stay readable, and the hot path calls no BLAS."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# What a part may import, by the first name below tinygrad_rnn. Everything may import errors.
BASE = {"kernels", "device", "modes", "random", "arguments", "sums"}
CORE = BASE | {"operators", "tensor", "engine", "primitive"}
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "kernels": {"kernels"},
    "device": {"kernels"},
    "modes": set(),
    "sums": {"device"},
    "operators": {"device", "tensor"},
    "random": {"device", "arguments", "kernels"},
    "arguments": set(),
    "tensor": {"device", "modes", "operators", "engine", "arguments"},
    "engine": BASE | {"tensor", "engine"},
    "primitive": CORE,
    "creation": BASE | {"tensor"},
    "ops": CORE | {"ops"},
    "transforms": CORE | {"ops"},
    "graph": CORE,
    "debug": CORE,
    "nn": CORE | {"ops", "nn"},
    "inspect": CORE | {"files", "ops", "nn", "inspect", "training"},
    "optim": CORE | {"optim"},
    "losses": CORE | {"ops", "nn"},  # modules hold the weights of some
    "files": CORE | {"files"},
    "interop": CORE | {"files", "nn", "interop"},
    "data": BASE | {"data", "files"},  # arrays in, arrays out
    "text": BASE | {"text"},
    "metrics": BASE,
    "decoding": BASE | {"decoding", "tensor"},
    "training": CORE | {"data", "files", "losses", "nn", "ops", "optim", "training"},
    "models": CORE
    | {"data", "decoding", "files", "losses", "metrics", "nn", "ops", "optim", "text", "training"},
    "testing": CORE | {"ops", "nn", "transforms", "testing", "creation", "debug", "warmup"},
    "cache": {"kernels"},
    "warmup": {"kernels", "nn"},
}

SOURCES = sorted(
    path
    for folder in ("kernels", "tinygrad_rnn")
    for path in (ROOT / folder).rglob("*.py")
    if not (folder == "tinygrad_rnn" and "kernels" in path.relative_to(ROOT).parts)
)


def part_of(path: Path) -> str:
    parts = path.relative_to(ROOT).parts
    return "kernels" if parts[0] == "kernels" else parts[1].removesuffix(".py")


def imported_parts(path: Path) -> set[str]:
    parts = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        parts |= {name.split(".")[1] for name in names if name.startswith("tinygrad_rnn.")}
    return parts - {"errors"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_downwards(path):
    part = part_of(path)
    if part == "__init__":
        return
    upwards = imported_parts(path) - ALLOWED[part] - {part}  # a part may be a package
    assert not upwards, f"{part} must not import {upwards}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_readable(path):
    text = path.read_text()
    assert text.count("\n") <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            first = node.body[0]
            documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            start = node.body[min(documented, len(node.body) - 1)].lineno
            assert (node.end_lineno or start) - start < 60, f"{node.name} is too long"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_blas_outside_the_references(path):
    """OpenBLAS' threads go on spinning and fight our pool; its bits depend on sizes."""
    if path.name in ("reference.py", "gpu.py"):
        return
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in ("dot", "einsum", "tensordot"):
            assert not (isinstance(node.value, ast.Name) and node.value.id in ("np", "xp"))
        if isinstance(node, ast.Attribute) and node.attr == "matmul":
            assert not (isinstance(node.value, ast.Name) and node.value.id in ("np", "xp"))
        if part_of(path) in ("kernels", "ops", "engine", "primitive"):  # above, @ is a Tensor's
            assert not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult))
