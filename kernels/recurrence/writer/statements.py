"""What a segment does, line by line, and the lines as Python and as C++.

Expressions in them are texts that both languages read alike: calls of functions, names, whole
numbers with + and *.
"""

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["CopyRow", "Let", "Statement", "Store", "When", "as_cpp", "as_python"]


@dataclass(frozen=True)
class Let:
    """A name for a value."""

    name: str
    value: str


@dataclass(frozen=True)
class Store:
    """Write a value at a place."""

    place: str
    value: str


@dataclass(frozen=True)
class When:
    """Statements that are done where a condition holds."""

    condition: str
    then: tuple["Statement", ...]


@dataclass(frozen=True)
class CopyRow:
    """Write the columns that a segment does of one row to another."""

    source: str
    target: str


Statement = Let | Store | When | CopyRow


def as_python(statements: Iterable[Statement]) -> list[str]:
    """Lines of a written Numba kernel: vectors of columns."""
    lines: list[str] = []
    for one in statements:
        if isinstance(one, Let):
            lines.append(f"{one.name} = {one.value}")
        elif isinstance(one, Store):
            lines.append(f"store(like, {one.place}, n, {one.value})")
        elif isinstance(one, CopyRow):
            lines.append(f"copy_columns(like, {one.source}, {one.target}, left, right)")
        else:
            lines.append(f"if {one.condition}:")
            lines += ["    " + line for line in as_python(one.then)]
    return lines


def as_cpp(statements: Iterable[Statement]) -> list[str]:
    """Lines of a written CUDA kernel: one column."""
    lines: list[str] = []
    for one in statements:
        if isinstance(one, Let):
            lines.append(f"const auto {one.name} = {one.value};")
        elif isinstance(one, Store):
            lines.append(f"store({one.place}, {one.value});")
        elif isinstance(one, CopyRow):
            lines.append(f"store({one.target} + j, load(like, {one.source} + j, n));")
        else:
            lines.append(f"if ({one.condition}) {{")
            lines += ["    " + line for line in as_cpp(one.then)]
            lines.append("}")
    return lines
