"""Attention is a weighted mean: its laws, masks that hide everything, keys prepared once."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import nn, ops
from tinygrad_rnn.errors import ArgumentError, DTypeError, ShapeError
from tinygrad_rnn.testing import check_module, laws
from tinygrad_rnn.testing import strategies as gs

FEW = settings(max_examples=4, deadline=None)
MAKE = {
    "dot": lambda **options: nn.Attention("dot", **options),
    "scaled_dot": lambda **options: nn.Attention("scaled_dot", **options),
    "general": lambda **options: nn.Attention("general", 4, 4, **options),
    "additive": lambda **options: nn.Attention("additive", 4, 4, 3, **options),
    "multi_head": lambda **options: nn.Attention("multi_head", 4, num_heads=2, **options),
}
scores = pytest.mark.parametrize("score", MAKE)


def made(score, **options):
    return MAKE[score](**options).astype(np.float64)


def drawn(*shapes, seed=0, requires_grad=False):
    rng = np.random.default_rng(seed)
    return [tg.tensor(rng.standard_normal(s), requires_grad=requires_grad) for s in shapes]


# ----- what it computes -----


def fit(score, module, q, k):
    """A score of one query and one key, written out."""
    p = {name: x.numpy() for name, x in module.score.named_parameters()}
    if score == "dot":
        return q @ k
    if score == "scaled_dot":
        return q @ k / np.sqrt(len(k))
    if score == "general":
        return q @ (k @ p["w"])
    return p["v"] @ np.tanh(q @ p["w_q"] + k @ p["w_k"] + p["b"])


@pytest.mark.parametrize("score", ["dot", "scaled_dot", "general", "additive"])
def test_a_context_is_the_mean_of_values_weighed_by_the_softmax_of_scores(score):
    module = made(score)
    query, keys, values = (x.numpy() for x in drawn((2, 3, 4), (2, 5, 4), (2, 5, 6)))
    context, weights = module(query, keys, values)
    for b in range(2):
        for t in range(3):
            e = np.array([fit(score, module, query[b, t], key) for key in keys[b]])
            a = np.exp(e) / np.exp(e).sum()
            np.testing.assert_allclose(weights[b, t], a, atol=1e-12)
            np.testing.assert_allclose(context[b, t], a @ values[b], atol=1e-12)


@scores
def test_values_are_the_keys_unless_given_and_a_single_query_is_one_of_many(score):
    module = made(score)
    query, keys = drawn((2, 3, 4), (2, 5, 4))
    context, weights = module(query, keys)
    assert np.array_equal(context, module(query, keys, keys)[0])
    for t in range(3):
        one, its = module(query[:, t], keys)
        np.testing.assert_allclose(one, context[:, t], atol=1e-12)
        np.testing.assert_allclose(its, weights[:, t], atol=1e-12)


@scores
def test_time_first_is_the_same_with_other_axes(score):
    module, turned = made(score), made(score, batch_first=False)
    turned.load_state_dict(module.state_dict())
    query, keys, values = drawn((2, 3, 4), (2, 5, 4), (2, 5, 4))
    mask = np.random.default_rng(1).random((2, 5)) < 0.7
    context, weights = module(query, keys, values, mask)
    theirs = [x.swapaxes(0, 1) for x in (query, keys, values)]
    again, same = turned(*theirs, mask.T)
    assert np.array_equal(again.swapaxes(0, 1), context)
    assert np.array_equal(same, weights)


def test_heads_are_attentions_of_their_own():
    module = nn.Attention("multi_head", 4, 3, 6, value_size=5, num_heads=2).astype(np.float64)
    query, keys, values = drawn((2, 3, 4), (2, 5, 3), (2, 5, 5))
    s, one = module.score, nn.Attention("scaled_dot")
    parts, each = [], []
    for block in (slice(0, 3), slice(3, 6)):
        q, k, v = (
            x @ getattr(s, f"w_{n}")[:, block] + getattr(s, f"b_{n}")[block]
            for x, n in ((query, "q"), (keys, "k"), (values, "v"))
        )
        context, weights = one(q, k, v)
        parts.append(context)
        each.append(weights)
    context, weights = module(query, keys, values)
    np.testing.assert_allclose(context, ops.concat(parts, axis=-1) @ s.w_o + s.b_o, atol=1e-12)
    np.testing.assert_allclose(weights, (each[0] + each[1]) / 2, atol=1e-12)


# ----- laws -----


@pytest.mark.parametrize("law", [laws.attention_key_permutation, laws.masked_attention_row_sums])
@scores
def test_it_keeps_the_laws_of_attention(score, law):
    module = made(score)

    @settings(max_examples=8, deadline=None)
    @given(st.data())
    def holds(data):
        law(module, data.draw)

    holds()


@scores
def test_causal_attention_sees_nothing_that_comes_later(score):
    module = made(score, causal=True, batch_first=False)

    @settings(max_examples=5, deadline=None)
    @given(st.data())
    def holds(data):
        laws.causal(lambda x: module(x, x)[0], data.draw)

    holds()


@scores
def test_a_causal_query_sees_what_a_mask_shows_up_to_its_place(score):
    causal, plain = made(score, causal=True), made(score)
    plain.load_state_dict(causal.state_dict())
    (x,) = drawn((2, 4, 4))
    mask = np.array([[True, False, True, True], [False, True, True, False]])
    context, weights = causal(x, x, mask=mask)
    wanted, same = plain(x, x, mask=mask[:, None] & np.tri(4, dtype=bool))
    assert np.array_equal(context, wanted)
    assert np.array_equal(weights, same)


def _with_mask(score):
    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = MAKE[score]()

        def forward(self, query, keys, values):
            mask = np.ones((query.shape[0], keys.shape[1]), np.bool_)
            mask[0] = False
            mask[1, 1:] = False
            return self.attention(query, keys, values, mask)

    return Masked


def _inputs(module):
    return [gs.arrays((2, 2, 4)), gs.arrays((2, 3, 4)), gs.arrays((2, 3, 4))]


test_additive = check_module(_with_mask("additive"), inputs=_inputs, order=2, settings=FEW)
test_general = check_module(
    partial(MAKE["general"]), inputs=_inputs, laws=["gradients", "state_dict"], settings=FEW
)
test_multi_head = check_module(
    _with_mask("multi_head"), inputs=_inputs, order=2, settings=FEW,
    laws=["gradients", "state_dict", "jvp_vjp_adjoint", "float32_tracks_float64"],
)  # fmt: skip


def test_gradients_of_all_rows_come_in_one_walk():
    module = made("additive")
    query, keys = drawn((3, 2, 4), (3, 5, 4))
    mask = np.random.default_rng(0).random((3, 5)) < 0.7
    parameters = list(module.parameters())
    (context, _), names = module(query, keys, mask=mask), range(len(parameters))
    losses = ops.square(context).sum((1, 2))
    found = tg.per_sample_grads(losses, parameters)
    for b in range(3):
        context, _ = module(query[b : b + 1], keys[b : b + 1], mask=mask[b : b + 1])
        alone = tg.grad(ops.square(context).sum(), parameters)
        for n in names:
            np.testing.assert_allclose(found[n][b], alone[n], atol=1e-12)


# ----- masks -----


@scores
@pytest.mark.parametrize("kind", ["booleans", "numbers"])
def test_a_query_without_any_key_gets_zeros_and_no_nan(score, kind):
    module = made(score)
    query, keys, values = drawn((2, 3, 4), (2, 5, 4), (2, 5, 4), requires_grad=True)
    mask = np.ones((2, 3, 5), np.bool_)
    mask[0, 1] = False
    mask[1, :, 2:] = False
    given_mask = mask if kind == "booleans" else np.where(mask, 0.0, -np.inf)
    context, weights = module(query, keys, values, given_mask)
    assert not weights.numpy()[~mask].any()
    np.testing.assert_allclose(weights.numpy().sum(-1), mask.any(-1), atol=1e-12)
    if score == "multi_head":
        np.testing.assert_allclose(context[0, 1], module.score.b_o)
    else:
        assert not context.numpy()[0, 1].any()
    (ops.square(context).sum() + ops.square(weights).sum()).backward()
    for x in (query, keys, values, *module.parameters()):
        assert np.isfinite(x.grad.numpy()).all()
    if score != "multi_head":
        assert not query.grad.numpy()[0, 1].any()
    assert not keys.grad.numpy()[1, 2:].any()
    again = ops.square(module(query, keys, values, given_mask)[0]).sum()
    (g,) = tg.grad(again, [query], create_graph=True)
    assert all(np.isfinite(d.numpy()).all() for d in tg.grad(ops.square(g).sum(), [query, keys]))


@scores
def test_numbers_of_a_mask_are_added_to_the_scores(score):
    module = made(score)
    query, keys, values = drawn((2, 3, 4), (2, 5, 4), (2, 5, 4))
    even = np.zeros((2, 3, 5))
    even[..., 0] = np.log(3.0)  # as if the first key were there three times
    context, weights = module(query, keys, values, even)
    again = [ops.concat([x[:, :1]] * 2 + [x], axis=1) for x in (keys, values)]
    expected, thrice = module(query, *again)
    np.testing.assert_allclose(context, expected, atol=1e-12)
    np.testing.assert_allclose(weights[..., 0], thrice[..., :3].sum(-1), atol=1e-12)


@scores
def test_lengths_are_a_mask(score):
    module = made(score)
    query, keys, values = drawn((3, 2, 4), (3, 4, 4), (3, 4, 4))
    context, _ = module(query, keys, values, lengths=[4, 2, 0])
    for b, n in enumerate([4, 2, 0]):
        alone, _ = module(query[b : b + 1], keys[b : b + 1, :n], values[b : b + 1, :n])
        np.testing.assert_allclose(context[b], alone[0], atol=1e-12)


# ----- keys prepared once -----


@scores
def test_prepared_keys_serve_many_queries(score):
    module = made(score)
    query, keys, values = drawn((2, 3, 4), (2, 5, 4), (2, 5, 4), requires_grad=True)
    mask = np.random.default_rng(0).random((2, 5)) < 0.6
    whole, weights = module(query, keys, values, mask)
    memory = module.prepare(keys, values, mask)
    steps = [module(query[:, t], memory) for t in range(3)]
    np.testing.assert_allclose(ops.stack([c for c, _ in steps], 1), whole, atol=1e-12)
    np.testing.assert_allclose(ops.stack([w for _, w in steps], 1), weights, atol=1e-12)
    one = tg.grad(ops.square(whole).sum(), [query, keys, values, *module.parameters()])
    other = tg.grad(
        ops.square(ops.stack([c for c, _ in steps], 1)).sum(),
        [query, keys, values, *module.parameters()],
    )
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-11)


def test_rows_of_prepared_keys_are_those_of_a_beam():
    module = made("additive")
    query, keys = drawn((2, 4), (2, 5, 4))
    memory = module.prepare(keys, lengths=[5, 3])
    rows = np.array([1, 1, 0])
    context, _ = module(query[rows], memory.rows(rows))
    np.testing.assert_allclose(context, module(query, memory)[0][rows])


@scores
@pytest.mark.parametrize("mask", [None, "keys", "numbers", "queries"])
def test_queries_share_the_rows_of_prepared_keys(score, mask):
    """By a kernel of single queries where there is one; the same as with keys of their own."""
    module = made(score)
    query, keys = drawn((5, 4), (3, 6, 4), requires_grad=True)
    of = np.array([2, 0, 0, 2, 1])
    seen = np.ones((3, 6), np.bool_)
    seen[0, 2:], seen[1] = False, False
    given = {
        None: None, "keys": seen, "numbers": np.where(seen, 0.5, -np.inf),
        "queries": np.repeat(seen[:, None], 2, axis=1),
    }[mask]  # fmt: skip
    memory = module.prepare(keys, mask=given).rows(of)
    asked = query if mask != "queries" else ops.stack([query, query + 1], 1)
    expected = module(asked, keys[of], mask=None if given is None else given[of])
    for mode in (tg.no_grad(), tg.enable_grad()):
        with mode:
            for found, wanted in zip(module(asked, memory), expected, strict=True):
                np.testing.assert_allclose(found, wanted, atol=1e-12)
    again = memory.rows([4, 0]).rows(np.array([True, False]))
    assert again.keys is memory.keys
    assert list(again.of) == [1]
    with pytest.raises(ShapeError, match="query has 5 rows, keys 1, expected as many"):
        module(query, again)
    with tg.enable_grad():
        loss = ops.square(module(asked, memory)[0]).sum()
        other = ops.square(module(asked, keys[of], mask=None if given is None else given[of])[0])
        pairs = (tg.grad(one, [keys, *module.parameters()]) for one in (loss, other.sum()))
        for one, two in zip(*pairs, strict=True):
            np.testing.assert_allclose(one, two, atol=1e-12)


def test_a_score_of_ones_own():
    class Distance(nn.Score):
        def forward(self, query, keys, seen):
            return -ops.square(query.unsqueeze(2) - keys.unsqueeze(1)).sum(-1)

    query, keys = drawn((2, 3, 4), (2, 5, 4))
    _, weights = nn.Attention(Distance())(keys[:, :1], keys)
    assert (weights.argmax(-1) == 0).all()
    assert nn.Attention(Distance())(query, keys)[0].shape == (2, 3, 4)


def test_dropped_weights_are_those_of_the_context_alone():
    module = made("dot", dropout=0.5)
    query, keys = drawn((2, 3, 4), (2, 50, 4))
    _, weights = module(query, keys)
    np.testing.assert_allclose(weights.numpy().sum(-1), 1)
    assert not np.allclose(module(query, keys)[0], module(query, keys)[0])
    module.eval()
    assert np.array_equal(module(query, keys)[0], module(query, keys)[0])


def test_weights_start_after_glorot_and_biases_at_0():
    score = nn.Attention("additive", 40, 60, 50).score
    assert 0.9 < np.abs(score.w_q.numpy()).max() / np.sqrt(6 / 90) <= 1
    assert 0.9 < np.abs(score.w_k.numpy()).max() / np.sqrt(6 / 110) <= 1
    assert 0.8 < np.abs(score.v.numpy()).max() * np.sqrt(50) <= 1
    assert not score.b.numpy().any()
    assert nn.Attention("additive", 2, 2, 3, bias=False).score.b is None
    for score in (MAKE["multi_head"]().score, MAKE["general"]().score):
        for name, weight in score.named_parameters():
            assert weight.numpy().any() != name.startswith("b_")


# ----- errors -----


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: nn.Attention("cosine"), ArgumentError, "score is 'cosine', expected one of dot"),
        (lambda: nn.Attention("additive", 4, 4), ArgumentError, "hidden_size is missing"),
        (lambda: nn.Attention("dot", 4), ArgumentError, "given query_size; 'dot' takes no sizes"),
        (lambda: nn.Attention("multi_head", 4, num_heads=3), ShapeError, "a multiple of num_heads"),
        (lambda: nn.Attention("dot", dropout=1.0), ValueError, "from 0 to below 1"),
    ],
)
def test_a_wrong_constructor_is_refused(call, kind, words):
    with pytest.raises(kind, match=words):
        call()


Q, K = np.zeros((2, 3, 4), np.float32), np.zeros((2, 5, 4), np.float32)


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        ((Q, K[:1]), ShapeError, "query has 2 rows, keys 1"),
        ((Q, K, K[:, :4]), ShapeError, r"keys are \(2, 5\) and values \(2, 4\)"),
        ((Q, K[..., :3]), ShapeError, "keys is 3 wide, expected 4"),
        ((Q[..., :3], K), ShapeError, "query is 3 wide, expected 4"),
        ((Q, K[0]), ShapeError, r"keys has shape \(5, 4\), expected \(B, S, K\)"),
        ((Q, K, K, np.ones((2, 4), bool)), ShapeError, r"the mask has shape \(2, 4\)"),
        ((Q, K, K, np.ones((2, 2, 5), bool)), ShapeError, "the mask is for 2 queries, expected 3"),
        ((Q, K, K, np.ones((2, 5), int)), DTypeError, "the mask holds int64"),
        ((Q, K.astype(np.float64)), DTypeError, "keys holds float64, but the weights float32"),
    ],
)
def test_a_wrong_call_is_refused(arguments, kind, words):
    with pytest.raises(kind, match=f"Attention: {words}"):
        nn.Attention("general", 4, 4)(*arguments)


def test_what_belongs_to_prepare_is_not_taken_twice():
    module = nn.Attention("dot")
    with pytest.raises(ArgumentError, match=r"expected these in prepare\(\)"):
        module(Q, module.prepare(K), None, np.ones((2, 5), np.bool_))
    with pytest.raises(ArgumentError, match="given a mask and lengths"):
        module(Q, K, None, np.ones((2, 5), np.bool_), lengths=[1, 2])
    with pytest.raises(ShapeError, match="causal=True with 3 queries and 5 keys"):
        nn.Attention("dot", causal=True)(Q, K)


def test_padding_changes_no_bit_of_the_weights():
    scores = np.random.default_rng(0).standard_normal((50, 3, 5)).astype(np.float32)
    wide = np.pad(scores, ((0, 0), (0, 0), (0, 60)))
    seen = np.arange(65) < 5
    found = ops.masked_softmax(wide, seen).numpy()
    np.testing.assert_array_equal(
        found[..., :5], ops.masked_softmax(scores, np.ones(5, bool)).numpy()
    )
    assert not found[..., 5:].any()
