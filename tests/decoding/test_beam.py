"""Beam search finds what exhaustive search finds where it is wide enough, and is never empty."""

import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.decoding.distributions import TableModel, beam_of, shown, to_the_end
from tinygrad_rnn import decoding
from tinygrad_rnn.decoding.candidates import likely
from tinygrad_rnn.decoding.settings import Settings
from tinygrad_rnn.errors import ArgumentError, IndexRangeError, NotFiniteError, ShapeError

RULES = {
    "none": lambda total, length: total,
    "average": lambda total, length: total / max(length, 1),
    "power": lambda total, length: total / max(length, 1) ** 0.75,
    "gnmt": lambda total, length: total / ((5 + length) / 6) ** 0.6,
}

models = st.builds(TableModel, st.integers(1, 4), st.integers(0, 999), st.booleans())


@st.composite
def searches(draw, longest=4):
    """A model, and what is to be found in it."""
    model, length = draw(models), draw(st.integers(0, longest))
    token = st.integers(0, model.size - 1)
    return model, {
        "bos": draw(st.lists(token, min_size=1, max_size=3)),
        "eos": draw(st.none() | token),
        "max_length": length,
        "min_length": draw(st.integers(0, length)),
        "length_rule": draw(st.sampled_from(list(RULES))),
    }


def naive(model, source, beam, n_best, bos, eos, max_length, min_length, length_rule, early):
    """The definition, a hypothesis at a time; the lists are what its words say."""
    rule, ended = RULES[length_rule], []
    going_on = [([bos[source]], 0.0)]
    for length in range(1, max_length + 1):
        longer = []
        for tokens, total in going_on:
            total_of = np.cumsum(tokens) % model.size
            row = model.table[tokens[-1] * model.size + total_of[-1]]
            for token, value in enumerate(row):
                if value > -np.inf and not (token == eos and length < min_length):
                    longer.append((tokens + [token], total + value))
        longer.sort(key=lambda one: -one[1])
        ended += [one for one in longer[:beam] if one[0][-1] == eos]
        old, going_on = going_on, [one for one in longer if one[0][-1] != eos][:beam]
        score = lambda one: rule(one[1], len(one[0]) - 1)
        enough = early != "never" and len(ended) >= beam
        best = sorted(map(score, ended))[-n_best:]
        if enough and (early or all(score(one) <= best[0] for one in going_on)):
            going_on = []
            break
        if not going_on:
            going_on = old
            break
    score = lambda one: rule(one[1], len(one[0]) - 1)
    ended.sort(key=lambda one: -score(one))
    going_on.sort(key=lambda one: -score(one))
    both = [(one, True) for one in ended] + [(one, False) for one in going_on]
    return [(one[0][1:], score(one), one[1], finished) for one, finished in both[:n_best]]


@given(searches(), st.integers(1, 5), st.data(), st.sampled_from([True, False, "never"]))
def test_it_does_what_its_definition_says(search, beam, data, early):
    model, settings = search
    n_best = data.draw(st.integers(1, beam))
    found = beam_of(model, settings, beam=beam, n_best=n_best, early_stopping=early)
    for source, hypotheses in enumerate(shown(found)):
        expected = naive(model, source, beam, n_best, **settings, early=early)
        assert [one[0] for one in hypotheses] == [one[0] for one in expected]
        assert [one[3] for one in hypotheses] == [one[3] for one in expected]
        np.testing.assert_allclose(
            [one[1:3] for one in hypotheses], [one[1:3] for one in expected], rtol=1e-12
        )


@given(searches(), st.sampled_from([True, False, "never"]))
def test_it_is_exhaustive_search_where_it_is_wide_enough(search, early):
    model, settings = search
    n_best = model.size ** settings["max_length"]
    found = beam_of(model, settings, beam=n_best + 1, n_best=n_best, early_stopping=early)
    every = decoding.exhaustive(
        model.step,
        model.start(len(settings["bos"])),
        vocabulary=model.size,
        n_best=n_best,
        **settings,
    )
    assert [len(one) for one in found] == [len(one) for one in every]
    for some, all_of_them in zip(found, every, strict=True):
        assert [one.score for one in some] == [one.score for one in all_of_them]
        key = lambda one: (one.score, one.tokens.tolist())
        if len(some) < n_best:  # ties at the end may leave out different ones
            assert sorted(map(key, some)) == sorted(map(key, all_of_them))


