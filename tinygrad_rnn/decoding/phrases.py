"""Phrases that must be in hypotheses: as they are told, and whether they can be.

Whether they can be is found out as far as it is known before a search.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tinygrad_rnn.arguments import shortened, whole
from tinygrad_rnn.decoding.masks import Banned, Forced, NoRepeatNgram, in_a_row
from tinygrad_rnn.decoding.rules import Rule
from tinygrad_rnn.decoding.settings import is_list
from tinygrad_rnn.errors import ArgumentError, IndexRangeError, ShapeError

__all__ = ["Phrase", "check_possible", "fewest_tokens", "phrases_of"]

Phrase = tuple[int, ...]


def phrases_of(where: str, given: Any, sources: int) -> list[dict[str, Phrase]]:
    """The phrases of each source, by their names: the same ones for all, or a list for each."""
    each = _listed(where, "constraints", given)
    lists = [_listed(where, f"constraints[{n}]", one) for n, one in enumerate(each)]
    if any(not is_list(item) for one in lists for item in one):
        phrases = dict(_phrase(where, f"constraints[{n}]", one) for n, one in enumerate(lists))
        return [phrases] * sources
    if not lists:
        return [{}] * sources
    if len(lists) != sources:
        raise ShapeError(
            f"{where}: constraints has {len(lists)} lists of phrases for {sources} sources, "
            "expected one for each, or one list of phrases."
        )
    return [
        dict(_phrase(where, f"constraints[{n}][{m}]", phrase) for m, phrase in enumerate(one))
        for n, one in enumerate(lists)
    ]


def _listed(where: str, name: str, given: Any) -> Any:
    if not is_list(given):
        raise ArgumentError(
            f"{where}: {name} is {shortened(given)}, expected a list: phrases are lists of tokens."
        )
    return given


def _phrase(where: str, name: str, given: Any) -> tuple[str, Phrase]:
    if not len(given):
        raise ArgumentError(f"{where}: {name} is empty, expected a phrase of one token at least.")
    return name, tuple(
        whole(where, f"{name}[{n}]", token, 0, IndexRangeError) for n, token in enumerate(given)
    )


def check_possible(
    where: str,
    source: int,
    named: Mapping[str, Phrase],
    prefix: Phrase,
    rules: Sequence[Rule],
    eos: int | None,
    max_length: int,
) -> None:
    """Raise where the phrases of a source contradict what else is told, or have no room."""
    times = Counter(named.values())
    left = {one: times[one] - _count(one, prefix) for one in times}
    fixed = _fixed(prefix, rules)
    room = min([max_length - (eos is not None), *[n for n in fixed if fixed[n] == eos]])
    for name, phrase in named.items():
        told = f"{where}: {name} is {shortened(phrase)}, "
        if eos in phrase:
            raise ArgumentError(f"{told}which has eos, {eos}, expected tokens that end nothing.")
        if len(phrase) > room:
            raise ArgumentError(
                f"{told}of {len(phrase)} tokens, but max_length, {max_length}, leaves room for "
                f"{max(room, 0)}{' beside eos' if eos is not None else ''}."
            )
        if not any(_agrees(phrase, at, fixed) for at in range(room - len(phrase) + 1)):
            raise ArgumentError(f"{told}for which prefix and Forced leave no place.")
        if not set(phrase) & set(prefix):  # to which no rule applies
            _check_rules(told, phrase, times[phrase], rules)
    least = fewest_tokens(prefix, [one for one in left for _ in range(left[one])])
    if least > room:
        raise ArgumentError(
            f"{where}: the constraints of source {source}, {shortened(list(named.values()))}, take "
            f"{least + (eos is not None)} tokens at least, expected at most max_length, "
            f"{max_length}."
        )


def _check_rules(told: str, phrase: Phrase, times: int, rules: Sequence[Rule]) -> None:
    for rule in rules:
        if isinstance(rule, Banned):
            for banned in map(tuple, map(in_a_row, rule.tokens)):
                if _count(banned, phrase):
                    raise ArgumentError(f"{told}but {shortened(banned)} is banned.")
        if isinstance(rule, NoRepeatNgram):
            grams = Counter(_all_of_size(rule.n, phrase))
            if grams and max(grams.values()) * times > 1:
                how = "is told several times" if times > 1 else "repeats itself"
                raise ArgumentError(
                    f"{told}which {how}, but no {rule.n} tokens in a row may be there twice."
                )


def _all_of_size(size: int, tokens: Sequence[int]) -> list[Phrase]:
    return [tuple(tokens[at : at + size]) for at in range(len(tokens) - size + 1)]


def _count(phrase: Phrase, tokens: Sequence[int]) -> int:
    return _all_of_size(len(phrase), tokens).count(phrase)


def _fixed(prefix: Phrase, rules: Sequence[Rule]) -> dict[int, int]:
    """The token of each place at which only one can be."""
    forced = {
        place + rule.first - 1: token
        for rule in rules
        if isinstance(rule, Forced)
        for place, token in rule.tokens.items()
    }
    return forced | dict(enumerate(prefix))


def _agrees(phrase: Phrase, at: int, fixed: Mapping[int, int]) -> bool:
    return all(fixed.get(at + n, token) == token for n, token in enumerate(phrase))


def fewest_tokens(prefix: Phrase, phrases: Sequence[Phrase]) -> int:
    """A bound of how many tokens hold all phrases behind, or across the end of, a prefix.

    In the order in which they begin, each adds what it does not share with the one before; what
    stands within another one adds nothing.
    """
    apart = [
        one for one in phrases if not any(one != other and _count(one, other) for other in phrases)
    ]
    shared = [
        max(_overlap(other, one) for m, other in enumerate([*apart, prefix]) if m != n)
        for n, one in enumerate(apart)
    ]
    first = 0 if prefix else min(shared, default=0)
    return len(prefix) + sum(map(len, apart)) - sum(shared) + first


def _overlap(first: Phrase, second: Phrase) -> int:
    """How many tokens of the end of one can be the beginning of another, but not all of it."""
    sizes = range(min(len(first), len(second) - 1), 0, -1)
    return next((size for size in sizes if first[-size:] == second[:size]), 0)
