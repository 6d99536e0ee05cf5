"""Recurrences: a cell's program over a whole sequence, forward and backward.

    for t in 0, 1, ... (or backwards):
        state, y[t] = program(x[t], state, params)

``tracing.py`` makes a program of a cell's ``step``, which consists of products and of the
operations in ``elementwise.py``; ``reference.py`` runs it line by line and defines the values.
``lowering.py`` cuts it into products and element-wise segments over blocks of columns
(``blocks.py``), with a place for every product (``placement.py``); ``derivative.py`` derives
what backward does; ``writer/`` writes both, as a Numba module or as CUDA; ``run.py`` surrounds
the steps with the products over all of them, ``cpu.py`` and ``gpu.py`` do the steps. Sizes, masks
and threads are arguments: one compile per program and element type. ``persistent/`` has kernels
for all steps of a few cells at once, on a GPU and where that is asked for. The others:

    program, symbols, naming    the lines, what writes them, and what a step calls its rows
    rewriting                   a program with an option in it
    layout, shapes, sized       what kernels are given: names; widths checked; numbers of a call
    schedule, ends, gradients   masks as packed rows; states before and after; weights' gradients
    kept, run_kept              what is left of a run for whoever looks into it
    pieces                      a run in pieces, to save memory
    steps, cpu_steps            single steps that are made ready, for decoders
    cpu_...                     packing, sums and standardised rows on the CPU

On the CPU a row of a batch depends on nothing but itself: its outputs and input gradients have
the same bits alone and in any batch, on any number of threads. On a GPU that holds of the steps;
products over all of them are the GPU's own library's.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from tinygrad_rnn.errors import TraceError
from tinygrad_rnn.kernels._twin import Array, twin
from tinygrad_rnn.kernels.noise import Noise
from tinygrad_rnn.kernels.recurrence.derivative import Rules, differentiate
from tinygrad_rnn.kernels.recurrence.kept import Kept
from tinygrad_rnn.kernels.recurrence.lowering import lower
from tinygrad_rnn.kernels.recurrence.program import Program
from tinygrad_rnn.kernels.recurrence.steps import Layer, Product

__all__ = [
    "backward", "forward", "has_kernel", "has_steps", "kept", "source_of", "steps", "unfusable",
]  # fmt: skip


def has_kernel(array: Array) -> bool:
    """Whether there is a kernel for arrays of this device and type, or only the reference."""
    if not isinstance(array, np.ndarray):
        return array.dtype.char in "fd"
    return twin(__name__, array).__name__.rpartition(".")[2] != "reference"


def has_steps(array: Array) -> bool:
    """Whether ``steps`` can be made for arrays of this device and type: on a GPU there are none."""
    return isinstance(array, np.ndarray) and has_kernel(array)


def forward(
    program: Program,
    x: Array | None,
    states: Sequence[Array],
    params: Mapping[str, Array],
    *,
    rules: Rules,
    steps: int,
    mask: Array | None = None,
    reverse: bool = False,
    restart: Sequence[Array] | None = None,
    forms: Mapping[str, dict[Any, Any]] | None = None,
    settings: Mapping[str, float] | None = None,
    noise: Noise | None = None,
) -> tuple[Array, list[Array], Any]:
    """Run all steps.

    x (T, B, I)   or None where the program has no input
    states        (B, width) each: what the first step starts from
    params        each weight by its name
    rules         the derivative rules that ``backward`` is made of
    mask (T, B)   what a row does at a step, flags in one byte: STEP, without which it is held
                  (its state is carried, its output is 0); before that RESET (the state is put
                  back to ``restart``) and CUT (no gradient of states goes further back, to
                  ``restart`` neither). None: all STEP
    restart       (B, width) each: what RESET puts states back to; None: the given states
    forms         for weights that are used again: where is kept that they were met, and their
                  packed copies, until the caller throws it away when the numbers change

    settings      the numbers that the program asks for by name
    noise         where its random numbers come from

    Returns y (T, B, width), the final states, and what ``backward`` needs. y and the final
    states may share memory with the latter: they must not be written.
    """
    run: tuple[Array, list[Array], Any] = twin(__name__, states[0]).forward(
        program, x, states, params,
        rules=rules, steps=steps, mask=mask, reverse=reverse, restart=restart, forms=forms,
        settings=settings, noise=noise,
    )  # fmt: skip
    return run


def backward(
    run: Any,
    dy: Array | None,
    d_finals: Sequence[Array | None],
    *,
    needs_x: bool,
    needed: set[str],
    needs_states: bool = True,
    later: list[Array] | None = None,
    by_rows: bool = False,
    sums: dict[str, Array] | None = None,
) -> tuple[Array | None, list[Array], list[Array], dict[str, Array]]:
    """Differentiate a run.

    dy (T, B, width), d_finals (B, width) each: gradients of y and of the final states, None
    for zero.
    later         where the gradient of each state after every step goes, (T, B, width) each, as
                  far as it comes through later steps and the final states

    Returns the gradients of x (if needed), of the given states, of the restart (none of either
    where they are not needed; none of the restart where that was not given, or nothing put
    back), and of the weights that ``needed`` names, all of them new arrays, but for ``sums``.

    Args:
        by_rows: Give each row a gradient of the weights: (B, *weight).
        sums: Of some weights the gradients of other runs, to which this one's are added in
            place.
    """
    grads: tuple[Array | None, list[Array], list[Array], dict[str, Array]]
    grads = twin(__name__, run.like).backward(
        run, dy, d_finals,
        needs_x=needs_x, needed=needed, needs_states=needs_states, later=later, by_rows=by_rows,
        sums=sums,
    )  # fmt: skip
    return grads


def steps(
    layers: Sequence[Layer],
    rows: int,
    like: Array,
    *,
    rules: Rules,
    width: int,
    count: int = 1,
    table: Array | None = None,
    products: Sequence[Product] = (),
    sums: bool = False,
) -> Any:
    """``count`` steps of ``rows`` rows, made ready to be run many times, where ``has_steps(like)``.

    layers     each reads what the one below gives out; the first one rows of a ``width``
    table      (V, width), the rows that the input is one of; then numbers of rows are read
    products   what the last layer's outputs are multiplied with, one after the other
    sums       whether what comes out are scores, whose sums are wanted

    What they give has the bits of ``forward``; see ``cpu_steps.Steps`` for how they are run.
    """
    from tinygrad_rnn.kernels.recurrence.cpu_steps import Steps

    return Steps(
        layers, rows, rules, like,
        width=width, count=count, table=table, products=products, sums=sums,
    )  # fmt: skip


def kept(run: Any) -> Kept:
    """What a run keeps of every step; it lives as long as a view of it does."""
    rows: Kept = twin(__name__, run.like).kept(run)
    return rows


@cache
def unfusable(program: Program, rules: Rules) -> str:
    """Why no kernel can be written for a program, or nothing."""
    try:
        differentiate(lower(program), rules)
    except TraceError as error:
        return str(error)
    return ""


def source_of(program: Program, rules: Rules, on_gpu: bool = False) -> str:
    """The text of the kernels that are written for a program: Numba's, or a GPU's."""
    if on_gpu:
        from tinygrad_rnn.kernels.recurrence import gpu

        return gpu.source_of(program, rules)
    from tinygrad_rnn.kernels.recurrence import cpu

    return cpu.source_of(program, rules)