@given(searches(longest=9), st.integers(1, 5))
def test_stopping_when_nothing_better_can_come_changes_nothing(search, beam):
    model, settings = search
    with to_the_end():
        end = beam_of(model, settings, beam=beam)
    calls = len(model.calls)
    never = beam_of(model, settings, beam=beam, early_stopping="never")
    assert shown(never) == shown(end)
    assert len(model.calls) - calls <= calls


@pytest.mark.parametrize("length_rule", RULES)
def test_it_stops_when_nothing_better_can_come_and_not_before(length_rule):
    fewer = 0
    for seed in range(30):
        model = TableModel(4, seed)
        settings = {"bos": [0, 1], "eos": 2, "max_length": 9, "length_rule": length_rule}
        with to_the_end():
            end = beam_of(model, settings, beam=3, n_best=2)
        calls = sum(map(len, model.calls))
        never = beam_of(model, settings, beam=3, n_best=2, early_stopping="never")
        assert shown(never) == shown(end)
        fewer += sum(map(len, model.calls)) < 2 * calls
    assert fewer > 0


@pytest.mark.parametrize("beam", range(2, 7))
def test_what_ends_early_and_is_hardly_probable_does_not_end_a_search(beam):
    def step(tokens, state):  # 1 to 6, then 0; nine times out of ten, and the end as good as any
        rows = np.full((len(tokens), 8), 0.02 / 7)
        rows[np.arange(len(tokens)), np.where(tokens == 6, 0, (tokens + 1) % 8)] = 0.98
        return np.log(rows), state

    search = {"bos": 0, "eos": 0, "max_length": 9, "beam": beam}
    ((best,),) = decoding.beam_search(step, None, **search)
    assert best.tokens.tolist() == [1, 2, 3, 4, 5, 6, 0]
    ((first,),) = decoding.beam_search(step, None, early_stopping=True, **search)
    assert first.score < best.score


@given(models, st.integers(0, 9), st.booleans(), st.data())
def test_a_beam_of_one_is_greedy(model, length, ends, data):
    begin = data.draw(st.lists(st.integers(0, model.size - 1), min_size=1, max_size=3))
    eos = model.size - 1 if ends else None
    start = model.start(len(begin))
    best = decoding.greedy(model.step, start, begin, length, end=eos)
    found = decoding.beam_search(
        model.step, start, beam=1, bos=begin, eos=eos, max_length=length, length_rule="none"
    )
    for (one,), tokens, log_probs in zip(found, *best, strict=True):
        assert one.finished == (eos in tokens)
        assert one.tokens.tolist() == tokens[: len(one.tokens)].tolist()
        assert len(one.tokens) == (tokens.tolist().index(eos) + 1 if one.finished else length)
        np.testing.assert_allclose(one.log_prob, log_probs.sum(), atol=1e-12)


@given(searches(), st.integers(1, 5))
def test_every_score_is_that_of_forced_scoring(search, beam):
    model, settings = search
    found = beam_of(model, settings, beam=beam, n_best=beam)
    for source, hypotheses in enumerate(found):
        tokens = [one.tokens for one in hypotheses]
        forced = decoding.score(
            model.step, model.start(len(tokens)), tokens, bos=settings["bos"][source]
        )
        assert forced.shape == (len(tokens), max(map(len, tokens)))
        for one, log_probs in zip(hypotheses, forced, strict=True):
            np.testing.assert_allclose(one.log_prob, log_probs.sum(), rtol=1e-12)
            expected = RULES[settings["length_rule"]](log_probs.sum(), len(one.tokens))
            np.testing.assert_allclose(one.score, expected, rtol=1e-12)


@given(searches(), st.integers(1, 5), st.sampled_from([True, False, "never"]))
def test_a_source_alone_is_what_it_is_among_others(search, beam, early):
    model, settings = search
    together = shown(beam_of(model, settings, beam=beam, n_best=beam, early_stopping=early))
    for number, token in enumerate(settings["bos"]):
        alone = {**settings, "bos": [token]}
        found = shown(beam_of(model, alone, beam=beam, n_best=beam, early_stopping=early))
        assert found == together[number : number + 1]


def test_of_equal_ones_the_first_in_the_beam_and_then_the_lowest_token():
    even = lambda tokens, state: (np.full((len(tokens), 3), -np.log(3)), state)
    (found,) = decoding.beam_search(even, None, bos=0, eos=None, beam=5, n_best=5, max_length=2)
    expected = [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1]]
    assert [one.tokens.tolist() for one in found] == expected


