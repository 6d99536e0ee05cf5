"""Recurrences on a GPU, a step at a time: products, and the written segments between them.

Nothing waits for the device. A run's launches depend on where its arrays are and on nothing
else, so a run whose arrays stand where those of an earlier one stood, as they do in training,
is replayed as a graph: one launch, in place of some for each step.
"""

from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_rnn.kernels import _cuda
from tinygrad_rnn.kernels._twin import Array
from tinygrad_rnn.kernels.matmul import matmul
from tinygrad_rnn.kernels.recurrence import persistent
from tinygrad_rnn.kernels.recurrence import run as surround
from tinygrad_rnn.kernels.recurrence.derivative import Rules
from tinygrad_rnn.kernels.recurrence.gpu_replay import launched
from tinygrad_rnn.kernels.recurrence.gpu_walk import Launch, Walk
from tinygrad_rnn.kernels.recurrence.layout import Layout
from tinygrad_rnn.kernels.recurrence.program import Program
from tinygrad_rnn.kernels.recurrence.run_kept import kept
from tinygrad_rnn.kernels.recurrence.sized import Run, layout_of
from tinygrad_rnn.kernels.recurrence.writer.cuda_text import Source
from tinygrad_rnn.kernels.recurrence.writer.cuda_text import source_of as written

__all__ = ["backward", "forward", "kept", "source_of"]

_HERE = Path(__file__).parent
_WRITTEN = "recurrence.cu"  # what compilers and errors call the kernels of a program
_SUMMED = 64  # rows that are summed before their sum is added to the others', as on the CPU


@cache
def _source(layout: Layout) -> Source:
    """The kernels of a program, written once, behind the operations that they consist of."""
    source = written(layout)
    before = _cuda.joined(_cuda.THREEFRY, _HERE / "gpu_operations.cuh")
    return replace(source, text=f'{before}\n#line 1 "{_WRITTEN}"\n{source.text}')


def source_of(program: Program, rules: Rules) -> str:
    """The text of the kernels."""
    return _source(layout_of(program, rules)).text


def _steps(dtype: Any, each: int = 1) -> _cuda.Module:
    """The kernels that all programs share; products do so many rows a thread."""
    return _cuda.load(_HERE / "gpu_steps.cu", Real=dtype, OF_A_THREAD=each)


def _walk(run: Run, values: dict[str, Any], *, backwards: bool) -> None:
    if not backwards:
        run.plan = persistent.chosen(run)
    if run.plan is not None and not (backwards and values["kept"] > 2):
        from tinygrad_rnn.kernels.recurrence.persistent import gpu

        gpu.walk(run.plan, run, values, backwards=backwards)
        return
    source, dtype = _source(run.sized.layout), run.like.dtype
    values |= _in_memory(run) | {
        **run.sized.sizes, "T": run.schedule.steps, "B": run.schedule.rows,
        "places": run.schedule.places, "flags": run.schedule.flags,
    }  # fmt: skip
    module = _cuda.module(source.text, source=_WRITTEN, Real=dtype)
    walk = Walk(run, values, source, module, _steps)
    launched(walk, backwards)


def _in_memory(run: Run) -> dict[str, Any]:
    """Settings and noise; whole numbers that change from call to call stand in memory, too."""
    given = dict(run.given)
    if "noise_key" in given:
        names = ["noise_key", "first_step"]
        numbers = _cuda.require().asarray(np.array([given[name] for name in names], np.int64))
        given |= {name: numbers[i : i + 1] for i, name in enumerate(names)}
    return given


def _factor(params: Any, _forms: Any, name: str) -> Array:
    return params[name]


def _multiplied(rows: Array, factor: Array, bias: Array | None) -> Array:
    return matmul(rows, factor, bias=bias)


def _fill(target: Array, rows: Array | None) -> None:
    target[...] = 0 if rows is None else rows


def _standardize(rows: Array, eps: float, deviations: Array) -> None:
    Launch.of_rows(_steps(rows.dtype), rows, eps, deviations).go()


def _standardize_back(rows: Array, gradients: Array, deviations: Array) -> None:
    Launch.of_rows_back(_steps(rows.dtype), rows, gradients, deviations).go()


def _column_sums(rows: Array) -> Array:
    """The sum of all rows."""
    count, width = (np.int64(n) for n in rows.shape)
    xp, blocks = _cuda.require(), -(-len(rows) // _SUMMED)
    sums = xp.zeros(rows.shape[1], rows.dtype)
    if not rows.size:
        return sums
    module = _steps(rows.dtype)
    parts = sums[None] if blocks == 1 else xp.empty((blocks, rows.shape[1]), rows.dtype)
    across = -(-rows.shape[1] // 128)
    _cuda.launch(
        module.get_function("block_sums"), (blocks, across),
        rows, count, width, np.int64(_SUMMED), parts, block=128,
    )  # fmt: skip
    if blocks > 1:
        _cuda.launch(
            module.get_function("sum_of_blocks"), (across,),
            parts, np.int64(blocks), width, sums, block=128,
        )  # fmt: skip
    return sums


_GPU = surround.Device(
    inside=lambda sized, schedule: False,
    factor=_factor,
    multiplied=_multiplied,
    weights=lambda run, values, backwards: None,  # the walk looks them up itself
    walk=_walk,
    fill=_fill,
    standardize=_standardize,
    standardize_back=_standardize_back,
    column_sums=_column_sums,
    repeated=lambda run, values, to_pack, kinds, others, work: work(),
)
forward = partial(surround.forward, _GPU)
backward = partial(surround.backward, _GPU)
