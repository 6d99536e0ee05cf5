"""Declaring operations: a forward function and a derivative rule per input, side by side.

    mul = binary("mul", np.multiply,
                 lambda _F, g, _out, _a, b: g * b,
                 lambda _F, g, _out, a, _b: g * a)

A rule is ``rule(F, g, out, *inputs, **attrs)``: the gradient of the output goes in, the
gradient of one input comes out (before broadcasting is undone, which the engine does). A
name that starts with an underscore says that the rule leaves that value alone, so it is not
kept for it. ``F`` holds every primitive by name: over arrays in an ordinary backward, over
Tensors where the backward is recorded itself (``create_graph=True``). One formula serves
both, so higher derivatives cannot drift from the first.

A rule returns ``g``, a view of it, or a new array; never an array that was saved.
"""

from typing import Any

from tinygrad_rnn.engine import ARRAYS, TENSORS
from tinygrad_rnn.primitive.declare import apply, binary, nary, unary, variadic
from tinygrad_rnn.primitive.fused import Fused, fused, run_fused
from tinygrad_rnn.primitive.operands import check_devices
from tinygrad_rnn.primitive.rows import Along, AlongRule, RowWise, first_axis, place_for_place
from tinygrad_rnn.primitive.table import PRIMITIVES, Primitive
from tinygrad_rnn.primitive.taps import tap

__all__ = [
    "ARRAYS", "PRIMITIVES", "TENSORS", "Along", "AlongRule", "Fused", "Primitive", "RowWise",
    "apply_again", "binary", "check_devices", "first_axis", "fused", "nary", "place_for_place",
    "run_fused", "tap", "unary", "variadic",
]  # fmt: skip


def apply_again(op: Any, inputs: list[Any], attrs: dict[str, Any]) -> Any:
    """Call an operation, of either kind, as a recorded call of it was made."""
    if isinstance(op, Fused):
        return run_fused(op, inputs, attrs)
    return apply(op, tuple(inputs), attrs)
