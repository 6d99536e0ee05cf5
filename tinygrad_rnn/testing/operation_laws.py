"""Laws of operations, which need their specs: ``law(spec, case, draw)`` raises if broken."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tinygrad_rnn.engine import grad
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.testing.arrays import LAYOUTS, relayout
from tinygrad_rnn.testing.checks import check_subject
from tinygrad_rnn.testing.comparison import generic_like
from tinygrad_rnn.testing.laws import extents, surroundings
from tinygrad_rnn.testing.laws.common import (
    ROUNDING,
    Draw,
    expect,
    expect_close,
    expect_same,
    random,
)
from tinygrad_rnn.testing.numeric import Array, as_list, inner
from tinygrad_rnn.testing.opspec import Case, OpSpec
from tinygrad_rnn.testing.strategies import seeds

__all__ = [
    "any_layout", "derivatives", "empty_axes", "finite_on_extremes", "float32", "identities",
    "layout_invariance", "linearity", "not_finite", "slopes_at_kinks", "values",
]  # fmt: skip


# ----- values -----


def values(spec: OpSpec, case: Case, draw: Draw) -> None:
    """Results are the reference's, of the type of the operands, which are left alone."""
    for dtype in (np.float64, np.float32):
        _check_values("values", spec, case, dtype, "read_only")


def any_layout(spec: OpSpec, case: Case, draw: Draw) -> None:
    """Results are the reference's wherever operands lie in memory."""
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    for layout in LAYOUTS:
        inputs = tuple(np.array(relayout(x, layout)) for x in case.inputs)
        _check_values("any_layout", spec, case._replace(inputs=inputs), dtype, layout)


def empty_axes(spec: OpSpec, case: Case, draw: Draw) -> None:
    """Axes of size 0 and 1 are like any other, back and forth."""
    _check_values("empty_axes", spec, case, np.float64, "read_only")
    if not spec.smooth:
        return
    call = spec.call(case)
    gradients = call.gradients(call.cotangents(random(draw)))
    for number, (g, x) in enumerate(zip(gradients, case.inputs, strict=True)):
        found = f"the gradient of input {number} is {g.dtype} of shape {g.shape}"
        fits = g.shape == x.shape and g.dtype == x.dtype
        expect(fits, "empty_axes", spec.name, found, f"{x.dtype} of shape {x.shape}")


def _check_values(law: str, spec: OpSpec, case: Case, dtype: Any, layout: str) -> None:
    inputs = tuple(relayout(x.astype(dtype), layout) for x in case.inputs)
    before = [x.copy() for x in inputs]
    where = f"for {np.dtype(dtype)} in the layout {layout!r}"
    results = as_list(spec.subject(case)(*map(Tensor, inputs)))
    wide = inputs if spec.exact else tuple(x.astype(np.float64) for x in inputs)
    expected = spec.expected(case, wide)
    if expected is not None:
        counts = f"{where} there are {len(results)} results"
        expect(len(results) == len(expected), law, spec.name, counts, f"{len(expected)}")
        for number, (result, wanted) in enumerate(zip(results, expected, strict=True)):
            room = 0.0 if spec.exact else spec.tolerance(case, np.asarray(wanted), dtype)
            what = f"{where} result {number}"
            expect_close(law, spec.name, what, np.asarray(result), np.asarray(wanted), room)
    for number, result in enumerate(results):
        if isinstance(result, Tensor) and spec.keeps_type:
            found = f"{where} result {number} holds {result.dtype}"
            expect(result.dtype == dtype, law, spec.name, found, str(np.dtype(dtype)))
    for number, (x, old) in enumerate(zip(inputs, before, strict=True)):
        expect_same(law, spec.name, f"{where}, afterwards input {number}", x, old)


def identities(spec: OpSpec, case: Case, draw: Draw) -> None:
    """The operation's own laws hold."""
    inputs = tuple(relayout(x, "read_only") for x in case.inputs)
    for law in spec.laws:
        law(*inputs, **case.attrs)


def linearity(spec: OpSpec, case: Case, draw: Draw) -> None:
    """In the operands for which the spec says so, the function is linear."""
    a, b = draw(st.floats(-2, 2)), draw(st.floats(-2, 2))
    count = len(case.inputs)
    chosen = range(count) if spec.linear == "all" else [i for i in spec.linear if i < count]
    rng = np.random.default_rng(3)
    other = [rng.standard_normal(x.shape) if i in chosen else x for i, x in enumerate(case.inputs)]
    mixed = [
        np.asarray(a * x + b * y) if i in chosen else x
        for i, (x, y) in enumerate(zip(case.inputs, other, strict=True))
    ]
    subject = spec.subject(case)

    def of(inputs: Sequence[Any]) -> list[Array]:
        return [np.asarray(out) for out in as_list(subject(*map(Tensor, inputs)))]

    parts = zip(of(mixed), of(case.inputs), of(other), strict=True)
    for number, (whole, x, y) in enumerate(parts):
        room = ROUNDING * (1 + 10 * _largest(x, y))
        what = f"of {a!r} x + {b!r} y result {number}"
        expect_close("linearity", spec.name, what, whole, a * x + b * y, room)


# ----- gradients -----


def derivatives(spec: OpSpec, case: Case, draw: Draw) -> None:
    """First order by complex steps (or four points), second order by the same over gradients."""
    # Four points look to both sides.
    case = spec.dodged(case, 1e-9 if spec.analytic else 5e-3)
    check_subject(
        spec.subject(case), method="complex" if spec.analytic else "central4",
        order=1 if spec.vjp else 2, kinks="ignore", seed=draw(seeds()),
    )  # fmt: skip


