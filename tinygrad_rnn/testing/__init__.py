"""Testing derivatives: numeric ones, checks, and Hypothesis strategies for their inputs.

    from tinygrad_rnn.testing import check_gradients, strategies as gs

    @check_gradients(x=gs.arrays((3, 4)), w=gs.arrays((4, 2)))
    def test_my_layer(x, w):
        return my_layer(x, w)

An operation with all its laws, one pytest test each:

    test_cube = check_op(OpSpec("cube", lambda x: x * x * x, lambda x: x**3, samples.one()))

``assert_gradients`` and its likes need nothing but NumPy; ``strategies``, ``check_gradients``
and the laws need Hypothesis, which comes with ``pip install 'tinygrad-rnn[test]'``.
"""

import importlib
from typing import TYPE_CHECKING, Any

from tinygrad_rnn.testing.agreement import (
    assert_devices_agree,
    assert_dtype_laws,
    assert_equivalent,
)
from tinygrad_rnn.testing.checks import (
    assert_double_backward,
    assert_gradients,
    assert_module_gradients,
    explain,
)
from tinygrad_rnn.testing.comparison import TOLERANCES
from tinygrad_rnn.testing.faults import GradientCheckError, LawViolation, Untestable
from tinygrad_rnn.testing.numeric import (
    Numeric,
    directional_derivative,
    numeric_gradient,
    numeric_jacobian,
)
from tinygrad_rnn.testing.report import GradientMismatch, GradientReport
from tinygrad_rnn.testing.subject import Subject

if TYPE_CHECKING:
    from tinygrad_rnn.testing import laws, samples, strategies
    from tinygrad_rnn.testing.bundles import check_module, check_sequence_module
    from tinygrad_rnn.testing.check_operation import check_op
    from tinygrad_rnn.testing.decorator import check_gradients
    from tinygrad_rnn.testing.opspec import Case, OpSpec
    from tinygrad_rnn.testing.profiles import set_profile
    from tinygrad_rnn.testing.sequence_subject import SequenceSubject

__all__ = [
    "TOLERANCES", "Case", "GradientCheckError", "GradientMismatch", "GradientReport",
    "LawViolation", "Numeric", "OpSpec", "SequenceSubject", "Subject", "Untestable",
    "assert_devices_agree", "assert_double_backward", "assert_dtype_laws", "assert_equivalent",
    "assert_gradients", "assert_module_gradients", "check_gradients", "check_module", "check_op",
    "check_sequence_module", "directional_derivative", "explain", "laws", "numeric_gradient",
    "numeric_jacobian", "samples", "set_profile", "strategies",
]  # fmt: skip

# On first use: Hypothesis is an extra.
_LAZY = {
    "strategies": ("tinygrad_rnn.testing.strategies", None),
    "laws": ("tinygrad_rnn.testing.laws", None),
    "samples": ("tinygrad_rnn.testing.samples", None),
    "Case": ("tinygrad_rnn.testing.opspec", "Case"),
    "OpSpec": ("tinygrad_rnn.testing.opspec", "OpSpec"),
    "check_op": ("tinygrad_rnn.testing.check_operation", "check_op"),
    "check_gradients": ("tinygrad_rnn.testing.decorator", "check_gradients"),
    "check_module": ("tinygrad_rnn.testing.bundles", "check_module"),
    "check_sequence_module": ("tinygrad_rnn.testing.bundles", "check_sequence_module"),
    "SequenceSubject": ("tinygrad_rnn.testing.sequence_subject", "SequenceSubject"),
    "set_profile": ("tinygrad_rnn.testing.profiles", "set_profile"),
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    path, member = _LAZY[name]
    module = importlib.import_module(path)
    found = module if member is None else getattr(module, member)
    globals()[name] = found
    return found
