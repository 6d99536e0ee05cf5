"""Decoding what a model on a GPU says: every way and option finds what it does on the CPU."""

import inspect

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.devices import assert_alike
from tinygrad_rnn import decoding, nn, ops

pytestmark = pytest.mark.usefixtures("reference")

V, H, ROWS = 6, 5, 3
BOS, EOS = 4, 5


class Steps(nn.Module):
    """A step as a user writes it: Tensors and arrays of the device, in a tree."""

    def __init__(self):
        super().__init__()
        self.embedding, self.cell = nn.Embedding(V, 4), nn.LSTMCell(4, H)
        self.out, self.look = nn.Linear(H, V), nn.Linear(H, 2)

    def start(self):
        zeros = self.cell.zero_state(ROWS)
        return {"h": zeros[0] + 0.1, "c": (zeros[1].data, None), "name": list("abc"), "n": 0}

    def __call__(self, tokens, state):
        assert isinstance(tokens, np.ndarray)
        h, c = self.cell(self.embedding(tokens), (state["h"], tg.Tensor(state["c"][0])))
        state = {**state, "h": h, "c": (c.data, None), "n": state["n"] + 1}
        more = {"attention": ops.softmax(self.look(h))}
        return ops.log_softmax(self.out(h) * 3), state, more


def on(device, seed=0):
    tg.seed(seed)
    return Steps().astype(tg.float64).to(device)


def agree(way):
    """The same way on both devices, of models with the same weights."""
    assert_alike(*(plain(way(on(device))) for device in ("cpu", "gpu")))


def plain(found):
    """What came out, as lists and arrays."""
    if isinstance(found, decoding.Hypothesis):
        return [plain(part) for part in vars(found).values()]
    if isinstance(found, list | tuple):
        return [plain(part) for part in found]
    if type(found).__module__.startswith("tinygrad_rnn"):  # a node of a tree
        return repr(found)
    return "None" if found is None else np.asarray(found)


# ----- beams -----

SEARCH = {"bos": BOS, "eos": EOS, "beam": 3, "n_best": 2, "max_length": 5}
OPTIONS = {
    "bos": {"bos": np.array([0, 1, BOS])}, "eos": {"eos": None}, "beam": {"beam": 1, "n_best": 1},
    "max_length": {"max_length": 2}, "min_length": {"min_length": 3}, "n_best": {"n_best": 3},
    "length_rule": {"length_rule": "gnmt"}, "early_stopping": {"early_stopping": False},
    "coverage_penalty": {"coverage_penalty": 0.4, "length_rule": "gnmt"},
    "no_repeat_ngram": {"no_repeat_ngram": 1}, "prefix": {"prefix": [[1], [], [2, 3]]},
    "rules": {"rules": [decoding.TopK(3), decoding.Banned([0])]},
    "constraints": {"constraints": [[[1, 2]], [], [[3]]]}, "groups": {"beam": 4, "groups": 2},
    "diversity": {"beam": 4, "groups": 2, "diversity": 0.7}, "stochastic": {"stochastic": True},
    "seed": {"stochastic": True, "seed": 3},
    "row_ids": {"stochastic": True, "seed": 3, "row_ids": [5, 0, 2]},
    "return_tree": {"return_tree": True},
}  # fmt: skip


def given_to(function, *apart):
    """The names of a function's arguments, but those that are no options."""
    return {*inspect.signature(function).parameters} - {"step", "state", "tokens", "length", *apart}


def test_there_is_a_case_for_every_option():
    assert OPTIONS.keys() == given_to(decoding.beam_search)
    assert SAMPLING.keys() == given_to(decoding.sample) == given_to(decoding.stream)
    kinds = {type(rule) for rule in RULES}
    every = {kind for kind in vars(decoding).values() if isinstance(kind, type)}
    assert {kind for kind in every if kind.__module__.endswith(("rules", "masks"))} == kinds


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_of_a_beam(on_gpu, option):
    def way(step):
        tg.seed(2)
        return decoding.beam_search(step, step.start(), **{**SEARCH, **OPTIONS[option]})

    agree(way)


