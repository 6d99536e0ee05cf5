"""Phrases that must be there: a wide beam finds what exhaustive search finds that has them."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.decoding.distributions import TableModel, normalised, to_the_end
from tinygrad_rnn import decoding
from tinygrad_rnn.decoding import Banned, Forced
from tinygrad_rnn.decoding.constraints import Constraints
from tinygrad_rnn.errors import ArgumentError, IndexRangeError, ShapeError

SEARCH = {"bos": [0, 1], "eos": 2, "max_length": 6}


def beam_of(model, **more):
    settings = {**SEARCH, **more}
    return decoding.beam_search(model.step, model.start(len(settings["bos"])), **settings)


def times(phrase, tokens):
    places = range(len(tokens) - len(phrase) + 1)
    return sum(list(tokens[at : at + len(phrase)]) == list(phrase) for at in places)


def holds(tokens, phrases):
    return all(times(one, tokens) >= phrases.count(one) for one in phrases)


def shown(hypotheses):
    return [(one.tokens.tolist(), one.score, one.finished, one.missing) for one in hypotheses]


phrases_of = lambda *tokens: st.lists(
    st.lists(st.sampled_from(tokens), min_size=1, max_size=3), max_size=3
)


@st.composite
def searches(draw):
    """A model, what is to be found in it, and the phrases of each of two sources."""
    phrases = [draw(phrases_of(0, 1, 3)), draw(phrases_of(0, 1, 3))]
    same = draw(st.booleans()) and phrases[0] != []
    length = draw(st.integers(1, 4))
    search = {
        "eos": draw(st.sampled_from([None, 2])),
        "max_length": length,
        "min_length": draw(st.integers(0, length)),
        "length_rule": draw(st.sampled_from(["none", "average"])),
        "early_stopping": draw(st.sampled_from([True, False, "never"])),
    }
    model = TableModel(4, draw(st.integers(0, 99)), draw(st.booleans()))
    return model, search, phrases[0] if same else phrases, [phrases[0], phrases[0 if same else 1]]


def every(model, *, early_stopping, **search):
    """All sequences that have ended."""
    wide = decoding.exhaustive(
        model.step, model.start(2), vocabulary=4, bos=[0, 1], n_best=400, **search
    )
    return [[one for one in some if one.finished or search["eos"] is None] for some in wide]


@given(searches())
def test_a_wide_beam_is_exhaustive_search_among_those_that_have_the_phrases(search):
    model, search, constraints, of_source = search
    wanted = [
        [one for one in some if holds(one.tokens.tolist(), phrases)]
        for some, phrases in zip(every(model, **search), of_source, strict=True)
    ]
    try:
        found = beam_of(model, constraints=constraints, beam=400, n_best=400, **search)
    except ArgumentError:
        assert not all(wanted)
        return
    for some, expected, phrases in zip(found, wanted, of_source, strict=True):
        key = lambda one: (one.score, one.tokens.tolist())
        met = [one for one in some if one.missing == 0 and one.finished == (search["eos"] == 2)]
        assert sorted(map(key, met)) == sorted(map(key, expected))
        assert some[: len(met)] == met
        assert [one.score for one in met] == [one.score for one in expected]
        for one in some:
            assert (one.missing == 0) == holds(one.tokens.tolist(), phrases)


@given(phrases_of(0, 1, 3), st.lists(st.integers(0, 3), max_size=6), st.integers(1, 9))
def test_any_beam_says_them_where_there_is_room(phrases, before, beam):
    model = TableModel(4, 7)
    room = len(before) + sum(map(len, phrases))
    found = beam_of(model, constraints=phrases, beam=beam, max_length=room, eos=None)
    for (best,) in found:
        assert best.missing == 0
        assert holds(best.tokens.tolist(), phrases)
    assume(phrases)
    constraints, tokens = Constraints([[tuple(one) for one in phrases]]), [9, *before]
    missing = lambda tokens: int(constraints.missing(np.zeros(1, int), np.array([tokens]))[0])
    assert (missing(tokens) == 0) == holds(before, phrases)
    while left := missing(tokens):  # some token always helps
        tokens = min(([*tokens, token] for token in (0, 1, 3)), key=missing)
        assert missing(tokens) < left
        assert len(tokens) <= 1 + room


@pytest.mark.parametrize("groups", [1, 2])
def test_a_source_alone_is_what_it_is_among_others(groups):
    for seed in range(9):
        model, phrases = TableModel(5, seed), [[[3, 4], [4, 0]], [], [[1], [1], [0, 1]]]
        how = {"beam": 6, "n_best": 6, "groups": groups, "diversity": 0.2 * (groups - 1)}
        together = beam_of(model, bos=[0, 1, 3], constraints=phrases, **how)
        for source, bos in enumerate([0, 1, 3]):
            (alone,) = beam_of(model, bos=[bos], constraints=[phrases[source]], **how)
            assert shown(alone) == shown(together[source])
            assert alone[0].missing == 0
            for one in alone:
                assert (one.missing == 0) == holds(one.tokens.tolist(), phrases[source])
        (plain,) = beam_of(model, bos=[1], **how)
        assert shown(together[1]) == shown(plain)


def test_a_narrow_beam_mostly_finds_the_best():
    right = 0
    for seed in range(8):
        model, phrases = TableModel(4, seed), [[3, 3], [3, 1]]
        search = {"length_rule": "none", "early_stopping": "never", "max_length": 5}
        found = beam_of(model, constraints=phrases, beam=10, **search)
        alike = beam_of(model, constraints=phrases, beam=400, **search)
        right += sum(shown(a) == shown(b) for a, b in zip(found, alike, strict=True))
    assert right >= 14


def test_a_phrase_that_is_said_anyway_changes_nothing():
    said = 0
    for seed in range(9):
        model = TableModel(4, seed)
        plain = beam_of(model, beam=300, max_length=4)
        phrases = [[one.tokens[:-1].tolist()] if len(one.tokens) > 1 else [] for (one,) in plain]
        said += len([one for one in phrases if one])
        found = beam_of(model, beam=300, max_length=4, constraints=phrases)
        assert [shown(one) for one in found] == [shown(one) for one in plain]
    assert said > 5


def test_stopping_when_nothing_better_can_come_changes_nothing():
    for seed in range(9):
        how = {"constraints": [[0, 0], [1]], "beam": 5, "n_best": 2, "max_length": 9}
        with to_the_end():
            end = beam_of(TableModel(4, seed), **how)
        never = beam_of(TableModel(4, seed), early_stopping="never", **how)
        assert [shown(one) for one in never] == [shown(one) for one in end]


def test_what_cannot_be_said_is_marked():
    table = normalised(np.array([[0.5, 0.3, 0.2, 0.0]] * 3 + [[0.1, 0.1, 0.1, 0.7]]))
    step = lambda tokens, state: (table[tokens], state)  # nothing leads to 3
    search = {"bos": 0, "eos": 2, "max_length": 5, "beam": 6, "n_best": 6}
    (found,) = decoding.beam_search(step, None, constraints=[[1, 1], [0, 3]], **search)
    assert [one.finished for one in found] == [False] * 6
    assert found[0].missing == 1
    assert times([1, 1], found[0].tokens.tolist()) > 0
    assert [one.missing for one in found] == sorted(one.missing for one in found)


@pytest.mark.parametrize(
    ("phrases", "how"),
    [
        ([[1], [0, 1]], {"max_length": 3}),
        ([[3, 1], [1, 0, 3], [0]], {"max_length": 5}),
        ([[1, 1], [1, 1]], {"max_length": 4}),
        ([[1, 0], [0, 0]], {"max_length": 5, "prefix": [3, 1]}),
        ([[1, 0]], {"max_length": 4, "prefix": [3, 1], "rules": [Banned([1])]}),
        ([[1, 1], [1, 1]], {"max_length": 5, "prefix": [0, 1, 1]}),
        ([[0, 3]], {"max_length": 4, "rules": [Forced({1: 3})]}),
        ([[0, 1]], {"max_length": 6, "no_repeat_ngram": 1}),
    ],
)
@pytest.mark.parametrize("groups", [1, 2])
def test_what_just_has_room(phrases, how, groups):
    best, trees = beam_of(
        TableModel(4, 1), constraints=phrases, beam=40, groups=groups, return_tree=True, **how
    )
    for (one,), tree in zip(best, trees, strict=True):
        assert one.finished
        assert holds(one.tokens.tolist(), phrases)
        assert [node.token for _, node in tree.walk() if node.best][1:] == one.tokens.tolist()


def test_a_beam_is_no_wider_for_its_banks():
    model = TableModel(4, 2)
    beam_of(model, constraints=np.array([[3, 1], [1, 0]]), beam=7, bos=[0, 1, 3])
    assert max(map(len, model.calls)) == 21
    assert max(names.count("row 0") for names in model.calls) == 7


def test_the_shares_of_banks():
    constraints = Constraints([[(0, 1), (1, 3)], [], [(5, 6)]])
    assert constraints.shared.tolist() == [1, 0, 0]
    shares = lambda *there, room: constraints.shares(
        np.repeat(np.arange(15), there), 7, 1, room
    ).tolist()
    many = [9] * 5 + [9, 0, 0, 0, 0] + [9, 9, 9, 0, 0]
    assert shares(*many, room=5) == [3, 1, 1, 1, 1] + [7, 0, 0, 0, 0] + [3, 2, 2, 0, 0]
    assert shares(*many, room=1) == [3, 2, 2, 0, 0] + [7, 0, 0, 0, 0] + [4, 3, 0, 0, 0]
    few = [0, 2, 0, 1, 1] + [3, 0, 0, 0, 0] + [0, 0, 9, 0, 0]
    assert shares(*few, room=-1) == few[:10] + [0, 0, 7, 0, 0]
    assert shares(*many, room=-1)[:5] == [7, 0, 0, 0, 0]


def test_groups_have_banks_of_their_own():
    for seed in range(5):
        how = {"constraints": [[3, 1], [0]], "eos": None}
        found = beam_of(TableModel(5, seed), beam=6, n_best=6, groups=2, **how)
        plain = beam_of(TableModel(5, seed), beam=3, n_best=3, **how)
        assert [shown(one) for one in found] == [shown(one) for one in plain]
        found = beam_of(TableModel(5, seed), beam=6, n_best=6, groups=2, diversity=9.0, **how)
        for some, first in zip(found, plain, strict=True):  # which nothing is taken from
            assert len(some) > 3
            assert all(one in shown(some) for one in shown(first))


def test_unlikely_tokens_are_looked_at():
    model = TableModel(60, 5)
    for phrase in ([7, 8, 9], [50, 3]):
        for (best,) in beam_of(model, constraints=[phrase], beam=5, max_length=9):
            assert holds(best.tokens.tolist(), [phrase])


def test_arrays_are_lists_of_phrases():
    model = TableModel(4, 1)
    best = beam_of(model, constraints=np.array([[[1, 0]], [[0, 3]]]))
    assert times([1, 0], best[0][0].tokens.tolist()) > 0
    assert times([0, 3], best[1][0].tokens.tolist()) > 0


@given(
    st.lists(st.sampled_from([0, 1, 3]), max_size=2),
    phrases_of(0, 1, 3).filter(bool),
    st.dictionaries(st.integers(0, 3), st.integers(0, 3), max_size=2),
    st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=2), max_size=2),
    st.integers(0, 2),
    st.integers(2, 4),
)
def test_errors_tell_of_what_cannot_be(prefix, phrases, forced, banned, ngram, length):
    rules = [Forced(forced), Banned(banned)]
    how = {"prefix": prefix, "rules": rules, "no_repeat_ngram": ngram, "max_length": length}
    model = TableModel(4, 3)
    try:
        beam_of(model, constraints=phrases, beam=1, **how)
    except ArgumentError:
        found = beam_of(model, beam=300, n_best=300, **how)
        for one in [one for some in found for one in some]:
            assert not (one.finished and holds(one.tokens.tolist(), phrases))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"constraints": 3}, "beam_search: constraints is 3, expected a list: phrases are"),
        ({"constraints": [3]}, r"constraints\[0\] is 3, expected a list"),
        ({"constraints": ["ab"]}, r"constraints\[0\] is 'ab', expected a list"),
        ({"constraints": [[3], []]}, r"constraints\[1\] is empty, expected a phrase"),
        ({"constraints": [[[3]], [[]]]}, r"constraints\[1\]\[0\] is empty, expected a phrase"),
        ({"constraints": [[0.5]]}, r"constraints\[0\]\[0\] is 0.5, expected a whole number"),
        ({"constraints": [[1, -1]]}, r"constraints\[0\]\[1\] is -1, expected a whole number"),
        ({"constraints": [[1, [2]]]}, r"constraints\[0\]\[1\] is \[2\], expected a whole number"),
        ({"constraints": [[[3]]]}, "constraints has 1 lists of phrases for 2 sources"),
        ({"constraints": [[1, 9]]}, "the tokens of constraints go from 1 to 9, expected 0 to 3"),
        ({"constraints": [[1, 2]]}, r"constraints\[0\] is \(1, 2\), which has eos, 2"),
        ({"constraints": [[0, 0], [1] * 6]}, r"\[1\] is .* 6 tokens, but .*, 6, leaves room for 5"),
        ({"constraints": [[3]], "max_length": 0}, "of 1 tokens, but max_length, 0, leaves room"),
        ({"constraints": [[0, 1, 0], [3, 3, 1]]}, "of source 0, .* take 7 tokens at least, exp"),
        ({"constraints": [[], [[1, 1, 0], [3, 3, 1]]], "max_length": 5}, "of source 1, .* take 6"),
        ({"constraints": [[1, 1]] * 5}, "take 7 tokens at least, expected at most max_length, 6"),
        ({"constraints": [[0, 3]], "rules": [Banned([[0, 3]])]}, r"\(0, 3\) is banned"),
        ({"constraints": [[0, 3]], "rules": [Banned([3])]}, r"but \(3,\) is banned"),
        ({"constraints": [[0, 1, 0]], "no_repeat_ngram": 1}, "repeats itself, but no 1 tokens in"),
        (
            {"constraints": [[0, 1]] * 2, "no_repeat_ngram": 2},
            "is told several times, but no 2 tok",
        ),
        ({"constraints": [[0]], "prefix": [3] * 5}, "for which prefix and Forced leave no place"),
        ({"constraints": [[0, 0]], "rules": [Forced({1: 1, 3: 1, 4: 3})]}, "leave no place"),
        ({"constraints": [[0]], "rules": [Forced({0: 2})]}, "max_length, 6, leaves room for 0"),
    ],
)
def test_constraints_that_are_none(changes, message):
    model = TableModel(4)
    with pytest.raises((ArgumentError, IndexRangeError, ShapeError), match=message):
        beam_of(model, **changes)