@given(
    st.integers(1, 3),
    st.integers(1, 9),
    st.integers(0, 99),
    st.sampled_from([5, 2000, 3001]),
    st.sampled_from([1e-3, 1.0]),
)
def test_the_likely_ones_are_all_that_are_as_good_as_the_best(height, count, seed, width, some):
    draw = np.random.default_rng(seed)
    with np.errstate(divide="ignore"):
        weights = draw.integers(0, 5 * width, (height, width)) * (draw.random(width) < some)
        rows = np.log(weights).astype(np.float32)
    row, token, maxima = likely(rows, count)
    np.testing.assert_array_equal(maxima, rows.max(axis=1))
    for n in range(height):
        found = token[row == n]
        assert (np.diff(found) > 0).all()
        assert (rows[n, found] > -np.inf).all()
        best = np.sort(rows[n][rows[n] > -np.inf])[::-1][:count]
        np.testing.assert_array_equal(np.sort(rows[n, found])[::-1][: len(best)], best)
        assert set(np.flatnonzero(rows[n] > rows[n, found].min(initial=np.inf))) <= set(found)
    assert len(row) < height * (3 * count + 9)


def test_sources_that_are_done_are_left_out_of_further_steps():
    model = TableModel(4, seed=4)
    decoding.beam_search(model.step, model.start(4), bos=[0, 1, 2, 3], eos=1, beam=2)
    assert model.calls[0] == ["row 0", "row 1", "row 2", "row 3"]
    sizes = [len(names) for names in model.calls]
    assert max(sizes) == 8
    assert sizes[-1] < 8
    for before, after in zip(model.calls, model.calls[1:], strict=False):
        assert after == sorted(after)
        assert set(after) <= set(before)


def test_unfinished_ones_follow_where_too_few_finish():
    log = np.log([[0.5, 0.25, 0.25]])
    once = lambda tokens, count: (  # eos, 2, can be at the first step only
        np.where((count > 0)[:, None] & (np.arange(3) == 2), -np.inf, log),
        count + 1,
    )
    search = {"bos": [0, 1], "eos": 2, "beam": 4, "n_best": 3, "max_length": 3}
    for hypotheses in decoding.beam_search(once, np.zeros(2), **search):
        assert [one.finished for one in hypotheses] == [True, False, False]
        assert hypotheses[1].score > hypotheses[0].score
        assert [one.tokens.tolist() for one in hypotheses] == [[2], [0, 0, 0], [0, 0, 1]]


def test_rules_that_leave_nan():
    model = TableModel(3)
    for value in (np.nan, np.inf):
        rule = lambda rows, tokens, value=value: rows + value
        with pytest.raises(NotFiniteError, match=r"beam_search: the rules gave NaN or \+inf"):
            beam_of(model, {"bos": [0], "eos": 2}, rules=[rule])


@pytest.mark.parametrize("early", [True, False, "never"])
def test_rules_that_leave_nothing_end_a_search_and_not_the_program(early):
    def stops(rows, tokens):
        return rows if tokens.shape[1] < 3 else np.full_like(rows, -np.inf)

    model = TableModel(3)
    search = {"bos": [0, 1], "eos": None, "rules": [stops], "n_best": 2}
    found = decoding.beam_search(model.step, model.start(2), early_stopping=early, **search)
    every = decoding.exhaustive(model.step, model.start(2), vocabulary=3, max_length=5, **search)
    assert shown(found) == shown(every)
    assert {len(one.tokens) for hypotheses in found for one in hypotheses} == {2}


def test_alignments():
    attention = lambda tokens: np.eye(4)[tokens]  # of each token the one before
    model = TableModel(4)
    step = lambda tokens, state: (*model.step(tokens, state), {"attention": attention(tokens)})
    found = decoding.beam_search(step, model.start(2), bos=[0, 1], eos=2, beam=3, n_best=3)
    for bos, hypotheses in enumerate(found):
        for one in hypotheses:
            before = [bos, *one.tokens[:-1]]
            np.testing.assert_array_equal(one.alignment, attention(before))
    assert beam_of(model, {"bos": [0], "eos": 2})[0][0].alignment is None


