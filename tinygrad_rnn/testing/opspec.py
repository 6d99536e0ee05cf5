"""What tests of an operation have to know about it: ``OpSpec``, and ``Case``, one call.

    cube = OpSpec("cube", lambda x: x * x * x, lambda x: x**3, samples.one())
    test_cube = testing.check_op(cube)

A NumPy function with a gradient written by hand is an operation, too:

    OpSpec("sine", np.sin, None, samples.one(), vjp=lambda g, x: g * np.cos(x))
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.testing.laws.common import Call, Law, record
from tinygrad_rnn.testing.numeric import Array
from tinygrad_rnn.testing.subject import Subject, of_function

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ["Case", "OpSpec", "Sample"]

ROOM = 16  # the error model: 16 eps sqrt(n) max|b|
DENORMAL = 1e-37  # kernels take smaller numbers as zeros


class Case(NamedTuple):
    """One call: float64 operands by position, everything else by keyword."""

    inputs: tuple[Array, ...]
    attrs: Mapping[str, Any] = MappingProxyType({})


Sample = Callable[[int], "SearchStrategy[Case]"]  # from the smallest allowed side, 0 or 1


@dataclass(frozen=True, repr=False)
class OpSpec:
    """One operation.

    fn           over Tensors (or arrays), ``fn(*inputs, **attrs)``; one output or a tuple
    reference    the same in NumPy: what the values have to be; None leaves them untested
    sample       cases inside the domain, see ``testing.samples``
    vjp          ``vjp(g, *inputs, **attrs)`` of an ``fn`` over NumPy arrays: its gradient, as
                 in ``assert_gradients``; such a function has no second derivative
    exact        every bit equals the reference's, in any element type
    analytic     complex steps work
    dodge        ``dodge(inputs, margin)``: the inputs moved that far away from every kink
    terms        how many numbers are summed into one, for the error model
    scale        what rounding errors are proportional to; the largest result unless given,
                 which is too strict where terms cancel
    slope_scale  the same for slopes, where they are small differences: a saturated tanh has
                 the slope 1 - 1, off by the rounding of 1
    linear       the operands in which the function is linear, taken together
    laws         ``law(*inputs, **attrs)`` asserts an identity
    keeps        laws of ``testing.laws`` that not every operation has to keep
    bounded      slopes at kinks lie between those beside them: not at steps, nor for the
                 second of three equals
    smooth       False where the result has no derivative at all
    empty        whether axes of size 0 are allowed
    extremes     whether the true value and slope are finite for operands up to 1e4 in size
    reaches      primitives that calls have to record
    comparable   whether float32 and float64 compute the same function (noise differs)
    infinities   whether they come out as in the reference: not where factors may be summed
                 before they are multiplied, as inf - inf is no number
    keeps_type   whether results have the type of the operands
    """

    name: str
    fn: Callable[..., Any]
    reference: Callable[..., Any] | None
    sample: Sample
    vjp: Callable[..., Any] | None = None
    exact: bool = False
    analytic: bool = True
    dodge: Callable[[tuple[Array, ...], float], tuple[Array, ...]] | None = None
    terms: Callable[..., int] = field(default=lambda *inputs, **attrs: 1)
    scale: Callable[..., float] | None = None
    slope_scale: Callable[..., float] | None = None
    linear: tuple[int, ...] | Literal["all"] = ()
    laws: tuple[Callable[..., None], ...] = ()
    keeps: tuple[Law, ...] = ()
    bounded: bool = True
    smooth: bool = True
    empty: bool = True
    extremes: bool = True
    reaches: tuple[str, ...] = ()
    comparable: bool = True
    infinities: bool = True
    keeps_type: bool = True

    def __repr__(self) -> str:
        return f"<spec {self.name}>"

    def __str__(self) -> str:
        return self.name

    def subject(self, case: Case) -> Subject:
        """The operation at the operands of a case."""
        fn, vjp = self.fn, self.vjp
        if case.attrs:
            fn = functools.partial(fn, **case.attrs)
            vjp = vjp and functools.partial(vjp, **case.attrs)
        return of_function(fn, case.inputs, title=self.name, vjp=vjp)

    def call(self, case: Case, dtype: Any = np.float64) -> Call:
        """A recorded call with operands of this type that all want gradients."""
        leaves = [Tensor(x.astype(dtype, copy=False), requires_grad=True) for x in case.inputs]
        return record(self.subject(case), leaves)

    def dodged(self, case: Case, margin: float) -> Case:
        """The case with its operands away from kinks."""
        return case if self.dodge is None else case._replace(inputs=self.dodge(case.inputs, margin))

    def expected(self, case: Case, inputs: tuple[Array, ...]) -> list[Any] | None:
        """What the results are for other operands, by the reference."""
        if self.reference is None:
            return None
        results = self.reference(*inputs, **case.attrs)
        return list(results) if isinstance(results, tuple | list) else [results]

    def tolerance(self, case: Case, expected: Array, dtype: Any) -> float:
        """The error model: by how much rounding in this type may move results."""
        size = float(np.abs(expected).max(initial=0)) if np.size(expected) else 0.0
        if self.scale is not None:
            size = max(size, self.scale(*case.inputs, **case.attrs))
        return self.rounding(dtype, self.terms(*case.inputs, **case.attrs), size)

    @staticmethod
    def rounding(dtype: Any, terms: int, size: float) -> float:
        """By how much a sum of so many terms of this size may be off."""
        return float(ROOM * np.finfo(dtype).eps * np.sqrt(terms) * size + DENORMAL)
