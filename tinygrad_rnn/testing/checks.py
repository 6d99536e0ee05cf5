"""The checks that raise: gradients of functions and modules, equivalence, devices, types."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from tinygrad_rnn.arguments import bounded
from tinygrad_rnn.nn.module import Module
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.testing.comparison import Comparison, Mismatch, Result
from tinygrad_rnn.testing.diagnosis import diagnosed
from tinygrad_rnn.testing.faults import Untestable, reject
from tinygrad_rnn.testing.kinks import Kinks
from tinygrad_rnn.testing.numeric import Array, Method
from tinygrad_rnn.testing.pullback import pullback
from tinygrad_rnn.testing.report import GradientMismatch, GradientReport
from tinygrad_rnn.testing.subject import Subject, of_function, of_module

__all__ = [
    "assert_double_backward", "assert_gradients", "assert_module_gradients", "check_subject",
    "explain",
]  # fmt: skip

# Both ways through the rules run the same formulas; they may differ by the rounding of sums.
SAME_FORMULAS = 1e-12


def assert_gradients(
    fn: Callable[..., Any],
    *inputs: Any,
    wrt: Iterable[int | str] | None = None,
    order: int = 1,
    method: Method | Literal["auto"] = "auto",
    eps: float | None = None,
    directions: int = 1,
    kinks: Kinks = "detect",
    seed: int = 0,
    vjp: Callable[..., Any] | None = None,
    gradient: Callable[..., Any] | None = None,
    name: str | None = None,
    names: Sequence[str] | None = None,
) -> GradientReport:
    """Raise GradientMismatch unless backward computes the derivatives of ``fn`` at ``inputs``.

    Inputs that hold floating-point numbers, also inside tuples, lists and dicts, reach ``fn``
    as float64 Tensors, the others as they are. Every output gets a cotangent of its own, and
    the inputs move along random directions, none of whose components is near 0, so that no
    path can hide.

    >>> from tinygrad_rnn import ops
    >>> print(assert_gradients(lambda x: ops.tanh(x @ x), np.eye(3), order=2).ok)
    True

    A NumPy function is checked against a gradient that was written for it:

    >>> print(assert_gradients(np.sin, np.ones(2), vjp=lambda g, x: g * np.cos(x)).ok)
    True

    Args:
        wrt: The inputs to differentiate, by number or name; all floating-point ones unless given.
        order: 2 also differentiates the gradients, as ``create_graph=True`` records them.
        method: "auto" takes complex steps, and four points where ``fn`` is not analytic.
        directions: How many random directions to try.
        kinks: Where ``fn`` has two slopes, "detect" raises Untestable (under Hypothesis it
            draws again), "subgradient" wants every element, moved alone, between its two,
            "ignore" never looks.
        seed: Of cotangents and directions.
        vjp: ``vjp(g, *inputs)`` returns the gradient of every input; ``fn`` is then a function
            of NumPy arrays, and ``g`` the cotangent of its result (a tuple for several).
        gradient: The same for functions that return one number: ``gradient(*inputs)``.
        name: What to call the function in messages; ``names`` does so for its inputs.
    """
    __tracebackhide__ = True
    subject = of_function(fn, inputs, wrt=wrt, names=names, title=name, vjp=vjp, gradient=gradient)
    return check_subject(
        subject, order=order, method=method, eps=eps, directions=directions, kinks=kinks, seed=seed
    )


def assert_module_gradients(
    module: Module,
    *inputs: Any,
    params: str | Sequence[str] = "all",
    inputs_too: bool = True,
    name: str | None = None,
    names: Sequence[str] | None = None,
    **options: Any,
) -> GradientReport:
    """Raise unless backward through a module is right for its parameters and its inputs.

    A copy of the module is taken, in float64. Its parameters keep their values; options are
    those of ``assert_gradients``.

    Args:
        params: "all", or the names of the parameters to differentiate.
        inputs_too: Differentiate the floating-point inputs, too.
    """
    __tracebackhide__ = True
    subject = of_module(
        module, inputs, params=params, inputs_too=inputs_too, names=names, title=name
    )
    return check_subject(subject, **options)


def assert_double_backward(fn: Callable[..., Any], *inputs: Any, **options: Any) -> GradientReport:
    """Raise unless the gradients of ``fn`` can be differentiated again, and rightly so."""
    __tracebackhide__ = True
    return assert_gradients(fn, *inputs, order=2, **options)


def explain(fn: Callable[..., Any], *inputs: Any, **options: Any) -> GradientReport:
    """The report of a check, whether it passes or fails; takes what ``assert_gradients`` takes.

    ``fn`` may be a module. A function that cannot be checked at all still raises Untestable.
    """
    try:
        if isinstance(fn, Module):
            return assert_module_gradients(fn, *inputs, **options)
        return assert_gradients(fn, *inputs, **options)
    except GradientMismatch as mismatch:
        return mismatch.report


def check_subject(
    subject: Subject,
    *,
    order: int = 1,
    method: Method | Literal["auto"] = "auto",
    eps: float | None = None,
    directions: int = 1,
    kinks: Kinks = "detect",
    seed: int = 0,
) -> GradientReport:
    """Compare a subject's derivatives with numeric ones: what all of the above come down to."""
    __tracebackhide__ = True
    if order not in (1, 2) or directions < 1:
        raise ValueError(
            f"assert_gradients: order is {order} and directions {directions}; expected an order "
            "of 1 or 2 and at least one direction."
        )
    if kinks not in ("detect", "subgradient", "ignore"):
        raise ValueError(
            f"assert_gradients: kinks is {kinks!r}, expected detect, subgradient or ignore."
        )
    if eps is not None:
        bounded("assert_gradients", "eps", eps, above=0.0, below=np.inf)
    rng = np.random.default_rng(seed)
    options = {"order": order, "method": method, "eps": eps, "directions": directions,
               "kinks": kinks, "seed": seed}  # fmt: skip
    try:
        first = Comparison(subject, method=method, eps=eps, kinks=kinks)
        _, cotangents, results = first.run(rng, directions)
        if order > 1:
            results = _second_order(first, cotangents, rng, directions)
    except Mismatch as mismatch:
        raise diagnosed(mismatch, _changed(options)) from None
    except Untestable as fault:
        if fault.problem == "is not differentiable here":
            reject(f"{subject.title} {fault.problem}")
        raise
    return _passed(subject, order, results)


