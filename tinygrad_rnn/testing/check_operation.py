"""``check_op``: operations in, a pytest test out, with one case for every law of each."""

import functools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from hypothesis import settings
from hypothesis import strategies as st

from tinygrad_rnn.testing import laws as all_laws
from tinygrad_rnn.testing import operation_laws
from tinygrad_rnn.testing.law_tests import LawCase, chosen_laws, known_names, pytest_test_of
from tinygrad_rnn.testing.laws.common import Draw, Law
from tinygrad_rnn.testing.opspec import Case, OpSpec, Sample

__all__ = ["check_op"]


def check_op(
    *specs: OpSpec,
    laws: str | Iterable[Any] = "all",
    without: Iterable[str] = (),
    settings: settings | None = None,
) -> Callable[..., None]:
    """Make a pytest test of operations, with one case for each law: ``test_my_op[add-values]``.

        test_my_op = check_op(OpSpec("my_op", my_op, np_my_op, samples.two()))

    Most laws are tried on a part of the examples, and those that find most on all: values and
    derivatives. Laws that a spec rules out are not generated: the test's attribute ``left_out``
    names them, and why.

    Args:
        specs: Operations of one's own; names must differ.
        laws: "all", or some of their names.
        without: Names of laws that are not meant to hold.
        settings: Of Hypothesis; those of the profile unless given.
    """
    where, cases, left_out = "check_op", [], {}
    names = [spec.name for spec in specs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{where}: there are two specs named {twice[0]!r}, expected other names.")
    every = {name: name for name in (*_LAWS, *(_name_of(x) for spec in specs for x in spec.keeps))}
    chosen, skipped = chosen_laws(where, laws, every), known_names(where, without, every)
    for spec in specs:
        own = {_name_of(law): _general(law, 2) for law in spec.keeps}
        for name, entry in {**_LAWS, **own}.items():
            called = f"{spec.name}-{name}"
            reason = entry.unfit(spec)
            if name in skipped:
                left_out[called] = "it is among those to leave out"
            elif name in chosen and reason:
                left_out[called] = reason
            elif name in chosen:
                holds = functools.partial(_hold, spec, entry)
                cases.append(LawCase(called, holds, entry.part))
    return pytest_test_of(where, cases, left_out, settings)


def _hold(spec: OpSpec, entry: "_Entry", draw: Draw) -> None:
    """Hold an operation to a law, at a case that is drawn."""
    entry.law(spec, draw(_cases(spec.sample, entry.side)), draw)


# Hypothesis looks a strategy through when it is first drawn from: once will do.
@functools.cache
def _cases(sample: Sample, side: int) -> st.SearchStrategy[Case]:
    return sample(side)


def _name_of(law: Law) -> str:
    """What a law is called, also with arguments bound."""
    return str(getattr(getattr(law, "func", law), "__name__", law))


# ----- which laws -----


class _Entry(NamedTuple):
    """A law, and when it is tried.

    part    one of how many examples of the profile it is tried on
    unfit   why it cannot hold for a spec, "" where it has to
    side    the smallest side of its cases
    """

    law: Callable[[OpSpec, Case, Draw], None]
    part: int
    unfit: Callable[[OpSpec], str]
    side: int = 1


def _general(law: Law, part: int, *needs: str) -> _Entry:
    """A law of every function, at the operands of a case."""

    def check(spec: OpSpec, case: Case, draw: Draw) -> None:
        law(spec.subject(case), draw)

    return _Entry(check, part, _lacking("smooth", *needs))


_REASONS: dict[str, tuple[Callable[[OpSpec], bool], str]] = {
    "smooth": (lambda spec: spec.smooth, "its result has no derivative (smooth=False)"),
    "kinks": (
        lambda spec: spec.bounded and spec.dodge is not None,
        "it has no kinks with a slope on either side (dodge=None or bounded=False)",
    ),
    "recorded": (lambda spec: spec.vjp is None, "its gradient is written by hand (vjp=)"),
    "comparable": (
        lambda spec: spec.comparable,
        "float32 and float64 compute different functions (comparable=False)",
    ),
    "extremes": (lambda spec: spec.extremes, "it overflows for operands of 1e4 (extremes=False)"),
    "reference": (lambda spec: spec.reference is not None, "there is no reference"),
    "empty": (lambda spec: spec.empty, "it takes no axes of size 0 (empty=False)"),
    "laws": (lambda spec: bool(spec.laws), "it names no identities (laws=())"),
    "linear": (lambda spec: spec.linear != (), "it is linear in no operand (linear=())"),
}


def _lacking(*needs: str) -> Callable[[OpSpec], str]:
    """The reason of the first of some needs that a spec does not meet."""

    def reason(spec: OpSpec) -> str:
        for need in needs:
            met, otherwise = _REASONS[need]
            if not met(spec):
                return otherwise
        return ""

    return reason


_LAWS: dict[str, _Entry] = {
    "values": _Entry(operation_laws.values, 1, _lacking()),
    "any_layout": _Entry(operation_laws.any_layout, 2, _lacking()),
    "empty_axes": _Entry(operation_laws.empty_axes, 2, _lacking("empty"), side=0),
    "identities": _Entry(operation_laws.identities, 1, _lacking("laws")),
    "linearity": _Entry(operation_laws.linearity, 1, _lacking("linear")),
    "derivatives": _Entry(operation_laws.derivatives, 1, _lacking("smooth")),
    "slopes_at_kinks": _Entry(operation_laws.slopes_at_kinks, 1, _lacking("smooth", "kinks")),
    "float32": _Entry(operation_laws.float32, 2, _lacking("smooth", "comparable")),
    "not_finite": _Entry(operation_laws.not_finite, 2, _lacking("smooth", "reference")),
    "finite_on_extremes": _Entry(
        operation_laws.finite_on_extremes, 2, _lacking("smooth", "extremes")
    ),
    "layout_invariance": _Entry(operation_laws.layout_invariance, 4, _lacking("smooth")),
    "needs_grad_lattice": _general(all_laws.needs_grad_lattice, 2),
    "linear_in_cotangent": _general(all_laws.linear_in_cotangent, 2),
    "no_aliasing": _general(all_laws.no_aliasing, 4),
    "accumulation": _general(all_laws.accumulation, 4),
    "backward_idempotent": _general(all_laws.backward_idempotent, 4),
    "no_mutation": _general(all_laws.no_mutation, 10),
    "zero_cotangent": _general(all_laws.zero_cotangent, 10),
    "undefined_cotangent_equals_zero": _general(all_laws.undefined_cotangent_equals_zero, 10),
    "jvp_vjp_adjoint": _general(all_laws.jvp_vjp_adjoint, 5, "recorded"),
    "graph_released": _general(all_laws.graph_released, 10),
    "deterministic": _general(all_laws.deterministic, 10),
    "grad_mode_isolated_per_thread": _general(all_laws.grad_mode_isolated_per_thread, 10),
}
