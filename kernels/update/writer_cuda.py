"""The CUDA source of an update, from the same lines as the CPU's."""

from functools import cache
from typing import Any

from tinygrad_rnn.kernels.update.equations import Equations

__all__ = ["BLOCK", "COLUMNS", "text_of"]

BLOCK = 4096  # elements of a block of threads, and what sums are made over
COLUMNS = 5  # of a row of the table, before the addresses of its arrays

_TEXT = """\
// An update, written by tinygrad_rnn.
//
{listing}

// Each operation is rounded once, as NumPy's are: none may become part of a fused one.
__device__ inline float add(float a, float b) {{ return __fadd_rn(a, b); }}
__device__ inline float sub(float a, float b) {{ return __fsub_rn(a, b); }}
__device__ inline float mul(float a, float b) {{ return __fmul_rn(a, b); }}
__device__ inline float div(float a, float b) {{ return __fdiv_rn(a, b); }}
__device__ inline double add(double a, double b) {{ return __dadd_rn(a, b); }}
__device__ inline double sub(double a, double b) {{ return __dsub_rn(a, b); }}
__device__ inline double mul(double a, double b) {{ return __dmul_rn(a, b); }}
__device__ inline double div(double a, double b) {{ return __ddiv_rn(a, b); }}
__device__ inline Real neg(Real a) {{ return -a; }}
__device__ inline Real absolute(Real a) {{ return fabs(a); }}
__device__ inline Real sign(Real a) {{ return a > 0 ? Real(1) : a < 0 ? Real(-1) : a + Real(0); }}
__device__ inline Real maximum(Real a, Real b) {{ return a > b || a != a ? a : b; }}
__device__ inline Real minimum(Real a, Real b) {{ return a < b || a != a ? a : b; }}

extern "C" __global__ void update(const long long *table, long long rows) {{
    const long long *starts = table + rows * {columns};  // the first block of each row
    const long long *row = table, block = blockIdx.x;
    for (long long low = 0, high = rows; high - low > 1;) {{
        const long long middle = (low + high) / 2;
        (starts[middle] <= block ? low : high) = middle;
        row = table + low * {columns};
    }}
    const long long count = row[0], width = row[4], begin = starts[(row - table) / {columns}];
    const long long *places = reinterpret_cast<const long long *>(row[2]);
    const unsigned char *chosen = reinterpret_cast<const unsigned char *>(row[3]);
    const Real *numbers = reinterpret_cast<const Real *>(starts + rows + 1) + row[1] * {numbers};
{before}
    const long long first = (block - begin) * {block};
    EACH_IN_BLOCK(offset, min({block}LL, count - first)) {{
        long long i = first + offset;
        if (chosen != nullptr && !chosen[i / width]) continue;
        if (places != nullptr) i = places[i / width] * width + i % width;
{body}
    }}
}}
"""


@cache
def _source_of(names: Any, writes: Any, lines: Any, numbers: int) -> str:
    """The text of the module whose kernel ``update`` computes some lines.

    A row of ``table`` holds how many elements there are, which row of numbers is meant, the
    addresses of places and of what is chosen, or 0, the width of what these count, and the
    addresses of the arrays. Behind the rows stand the first block of each, and the numbers.
    """
    read = "\n".join(lines) + repr(writes)
    before = [f"const Real n{i} = numbers[{i}];" for i in range(numbers)]
    before += [
        f"Real *a_{name} = reinterpret_cast<Real *>(row[{COLUMNS + i}]);"
        for i, name in enumerate(names)
    ]
    body = [f"const Real x_{name} = a_{name}[i];" for name in names if f"x_{name}" in read]
    body += [f"const Real v{i} = {line};" for i, line in enumerate(lines)]
    body += [f"a_{name}[i] = {value};" for name, value in writes]
    listing = [f"v{i} = {line}" for i, line in enumerate(lines)]
    listing += [f"x_{name} = {value}" for name, value in writes]
    return _TEXT.format(
        listing="\n".join("//     " + line for line in listing),
        columns=COLUMNS + len(names),
        numbers=numbers,
        block=BLOCK,
        before="\n".join("    " + line for line in before),
        body="\n".join("        " + line for line in body),
    )


def text_of(equations: Equations) -> str:
    """The source for some equations; it depends on none of their numbers."""
    _, names, writes, lines, numbers = equations
    return _source_of(names, writes, lines, len(numbers))
