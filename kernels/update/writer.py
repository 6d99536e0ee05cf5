"""The Numba source of an update."""

from functools import cache
from typing import Any

from tinygrad_rnn.kernels.update.equations import Equations

__all__ = ["BLOCK", "source_of"]

BLOCK = 4096  # elements: what a thread takes at least, and what sums are made over

# How many bytes ahead lines are asked for: memory is all that an update of large arrays waits
# for, and the processor's own prefetching ends with each page, of which there are several at once.
_AHEAD = 2048

_TEXT = '''"""An update, written by tinygrad_rnn.

{listing}
"""

from tinygrad_rnn.kernels._jit import NO_FASTMATH, kernel
from tinygrad_rnn.kernels._simd import (
    absolute, add, div, fill, load, maximum, minimum, mul, neg, sign, sqrt, store, sub,
)
from tinygrad_rnn.kernels._vector import ask_for, element_size, lanes


@kernel(
    "intp, intp, const(int64[:, ::1]), const(int64[::1]), const(T[:, ::1])",
    fastmath=NO_FASTMATH,
)
def update(first, stop, table, starts, numbers):
    like = numbers
    size, step, row = element_size(like), lanes(like), 0
    for block in range(first, stop):
        while block >= starts[row + 1]:
            row += 1
        count, which = table[row, 0], table[row, 1]
        begin = (block - starts[row]) * {block}
        end = min(begin + {block}, count)
{before}
        for u in range(begin, end, step):
            j, n = u * size, end - u
{body}
'''


@cache
def source_of(names: Any, writes: Any, lines: Any, numbers: int) -> str:
    """The text of the module whose kernel ``update`` computes some lines.

    A row of ``table`` holds how many elements there are, which row of ``numbers`` is meant, and
    the addresses of the arrays; ``starts`` is the first block of each row.
    """
    before = [f"n{i} = fill(like, numbers[which, {i}])" for i in range(numbers)]
    before += [f"a_{name} = table[row, {2 + i}]" for i, name in enumerate(names)]
    text = "\n".join(lines) + repr(writes)
    body = [f"x_{name} = load(like, a_{name} + j, n)" for name in names if f"x_{name}" in text]
    body += [f"ask_for(like, a_{name} + j + {_AHEAD})" for name in names]
    body += [f"v{i} = {line}" for i, line in enumerate(lines)]
    body += [f"store(like, a_{name} + j, n, {value})" for name, value in writes]
    listing = [f"v{i} = {line}" for i, line in enumerate(lines)]
    listing += [f"x_{name} = {value}" for name, value in writes]
    return _TEXT.format(
        listing="\n".join("    " + line for line in listing),
        block=BLOCK,
        before="\n".join("        " + line for line in before),
        body="\n".join("            " + line for line in body),
    )


def text_of(equations: Equations) -> str:
    """The source for some equations; it depends on none of their numbers."""
    _, names, writes, lines, numbers = equations
    return source_of(names, writes, lines, len(numbers))
