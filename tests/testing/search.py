"""What a strategy can be asked: what it reaches, shrinks to, and shows."""

import pytest
from hypothesis import Phase, find, settings
from hypothesis.errors import NoSuchExample


def minimal(strategy, condition=lambda _: True):
    """The simplest of what satisfies the condition."""
    return _search(strategy, condition, examples=2000, phases=[Phase.generate, Phase.shrink])


def reaches(strategy, condition, examples=100):
    """Whether something that satisfies the condition is among the first examples."""
    try:
        _search(strategy, condition, examples, [Phase.generate])
    except NoSuchExample:
        return False
    return True


def failure(test):
    """What Hypothesis says of a test that fails, with single spaces for all space."""
    quick = settings(max_examples=100, database=None, derandomize=True)
    with pytest.raises(AssertionError) as raised:
        quick(test)()
    return " ".join(" ".join(raised.value.__notes__).split())


def _search(strategy, condition, examples, phases):
    quick = settings(max_examples=examples, phases=phases, database=None, derandomize=True)
    return find(strategy, condition, settings=quick)
