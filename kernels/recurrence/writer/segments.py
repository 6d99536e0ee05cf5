"""What the writers of forward and of backward have in common: segments, and who does what."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tinygrad_rnn.kernels.recurrence.layout import Layout, bytes_of
from tinygrad_rnn.kernels.recurrence.program import Width
from tinygrad_rnn.kernels.recurrence.writer.statements import Let, Statement, as_python

__all__ = ["COMMON", "FLAT", "MATRIX", "WEIGHT", "Writer", "indent"]


class Writer:
    """Writes segments, and what every kernel begins with."""

    prefix = ""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.lowered = layout.lowered
        self.table = layout.lowered.expressions
        self.written: dict[tuple[int, str], list[str]] = {}  # segment -> the arguments it takes

    def arguments(self) -> list[tuple[str, str]]:
        """Names and types of what a kernel is given, in order."""
        raise NotImplementedError

    def places(self) -> list[Let]:
        """Where the rows of a step are."""
        raise NotImplementedError

    def address(self, kind: str, attrs: Any) -> str:
        """How the address of a leaf's current columns is written."""
        layout = self.layout
        if kind == "scalar":
            return f"p_{attrs[0]}[0]"
        if kind == "setting":
            return f"settings[{layout.settings.index(attrs[0])}]"
        if kind == "param":
            return self.column(f"address(p_{attrs[0]})", attrs[1], layout.row_params[attrs[0]][0])
        if kind in ("slot", "d_slot"):
            name, width = f"z{attrs[0]}", layout.buffer_widths[attrs[0]]
        elif kind in ("state", "d_state"):
            name, width = layout.states[attrs[0]] + "_old", layout.state_widths[attrs[0]]
        elif kind == "d_operand":
            name, width = f"a{attrs[0]}", layout.operand_widths[attrs[0]]
        elif kind in ("input", "d_input"):
            assert layout.input
            name, width, attrs = "x", layout.input, (0, *attrs)
        else:
            name, width, attrs = "y", layout.output, (0, *attrs)
        return self.column(name if not kind.startswith("d_") else "d" + name, attrs[-1], width)

    def block(self, row: str, number: int, width: Width) -> str:
        """The address of a block of a row."""
        return row if number == 0 else f"{row} + {number} * {width.letter} * size"

    def column(self, row: str, number: int, width: Width) -> str:
        """The address of the current columns in a block of a row."""
        return f"{self.block(row, number, width)} + j"

    def function(
        self, index: int, letter: str, rows: Mapping[str, Width], body: Sequence[Statement],
        after: Sequence[Statement] = (),
    ) -> str:  # fmt: skip
        """The text of one segment: a loop over rows, and one over columns.

        rows   the rows that it may touch; those that the lines name become arguments
        body   what is done to a vector of columns
        after  what is done to a row, when its columns are done
        """
        lines_of_columns, lines_of_row = as_python(body), as_python(after)
        text = "\n".join([*lines_of_columns, *lines_of_row])
        used = [name for name in rows if re.search(rf"\b{name}\b", text)]
        of_row = [f"{name} = {self.row(name, rows[name])}" for name in used] + self.own_keys(text)
        text = "\n".join([*of_row, text])
        arguments = [name for name in self.possible(rows) if re.search(rf"\b{name}\b", text)]
        self.written[index, letter] = arguments
        lines = [
            "@helper(fastmath=NO_FASTMATH)",
            f"def {self.prefix}segment_{index}_{letter}(",
            "    like, first, last, left, right, " + ", ".join(arguments),
            "):",
            "    size, step = element_size(like), lanes(like)",
            "    for b in range(first, last):",
            *indent(of_row, 2),
            "        for u in range(left, right, step):",
            "            j, n = u * size, right - u",
            *indent(lines_of_columns, 3),
            *indent(lines_of_row, 2),
        ]
        return "\n".join(lines)

    def possible(self, rows: Iterable[str]) -> list[str]:
        """What segments can be given; they take what they use."""
        layout = self.layout
        return [
            "flags", "places", "now", "after", "going", "dy_row", *layout.letters,
            *(f"{name}_t" for name in rows), *(f"{name}_end_t" for name in layout.states),
            *(f"p_{name}" for name in layout.row_params), "settings",
            "noise_key", "first_step", "batch", "at", "row_ids",
            *(f"key_{site}" for site in layout.sites),
        ]  # fmt: skip

    def row(self, name: str, width: Width) -> str:
        """How the address of row ``b`` is written."""
        place = self.either("len(places) > 0", "places[now + b]", "now + b")  # among the caller's
        if name == "y":
            return f"y_t + {place} * ({bytes_of(width)})"
        if name == "dy":
            return f"dy_t + {place} * dy_row"
        if name.removesuffix("_new") in self.layout.states:  # of a row that ends, the final state
            end = name.replace("_new", "_end")
            return f"{self.either('b < going', f'{name}_t', f'{end}_t')} + b * ({bytes_of(width)})"
        return f"{name}_t + b * ({bytes_of(width)})"

    def either(self, condition: str, one: str, other: str) -> str:
        """How a choice is written."""
        return f"({one} if {condition} else {other})"

    def call(self, index: int, letter: str, left: str, right: str) -> str:
        """The call of a segment."""
        arguments = ", ".join(["like, first, last", left, right, *self.written[index, letter]])
        return f"{self.prefix}segment_{index}_{letter}({arguments})"

    def call_arguments(self) -> list[tuple[str, str]]:
        """Names and types of what every kernel of the program is given besides its arrays."""
        layout = self.layout
        arguments = COMMON + [(c, "intp") for c in layout.letters]
        if layout.settings:
            arguments.append(("settings", FLAT))
        if layout.sites:
            arguments += [("noise_key", "intp"), ("first_step", "intp"), ("batch", "intp")]
            arguments.append(("row_ids", "const(int64[::1])"))
        return arguments

    def noise_keys(self) -> list[str]:
        """The key of each place of noise at a step, as it is for the first of the rows."""
        if not self.layout.sites:
            return []
        return ["at = places[now + first] // batch if len(places) > 0 else t"] + [
            f"key_{site} = step_key(noise_key, {site}, {'0' if locked else 'first_step + at'})"
            for site, locked in self.layout.sites.items()
        ]

    def own_keys(self, text: str) -> list[str]:
        """A row's own keys, where it takes another of the caller's steps than the one before."""
        changing = [
            f"    key_{site} = step_key(noise_key, {site}, first_step + at)"
            for site, locked in self.layout.sites.items()
            if not locked and re.search(rf"\bkey_{site}\b", text)
        ]
        if not changing:
            return []
        return [
            "if len(places) > 0 and places[now + b] // batch != at:",
            "    at = places[now + b] // batch",
            *changing,
        ]

    def deviations(self) -> list[tuple[str, str]]:
        """Names and types of the arrays that hold 1 / deviation of standardised rows."""
        return [(f"r{r.buffer}", MATRIX) for r in self.lowered.rounds]

    def standardized(self, level: int, function: str) -> list[str]:
        """What is done to the rows that are standardised in a round; each thread takes some."""
        lines = []
        for round_ in self.lowered.rounds:
            if round_.level == level:
                i, width = round_.buffer, self.layout.buffer_widths[round_.buffer]
                rows = [f"z{i}_t", f"dz{i}_t"] if function.endswith("_back") else [f"z{i}_t"]
                rows = [f"{row} + b * ({bytes_of(width)})" for row in rows]
                eps = [] if function.endswith("_back") else [repr(self.lowered.buffers[i].eps)]
                lines += [
                    "for b in range(top, min(bottom, count)):",
                    f"    {function}(",
                    f"        like, {', '.join(rows)}, {width.count} * {width.letter},",
                    f"        {', '.join([*eps, f'address(r{i}) + (now + b) * size'])},",
                    "    )",
                ]
        return lines

    def kernel_text(self, name: str, arguments: list[tuple[str, str]], body: list[str]) -> str:
        """The text of a kernel, and of the list of its arguments."""
        signature = ", ".join(kind for _, kind in arguments)
        names = ", ".join(n for n, _ in arguments)
        lines = [
            "@kernel(",
            f'    "{signature}",',
            "    fastmath=NO_FASTMATH,",
            ")",
            f"def {name}({names}):",
            *indent(self.preamble(), 1),
            *indent(body, 1),
        ]
        listed = "\n".join(f"    {pair!r}," for pair in arguments)
        return "\n".join(lines) + f"\n\n\n{name.upper()} = [\n{listed}\n]"

    def preamble(self) -> list[str]:
        """Which rows and columns a thread takes: all columns of some rows, or the reverse."""
        lines = [
            "like = like_array",
            "size, step = element_size(like), lanes(like)",
            "width = TILE_VECTORS * step",
            "first, end, share, shares = 0, B, worker, workers",
            "top, bottom = B * worker // workers, B * (worker + 1) // workers",
            "if not by_columns:",
            "    first, share, shares = share_of_rows(offsets, B, worker, workers), 0, 1",
            "    end = share_of_rows(offsets, B, worker + 1, workers)",
            "    top, bottom = first, end",
            "strips = B == 1  # weights for one row are packed in panels of one vector",
            "panel_width, panel_row = (step, step * size) if strips else (width, 0)",
        ]
        for c in self.layout.letters:
            lines += [
                f"{c}_panels = ({c} + panel_width - 1) // panel_width",
                f"{c}_left = min({c}, {c}_panels * share // shares * panel_width)",
                f"{c}_right = min({c}, {c}_panels * (share + 1) // shares * panel_width)",
            ]
        return lines

    def step(self, walk: str, body: list[str]) -> list[str]:
        """What is done at each packed step; ``walk`` says which comes ``s``-th."""
        return [
            "for s in range(T):",
            f"    t = {walk}",
            "    now, count = offsets[t], offsets[t + 1] - offsets[t]",
            "    after = t - 1 if reverse else t + 1  # the step that comes next in the run",
            "    going = 0  # on to it are so many rows",
            "    if 0 <= after < T:",
            "        going, after = offsets[after + 1] - offsets[after], offsets[after]",
            "    last = min(end, count)",
            "    if last <= first:",
            "        continue",
            "    span = width",
            "    if last - first == 1:  # wider tiles, the widest for weights as they lie",
            "        span = 2 * width if packed else ROW_VECTORS * step",
            "    turned = (turn[0] + s) % 2  # to begin with the weights that were read last",
            *indent(body, 1),
        ]

    def meet(self) -> list[str]:
        """Wait for the threads that compute the other columns."""
        return ["if by_columns:", "    barrier(address(meeting), workers)"]


def indent(lines: Iterable[str], depth: int) -> list[str]:
    """The lines, further in."""
    return ["    " * depth + line for line in lines]


COMMON = [
    ("worker", "intp"), ("workers", "intp"), ("by_columns", "intp"), ("reverse", "intp"),
    ("T", "intp"), ("B", "intp"), ("like_array", "T[:, ::1]"),
    ("offsets", "const(int64[::1])"), ("places", "const(int64[::1])"),
    ("flags", "const(uint8[::1])"), ("meeting", "int64[::1]"),
    ("rows_times_weight", "intp"), ("packed", "intp"), ("turn", "const(int64[::1])"),
]  # fmt: skip

MATRIX, FLAT = "T[:, ::1]", "const(T[::1])"
WEIGHT = "const(T[:, :])"  # as it is, or one row of all its panels
