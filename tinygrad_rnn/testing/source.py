"""The source of functions and classes, with all the names that they use, as lines of a script."""

import ast
import functools
import linecache
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from itertools import chain, count
from types import CodeType, FunctionType, ModuleType
from typing import Any, cast

import numpy as np

from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.testing.literals import literal

__all__ = ["Script"]

Node = ast.FunctionDef | ast.Lambda | ast.ClassDef

MOST_NUMBERS = 256  # that a name may stand for, and still be written out


class Script:
    """What stands above the last call of a script: imports, and definitions below them.

    What cannot be written down is "...", with what it was beside it.
    """

    def __init__(self) -> None:
        self._imports: dict[str, str] = {"np": "import numpy as np"}
        self._definitions: list[str] = []
        self._known: dict[str, Any] = {}
        self._annotated = False  # then nothing that annotations name has to be there

    def lines(self) -> list[str]:
        """The script so far."""
        future = ["from __future__ import annotations", ""]
        below = [line for text in self._definitions for line in ("", *text.splitlines())]
        imports = sorted(self._imports.values(), key=lambda text: (text.startswith("from"), text))
        return [*(future if self._annotated else []), *imports, *below]

    def imported(self, line: str) -> None:
        """Have a line of imports, once."""
        self._imports[line] = line

    def defined(self, text: str) -> None:
        """Have a definition, below those that there are."""
        self._definitions.append(text)

    def name_for(self, value: Any, role: str) -> str:
        """What a script may call a value: its own name, unless another has it, or else its role."""
        own = getattr(value, "__name__", "")
        names = [own] if isinstance(own, str) and own.isidentifier() else []
        numbered = (f"{role}_{n}" for n in count(2))
        free = (n for n in chain(names, [role], numbered) if self._known.get(n, value) is value)
        return next(free)

    def bring(self, name: str, value: Any) -> None:
        """Make ``name`` mean this value in the script."""
        if name in self._known:
            return
        self._known[name] = value
        if name == "np" and getattr(value, "__name__", "") == "numpy":
            return
        if isinstance(value, ModuleType):
            found = value.__name__
            self._imports[name] = f"import {found}" + (f" as {name}" if found != name else "")
            if "." in found and found.rpartition(".")[2] == name:
                self._imports[name] = f"from {found.rpartition('.')[0]} import {name}"
        elif isinstance(value, functools.partial):
            self._bring_partial(name, value)
        elif _importable(value):
            own = value.__name__
            renamed = "" if own == name else f" as {name}"
            self._imports[name] = f"from {value.__module__} import {own}{renamed}"
        elif isinstance(value, FunctionType | type):
            self._bring_source(name, value)
        else:
            text = literal(value) if _size(value) <= MOST_NUMBERS else None
            self._write(name, text, value)

    def _write(self, name: str, text: str | None, value: Any) -> None:
        if text is None:
            text = f"...  # {value!r}".replace("\n", "\n# ")
        self.defined(f"{name} = {text}")

    def _bring_partial(self, name: str, value: functools.partial[Any]) -> None:
        own = self.name_for(value.func, "function")
        self.bring(own, value.func)
        self.imported("import functools")
        given = [literal(x) or "..." for x in value.args]
        given += [f"{key}={literal(x) or '...'}" for key, x in value.keywords.items()]
        self.defined(f"{name} = functools.partial({', '.join((own, *given))})")

    def _bring_source(self, name: str, value: Any) -> None:
        text, node = _found(value)
        if node is None:
            self._write(name, None, value)
            return
        for used, meant in _meanings(value, node):
            if meant is not value:
                self.bring(used, meant)
        self._annotated |= any(True for _ in _annotations(node))
        source = textwrap.dedent(ast.get_source_segment(text, node, padded=True) or "")
        if isinstance(node, ast.Lambda):
            # In brackets, the text may go on over several lines as it did where it stood.
            self.defined(f"{name} = ({source})" if "\n" in source else f"{name} = {source}")
            return
        if node.name != name and node.name in self._known:  # which means another
            source = re.sub(rf"\b(def|class) {node.name}\b", rf"\1 {name}", source, count=1)
        self.defined(source)
        if node.name != name and node.name not in self._known:
            self.defined(f"{name} = {node.name}")


def _importable(value: Any) -> bool:
    """Whether a script finds the value under its name; files of tests are not on its path."""
    name, module = getattr(value, "__name__", ""), getattr(value, "__module__", None) or ""
    parts = module.split(".")
    if module in ("", "__main__") or any(p.startswith("test_") or p == "conftest" for p in parts):
        return False
    if "tests" in parts or not isinstance(name, str):
        return False
    return getattr(sys.modules.get(module), name, None) is value


def _size(value: Any) -> int:
    if isinstance(value, Mapping):
        return sum(map(_size, value.values()))
    if isinstance(value, tuple | list):
        return sum(map(_size, value))
    return value.size if isinstance(value, np.ndarray | Tensor) else 1


