"""What a run on the CPU keeps of every step, as views of its buffers."""

from typing import Any

from tinygrad_rnn.kernels.recurrence.cpu_sized import Run, window
from tinygrad_rnn.kernels.recurrence.kept import Kept
from tinygrad_rnn.kernels.recurrence.reference import RESET

__all__ = ["kept"]


def kept(run: Run) -> Kept:
    """The states, and every line of the program whose value stands in a buffer."""
    layout, T, B = run.sized.kernels.layout, run.sized.T, run.sized.B
    program = layout.lowered.program
    before, after = [], []
    for name in layout.states:
        rows = _by_step(run.arrays[name], T + 1, B)
        old, new = (rows[1:], rows[:T]) if run.reverse else (rows[:T], rows[1:])
        before.append(old)
        after.append(new)
    lines = _saved(run)
    for number, op in enumerate(program.operations):
        if op.name == "state":
            lines[number] = before[op["index"]]
        elif op.name == "input":
            lines[number] = _by_step(run.x, T, B)
    if (run.mask == RESET).any():
        return Kept(before, None, lines)
    return Kept(before, after, lines | dict(zip(program.results, after, strict=True)))


def _saved(run: Run) -> dict[int, Any]:
    """Lines whose blocks stand side by side in a buffer of a product or of an operand."""
    sized = run.sized
    lowered = sized.kernels.layout.lowered
    places = {n: (f"z{i}", k) for n, (i, k) in sized.kernels.layout.derivative.saved.items()}
    for node, expression in enumerate(lowered.expressions.entries):
        if expression.name == "slot" and lowered.buffers[expression.attrs[0]].eps is not None:
            places[node] = f"z{expression.attrs[0]}", expression.attrs[1]
    for segment in lowered.segments:
        for target in segment:
            if target.kind == "operand":
                places[target.node] = f"a{target.number}", target.block
    found = {}
    for line, op in enumerate(lowered.program.operations):
        nodes = [lowered.blocks.get((line, k), -1) for k in range(op.width.count)]
        name, first = places.get(nodes[0], ("", 0))
        beside = [(name, first + k) for k in range(len(nodes))]
        if name and [places.get(node) for node in nodes] == beside:
            rows = window(run.arrays[name], first, len(nodes), sized.sizes[op.width.letter])
            found[line] = _by_step(rows, sized.T, sized.B)
    return found


def _by_step(rows: Any, T: int, B: int) -> Any:
    """Rows below each other, as (T, B, width)."""
    return rows.reshape(T, B, rows.shape[1])
