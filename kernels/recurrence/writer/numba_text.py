"""The Numba module of a lowered program: forward and backward over whole sequences.

Steps are those of ``schedule.py``, packed. Columns are done ``span`` at a time: the products
into them, and then the segment, while they are in the first cache.
"""

import textwrap

from tinygrad_rnn.kernels import _simd
from tinygrad_rnn.kernels.recurrence.layout import Layout
from tinygrad_rnn.kernels.recurrence.writer.backward import Backward
from tinygrad_rnn.kernels.recurrence.writer.forward import Forward

__all__ = ["module_source"]

_HEAD = '''"""A recurrence, written by tinygrad_rnn for the program

{program}
"""

from math import inf, nan

from tinygrad_rnn.kernels._crew import barrier
from tinygrad_rnn.kernels._jit import NO_FASTMATH, helper, kernel
from tinygrad_rnn.kernels._simd import (
{vectors}
)
from tinygrad_rnn.kernels._threefry import noise, step_key
from tinygrad_rnn.kernels._vector import address, element_size, lanes
from tinygrad_rnn.kernels.matmul.cpu_tile import ROW_VECTORS, TILE_VECTORS
from tinygrad_rnn.kernels.recurrence.cpu_runtime import (
    CUT, RESET, add_columns, clear_columns, copy_columns, count_of_panels, has, multiply, panel_of,
    share_of_rows,
)
from tinygrad_rnn.kernels.recurrence.cpu_standard import standardize_row, standardize_row_back
'''


def module_source(layout: Layout) -> str:
    """The text of the module with the kernels ``forward`` and ``backward``."""
    program = "\n".join("    " + line for line in str(layout.lowered.program).splitlines())
    names = ", ".join(_simd.__all__) + ","
    vectors = textwrap.fill(names, 100, initial_indent="    ", subsequent_indent="    ")
    parts = [_HEAD.format(program=program, vectors=vectors)]
    forward, backward = Forward(layout), Backward(layout)
    parts += forward.segments() + [forward.kernel()]
    parts += backward.segments() + [backward.kernel()]
    return "\n\n".join(parts) + "\n"