# ----- where a function or class was written -----


def _found(value: Any) -> tuple[str, Node | None]:
    """The text of the file that defines a function or class, and the place in its tree."""
    if isinstance(value, type):
        codes = [function.__code__ for function in _methods(value)]
        module = sys.modules.get(value.__module__)
        file = codes[0].co_filename if codes else str(getattr(module, "__file__", ""))
        line = codes[0].co_firstlineno if codes else None
    else:
        file, line = value.__code__.co_filename, value.__code__.co_firstlineno
    text = "".join(linecache.getlines(file))
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except SyntaxError:  # a cell of a notebook with commands of its own
        return text, None
    if isinstance(value, type):
        found = [node for node in nodes if _is_class(node, value.__name__, line)]
    elif value.__name__ == "<lambda>":
        lambdas = [x for x in nodes if isinstance(x, ast.Lambda) and _covers(x, value.__code__)]
        return text, min(lambdas, key=_extent, default=None)
    else:
        found = [node for node in nodes if _is_function(node, value.__code__)]
    return text, cast(Node, found[-1]) if found else None


def _is_class(node: ast.AST, name: str, line: int | None) -> bool:
    return (
        isinstance(node, ast.ClassDef)
        and node.name == name
        and (line is None or node.lineno <= line <= (node.end_lineno or 0))
    )


def _is_function(node: ast.AST, code: CodeType) -> bool:
    if not isinstance(node, ast.FunctionDef) or node.name != code.co_name:
        return False
    return min([node.lineno, *(x.lineno for x in node.decorator_list)]) == code.co_firstlineno


def _covers(node: ast.Lambda, code: CodeType) -> bool:
    """Whether a lambda is where the code says that it was written."""
    body = node.body
    start, end = (body.lineno, body.col_offset), (body.end_lineno or 0, body.end_col_offset or 0)
    return node.lineno == code.co_firstlineno and all(
        start <= (line, column) and (end_line, end_column) <= end
        for line, end_line, column, end_column in code.co_positions()
        if None not in (line, end_line, column, end_column) and column != end_column
    )


def _extent(node: ast.Lambda) -> tuple[int, int]:
    return (node.end_lineno or 0) - node.lineno, (node.end_col_offset or 0) - node.col_offset


def _meanings(value: Any, node: Node) -> Iterator[tuple[str, Any]]:
    """The names that a definition reads from outside, and what they mean there."""
    functions = [value] if isinstance(value, FunctionType) else _methods(value)
    around = dict(vars(sys.modules.get(value.__module__, object)))
    for function in functions:
        around = {**around, **function.__globals__}
    for function in functions:
        for name, cell in zip(
            function.__code__.co_freevars, function.__closure__ or (), strict=True
        ):
            if name != "__class__":
                try:
                    around[name] = cell.cell_contents
                except ValueError:  # not bound yet
                    continue
    read: set[str] = set().union(*(_names_in(function.__code__) for function in functions))
    for part in _run_outside(node):
        read |= {x.id for x in ast.walk(part) if isinstance(x, ast.Name)}
    # In the order in which they stand there; annotations are never run in the script.
    hints = {id(part) for hint in _annotations(node) for part in ast.walk(hint)}
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and id(part) not in hints and part.id in read & set(around):
            yield part.id, around[part.id]


def _names_in(code: CodeType) -> set[str]:
    """The names that are looked up outside of a function, and of those inside it."""
    inner = [_names_in(part) for part in code.co_consts if isinstance(part, CodeType)]
    return set(code.co_names).union(code.co_freevars, *inner)


def _run_outside(node: Node) -> list[ast.AST]:
    """The parts that run where a definition stands: defaults, and the body of a class."""
    if isinstance(node, ast.ClassDef):
        body = [part for part in node.body if not isinstance(part, ast.FunctionDef)]
        return [*node.bases, *node.keywords, *body]
    return [*node.args.defaults, *(x for x in node.args.kw_defaults if x is not None)]


def _methods(kind: type) -> list[FunctionType]:
    """The functions in a class that stand in a file; some classes have others written for them."""
    own = [x for x in vars(kind).values() if isinstance(x, FunctionType)]
    return [x for x in own if linecache.getlines(x.__code__.co_filename) and _own(x, kind)]


def _own(function: FunctionType, kind: type) -> bool:
    return function.__module__ == kind.__module__ and function.__qualname__.startswith(
        kind.__qualname__
    )


def _annotations(node: ast.AST) -> Iterator[ast.expr]:
    for part in ast.walk(node):
        if isinstance(part, ast.arg | ast.AnnAssign) and part.annotation is not None:
            yield part.annotation
        if isinstance(part, ast.FunctionDef) and part.returns is not None:
            yield part.returns
