"""Every law of the parts of models passes what is right and finds what breaks it."""

from functools import partial
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import nn, ops
from tinygrad_rnn.testing import LawViolation, laws


def held(law, *functions, examples=100):
    """None, or the error of an example that breaks the law."""

    @settings(max_examples=examples, deadline=None, database=None, derandomize=True,
              report_multiple_bugs=False, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(st.data())
    def check(data):
        tg.seed(0)  # what is random is so in the same way each time
        with np.errstate(all="ignore"):
            law(*functions, data.draw)

    try:
        check()
    except LawViolation as error:
        return error
    return None


# ----- softmax and attention -----


def softmax_without_maximum(x):
    powers = ops.exp(x)
    return powers / powers.sum(axis=-1, keepdims=True)


def softmax_cut(x):
    """The gradient of the maximum is cut, and that of the sum as well."""
    powers = ops.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True).detach()


def attention(q, k, v, mask, *, hide=True, order=False, gone=-np.inf):
    scores = (k * q.reshape(q.shape[0], 1, -1)).sum(axis=-1)
    if order:
        scores = scores + np.arange(scores.shape[1]) * 0.1
    if hide:
        scores = ops.where(mask, scores, gone)
    weights = ops.softmax(scores)
    return (weights.unsqueeze(-1) * v).sum(axis=1), weights


def not_normalised(q, k, v, mask):
    context, weights = attention(q, k, v, mask)
    return context, weights * 0.5


def small_weights(q, k, v, mask):
    """Hidden keys are said to have weights that they are not given."""
    context, weights = attention(q, k, v, mask)
    return context, ops.where(mask, weights, 1e-6)


def recurrent(x):
    return ops.cumsum(x, axis=0).tanh()


# ----- dropout, losses, clipping -----


def dropout(x, training, *, off=1.0, replay=True):
    if not training:
        return x * off
    mask = (tg.random.generator().random(x.shape) < 0.5) / 0.5
    y = x * mask
    return y if replay else y.detach() + (x - x.detach()) * mask[::-1].copy()


def cross_entropy(scores, labels, *, ignore=-100, divide="kept"):
    kept = labels != ignore
    log_probs = ops.log_softmax(scores)
    picked = log_probs[np.arange(len(labels)), np.maximum(labels, 0)]
    total = -ops.where(kept, picked, 0.0).sum()
    return total / {"kept": kept.sum(), "rows": len(labels), "nothing": 1.0}[divide]


def leaky_entropy(scores, labels):
    """The rows that are ignored pull on their scores."""
    kept = labels != -100
    pull = ops.where(kept[:, None], 0.0, scores - scores.detach()).sum()
    return cross_entropy(scores, labels) + pull


def clip(gradients, most, *, each=False, always=False, guard=0.0):
    norms = [np.sqrt((g * g).sum()) for g in gradients]
    norm = np.sqrt(sum(n * n for n in norms))
    if each:
        return [g * min(1.0, most / max(n, 1e-300)) for g, n in zip(gradients, norms, strict=True)]
    scale = most / (norm + guard)
    return [g * (scale if always else min(1.0, scale)) for g in gradients]


GRU = nn.GRU(4, 2, fused=False).astype(np.float64)

RIGHT = [
    ("softmax_shift", ops.softmax),
    ("softmax_shift", lambda x: ops.softmax(x.detach()).numpy()),
    ("attention_key_permutation", attention),
    ("masked_attention_row_sums", attention),
    ("causal", recurrent),
    ("causal", lambda x: GRU(x)[0]),
    ("dropout_off_is_identity", dropout),
    ("dropout_off_is_identity", lambda x, training: ops.dropout(x, 0.5, training)),
    ("dropout_mask_replayed", dropout),
    ("dropout_mask_replayed", lambda x, training: ops.dropout(x, 0.5, training)),
    ("loss_mean_of_parts", cross_entropy),
    ("label_ignore_index", cross_entropy),
    ("label_ignore_index", partial(cross_entropy, divide="nothing")),
    ("clip_norm_scales", partial(clip, guard=1e-6)),
]