def test_steps_of_tensors_in_float32_and_one_bos_for_all():
    model = TableModel(5)

    def step(tokens, state):
        rows, sums = model.step(tokens, {"sum": state[0].numpy(), "names": []})
        return tg.tensor(rows.astype(np.float32)), (tg.tensor(sums["sum"]), None)

    found = decoding.beam_search(step, (tg.zeros(3, dtype="int64"), None), bos=1, eos=2)
    exact = decoding.beam_search(model.step, model.start(3), bos=[1] * 3, eos=2)
    assert len(found) == 3
    for (one,), (other,) in zip(found, exact, strict=True):
        assert one.tokens.tolist() == other.tokens.tolist()
        np.testing.assert_allclose(one.score, other.score, rtol=1e-6)


@given(searches(), st.integers(1, 3), st.sampled_from([0.0, 0.7, 100.0]))
def test_groups(search, groups, diversity):
    model, settings = search
    how = {"beam": 2 * groups, "n_best": 2 * groups, "groups": groups}
    how["diversity"] = diversity if groups > 1 else 0.0
    found = beam_of(model, settings, **how)
    plain = shown(beam_of(model, settings, beam=2, n_best=2))
    for source, hypotheses in enumerate(shown(found)):
        alone = {**settings, "bos": settings["bos"][source : source + 1]}
        assert shown(beam_of(model, alone, **how)) == [hypotheses]
        assert len({tuple(one[0]) for one in hypotheses}) == len(hypotheses)
        for tokens, _, log_prob, _ in hypotheses:
            forced = decoding.score(model.step, model.start(1), [tokens], bos=alone["bos"])
            np.testing.assert_allclose(log_prob, forced.sum(), rtol=1e-12)
        if how["diversity"] == 0 and settings["eos"] is None:
            assert hypotheses == plain[source]


def test_groups_take_other_tokens_where_diversity_is_large():
    row = np.log([0.4, 0.1, 0.05, 0.15, 0.3])
    step = lambda tokens, state: (np.tile(row, (len(tokens), 1)), state)
    search = {"bos": 0, "eos": None, "max_length": 1, "beam": 4, "n_best": 4, "groups": 2}
    first = lambda diversity: [
        one.tokens[0] for one in decoding.beam_search(step, None, diversity=diversity, **search)[0]
    ]
    assert first(0.0) == [0, 4]
    assert first(0.5) == [0, 4]
    assert first(1.0) == [0, 4, 3]
    assert first(9.0) == [0, 4, 3, 1]


def test_what_two_groups_find_counts_once_towards_stopping():
    step = lambda tokens, state: (np.full((len(tokens), 4), np.log(0.25)), state)
    search = {"bos": 1, "eos": 0, "beam": 4, "n_best": 4, "groups": 2, "max_length": 9}
    (found,) = decoding.beam_search(step, None, early_stopping=True, **search)
    assert len(found) == 4
    assert len({tuple(one.tokens) for one in found}) == 4


def test_the_settings_that_types_are_checked_by_are_those_there_are():
    names = inspect.signature(decoding.beam_search).parameters.keys()
    assert list(Settings.__annotations__) == [
        name for name in names if name not in ("step", "state", "return_tree")
    ]


def test_no_length_and_no_sources():
    model = TableModel(3)
    settings = {"bos": [0, 1], "eos": 2, "max_length": 0}
    for (one,) in [
        *beam_of(model, settings),
        *decoding.exhaustive(model.step, model.start(2), vocabulary=3, **settings),
    ]:
        assert (one.tokens.tolist(), one.score, one.log_prob, one.finished) == ([], 0, 0, False)
    assert decoding.beam_search(model.step, model.start(0), bos=[], eos=2) == []
    assert decoding.score(model.step, model.start(0), [], bos=0).shape == (0, 0)