def slopes_at_kinks(spec: OpSpec, case: Case, draw: Draw) -> None:
    """At kinks, too, a slope lies between those to the left and to the right."""
    seed = draw(seeds())
    for direction in range(3):  # a wrong slope may lie between the two of one direction
        _check_slope(spec, case, np.random.default_rng([seed, direction]))


def _check_slope(spec: OpSpec, case: Case, rng: np.random.Generator) -> None:
    call = spec.call(case)
    ws = call.cotangents(rng)
    us = [generic_like(rng, x) for x in case.inputs]
    found = call.gradients(ws)
    slope = inner(found, us)
    low = high = size = 0.0
    h = 2.0**-20  # exact where operands are multiples of 1/2

    def at(step: float) -> list[Array]:
        moved = tuple(np.asarray(x + step * u) for x, u in zip(case.inputs, us, strict=True))
        return spec.call(case._replace(inputs=moved)).values()

    for w, before, here, after in zip(ws, at(-h), at(0.0), at(h), strict=True):
        left, right = w * (here - before) / h, w * (after - here) / h
        low += np.minimum(left, right).sum()
        high += np.maximum(left, right).sum()
        size += np.maximum(np.abs(left), np.abs(right)).sum()
    # One-sided differences are right to h only, and smooth elements have nearly no interval.
    room = 1e-4 * (size + inner([np.abs(g) for g in found], [np.abs(u) for u in us]))
    expect(
        low - room <= slope <= high + room, "slopes_at_kinks", spec.name,
        f"along a random direction the slope is {slope:.12g}",
        f"one between {low:.12g} and {high:.12g}, those beside it",
    )  # fmt: skip


def layout_invariance(spec: OpSpec, case: Case, draw: Draw) -> None:
    """``laws.layout_invariance``, with results as close as rounding allows."""

    def room(value: Array) -> float:
        return spec.tolerance(case, np.nan_to_num(value, neginf=0), np.float64)

    surroundings.layout_invariance(spec.subject(case), draw, room=room)


def float32(spec: OpSpec, case: Case, draw: Draw) -> None:
    """Results and gradients of float32 operands follow those of the same numbers in float64."""
    law, title = "float32", spec.name
    case = case._replace(inputs=tuple(x.astype(np.float32).astype(float) for x in case.inputs))
    narrow, wide = spec.call(case, np.float32), spec.call(case)
    if spec.keeps_type:
        for number, (a, b) in enumerate(zip(narrow.values(), wide.values(), strict=True)):
            expect(a.dtype == np.float32, law, title, f"result {number} is {a.dtype}", "float32")
            room = spec.tolerance(case, np.nan_to_num(b, neginf=0), np.float32)
            expect_close(law, title, f"in float32 result {number}", a, b, room)
    ws = [w.astype(np.float32) for w in wide.cotangents(random(draw))]
    expected = wide.gradients([w.astype(np.float64) for w in ws])
    # Where the results are float64 all the same, so are their cotangents.
    given = [w.astype(out.dtype) for w, out in zip(ws, narrow.outputs, strict=True)]
    terms = max(spec.terms(*case.inputs, **case.attrs), *(w.size for w in ws), 1)
    size = max(_largest(g) for g in expected)  # S, too, is over all operands
    if spec.slope_scale is not None:
        size = max(size, spec.slope_scale(*case.inputs, **case.attrs) * _largest(*ws))
    room = spec.rounding(np.float32, terms, size)
    for number, (g, wanted) in enumerate(zip(narrow.gradients(given), expected, strict=True)):
        what = f"in float32 the gradient of input {number}"
        expect(g.dtype == np.float32, law, title, f"{what} is {g.dtype}", "float32")
        expect_close(law, title, what, g, wanted, room)


def not_finite(spec: OpSpec, case: Case, draw: Draw) -> None:
    """NaN and infinities turn up where the reference has them, and nothing warns on the way back.

    One element of one operand is no number.
    """
    law, title = "not_finite", spec.name
    bad = draw(st.sampled_from([np.nan, np.inf, -np.inf] if spec.infinities else [np.nan]))
    rng = random(draw)
    inputs = tuple(x.copy() for x in case.inputs)
    chosen = inputs[int(rng.integers(len(inputs)))]
    if chosen.size:
        chosen.reshape(-1)[rng.integers(chosen.size)] = bad
    with np.errstate(all="ignore"):
        call = spec.call(case._replace(inputs=inputs))
        expected = spec.expected(case, inputs) or []
    for number, (value, wanted) in enumerate(zip(call.values(), expected, strict=False)):
        infinite = np.where(np.isfinite(wanted), 0.0, wanted)
        what = f"with a {bad} result {number}, where it is not finite,"
        expect_close(law, title, what, np.where(np.isfinite(value), 0.0, value), infinite, 0.0)
    if spec.vjp:  # NumPy warns of 0 times infinity, and nobody asks that from a gradient by hand
        with np.errstate(all="ignore"):
            call.gradients(call.cotangents(rng))
        return
    started = [out for out in call.outputs if out.requires_grad]
    ws = [generic_like(rng, out) for out in started]
    for graph in (False, True):  # neither way back warns of what is an answer
        if started:
            grad(started, call.leaves, ws, create_graph=graph, retain_graph=True,
                 allow_unused=True)  # fmt: skip


def finite_on_extremes(spec: OpSpec, case: Case, draw: Draw) -> None:
    """``laws.finite_on_extremes``, beside the reference."""
    reference = spec.reference and partial(spec.reference, **case.attrs)
    extents.finite_on_extremes(spec.subject(case), draw, reference=reference)


def _largest(*arrays: Array) -> float:
    return max((float(np.abs(x).max(initial=0)) for x in arrays), default=0.0)
