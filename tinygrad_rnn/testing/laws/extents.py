"""Laws of functions for inputs of other shapes and sizes: axes of 0 and 1, broadcasting, 1e4."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tinygrad_rnn import ops
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.testing.checks import check_subject
from tinygrad_rnn.testing.faults import GradientCheckError, LawViolation, note
from tinygrad_rnn.testing.laws.common import (
    Call,
    Draw,
    expect,
    expect_close,
    random,
    record,
    rounding_of,
)
from tinygrad_rnn.testing.numeric import Array, as_list
from tinygrad_rnn.testing.strategies import seeds
from tinygrad_rnn.testing.subject import Subject

__all__ = [
    "broadcast_equals_explicit", "embedding_equals_one_hot", "empty_and_singleton",
    "finite_on_extremes", "repeated_weight",
]  # fmt: skip

LARGEST = 1e4


def empty_and_singleton(subject: Subject, draw: Draw) -> None:
    """Axes of size 0 and 1 are like any other: as many axes come out, and gradients are right.

    All axes of one length are cut to that size together, in every input: where lengths are the
    same by chance, choose others. A function may refuse with a ValueError (a ShapeError is
    one), as a mean of nothing does.
    """
    law, title = "empty_and_singleton", subject.title
    lengths = sorted({n for x in subject.primals for n in x.shape if n > 1})
    if not lengths:
        note(f"{law}: no axis to cut")
        return
    length, size, seed = draw(st.sampled_from(lengths)), draw(st.integers(0, 1)), draw(seeds())
    cut = tuple(
        x[tuple(slice(size if n == length else None) for n in x.shape)].copy()
        for x in subject.primals
    )
    small = replace(subject, primals=cut, origin=None)
    where = f"with axes of {length} cut to {size}"
    usual = record(subject).outputs
    try:
        call = record(small)
    except ValueError:
        note(f"{law}: refused size {size}")
        return
    except Exception as error:
        raise LawViolation(
            law, title, f"{where} it raised {type(error).__name__} ({error})",
            "a result, or a ValueError that explains",
        ) from error  # fmt: skip
    for number, (out, whole) in enumerate(zip(call.outputs, usual, strict=False)):
        found = f"{where} result {number} has {out.ndim} axes"
        expect(out.ndim == whole.ndim, law, title, found, f"{whole.ndim}")
    try:
        check_subject(small, kinks="subgradient", seed=seed)
    except GradientCheckError as error:
        raise LawViolation(law, title, f"{where}: {error}", "a right gradient") from error


def broadcast_equals_explicit(subject: Subject, draw: Draw, *, core: int = 0) -> None:
    """Inputs that broadcast give what copies of the full size give, and gradients are their sums.

    For functions whose inputs all broadcast against each other, in every result: axes of each
    are cut to 1 and left out in front, as drawn.

    Args:
        core: How many axes at the end do not broadcast: 2 for a stack of matrices.
    """
    law, title = "broadcast_equals_explicit", subject.title
    small = [_narrowed(x, core, draw) for x in subject.primals]
    whole = np.broadcast_shapes(*(_stack_of(x, core) for x in small))
    full = [np.broadcast_to(x, (*whole, *x.shape[len(_stack_of(x, core)) :])) for x in small]
    cut = record(subject, [Tensor(x.copy(), requires_grad=True) for x in small])
    explicit = record(subject, [Tensor(x.copy(), requires_grad=True) for x in full])
    for number, (a, b) in enumerate(zip(cut.values(), explicit.values(), strict=True)):
        expect_close(law, title, f"broadcast, result {number}", a, b, rounding_of(b))
    cotangents = cut.cotangents(random(draw))
    gradients = zip(cut.gradients(cotangents), explicit.gradients(cotangents), strict=True)
    for name, (a, b) in zip(subject.names, gradients, strict=True):
        extra = b.ndim - a.ndim
        axes = (
            *range(extra),
            *(extra + i for i, n in enumerate(a.shape) if n != b.shape[extra + i]),
        )
        room = rounding_of(np.abs(b).sum(axes, keepdims=True))
        expected = b.sum(axes, keepdims=True).reshape(a.shape)
        expect_close(law, title, f"broadcast, the gradient of {name}", a, expected, room)


def _stack_of(x: Array, core: int) -> tuple[int, ...]:
    stack: tuple[int, ...] = x.shape[: max(x.ndim - core, 0)]
    return stack


def _narrowed(x: Array, core: int, draw: Draw) -> Array:
    """The first of some axes, and none at all of some in front."""
    stack = len(_stack_of(x, core))
    ones = draw(st.lists(st.booleans(), min_size=stack, max_size=stack))
    first = draw(st.integers(0, stack))
    cut = [slice(1) if one else slice(None) for one in ones]
    return x[(0,) * first + tuple(cut[first:])] if 0 not in x.shape[:first] else x


def finite_on_extremes(
    subject: Subject,
    draw: Draw,
    *,
    reference: Callable[..., Any] | None = None,
    largest: float = LARGEST,
) -> None:
    """Inputs up to 1e4 in size overflow nothing on the way, in float32 and in float64.

    No result is NaN, nor any gradient; where the results are finite, so are the gradients.
    Inputs keep their signs and proportions: the largest becomes ``largest``.

    Args:
        reference: The true values, from float64 arrays; where these are finite the results have
            to be. Without it they may be infinite, as exp(1e4) is.
    """
    law, title = "finite_on_extremes", subject.title
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    scale = largest / max((float(np.abs(x).max(initial=1e-9)) for x in subject.primals), default=1)
    points = [np.asarray(x * scale, dtype) for x in subject.primals]
    call = record(subject, [Tensor(x, requires_grad=True) for x in points])
    where = f"with {np.dtype(dtype)} inputs up to {largest:g}"
    all_finite = True
    truth: list[Any] = [np.zeros(())] * len(call.outputs)
    if reference is not None:
        truth = as_list(reference(*(x.astype(np.float64) for x in points)))
    for number, (value, true) in enumerate(zip(call.values(), truth, strict=False)):
        infinite = np.isinf(value) if reference is None else ~np.isfinite(true)
        wrong = int(np.sum(~(np.isfinite(value) | infinite)))
        found = f"{where} {wrong} of {value.size} elements of result {number} are not finite"
        expect(not wrong, law, title, found, "as its true value")
        all_finite &= bool(np.isfinite(value).all())
    found_gradients = call.gradients(call.cotangents(random(draw)))
    for name, g in zip(subject.names, found_gradients, strict=True):
        bad = int(np.sum(~np.isfinite(g) if all_finite or reference is not None else np.isnan(g)))
        found = f"{where} {bad} of {g.size} elements of the gradient of {name} are not finite"
        expect(not bad, law, title, found, "numbers")


def repeated_weight(subject: Subject, draw: Draw) -> None:
    """A weight that is used in several places gets the sum of the gradients of its uses.

    Inputs of one shape stand for the uses: first each is a tensor of its own, with the same
    numbers, then one tensor is all of them. A network over time is written out for it, as a
    function of one weight a step.
    """
    law, title = "repeated_weight", subject.title
    groups = [
        [i for i, x in enumerate(subject.primals) if x.shape == shape]
        for shape in dict.fromkeys(x.shape for x in subject.primals)
    ]
    groups = [group for group in groups if len(group) > 1]
    if not groups:
        note(f"{law}: no two inputs of one shape")
        return
    group = draw(st.sampled_from(groups))
    weight = subject.primals[group[0]]
    point = [weight if i in group else x for i, x in enumerate(subject.primals)]
    apart = record(subject, [Tensor(x.copy(), requires_grad=True) for x in point])
    tied = [Tensor(x.copy(), requires_grad=True) for x in point]
    tied = [tied[group[0]] if i in group else x for i, x in enumerate(tied)]
    once = record(subject, tied)
    for number, (a, b) in enumerate(zip(once.values(), apart.values(), strict=True)):
        expect_close(law, title, f"with one weight result {number}", a, b, rounding_of(b))
    cotangents = apart.cotangents(random(draw))
    parts = [g for i, g in enumerate(apart.gradients(cotangents)) if i in group]
    (whole,) = Call([tied[group[0]]], once.outputs).gradients(cotangents)
    names = ", ".join(subject.names[i] for i in group)
    expect_close(
        law, title, f"the gradient of one weight as {names}", whole, np.sum(parts, axis=0),
        rounding_of(np.sum(np.abs(parts), axis=0)),
    )  # fmt: skip


def embedding_equals_one_hot(subject: Subject, draw: Draw, *, ids: Array) -> None:
    """Looking rows up is multiplying by one-hot rows: the values, and the gradient of the table.

    Args:
        ids: Which rows the subject, a function of the table alone, looks up; in front of the
            table's own axes the result has those of ``ids``.
    """
    law, title = "embedding_equals_one_hot", subject.title
    (table,) = subject.primals
    hot = np.zeros((*np.shape(ids), table.shape[0]))
    np.put_along_axis(hot, np.asarray(ids)[..., None] % max(table.shape[0], 1), 1.0, axis=-1)
    flat = hot.reshape(-1, table.shape[0])
    rest = table.shape[1:]

    def product(weight: Tensor) -> Tensor:
        columns = ops.reshape(weight, table.shape[0], math.prod(rest))
        return ops.reshape(ops.matmul(Tensor(flat), columns), *np.shape(ids), *rest)

    found, expected = record(subject), record(replace(subject, fn=product, origin=None))
    expect_close(law, title, "the result", found.values()[0], expected.values()[0], 0.0)
    cotangents = found.cotangents(random(draw))
    (g,), (wanted,) = found.gradients(cotangents), expected.gradients(cotangents)
    what = f"the gradient of {subject.names[0]}"
    expect_close(law, title, what, g, wanted, rounding_of(wanted))