def test_a_length_rule_of_ones_own_and_one_that_is_none():
    model = TableModel(3)
    settings = {"bos": [0, 1], "eos": 2, "max_length": 5}
    halves = lambda totals, lengths: totals / 2
    for (one,) in beam_of(model, settings, length_rule=halves):
        assert one.score == one.log_prob / 2
    with pytest.raises(NotFiniteError, match="beam_search: length_rule gave NaN"):
        beam_of(model, settings, length_rule=lambda totals, lengths: totals * np.nan)
    with pytest.raises(ShapeError, match=r"length_rule gave scores of shape \(\)"):
        beam_of(model, settings, length_rule=lambda totals, lengths: 0.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"beam": 0}, "beam_search: beam is 0, expected a whole number from 1 up"),
        ({"beam": 1.5}, "beam_search: beam is 1.5, expected a whole number from 1 up"),
        ({"max_length": -1}, "max_length is -1, expected a whole number from 0 up"),
        ({"min_length": 60}, "min_length is 60, expected at most max_length, 50"),
        ({"n_best": 6}, "n_best is 6, expected at most beam, 5"),
        ({"groups": 2}, "groups is 2, expected a divisor of beam, 5"),
        ({"diversity": 0.5}, "diversity is 0.5 but groups is 1, expected several"),
        ({"groups": 5, "diversity": -1}, "diversity is -1, expected a number from 0"),
        ({"return_tree": 1}, "return_tree is 1, expected True or False"),
        ({"length_rule": "wu"}, "length_rule is 'wu', expected one of"),
        ({"early_stopping": 1}, "early_stopping is 1, expected one of"),
        ({"eos": 3}, "eos is 3, expected 0 to 2: step gave log-probabilities of 3 tokens"),
        ({"eos": "2"}, "eos is '2', expected a whole number"),
        ({"bos": [0, -1]}, "the tokens of bos go from -1 to 0, expected 0 to 2"),
        ({"bos": "a"}, "bos is 'a', expected a token, or one for each row"),
        ({"rules": [3]}, r"rules\[0\] is 3, expected a function"),
    ],
)
def test_settings_that_are_none(changes, message):
    model = TableModel(3)
    with pytest.raises((ArgumentError, IndexRangeError), match=message):
        decoding.beam_search(model.step, model.start(2), **{"bos": [0, 1], "eos": 2, **changes})


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([0.0, np.nan], "beam_search: step gave NaN in row 0, for token 1"),
        ([-np.inf, -np.inf], "beam_search: step gave row 0 no token to go on with"),
        ([0.5, 0.5], "in row 0 sum up to 3.297, expected 1.*log_softmax"),
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_rows_that_are_none(rows, message, late):
    def step(tokens, places):
        fine = np.log([[0.5, 0.5]])
        return np.where(places[:, None] >= 2 * late, rows, fine), places + 1

    with pytest.raises((ArgumentError, NotFiniteError), match=message):
        decoding.beam_search(step, np.zeros(1), bos=0, eos=None)


@pytest.mark.parametrize(
    ("third", "message"),
    [
        (3, "step returned 3 in the third place, expected a dict"),
        ({"attention": np.ones(2)}, r"attention of shape \(2,\), expected \(1, S\)"),
    ],
)
def test_third_values_that_are_none(third, message):
    model = TableModel(3)
    step = lambda tokens, state: (*model.step(tokens, state), third)
    with pytest.raises((ArgumentError, ShapeError), match=message):
        decoding.beam_search(step, model.start(1), bos=0, eos=2)


def test_what_cannot_be_scored_and_what_is_too_much():
    model = TableModel(3)
    score = lambda tokens, bos=0: decoding.score(model.step, model.start(2), tokens, bos=bos)
    with pytest.raises(ArgumentError, match=r"score: tokens\[1\] is \[0.5\], expected whole"):
        score([[1], [0.5]])
    with pytest.raises(ShapeError, match=r"score: tokens\[0\] has shape \(1, 1\), expected"):
        score([[[1]], [1]])
    with pytest.raises(ShapeError, match="bos has 3 tokens for 2 sequences"):
        score([[1], [1]], bos=[0, 0, 0])
    with pytest.raises(IndexRangeError, match="tokens go from 0 to 3, expected 0 to 2"):
        score([[1], [3]])
    search = {"bos": 0, "eos": 2}
    with pytest.raises(ArgumentError, match=r"3 and max_length 999, which makes 3 \*\* 999 seq"):
        decoding.exhaustive(model.step, model.start(1), vocabulary=3, max_length=999, **search)
    with pytest.raises(ArgumentError, match="min_length is 3, expected at most max_length, 2"):
        decoding.exhaustive(
            model.step, model.start(1), vocabulary=3, max_length=2, min_length=3, **search
        )
    with pytest.raises(ArgumentError, match=r"vocabulary is 4, but step gave .* of 3 tokens"):
        decoding.exhaustive(model.step, model.start(1), vocabulary=4, max_length=4, **search)
