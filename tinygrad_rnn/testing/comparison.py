"""Comparing the derivatives of a subject: those by backward with those from values alone."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from tinygrad_rnn.engine import grad
from tinygrad_rnn.errors import GradientError
from tinygrad_rnn.modes import enable_grad
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.testing.faults import Untestable
from tinygrad_rnn.testing.kinks import AROUND_IT, AT_THE_POINT, Kinks, Sides, one_sided, units
from tinygrad_rnn.testing.numeric import (
    ROUNDING,
    Array,
    Method,
    as_list,
    differentiable,
    directional_derivative,
    inner,
)
from tinygrad_rnn.testing.subject import Subject

__all__ = [
    "TOLERANCES", "Comparison", "Mismatch", "Result", "floor_of", "generic_like", "gradients_of",
]  # fmt: skip

# How far <g, u> may be from the numeric derivative, by order, in units of S = sum |g_i u_i|.
TOLERANCES: dict[int, dict[str, float]] = {
    1: {"complex": 1e-12, "central4": 1e-8, "central2": 1e-5, "ridders": 1e-7},
    2: {"complex": 1e-12, "central4": 1e-6, "central2": 1e-4, "ridders": 1e-6},
}

OF_ARRAYS = (
    "A function of NumPy arrays is checked against a gradient written by hand: give vjp= or "
    "gradient=."
)

# The slopes of a saturated function are small differences of numbers of the size of its values,
# as 1 - tanh(x)**2 is: to rounding of these they are right, not to rounding of their own.
OF_VALUES = 16 * ROUNDING
# Rounding is next to nothing beside what a slope usually is, values over inputs: with inputs of
# 1e8 the above would be as large as the slope itself.
OF_USUAL_SLOPES = 1e-6

# What four points have to be sure of, in units of slopes, before they contradict a complex step.
SURE = 1e-4
CLEAR = 1e-6  # how far they have to be from it, in units of S
LONG_AND_SHORT = 1e-3, 1e-6  # their steps


class Result(NamedTuple):
    """One direction compared: the two derivatives along it and by how much they may differ.

    error   of the numeric derivative, by its own account
    scale   S, the sum of |g_i u_i|
    """

    method: Method
    analytic: float
    numeric: float
    error: float
    scale: float
    tolerance: float

    @property
    def agrees(self) -> bool:
        """Whether the two are the same; never for NaN and infinities, however far they may be."""
        return bool(abs(self.analytic - self.numeric) <= self.tolerance < np.inf)


class Mismatch(Exception):
    """Two derivatives that differ, and all that is needed to find out why."""

    def __init__(
        self,
        comparison: "Comparison",
        result: Result,
        gradients: list[Array],
        cotangents: list[Array],
    ) -> None:
        super().__init__(comparison, result)
        self.comparison = comparison
        self.result = result
        self.gradients = gradients
        self.cotangents = cotangents


class Comparison:
    """One subject whose derivative is compared: ``subject`` by backward, ``numeric`` by steps.

    order   of the derivative, for tolerances and messages
    floor   what rounding of the values may be in their derivatives
    """

    def __init__(
        self,
        subject: Subject,
        *,
        method: Method | Literal["auto"] = "auto",
        eps: float | None = None,
        kinks: Kinks = "detect",
        order: int = 1,
        numeric: Callable[..., Any] | None = None,
        floor: float = 0.0,
    ) -> None:
        self.subject = subject
        self.method = method
        self.eps = eps
        self.kinks = kinks
        self.order = order
        self.numeric = numeric or subject.fn
        self.floor = floor
        self._held = False

    def run(
        self, rng: np.random.Generator, directions: int
    ) -> tuple[list[Array], list[Array], list[Result]]:
        """Compare along random directions: the gradients, their cotangents, and every result."""
        leaves = self.subject.leaves()
        outputs = self._outputs(leaves)
        cotangents = [generic_like(rng, out) for out in outputs]
        gradients = gradients_of(outputs, leaves, cotangents)
        self._check_unchanged(leaves, "its gradient was computed")
        self.floor = max(self.floor, floor_of(self.subject, outputs, cotangents))
        results = []
        for _ in range(directions):
            tangents = [generic_like(rng, x) for x in self.subject.primals]
            results.append(self.compare(gradients, tangents, cotangents))
        return gradients, cotangents, results

    def compare(
        self, gradients: list[Array], tangents: list[Array], cotangents: list[Array]
    ) -> Result:
        """Compare the two derivatives along one direction, or raise Mismatch."""
        agrees, result, sides = self._seen(gradients, tangents, cotangents)
        if agrees or (sides is not None and self._allowed_at_kink(sides, gradients, cotangents)):
            return result
        raise Mismatch(self, result, gradients, cotangents)

    def _seen(
        self, gradients: list[Array], tangents: list[Array], cotangents: list[Array]
    ) -> tuple[bool, Result, Sides | None]:
        """Whether the two agree along a direction, by which result, and both sides of a kink."""
        analytic = inner(gradients, tangents)
        scale = inner([np.abs(g) for g in gradients], [np.abs(u) for u in tangents])
        found: list[Result] = []
        for result in self._along(tangents, cotangents, analytic, scale):
            found.append(result)
            agrees = result.agrees and not _outvoted(found)
            if agrees and self._holds(result, tangents, cotangents):
                return True, result, None
        last = _most_exact(found)
        if self.kinks != "ignore" and np.isfinite(analytic):
            reach = AT_THE_POINT if last.method == "complex" else AROUND_IT
            gap = abs(last.analytic - last.numeric)
            sides = one_sided(
                self.numeric, self.subject.constants(), tangents, cotangents, reach, gap
            )
            return False, last, sides if sides.differ else None
        return False, last, None

    def _holds(self, result: Result, tangents: list[Array], cotangents: list[Array]) -> bool:
        """Whether a complex step has seen the whole derivative, as far as real steps can tell.

        NumPy drops imaginary parts without a word in abs, var, norm, real: what depends on these
        alone is constant to a complex step, and to a gradient that forgets it. Steps of any
        length show that, along one direction as along all; long ones alone show what lies
        beyond the point, and near a kink nothing is told.
        """
        if self.method != "auto" or result.method != "complex" or self._held:
            return True
        gap = self._contradiction(result, tangents, cotangents)
        self._held = (
            not gap
            or one_sided(
                self.numeric, self.subject.constants(), tangents, cotangents, AROUND_IT, gap
            ).differ
        )
        return self._held

    def _contradiction(
        self, result: Result, tangents: list[Array], cotangents: list[Array]
    ) -> float:
        """How far four points are from a complex step; 0 where they confirm it, or are not sure."""
        gap = 0.0
        for eps in LONG_AND_SHORT:
            gap = self._gap(result, tangents, cotangents, eps)
            if not gap:
                break
        return gap

    def _gap(
        self, result: Result, tangents: list[Array], cotangents: list[Array], eps: float
    ) -> float:
        """That over steps of one length."""
        with np.errstate(all="ignore"):
            try:
                moved = directional_derivative(
                    self.numeric, self.subject.constants(), tangents, method="central4", eps=eps
                )
            except Exception:  # as outside its domain
                return 0.0
        sizes = [np.abs(w) for w in cotangents]
        error, rounding = inner(sizes, as_list(moved.error)), inner(sizes, as_list(moved.rounding))
        slopes = inner(sizes, [np.abs(slope) for slope in as_list(moved.value)])
        gap = abs(inner(cotangents, as_list(moved.value)) - result.numeric)
        sure = error <= max(SURE * slopes, 2 * rounding)
        return (
            gap if sure and gap > max(10 * error, CLEAR * result.scale, result.tolerance) else 0.0
        )

    def _along(
        self, tangents: list[Array], cotangents: list[Array], analytic: float, scale: float
    ) -> Iterator[Result]:
        """The comparison by each method in turn."""
        sizes = [np.abs(w) for w in cotangents]
        for method in self.methods():
            try:
                moved = directional_derivative(
                    self.numeric, self.subject.constants(), tangents, method=method, eps=self.eps
                )
            except Untestable:
                raise
            except Exception:
                # Not every function takes complex numbers; what "auto" is for.
                if self.method == "auto" and method == "complex":
                    continue
                raise
            # Only where S is next to nothing, as for x**3 at 0, is rounding the larger one.
            allowed = max(
                TOLERANCES[self.order][method] * scale,
                inner(sizes, as_list(moved.rounding)),
                self.floor,
            )
            numeric = inner(cotangents, as_list(moved.value))
            error = inner(sizes, as_list(moved.error))
            yield Result(method, analytic, numeric, error, scale, allowed)

    def methods(self) -> tuple[Method, ...]:
        """What to try, in turn."""
        return ("complex", "central4") if self.method == "auto" else (self.method,)

    def _allowed_at_kink(
        self, sides: Sides, gradients: list[Array], cotangents: list[Array]
    ) -> bool:
        """Whether a gradient at a kink is as good as any; where that is not asked for, raise.

        Every element is looked at alone: along a direction in which all move, what one kink
        takes from the slope another may give, and a wrong element hide beside both.
        """
        if self.kinks == "detect":
            raise Untestable(
                self.subject.title,
                "is not differentiable here",
                f"along a random direction its slope is {sides.before:.6g} on one side and "
                f"{sides.after:.6g} on the other; move the inputs away from the kink, or use "
                'kinks="subgradient" to accept anything between the two',
            )
        for unit in units(gradients):
            agrees, result, of_one = self._seen(gradients, unit, cotangents)
            if not (agrees or (of_one is not None and of_one.allow(result.analytic, result.scale))):
                return False
        return True

    # ----- is it a function at all? -----

    def _outputs(self, leaves: list[Tensor]) -> list[Any]:
        """The differentiable results, after making sure that they are worth differentiating."""
        title = self.subject.title
        try:
            with enable_grad():
                returned = self.subject(*leaves)
        except GradientError as error:
            if str(error).startswith("np."):  # NumPy's functions refuse to lose a gradient
                error.add_note(OF_ARRAYS)
            raise
        outputs = differentiable(returned)
        if not any(isinstance(out, Tensor) for out in outputs):
            given = "None" if returned is None else f"a {type(returned).__name__}"
            raise Untestable(
                title,
                "returns nothing to differentiate",
                f"it returned {given}, expected a Tensor of floating-point numbers or several, "
                f"so that backward has something to start from. {OF_ARRAYS.removesuffix('.')}",
            )
        self._check_unchanged(leaves, "it was called")
        for out in outputs:
            if np.isnan(np.asarray(out)).any():
                raise Untestable(
                    title,
                    "returns NaN",
                    f"{int(np.isnan(np.asarray(out)).sum())} of {np.size(out)} elements; the "
                    "inputs lie outside its domain, or it divides 0 by 0",
                )
        with enable_grad():
            again = differentiable(self.subject(*self.subject.leaves()))
        if len(again) != len(outputs) or not all(
            np.array_equal(np.asarray(a), np.asarray(b))
            for a, b in zip(again, outputs, strict=True)
        ):
            raise Untestable(
                title,
                "is not deterministic",
                "two calls with the same inputs gave different results; fix the random seed "
                "inside the function, or turn the noise off",
            )
        return outputs

    def _check_unchanged(self, leaves: list[Tensor], what: str) -> None:
        for name, leaf, before in zip(
            self.subject.names, leaves, self.subject.primals, strict=True
        ):
            if not np.array_equal(leaf.numpy(), before, equal_nan=True):
                raise Untestable(
                    self.subject.title,
                    "changes its inputs",
                    f"{name} holds other numbers after {what}; work on a copy",
                )


def _confirmed(found: list[Result]) -> bool:
    """Whether four points say that complex steps are right, so that the function is analytic."""
    first, last = found[0], found[-1]
    return abs(first.numeric - last.numeric) <= first.tolerance + last.error


def _outvoted(found: list[Result]) -> bool:
    """Whether what agrees with four points, to their eight digits, is wrong in the ninth."""
    return len(found) > 1 and _confirmed(found)


def _most_exact(found: list[Result]) -> Result:
    """The result to report: by complex steps, unless four points say that they went astray."""
    return found[0] if _confirmed(found) else found[-1]


def generic_like(rng: np.random.Generator, array: Any) -> Array:
    """Random numbers of both signs between 0.5 and 1 in size, in the shape of ``array``."""
    shape = np.shape(array)
    return np.asarray(rng.uniform(0.5, 1.0, shape) * rng.choice([-1.0, 1.0], shape))


def floor_of(subject: Subject, outputs: Sequence[Any], cotangents: Sequence[Array]) -> float:
    """What rounding of the values may be in a derivative along a direction no longer than 1."""
    sizes = inner([np.abs(w) for w in cotangents], [np.abs(_finite(o)) for o in outputs])
    steepest = max((float(np.abs(x).max(initial=1)) for x in subject.primals), default=1.0)
    return sizes * min(OF_VALUES * steepest, OF_USUAL_SLOPES / steepest)


def _finite(out: Any) -> Array:
    numbers: Array = np.nan_to_num(np.asarray(out), posinf=0.0, neginf=0.0)
    return numbers


def gradients_of(
    outputs: Sequence[Any], leaves: Sequence[Tensor], cotangents: Sequence[Any]
) -> list[Array]:
    """The gradients by backward as arrays, zeros where nothing depends on a leaf."""
    pairs = [
        (out, w)
        for out, w in zip(outputs, cotangents, strict=True)
        if isinstance(out, Tensor) and out.requires_grad
    ]
    if not pairs:
        return [np.zeros(leaf.shape, leaf.dtype) for leaf in leaves]
    # Copies: a rule that writes into what it is given must not change what it is measured by.
    given = [np.array(w) if isinstance(w, np.ndarray) else w for _, w in pairs]
    found = grad([out for out, _ in pairs], leaves, given, allow_unused=True)
    return [
        np.zeros(leaf.shape, leaf.dtype) if g is None else np.array(g.numpy())
        for leaf, g in zip(leaves, found, strict=True)
    ]
