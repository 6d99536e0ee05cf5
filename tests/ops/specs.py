"""One spec for every primitive and every public operation.

A new operation needs one more: ``test_registry.py`` says which is missing.
"""

from tests.ops import (
    specs_activation,
    specs_arithmetic,
    specs_attention,
    specs_convolution,
    specs_index,
    specs_losses,
    specs_pooling,
    specs_recurrence,
    specs_reduce,
    specs_shape,
    specs_window,
)
from tinygrad_rnn.testing.opspec import OpSpec

SPECS: dict[str, OpSpec] = {
    spec.name: spec
    for family in (
        specs_arithmetic,
        specs_activation,
        specs_reduce,
        specs_shape,
        specs_index,
        specs_recurrence,
        specs_attention,
        specs_convolution,
        specs_window,
        specs_pooling,
        specs_losses,
    )
    for spec in family.SPECS
}
SMOOTH = [spec for spec in SPECS.values() if spec.smooth]