WRONG = [
    ("softmax_shift", softmax_without_maximum, "result 0"),
    ("softmax_shift", lambda x: ops.softmax(x) * 2.0, "the sum of a row"),
    ("softmax_shift", lambda x: x.sigmoid(), "the sum of a row"),
    ("attention_key_permutation", partial(attention, order=True), "result 0"),
    ("masked_attention_row_sums", partial(attention, hide=False), "result 0"),
    ("masked_attention_row_sums", partial(attention, gone=0.0), "result 0"),
    ("masked_attention_row_sums", small_weights, "a key behind the mask has a weight"),
    ("masked_attention_row_sums", not_normalised, "the sum of the weights"),
    ("causal", lambda x: x + x.mean(axis=0), "result 0"),
    ("causal", lambda x: x + (x - x.detach()).sum(axis=0), "the gradient of x from step"),
    ("dropout_off_is_identity", lambda x, training: x + 1.0, "the result"),
    ("dropout_off_is_identity", partial(dropout, off=0.5), "dropout breaks the law"),
    ("dropout_off_is_identity", lambda x, training: x.detach(), "the gradient"),
    ("dropout_mask_replayed", partial(dropout, replay=False), "the gradient"),
    ("loss_mean_of_parts", partial(cross_entropy, divide="nothing"), "result 0"),
    ("label_ignore_index", partial(cross_entropy, divide="rows"), "result 0"),
    # The first example may show it in the value, or in the gradient alone.
    ("label_ignore_index", partial(cross_entropy, ignore=-1), ""),
    ("label_ignore_index", leaky_entropy, "the gradient of scores"),
    ("clip_norm_scales", partial(clip, each=True), "gradient "),
    ("clip_norm_scales", partial(clip, always=True, guard=1e-6), "gradient "),
    ("clip_norm_scales", lambda gradients, most: gradients[1:], "arrays"),
    ("clip_norm_scales", lambda gradients, most: gradients, "gradient "),
]


@pytest.mark.parametrize(("name", "function"), RIGHT)
def test_what_is_right_keeps_the_law(name, function):
    assert held(getattr(laws, name), function) is None


@pytest.mark.parametrize(("name", "function", "says"), WRONG)
def test_what_is_wrong_breaks_it(name, function, says):
    error = held(getattr(laws, name), function)
    assert error is not None
    assert error.law == name
    assert says in str(error)


def test_sizes_are_chosen():
    def wide(q, k, v, mask):
        assert q.shape[-1] == k.shape[-1] == 6
        assert v.shape[-1] == 2
        return attention(q, k, v, mask)

    for law in (laws.attention_key_permutation, laws.masked_attention_row_sums):
        assert held(partial(law, query=6, key=6, value=2), wide, examples=5) is None
    assert held(partial(laws.causal, features=1), recurrent, examples=5) is None
    pads = partial(laws.label_ignore_index, classes=7, ignore=0)
    assert held(pads, partial(cross_entropy, ignore=0), examples=5) is None


# ----- beam search -----


class Hypothesis(NamedTuple):
    tokens: list
    log_prob: float


def beam_search(step, state, *, beam, bos, eos, max_length, wrong=""):
    """For one source after the other; ``wrong`` names the mistake."""
    found = []
    for source in range(len(state)):
        going = [([bos], 0.0, state[source : source + 1])]
        ended = []
        for _ in range(max_length):
            options = []
            for tokens, total, own in going:
                log_probs, after = step(np.array(tokens[-1:]), own)
                if wrong == "the state stays behind":
                    after = own
                for token, score in enumerate(log_probs[0]):
                    options.append(([*tokens, token], total + score, after))
            options.sort(key=lambda one: one[1], reverse=True)
            if wrong == "the worst first":
                options.reverse()
            going = []
            for one in options[:beam]:
                (ended if one[0][-1] == eos else going).append(one)
            if wrong == "the first end is the end" and ended:
                break
        if wrong != "as they came":
            ended.sort(key=lambda one: one[1], reverse=True)
        scale = 0.9 if wrong == "a length rule" else 1.0
        found.append([
            Hypothesis(tokens[1:], total * scale) for tokens, total, _ in ended[:beam]
        ])  # fmt: skip
    return found


BEAM_LAWS = ["beam1_is_greedy", "beam_wide_is_exhaustive", "beam_score_is_logprob"]


@pytest.mark.parametrize("name", BEAM_LAWS)
def test_beam_search_keeps_the_laws(name):
    assert held(getattr(laws, name), beam_search) is None


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("beam1_is_greedy", "the state stays behind"),
        ("beam1_is_greedy", "the worst first"),
        ("beam_wide_is_exhaustive", "as they came"),
        ("beam_wide_is_exhaustive", "the first end is the end"),
        ("beam_score_is_logprob", "a length rule"),
        ("beam_score_is_logprob", "the state stays behind"),
        ("beam_score_is_logprob", "as they came"),
    ],
)
def test_mistakes_in_beam_search_are_found(name, wrong):
    def search(step, state, **how):
        return beam_search(step, state, wrong=wrong, **how)

    error = held(getattr(laws, name), search, examples=60)
    assert error is not None
    assert error.law == name
