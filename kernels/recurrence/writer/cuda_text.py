"""The CUDA source of a lowered program: a kernel for each segment, forward and backward.

A thread does one column of one row of a step. Products stand between the segments, and are
not written: they are the same for all programs (``gpu_steps.cu``).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tinygrad_rnn.kernels.recurrence.layout import Layout, bytes_of
from tinygrad_rnn.kernels.recurrence.program import Width
from tinygrad_rnn.kernels.recurrence.reference import CUT, RESET
from tinygrad_rnn.kernels.recurrence.writer.backward import Backward
from tinygrad_rnn.kernels.recurrence.writer.forward import Forward
from tinygrad_rnn.kernels.recurrence.writer.segments import Writer, indent
from tinygrad_rnn.kernels.recurrence.writer.statements import Let, Statement, as_cpp

__all__ = ["OF_A_STEP", "Kernel", "Source", "source_of"]

# What changes from step to step: a launch is given these, and then a kernel's own arguments.
OF_A_STEP = ("t", "s", "now", "count", "going", "after", "base", "final")

_POINTERS = {
    "T[:, ::1]": "Real*", "const(T[:, ::1])": "Real*", "const(T[::1])": "const Real*",
    "const(int64[::1])": "const long long*", "const(uint8[::1])": "const unsigned char*",
    "intp": "long long",
}  # fmt: skip


@dataclass(frozen=True)
class Kernel:
    """A written kernel: its name, the letter that says how many columns a row has, and the
    names of what it is given after what changes from step to step."""

    name: str
    letter: str
    arguments: tuple[str, ...]


@dataclass
class Source:
    """The text of a program's kernels, and which there are: by segment; ``turns`` before them."""

    text: str = ""
    forward: dict[int, list[Kernel]] = field(default_factory=dict)
    backward: dict[int, list[Kernel]] = field(default_factory=dict)
    turns: list[Kernel] = field(default_factory=list)


def source_of(layout: Layout) -> Source:
    """All kernels of a program."""
    forward, backward = _CudaForward(layout), _CudaBackward(layout)
    program = [f"// {line}" for line in str(layout.lowered.program).splitlines()]
    head = ["// A recurrence, written by tinygrad_rnn for the program", "//", *program, ""]
    head += [f"constexpr int RESET = {RESET}, CUT = {CUT};"]
    texts = [*forward.segments(), *backward.segments(), *backward.turn_kernels()]
    return Source(
        "\n\n".join(["\n".join(head), *texts]) + "\n",
        forward.kernels, backward.kernels, backward.turns_written,
    )  # fmt: skip


class _Cuda(Writer):
    """Writes a segment as a kernel of its own."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        self.kernels: dict[int, list[Kernel]] = {}

    def function(
        self, index: int, letter: str, rows: Mapping[str, Width], body: Sequence[Statement],
        after: Sequence[Statement] = (),
    ) -> str:  # fmt: skip
        """The text of one segment."""
        used = [name for name in rows if _named(name, as_cpp([*body, *after]))]
        lines = [f"char* const {name} = {self.row(name, rows[name])};" for name in used]
        lines += self.keys([*as_cpp(body)])
        lines += as_cpp(body) + as_cpp(after)
        kernel, text = self.kernel_text_of(f"{self.prefix}segment_{index}_{letter}", letter, lines)
        self.kernels.setdefault(index, []).append(kernel)
        self.written[index, letter] = list(kernel.arguments)
        return text

    def kernel_text_of(self, name: str, letter: str, lines: list[str]) -> tuple[Kernel, str]:
        """A kernel that does some lines for each row of a step and each column."""
        located = self.located(lines)
        every = [*located, *lines]
        own = [(n, kind) for n, kind in self.possible_arguments() if _named(n, every)]
        given = [f"long long {n}" for n in OF_A_STEP] + [f"{kind} {n}" for n, kind in own]
        text = [
            f'extern "C" __global__ void {name}(',
            f"    {', '.join(given)}) {{",
            "    USING_OPERATIONS",
            "    const long long element = (long long)blockIdx.x * blockDim.x + threadIdx.x;",
            f"    if (element >= count * {letter}) return;",
            f"    const long long b = element / {letter}, u = element % {letter}, j = u * size;",
            *indent(located, 1),
            "    {  // rows have the names of the arrays that they are of",
            *indent(lines, 2),
            "    }",
            "}",
        ]
        return Kernel(name, letter, tuple(n for n, _ in own)), "\n".join(text)

    def possible_arguments(self) -> list[tuple[str, str]]:
        """What kernels can be given; they take what they use."""
        letters = [(c, "intp") for c in self.layout.letters]
        pairs = dict.fromkeys([*letters, *self.arguments()])
        kinds = {name: _POINTERS.get(kind, "") for name, kind in pairs}
        for name in ("noise_key", "first_step"):  # in memory: they change from call to call
            if name in kinds:
                kinds[name] = "const long long*"
        return [(name, kind) for name, kind in kinds.items() if kind]

    def located(self, lines: list[str]) -> list[str]:
        """Where the rows of the step are that the lines name."""
        known = [*self.places(), Let("y_t", "address(y)")]
        return [f"char* const {k.name} = {k.value};" for k in known if _named(k.name, lines)]

    def either(self, condition: str, one: str, other: str) -> str:
        """How a choice is written; where there are no places, the array is none."""
        condition = "places" if condition == "len(places) > 0" else condition
        return f"({condition} ? {one} : {other})"

    def keys(self, lines: list[str]) -> list[str]:
        """The key of each place of noise at the step that the row takes."""
        found = [
            f"const auto key_{site} = step_key(*noise_key, {site}, "
            f"{'0' if locked else '*first_step + at'});"
            for site, locked in self.layout.sites.items()
            if _named(f"key_{site}", lines)
        ]
        if not found:
            return []
        return ["const long long at = places ? places[now + b] / batch : t;", *found]


class _CudaForward(_Cuda, Forward):
    """The forward kernels."""


class _CudaBackward(_Cuda, Backward):
    """The backward kernels."""

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        self.turns_written: list[Kernel] = []

    def turn_kernels(self) -> list[str]:
        """What is known after a step of rows that are put back, or cut off, before the next.

        Of their gradients: the restart gets those of rows that are put back, and no state.
        """
        texts, layout = [], self.layout
        pairs = list(zip(layout.states, layout.state_widths, strict=True))
        for letter in dict.fromkeys(width.letter for _, width in pairs):
            lines = []
            for name, width in pairs:
                if width.letter != letter:
                    continue
                for block in range(width.count):
                    place = self.block(f"b * ({bytes_of(width)})", block, width) + " + j"
                    new, again = f"d{name}_new_t + {place}", f"address(d{name}_again) + {place}"
                    lines += [
                        f"if (!cut) add_to({again}, load(like, {new}, n));",
                        f"store({new}, fill(like, 0.0));",
                    ]
            lines = [
                "if (b < going && has(flags, after + b, RESET | CUT)) {",
                "    const bool cut = has(flags, after + b, CUT);",
                *indent(lines, 1),
                "}",
            ]
            kernel, text = self.kernel_text_of(f"turns_{letter}", letter, lines)
            self.turns_written.append(kernel)
            texts.append(text)
        return texts


def _named(name: str, lines: Iterable[str]) -> bool:
    """Whether lines speak of something."""
    pattern = re.compile(rf"\b{name}\b")
    return any(pattern.search(line) for line in lines)
