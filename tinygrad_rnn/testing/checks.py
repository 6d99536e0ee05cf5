"""``assert_gradients``: the engine's derivatives against numeric ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tinygrad_rnn.engine import grad
from tinygrad_rnn.errors import DTypeError
from tinygrad_rnn.modes import enable_grad
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.testing.numeric import (
    ROUNDING,
    Array,
    Method,
    as_list,
    differentiable,
    directional_derivative,
    inner,
    numeric_gradient,
)
from tinygrad_rnn.testing.report import GradientMismatch, GradientReport

__all__ = ["TOLERANCES", "assert_gradients", "generic_like"]

# How far <g, u> may be from the numeric derivative, by order, in units of S = sum |g_i u_i|.
TOLERANCES = {1: {"complex": 1e-12, "central4": 1e-8}, 2: {"complex": 1e-12, "central4": 1e-6}}

# Both ways through the rules run the same formulas; they may differ by the rounding of sums.
SAME_FORMULAS = 1e-12

# The slopes of a saturated function are small differences of numbers of the size of its values,
# as 1 - tanh(x)**2 is: to rounding of these they are right, not to rounding of their own.
OF_VALUES = 16 * ROUNDING


def assert_gradients(
    fn: Callable[..., Any],
    *inputs: Any,
    wrt: Sequence[int] | None = None,
    order: int = 1,
    method: Method | Literal["auto"] = "auto",
    eps: float | None = None,
    directions: int = 1,
    seed: int = 0,
    name: str | None = None,
) -> None:
    """Raise GradientMismatch unless backward computes the derivatives of ``fn`` at ``inputs``.

    Inputs that hold floating-point numbers reach ``fn`` as float64 Tensors, the others as
    they are. Every output gets a cotangent of its own, and the inputs move along random
    directions, none of whose components is near 0, so that no path can hide.

    >>> from tinygrad_rnn import ops
    >>> assert_gradients(lambda x, w: ops.tanh(x @ w), np.ones((2, 3)), np.eye(3), order=2)

    Args:
        wrt: The inputs to differentiate; all floating-point ones unless given.
        order: 2 also differentiates the gradients, as ``create_graph=True`` records them.
        method: "auto" takes complex steps, and four points where ``fn`` is not analytic.
        directions: How many random directions to try.
        seed: Of cotangents and directions.
        name: What to call the function in the message.
    """
    arrays = [_as_float64(x) for x in inputs]
    floats = [i for i, a in enumerate(arrays) if isinstance(a, np.ndarray) and a.dtype.kind == "f"]
    places = floats if wrt is None else list(wrt)
    for place in places:
        if place not in floats:
            raise DTypeError(f"assert_gradients: input {place} holds no floating-point numbers.")
    title = name or str(getattr(fn, "__name__", fn))
    if not places:
        raise DTypeError(
            f"assert_gradients: no input of {title} holds floating-point numbers, so there is "
            "nothing to differentiate."
        )
    if order not in (1, 2) or directions < 1:
        raise ValueError(
            f"assert_gradients: order is {order} and directions {directions}; expected an order "
            "of 1 or 2 and at least one direction."
        )
    rng = np.random.default_rng(seed)

    def of_moving(*moving: Any) -> Any:
        arguments = list(arrays)
        for place in floats:  # those that stay, in the element type of those that move
            arguments[place] = Tensor(arrays[place].astype(moving[0].dtype))
        for place, value in zip(places, moving, strict=True):
            arguments[place] = value
        return fn(*arguments)

    names = tuple(f"input {place}" for place in places)
    primals = [arrays[place] for place in places]
    check = _Check(title, 1, of_moving, of_moving, primals, names, method, eps)
    cotangents = check.run(rng, directions)
    if order > 1:
        _assert_second_order(check, cotangents, rng, directions)


def generic_like(rng: np.random.Generator, array: Array) -> Array:
    """Random numbers of both signs between 0.5 and 1 in size, in the shape of ``array``."""
    shape = np.shape(array)
    return np.asarray(rng.uniform(0.5, 1.0, shape) * rng.choice([-1.0, 1.0], shape))


def _numbers(out: Any) -> Array:
    numbers: Array = np.nan_to_num(np.asarray(out), posinf=0.0, neginf=0.0)
    return numbers


def _as_float64(x: Any) -> Any:
    """Floating-point input as its own float64 array, anything else as it is."""
    array = x.numpy() if isinstance(x, Tensor) else x
    if isinstance(array, np.ndarray | np.generic) and array.dtype.kind == "f":
        return np.array(array, np.float64)
    return x


@dataclass
class _Check:
    """One function whose derivative is compared: ``analytic`` by backward, ``numeric`` by steps."""

    title: str
    order: int
    analytic: Callable[..., Any]
    numeric: Callable[..., Any]
    primals: list[Array]
    names: tuple[str, ...]
    method: Method | Literal["auto"]
    eps: float | None
    floor: float = 0.0  # what rounding of the values may be in their derivatives

    def run(self, rng: np.random.Generator, directions: int) -> list[Array]:
        """Compare along random directions; return the cotangents that were used."""
        leaves = [Tensor(x.copy(), requires_grad=True) for x in self.primals]
        with enable_grad():
            outputs = differentiable(self.analytic(*leaves))
        if not any(isinstance(out, Tensor) for out in outputs):
            raise TypeError(
                f"assert_gradients: {self.title} returned no Tensor of floating-point numbers, "
                "so backward has nothing to start from."
            )
        cotangents = [generic_like(rng, out) for out in outputs]
        gradients = gradients_of(outputs, leaves, cotangents)
        sizes = inner([np.abs(w) for w in cotangents], [np.abs(_numbers(o)) for o in outputs])
        steepest = max((float(np.abs(x).max(initial=1)) for x in self.primals), default=1.0)
        self.floor = max(self.floor, OF_VALUES * sizes * steepest)
        for _ in range(directions):
            tangents = [generic_like(rng, x) for x in self.primals]
            self.compare(gradients, tangents, cotangents)
        return cotangents

    def compare(
        self, gradients: list[Array], tangents: list[Array], cotangents: list[Array]
    ) -> None:
        """Compare the two derivatives along one direction."""
        analytic = inner(gradients, tangents)
        scale = inner([np.abs(g) for g in gradients], [np.abs(u) for u in tangents])
        last = None
        for method in self.methods():
            try:
                moved = directional_derivative(
                    self.numeric, self.tensors(), tangents, method=method, eps=self.eps
                )
            except Exception:
                # Not every function takes complex numbers; what "auto" is for.
                if self.method == "auto" and method == "complex":
                    continue
                raise
            numeric = inner(cotangents, as_list(moved.value))
            error = inner([np.abs(w) for w in cotangents], as_list(moved.error))
            relative = TOLERANCES[self.order][method]
            # Only where S is next to nothing, as for x**3 at 0, is rounding the larger one.
            resolution = inner([np.abs(w) for w in cotangents], as_list(moved.rounding))
            tolerance = max(relative * scale, resolution, self.floor)
            if abs(analytic - numeric) <= tolerance:  # false for NaN, as it should be
                return
            last = (method, numeric, error, tolerance)
        assert last is not None
        method, numeric, error, tolerance = last
        raise GradientMismatch(
            self.report(method, (analytic, numeric), error, scale, tolerance, gradients, cotangents)
        )

    def methods(self) -> tuple[Method, ...]:
        """What to try, in turn."""
        return ("complex", "central4") if self.method == "auto" else (self.method,)

    def tensors(self) -> list[Tensor]:
        """The primals as constants."""
        return [Tensor(x) for x in self.primals]

    def report(
        self,
        method: Method,
        along: tuple[float, float],
        error: float,
        scale: float,
        tolerance: float,
        gradients: list[Array],
        cotangents: list[Array],
    ) -> GradientReport:
        """Find the element that is furthest off, with the whole numeric gradient."""
        worst: tuple[float, int | None, tuple[int, ...], float, float] = (0.0, None, (), 0.0, 0.0)
        wrong = []
        for argument, gradient in enumerate(gradients):
            numeric = numeric_gradient(
                self.numeric, self.tensors(), cotangents, argument, method=method, eps=self.eps
            )
            gap = np.array(np.abs(gradient - numeric))
            gap[np.isnan(gradient) != np.isnan(numeric)] = np.inf
            largest = max(
                np.abs(gradient).max(initial=0), np.abs(np.nan_to_num(numeric)).max(initial=0)
            )
            bad = gap > max(tolerance / max(scale, 1e-300) * largest, tolerance / max(gap.size, 1))
            wrong.append((int(bad.sum()), gap.size))
            if bad.any() and gap[bad].max() > worst[0]:
                place = np.unravel_index(int(np.argmax(np.where(bad, gap, -1))), gap.shape)
                index = tuple(int(i) for i in place)
                worst = (gap[index], argument, index, gradient[index], numeric[index])
        _, argument_, index, a, n = worst
        return GradientReport(
            self.title, self.order, method, argument_, index, float(a), float(n), along, error,
            scale, tolerance, self.names, tuple(wrong), tuple(self.primals),
        )  # fmt: skip


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
        return [np.zeros(leaf.shape) for leaf in leaves]
    found = grad([out for out, _ in pairs], leaves, [w for _, w in pairs], allow_unused=True)
    return [
        np.zeros(leaf.shape) if g is None else np.array(g.numpy())
        for leaf, g in zip(leaves, found, strict=True)
    ]


# ----- second order -----


def _pullback(
    fn: Callable[..., Any], count: int, *, graph: bool
) -> Callable[..., tuple[Tensor, ...]]:
    """The function from inputs and cotangents to gradients."""

    def pull(*arguments: Tensor) -> tuple[Tensor, ...]:
        if not graph:
            arguments = tuple(t.detach() for t in arguments)
            for leaf in arguments[:count]:
                leaf._requires_grad = True  # the setter refuses complex numbers, rules do not
        leaves, cotangents = arguments[:count], arguments[count:]
        with enable_grad():
            outputs = differentiable(fn(*leaves))
            pairs = [
                (out, w) for out, w in zip(outputs, cotangents, strict=True) if out.requires_grad
            ]
            if not pairs:
                return tuple(Tensor(np.zeros(leaf.shape)) for leaf in leaves)
            found = grad(
                [out for out, _ in pairs], leaves, [w for _, w in pairs],
                create_graph=graph, allow_unused=True,
            )  # fmt: skip
        return tuple(
            Tensor(np.zeros(leaf.shape)) if g is None else g
            for leaf, g in zip(leaves, found, strict=True)
        )

    return pull


def _assert_second_order(
    first: _Check, cotangents: list[Array], rng: np.random.Generator, directions: int
) -> None:
    """Compare the derivative of recorded gradients with steps over gradients as they are."""
    count = len(first.primals)
    recorded = _pullback(first.analytic, count, graph=True)
    plain = _pullback(first.analytic, count, graph=False)
    primals = [*first.primals, *cotangents]
    names = (*first.names, *(f"cotangent {i}" for i in range(len(cotangents))))
    for number, (a, b) in enumerate(
        zip(
            recorded(*(Tensor(x, requires_grad=True) for x in primals)),
            plain(*(Tensor(x) for x in primals)),
            strict=True,
        )
    ):
        gap = np.abs(a.numpy() - b.numpy()).max(initial=0)
        if not gap <= max(SAME_FORMULAS * np.abs(b.numpy()).max(initial=0), first.floor):
            raise AssertionError(
                f"{first.title}: the gradient of {names[number]} is {a.numpy()} with "
                f"create_graph=True, but {b.numpy()} without."
            )
    check = _Check(
        first.title, 2, recorded, plain, primals, names, first.method, first.eps, first.floor
    )
    check.run(rng, directions)