def _changed(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are not what they are by default."""
    usual = {"order": 1, "method": "auto", "eps": None, "directions": 1, "kinks": "detect"}
    return {key: value for key, value in options.items() if usual.get(key, 0) != value}


def _passed(subject: Subject, order: int, results: Sequence[Result]) -> GradientReport:
    """The report of a check that passed: the direction that came nearest to failing."""
    worst = max(results, key=lambda r: abs(r.analytic - r.numeric) / max(r.tolerance, 1e-300))
    return GradientReport(
        subject.title, order, True, worst.method, (worst.analytic, worst.numeric), worst.error,
        worst.scale, worst.tolerance, subject.names, subject.primals,
    )  # fmt: skip


def _second_order(
    first: Comparison, cotangents: list[Array], rng: np.random.Generator, directions: int
) -> list[Result]:
    """Compare the derivative of recorded gradients with steps over gradients as they are."""
    subject = first.subject
    if subject.by_hand:
        raise Untestable(
            subject.title,
            "has no second derivative",
            "a gradient written by hand in NumPy cannot be differentiated itself; use order=1",
        )
    count = len(subject.primals)
    recorded = pullback(subject.fn, count, graph=True)
    plain = pullback(subject.fn, count, graph=False)
    names = (*subject.names, *(f"cotangent {i}" for i in range(len(cotangents))))
    twice = Subject(subject.title, recorded, names, (*subject.primals, *cotangents))
    pairs = zip(names, recorded(*twice.leaves()), plain(*twice.constants()), strict=False)
    for name, a, b in pairs:
        gap = np.abs(a.numpy() - b.numpy()).max(initial=0)
        if not gap <= max(SAME_FORMULAS * np.abs(b.numpy()).max(initial=0), first.floor):
            raise GradientMismatch(_two_gradients(first, name, a, b))
    second = Comparison(
        twice, method=first.method, eps=first.eps, kinks=first.kinks, order=2, numeric=plain,
        floor=first.floor,
    )  # fmt: skip
    return second.run(rng, directions)[2]


def _two_gradients(first: Comparison, name: str, a: Tensor, b: Tensor) -> GradientReport:
    """The report where a gradient depends on whether it is recorded."""
    gap = np.abs(a.numpy() - b.numpy())
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(gap)), gap.shape))
    recorded, plain = float(a.numpy()[index]), float(b.numpy()[index])
    subject = first.subject
    return GradientReport(
        subject.title, 2, False, "create_graph", (recorded, plain), 0.0, abs(plain), first.floor,
        subject.names, subject.primals, argument=name, index=index, analytic=recorded,
        numeric=plain, pattern="the gradient is another with create_graph=True than without",
    )  # fmt: skip
