"""What a strategy can be asked: does it reach something, and what does it shrink to."""

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


def _search(strategy, condition, examples, phases):
    quick = settings(max_examples=examples, phases=phases, database=None, derandomize=True)
    return find(strategy, condition, settings=quick)
