"""Attention, embeddings, normalised rows on a GPU: the CPU's numbers by kernels, and no wait."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.standin import cuda
from tinygrad_rnn import nn

pytestmark = pytest.mark.skipif(bool(cuda.missing()), reason=cuda.missing() or "-")

B, T, S, WIDTH = 3, 4, 7, 6
SCORES = {
    "dot": {}, "scaled_dot": {}, "general": {"query_size": WIDTH, "key_size": WIDTH},
    "additive": {"query_size": WIDTH, "key_size": WIDTH, "hidden_size": 40},
    "multi_head": {"query_size": WIDTH, "num_heads": 2},
}  # fmt: skip


def drawn(dtype, *shapes):
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def masks():
    rng = np.random.default_rng(1)
    of_keys = rng.random((B, S)) < 0.6
    of_keys[0] = False  # a row without any key
    numbers = np.where(rng.random((B, T, S)) < 0.7, rng.standard_normal((B, T, S)), -np.inf)
    return {"none": None, "keys": of_keys, "queries": rng.random((B, T, S)) < 0.5,
            "numbers": numbers}  # fmt: skip


def on(device, module, dtype):
    """The same module, on a device."""
    copy = module.astype(dtype)
    return copy.to(device) if device != "cpu" else copy


def run(device, make, inputs, dtype, waits=None):
    """Results and all gradients; what runs in between waits for nothing, and its launches."""
    tg.seed(0)
    module = on(device, make(), dtype)
    leaves = [tg.tensor(x, device=device, requires_grad=True) for x in inputs]
    before = waits and waits.synchronised
    with cuda.launches() as seen:
        results = module(*leaves)
        results = results if isinstance(results, tuple) else (results,)
        loss = sum((result * result).sum() for result in results)
        loss.backward()
    if waits:
        assert waits.synchronised == before
    found = [*results, *[x.grad for x in leaves], *[p.grad for p in module.parameters()]]
    assert all(x.device.startswith(device) for x in found)
    return [x.numpy() for x in found], {launch.name for launch in seen}


def compare(make, inputs, dtype, waits=None, terms=200):
    expected, _ = run("cpu", make, inputs, dtype)
    found, names = run("gpu", make, inputs, dtype, waits)
    room = 1e-12 if dtype == "float64" else 16 * np.finfo(dtype).eps * np.sqrt(terms)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == dtype
        bound = room * max(1.0, np.abs(other).max(initial=0))
        np.testing.assert_allclose(one, other, rtol=0, atol=bound)
    return names


class Asking(nn.Module):
    """An attention whose mask is there already."""

    def __init__(self, attention, mask):
        super().__init__()
        self.attention, self.mask = attention, mask

    def forward(self, query, keys, values):
        mask = self.mask
        if mask is not None:
            mask = tg.tensor(mask, device=query.device)
        return self.attention(query, keys, values, mask)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mask", ["none", "keys", "queries", "numbers"])
@pytest.mark.parametrize("score", SCORES)
def test_attention_is_that_of_the_cpu(on_gpu, score, mask, dtype):
    given = masks()[mask]
    if mask == "numbers":
        given = given.astype(dtype)
    inputs = drawn(dtype, (B, T, WIDTH), (B, S, WIDTH), (B, S, WIDTH))
    names = compare(
        lambda: Asking(nn.Attention(score, **SCORES[score]), given), inputs, dtype, on_gpu
    )
    if on_gpu:
        wanted = {"masked_softmax", "softmax_slope"}
        if score == "additive":
            wanted |= {"additive_scores", "additive_queries_back", "additive_keys_back"}
        assert wanted <= names


def test_causal_attention_of_a_gpu(on_gpu):
    (x,) = drawn("float64", (B, S, WIDTH))
    for mask in (None, masks()["keys"]):
        names = compare(
            lambda mask=mask: Asking(nn.Attention("dot", causal=True), mask), [x] * 3, "float64",
            on_gpu,
        )  # fmt: skip
        assert not on_gpu or "masked_softmax" in names


@pytest.mark.parametrize("score", ["dot", "scaled_dot", "general", "additive"])
def test_single_queries_to_shared_rows_are_one_kernel(on_gpu, score):
    query, keys, values = drawn("float64", (5, WIDTH), (B, S, WIDTH), (B, S, WIDTH))

    def results(device):
        tg.seed(0)
        attention = on(device, nn.Attention(score, **SCORES[score]), "float64").eval()
        sent = [tg.tensor(x, device=device) for x in (query, keys, values)]
        with tg.inference_mode():
            memory = attention.prepare(*sent[1:], tg.tensor(masks()["keys"], device=device))
            with cuda.launches() as seen:
                found = attention(sent[0], memory.rows(np.array([2, 0, 1, 1, 2])))
        assert not on_gpu or device == "cpu" or [launch.name for launch in seen] == ["attend"]
        return [x.numpy() for x in found]

    for one, other in zip(results("gpu"), results("cpu"), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_embedding_adds_up_the_gradients_of_repeated_ids(on_gpu, dtype):
    ids = np.array([[4, 1, 1], [1, 0, 4], [1, 1, 1]])

    class Reading(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(6, 5)

        def forward(self, scale):
            return self.table(ids) * scale

    names = compare(Reading, drawn(dtype, (3, 3, 5)), dtype, on_gpu)
    assert not on_gpu or "add_rows" in names


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_are_normalised_as_on_the_cpu(on_gpu, dtype):
    names = compare(lambda: nn.LayerNorm(33), drawn(dtype, (3, 4, 33)), dtype, on_gpu)
    assert not on_gpu or {"standardize", "standardize_slope"} <= names


@pytest.mark.parametrize("score", ["dot", "additive"])
def test_derivatives_of_derivatives_are_those_of_the_cpu(on_gpu, score):
    inputs = drawn("float64", (B, T, WIDTH), (B, S, WIDTH), (B, S, WIDTH))

    def second(device):
        tg.seed(0)
        attention = on(device, nn.Attention(score, **SCORES[score]), "float64")
        norm = on(device, nn.LayerNorm(WIDTH), "float64")
        leaves = [tg.tensor(x, device=device, requires_grad=True) for x in inputs]
        mask = tg.tensor(masks()["keys"], device=device)
        context, _ = attention(leaves[0], leaves[1], norm(leaves[2]), mask)
        first = tg.grad((context * context).sum(), leaves, create_graph=True)
        return tg.grad(sum((g * g).sum() for g in first), leaves)

    for one, other in zip(second("gpu"), second("cpu"), strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-11, atol=1e-11)
