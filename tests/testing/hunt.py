"""Hunting a wrong gradient: how many examples until it is found, how small the case becomes."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import UnsatisfiedAssumption

from tests.ops.specs import SPECS
from tests.testing.system import System
from tinygrad_rnn.testing import assert_gradients
from tinygrad_rnn.testing import strategies as gs
from tinygrad_rnn.testing.operation_laws import derivatives, slopes_at_kinks

LARGEST = 5


class Catch(NamedTuple):
    """What a hunt has caught.

    drawn      how many examples were drawn in all
    examples   how many until the first failure; None if none failed
    failure    the last error, that of the smallest case
    case       the smallest case, or the first one where nothing was to be made smaller
    """

    drawn: int
    examples: int | None
    failure: Exception | None
    case: Any


def hunt(
    check: Callable[[Any], None],
    cases: st.SearchStrategy[Any],
    *,
    start: int = 0,
    examples: int = 20,
    shrink: bool = False,
) -> Catch:
    """Draw cases until ``check`` fails, and make the first that does smaller if asked to."""
    count, drawn, failures = 0, 0, []

    @seed(start)
    @settings(
        max_examples=examples, deadline=None, database=None,
        phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(cases)
    def run(case):
        nonlocal count, drawn
        if failures and not shrink:
            raise AssertionError  # found already: be quick
        drawn += 1
        try:
            check(case)
        except UnsatisfiedAssumption:
            raise  # a kink, given up: no catch
        except Exception as error:
            count = count or drawn
            failures.append((error, case))
            raise

    try:
        run()
    except Exception:
        if not failures:
            raise
    if not failures:
        return Catch(drawn, None, None, None)
    return Catch(drawn, count, *failures[-1])


# ----- systems written by hand -----


@st.composite
def cases_of(draw: st.DrawFn, system: System) -> tuple[dict[str, int], dict[str, Any]]:
    """Sizes of a system's letters, and inputs of these sizes."""
    letters = sorted(set(re.findall("[A-Z]", " ".join(system.inputs.values()))))
    sides = st.sampled_from([*range(1, LARGEST), *range(2, LARGEST)])  # rather not 1
    sizes = {letter: draw(sides) for letter in letters}
    return sizes, {name: draw(_input(form, sizes)) for name, form in system.inputs.items()}


def _input(form: str, sizes: dict[str, int]) -> st.SearchStrategy[Any]:
    kind, *rest = form.split()
    if kind not in ("lengths", "ids", "mask"):
        kind, rest = "", [kind, *rest]
    shape = tuple(int(letter[:-1] or 1) * sizes[letter[-1]] for letter in rest)
    if kind == "lengths":
        return gs.lengths(shape[1], shape[0])
    if kind == "ids":
        return gs.label_batches(shape[0], shape[1])
    if kind == "mask":
        return st.tuples(gs.seeds(), st.booleans()).map(lambda drawn: _mask(shape, *drawn))
    return gs.arrays(shape)


def _mask(shape: tuple[int, ...], number: int, full: bool) -> Any:
    """Booleans with a True in every row."""
    rng = np.random.default_rng(number)
    mask = (rng.random(shape) < 0.5) | full
    mask[np.arange(shape[0]), rng.integers(0, shape[1], shape[0])] = True
    return mask


def checking(system: System, backward: Callable[..., Any], **options: Any) -> Callable[[Any], None]:
    """The check of a system with a backward pass, right or wrong, at a case of ``cases_of``."""
    names = list(system.inputs)

    def forward(*values: Any) -> Any:
        return system.forward(**dict(zip(names, values, strict=True)))

    def vjp(g: Any, *values: Any) -> Any:
        g = g if isinstance(g, tuple) else (g,)
        return backward(g, **dict(zip(names, values, strict=True)))

    def check(case: Any) -> None:
        _, inputs = case
        assert_gradients(
            forward, *(inputs[name] for name in names), vjp=vjp, names=names, name=system.name,
            **options,
        )  # fmt: skip

    return check


def caught(catch: Catch) -> bool:
    """Whether a wrong gradient was found, and as such: not by accident."""
    return isinstance(catch.failure, AssertionError)


# ----- operations of the library -----


def op_cases(name: str) -> st.SearchStrategy[Any]:
    """Calls of an operation inside its domain."""
    return SPECS[name].sample(1)


def checking_op(name: str) -> Callable[[Any], None]:
    """The checks of an operation's derivatives, at a case of ``op_cases``."""
    spec = SPECS[name]

    def seed_0(_: Any) -> int:
        return 0

    def check(case: Any) -> None:
        derivatives(spec, case, seed_0)
        if spec.dodge and spec.bounded:
            slopes_at_kinks(spec, case, seed_0)

    return check