# ----- one after the other -----

SAMPLING = {
    "temperature": 0.7, "top_k": 3, "top_p": 0.8, "min_p": 0.1, "typical_p": 0.9,
    "repetition_penalty": 1.3, "rules": [decoding.NoRepeatNgram(2)], "end": EOS, "seed": 4,
}  # fmt: skip
RULES = [
    decoding.Temperature(0.8), decoding.TopK(2), decoding.TopP(0.5), decoding.MinP(0.2),
    decoding.Typical(0.7), decoding.RepetitionPenalty(1.5), decoding.NoRepeatNgram(1),
    decoding.Banned([1, [2, 3]]), decoding.Forced({1: 2}),
]  # fmt: skip


@pytest.mark.parametrize("option", SAMPLING)
def test_every_option_of_samples(on_gpu, option):
    def way(step):
        tg.seed(2)
        how = {option: SAMPLING[option]}
        samples = decoding.sample(step, step.start(), np.full(ROWS, BOS), 4, **how)
        return [*samples, [*decoding.stream(step, step.start(), np.full(ROWS, BOS), 3, **how)]]

    agree(way)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_every_rule(on_gpu, rule):
    agree(
        lambda step: decoding.sample(
            step, step.start(), np.full(ROWS, BOS), 4, rules=[rule], seed=1, end=EOS
        )
    )


WAYS = {
    "greedy": lambda step: decoding.greedy(step, step.start(), np.full(ROWS, BOS), 5, end=EOS),
    "greedy from tokens there": lambda step: decoding.greedy(
        step, step.start(), step.embedding.weight.data[:ROWS, 0].astype(np.int64), 3
    ),
    "exhaustive": lambda step: decoding.exhaustive(
        step, step.start(), vocabulary=V, bos=BOS, eos=EOS, max_length=3, n_best=3
    ),
    "score": lambda step: decoding.score(step, step.start(), [[1, 2], [3], [0, 0, 5]], bos=BOS),
    "ensemble": lambda step: decoding.greedy(
        decoding.ensemble([step, on(step.out.weight.device, 1)], weights=[0.7, 0.3]),
        (step.start(), step.start()), np.full(ROWS, BOS), 4,
    ),
    "ensemble of probabilities": lambda step: decoding.greedy(
        decoding.ensemble([step, on("cpu", 1)], how="prob"),
        (step.start(), on("cpu", 1).start()), np.full(ROWS, BOS), 4,
    ),
    "fuse": lambda step: decoding.greedy(
        decoding.fuse(step, on("cpu", 1), 0.4),
        (step.start(), on("cpu", 1).start()), np.full(ROWS, BOS), 4,
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_every_other_way(on_gpu, way):
    agree(WAYS[way])


def test_a_state_stays_where_it_is(on_gpu):
    """Some rows of it are picked there; of a step only the rows of log-probabilities come back."""
    step = on("gpu")
    _, state, _ = step(np.full(ROWS, BOS), step.start())
    taken = decoding.take(state, np.array([2, 0, 0, 1]), ROWS)
    assert taken["h"].device == "gpu:0"
    assert type(taken["c"][0]) is type(state["c"][0])
    assert taken["name"] == list("caab")
    np.testing.assert_array_equal(taken["h"].numpy(), state["h"].numpy()[[2, 0, 0, 1]])
    if on_gpu is None:
        return
    before = on_gpu.synchronised
    decoding.take(state, np.array([2, 0, 0, 1]), ROWS)
    assert on_gpu.synchronised == before
    decoding.greedy(lambda *given: step(*given)[:2], step.start(), np.full(ROWS, BOS), 6)
    assert on_gpu.synchronised == before + 6
