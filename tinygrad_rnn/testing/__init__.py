"""Testing derivatives: numeric ones, checks, and Hypothesis strategies for their inputs.

    from tinygrad_rnn.testing import assert_gradients, strategies as gs

    @given(gs.arrays((3, 4)))
    def test_my_function(x):
        assert_gradients(my_function, x, order=2)

The checks need nothing but NumPy. ``strategies`` needs Hypothesis, which comes with
``pip install 'tinygrad-rnn[test]'``.
"""

import importlib
from typing import TYPE_CHECKING, Any

from tinygrad_rnn.testing.checks import TOLERANCES, assert_gradients
from tinygrad_rnn.testing.numeric import Numeric, directional_derivative, numeric_gradient
from tinygrad_rnn.testing.report import GradientMismatch, GradientReport

if TYPE_CHECKING:
    from tinygrad_rnn.testing import strategies

__all__ = [
    "TOLERANCES", "GradientMismatch", "GradientReport", "Numeric", "assert_gradients",
    "directional_derivative", "numeric_gradient", "strategies",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "strategies":  # on first use: Hypothesis is an extra
        return importlib.import_module("tinygrad_rnn.testing.strategies")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
