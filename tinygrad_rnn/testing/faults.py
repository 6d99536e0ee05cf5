"""What makes a function untestable, told apart from a wrong gradient."""

import sys
from typing import Any

__all__ = ["GradientCheckError", "LawViolation", "Untestable", "note", "reject", "searching"]


class GradientCheckError(AssertionError):
    """A check that did not pass: a wrong gradient, or a function that cannot be checked."""


class Untestable(GradientCheckError):
    """A function that cannot be checked here, whatever its gradient is; ``problem`` says why.

    It changes its inputs, returns something else each time, returns NaN or nothing, has a
    gradient of the wrong shape, or is not differentiable at this point.
    """

    def __init__(self, title: str, problem: str, detail: str) -> None:
        super().__init__(f"{title} {problem}: {detail}.")
        self.title = title
        self.problem = problem
        self.detail = detail


class LawViolation(GradientCheckError):
    """A law of ``testing.laws`` that a function does not keep."""

    def __init__(self, law: str, title: str, found: str, expected: str) -> None:
        super().__init__(f"{title} breaks the law {law}: {found}, expected {expected}.")
        self.law = law
        self.title = title
        self.found = found
        self.expected = expected


def searching() -> bool:
    """Whether Hypothesis is looking for a failure or making one smaller: no time for reports."""
    context = _hypothesis_context()
    return context is not None and not getattr(context, "is_final", True)


def note(reason: str) -> None:
    """Under Hypothesis count what an example did not show; elsewhere do nothing."""
    if _hypothesis_context() is not None:
        import hypothesis

        hypothesis.event(reason)


def reject(reason: str) -> None:
    """Under Hypothesis give this example up, and count why; elsewhere do nothing."""
    if _hypothesis_context() is not None:
        import hypothesis

        note(reason)
        hypothesis.reject()


def _hypothesis_context() -> Any:
    control = sys.modules.get("hypothesis.control")
    if control is None or not control.currently_in_test_context():
        return None
    return control.current_build_context()
