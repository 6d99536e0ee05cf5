"""Cells that nobody would write: equations drawn by chance, of everything that can be fused."""

from typing import Any, NamedTuple

import numpy as np

from tinygrad_rnn import nn, ops

__all__ = ["any_cell"]

SIZES = {"I": 2, "H": 3, "P": 5}

ALONE = [
    lambda r: r.tanh(), lambda r: r.sigmoid(), lambda r: r.sin(), lambda r: r.abs(), lambda r: -r,
    lambda r: r.sign(), lambda r: r.relu(), lambda r: r.clip(-0.5, 0.5), lambda r: 1 - r,
    lambda r: r.tanh().exp(), lambda r: (1 + r * r).sqrt(), lambda r: r.softplus(),
    lambda r: r.layer_norm(), lambda r: ops.layer_norm(r),
]  # fmt: skip
OF_TWO = [
    lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a * b, lambda a, b: a.maximum(b),
    lambda a, b: ops.where(a > b, a, b.tanh()), lambda a, b: ops.where(b > 0, a, 0.5),
    lambda a, b: a / (2 + b.tanh()),
]  # fmt: skip


class Line(NamedTuple):
    """What a line of a cell is made of: rows by their numbers, and the name of a weight.

    function  which one of ALONE or OF_TWO; of a product whether it is normalised, of a row and a
              weight whether they are multiplied
    """

    kind: str
    function: int
    rows: list[Any]  # of a product of weights alone, the name of a row
    weight: str
    blocks: int


class _Recipe:
    """Draws lines; of rows it knows the letters."""

    def __init__(self, rng, states, width_of_x):
        self.rng, self.lines, self.params = rng, [], {}
        self.letters = list(states.values())
        if width_of_x in ("H", "2H"):  # read as it is
            self.letters += ["H"] * (1 + (width_of_x == "2H"))
        self.x = width_of_x

    def row(self, letter=None):
        known = [n for n, own in enumerate(self.letters) if letter in (None, own)]
        return int(self.rng.choice(known[-6:]))  # what is new is read most

    def weight(self, shape):
        """One that is there, now and then, else a new one."""
        alike = [name for name, own in self.params.items() if own == shape]
        if alike and self.rng.random() < 0.3:
            return str(self.rng.choice(alike))
        name = f"w{len(self.params)}"
        self.params[name] = shape
        return name

    def add(self, kind, letters, function=0, rows=(), weight="", blocks=1):
        self.lines.append(Line(kind, function, list(rows), weight, blocks))
        self.letters += letters

    def keep(self, ends):
        """Leave out the lines, and the weights, that nothing of these is made of."""
        first = len(self.letters) - sum(line.blocks for line in self.lines)
        maker = [None] * first + [
            n for n, line in enumerate(self.lines) for _ in range(line.blocks)
        ]
        ahead, kept = [maker[n] for n in ends], set()
        while ahead:
            number = ahead.pop()
            if number is not None and number not in kept:
                kept.add(number)
                ahead += [maker[n] for n in self.lines[number].rows if not isinstance(n, str)]
        used = set()
        for number, line in enumerate(self.lines):
            if number in kept:
                used |= {line.weight, *(name for name in line.rows if isinstance(name, str))}
            else:
                self.lines[number] = line._replace(kind="left out")
        self.params = {name: shape for name, shape in self.params.items() if name in used}

    def draw(self):
        rng, kinds = self.rng, ["product", "alone", "two", "scaled", "number", "of weights"]
        kinds += [] if self.x is None else ["of x"]
        kind, row = rng.choice(kinds), self.row()
        letter, other = self.letters[row], str(rng.choice(["H", "P"]))
        if kind in ("product", "of x", "of weights"):
            blocks = int(rng.integers(1, 4))
            left = self.x if kind == "of x" else letter
            rows = [] if kind == "of x" else [row]
            weight = self.weight(f"{left} {blocks if blocks > 1 else ''}{other}")
            if kind == "of weights":
                rows = [self.weight(left)]
            normal = int(rng.random() < 0.2)
            self.add(kind, [other] * blocks, normal, rows, weight, blocks)
        elif kind == "alone":
            self.add(kind, [letter], int(rng.integers(len(ALONE))), [row])
        elif kind == "two":
            rows = [row, self.row(letter)]
            self.add(kind, [letter], int(rng.integers(len(OF_TWO))), rows)
        else:
            weight = self.weight(letter if kind == "scaled" else "")
            self.add(kind, [letter], int(rng.integers(2)), [row], weight)


def _step(recipe, ends):
    """The step that the lines say."""

    def step(self, *given):
        *rows, p = given
        x = rows.pop(0) if recipe.x is not None else None
        known = rows
        if recipe.x in ("H", "2H"):
            known += x.chunk(2) if recipe.x == "2H" else [x]
        for line in recipe.lines:
            if line.kind == "left out":
                known += [None] * line.blocks
                continue
            weight = getattr(p, line.weight) if line.weight else None
            if line.kind in ("product", "of x", "of weights"):
                left = x if line.kind == "of x" else None
                if left is None:
                    by_name = line.kind == "of weights"
                    left = getattr(p, line.rows[0]) if by_name else known[line.rows[0]]
                found = left @ weight
                found = found.layer_norm() if line.function else found
                known += found.chunk(line.blocks) if line.blocks > 1 else [found]
            elif line.kind == "alone":
                known.append(ALONE[line.function](known[line.rows[0]]))
            elif line.kind == "two":
                known.append(OF_TWO[line.function](*(known[n] for n in line.rows)))
            else:
                row = known[line.rows[0]]
                known.append(row * weight.tanh() if line.function else row + weight)
        new = [known[n].tanh() for n in ends]
        return tuple(new) if len(new) > 1 else new[0]

    return step


def any_cell(seed):
    """A cell of float64, whose states stay small."""
    rng = np.random.default_rng(seed)
    widths = [str(w) for w in rng.choice(["H", "P"], rng.integers(1, 4))]
    states = {f"s{n}": width for n, width in enumerate(widths)}
    width_of_x = [None, "I", "I", "H", "2H"][rng.integers(5)]
    recipe = _Recipe(rng, states, width_of_x)
    for letter in ("H", "P"):
        if letter not in recipe.letters:
            row = recipe.row()
            weight = recipe.weight(f"{recipe.letters[row]} {letter}")
            recipe.add("product", [letter], rows=[row], weight=weight)
    for _ in range(rng.integers(3, 12)):
        recipe.draw()
    ends = [recipe.row(width) for width in widths]
    recipe.keep(ends)
    members = {
        "state": states, "input": width_of_x, "params": recipe.params,
        "step": _step(recipe, ends),
    }  # fmt: skip
    letters = " ".join([*widths, width_of_x or "", *members["params"].values()])
    more = {"P": SIZES["P"]} if "P" in letters else {}
    x = () if width_of_x is None else (SIZES[width_of_x[-1]] * (1 + (width_of_x == "2H")),)
    made = type("Drawn", (nn.Cell,), members)(*x, SIZES["H"], **more)
    return made.astype(np.float64)
