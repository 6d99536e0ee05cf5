"""A step of a translator without Tensors in between: the bits of the long way, or the long way."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.models.translators import KINDS, SOURCES, every_kind, model_of
from tinygrad_rnn import errors, models
from tinygrad_rnn.decoding.protocol import take
from tinygrad_rnn.models import seq2seq
from tinygrad_rnn.models.quick_step import quick_step

QUICK = {"additive", "none", "general", "deep", "deep_tanh"}
ROWS = np.array([0, 3, 3, 1, 0])  # of sentences, as hypotheses share them
PARTS = {
    "target_embedding": "additive", "decoder": "additive", "decoder.layers": "none",
    "decoder.attention": "general", "decoder.attention.attention": "additive",
    "decoder.attention.attention.score": "additive", "decoder.read_out": "deep",
    "decoder.read_out.product": "general", "out": "additive",
}  # fmt: skip


def arrays(tree):
    if isinstance(tree, tuple | list):
        return [array for item in tree for array in arrays(item)]
    return [] if tree is None else [np.asarray(tree)]


def steps(model, count=4):
    """All that a few steps of some hypotheses give, and the last state."""
    state = take(model.start(model.encode(SOURCES)), ROWS, len(SOURCES))
    found = []
    for t in range(count):
        log_probs, state, *more = model.step((np.arange(5) + t) % (model.end + 1), state)
        found += [log_probs, *(one["attention"] for one in more), *arrays(state.carried)]
    return found


@pytest.fixture
def answers(monkeypatch):
    """Whether each step went the quick way."""
    found = []

    def seen(*given):
        answer = quick_step(*given)
        found.append(answer is not None)
        return answer

    monkeypatch.setattr(seq2seq, "quick_step", seen)
    return found


@every_kind
def test_both_ways_have_the_same_bits(kind, answers, monkeypatch):
    model = model_of(kind).eval()
    quickly = steps(model)
    assert answers == [False, *[kind in QUICK] * 3]  # it is made ready the second time
    monkeypatch.setattr(seq2seq, "quick_step", lambda *given: None)
    for one, other in zip(quickly, steps(model), strict=True):
        np.testing.assert_array_equal(one, other)


def hooked(module, call):
    module.register_forward_hook(lambda *_: call())


def of_its_own_kind(module, call):
    class Own(type(module)):
        def forward(self, *given, **how):
            call()
            return super().forward(*given, **how)

    module.__class__ = Own


@pytest.mark.parametrize("changed", [hooked, of_its_own_kind])
@pytest.mark.parametrize(("part", "kind"), PARTS.items())
def test_what_looks_on_is_called_at_every_step(part, kind, changed, answers):
    assert kind in KINDS
    model, calls = model_of(kind).eval(), []
    module = model
    for name in part.split("."):
        module = getattr(module, name)
    state = model.start(model.encode(SOURCES))
    changed(module, lambda: calls.append(part))
    for _ in range(3):
        _, state, *_ = model.step(np.zeros(len(SOURCES), np.int64), state)
    assert len(calls) == 3
    assert not any(answers)


def test_tokens_are_checked(answers):
    model = model_of("additive").eval()
    steps(model)
    state = model.start(model.encode(SOURCES))
    for wrong in ([0, 1, 2, model.end + 1], [0, 1, 2, -1]):
        with pytest.raises(IndexError, match="embedding: id"):
            model.step(wrong, state)


def test_a_weight_that_changes_changes_the_next_step(answers):
    model = model_of("additive").eval()
    steps(model)
    for parameter in model.parameters():
        parameter.assign_(parameter.numpy() * 1.5)
    changed = steps(model)
    fresh = model_of("additive").eval()
    fresh.load_state_dict(dict(model.state_dict()))
    for one, other in zip(changed, steps(fresh), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
    assert sum(answers) > 3


@pytest.mark.parametrize("score", ["additive", "general"])
def test_what_was_read_by_others_goes_the_long_way_and_is_named(score):
    tg.seed(0)
    model = models.Seq2Seq(5, 5, 4, 6, attention=score).eval()
    many, one = (model.start(model.encode([[3]] * count)) for count in (4, 1))
    for _ in range(2):
        expected = model.step(np.full(4, 5), many)[0]
    with pytest.raises(errors.ShapeError, match="Attention: query has 4 rows, keys 1"):
        model.step(np.full(4, 5), one._replace(carried=many.carried))
    memory = many.memory
    for far in (10**9, -9):
        bad = memory._replace(of=np.array([0, 1, 2, far]))
        with pytest.raises(IndexError):
            model.step(np.full(4, 5), many._replace(memory=bad))
    spread = np.asfortranarray(memory.keys)  # the same numbers, elsewhere
    again = model.step(np.full(4, 5), many._replace(memory=memory._replace(keys=spread)))[0]
    np.testing.assert_array_equal(again, expected)
