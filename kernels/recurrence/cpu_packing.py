"""Weights as products read them: packed in panels, or as they lie."""

from functools import lru_cache
from typing import NamedTuple

from tinygrad_rnn.kernels._jit import NO_FASTMATH, kernel
from tinygrad_rnn.kernels._memory import empty
from tinygrad_rnn.kernels._pool import parallel
from tinygrad_rnn.kernels._vector import address, element_size, lanes, lanes_of
from tinygrad_rnn.kernels.matmul.cpu import pack
from tinygrad_rnn.kernels.matmul.cpu_pack import pack_panel
from tinygrad_rnn.kernels.matmul.cpu_tile import TILE_VECTORS
from tinygrad_rnn.kernels.recurrence.placement import Part
from tinygrad_rnn.kernels.recurrence.sized import weight_of

__all__ = ["Form", "forms_of", "input_weight", "pays_to_pack"]

_MET = ("met", False), ("met", True)  # forwards, backwards: under which it is kept


@kernel("intp, intp, const(T[:, :]), intp, intp, T[::1]", fastmath=NO_FASTMATH)
def _pack_blocks(first, stop, b, block, width, panels):
    """Pack panels of ``width`` columns from ``first`` to ``stop``; they do not cross blocks."""
    size, step = element_size(b), lanes(b)
    of_block = (block + width - 1) // width
    padded = (block + step - 1) // step * step
    for panel in range(first, stop):
        k, j = panel // of_block, panel % of_block * width
        target = address(panels) + (k * padded + j) * b.shape[0] * size
        pack_panel(
            b, address(b) + (k * block + j) * b.strides[1], b.strides[0], b.strides[1],
            target, b.shape[0], min(width, block - j),
        )  # fmt: skip


class Form(NamedTuple):
    """A part of a weight in panels that do not cross its blocks of ``block`` columns.

    With ``back`` it is the transpose, in blocks of as many columns. For one row panels are strips
    of one vector, so that threads can share the columns equally.
    """

    part: Part
    block: int
    back: int | None
    strips: bool

    @property
    def key(self):
        """Where it stands among the forms of its weight."""
        return self.part.column, self.part.blocks, self.block, self.back, self.strips

    def made(self, run):
        """The panels, one behind the other."""
        b = weight_of(run, self.part, self.block)
        if self.back is None:
            return _pack(b, self.block, self.strips)
        return _pack(b.T, self.back, self.strips)


@lru_cache(maxsize=4096)  # it follows from the sizes
def forms_of(sized, strips, pack, backwards, inside):
    """The parts of weights that steps read, by name: in forms, with their keys, and as they lie.

    Of those as they lie also the width of a block.
    """
    forms, as_they_lie = [], []
    for name, part, block, back in sized.parts:
        if pack or (backwards and part.operand[0] == "operand"):
            form = Form(part, block, back if backwards else None, strips)
            forms.append((name, form, form.key))
        else:
            as_they_lie.append((name, part, block))
    for name, part, block in () if backwards else sized.input_parts:
        if inside and pack:
            form = Form(part, block, None, strips)
            forms.append((name, form, form.key))
        else:
            as_they_lie.append((name, part, block))
    return forms, as_they_lie


def pays_to_pack(run, backwards, inside):
    """Whether weights are packed: for a single step only the second time that they are met.

    Packing costs more than one step, and less than two. Rows that are spread out in memory
    cannot be read as they lie, those of x neither, if steps multiply with them ``inside``. Without
    packing products are added to the gradients of states after all else, which has to be their
    place. To ask is to meet them.
    """
    if run.schedule.steps > 1 or (backwards and not run.sized.layout.products_last):
        return True
    params, forms, key = run.params, run.forms, _MET[backwards]
    of_states, of_inputs = _read(run.sized)
    for name in of_states + of_inputs if inside else of_states:
        weight = params[name]
        if weight.strides[1] != weight.itemsize:
            return True
    met = [_met(forms.get(name, {}), key) for name in of_states]
    return all(met)


@lru_cache(maxsize=4096)  # it follows from the sizes
def _read(sized):
    """The names of the weights that a step multiplies states with, and x."""
    of_states = [part.weight for _, part, _, _ in sized.parts]
    return of_states, [part.weight for _, part, _ in sized.input_parts]


def input_weight(params, forms, name):
    """The weight of an input; packed, too, from the second time on that this is asked."""
    kept = forms.get(name, {})
    if "packed" not in kept and _met(kept, "met"):
        kept["packed"] = pack(params[name])
    return kept.get("packed", params[name])


def _met(forms, key):
    """Whether this has been asked before of the numbers that a weight holds."""
    before = key in forms
    forms[key] = True
    return before


def _pack(b, block, strips):
    step = lanes_of(b.dtype)
    width = step if strips else TILE_VECTORS * step
    blocks = b.shape[1] // block if block else 0
    panels = empty(blocks * -(-block // step) * step * b.shape[0], b.dtype)
    count, grain = blocks * -(-block // width), 1 + 50_000 // (b.shape[0] * width + 1)
    parallel(_pack_blocks, count, b, block, width, panels, grain=grain)
    return panels
