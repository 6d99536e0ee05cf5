"""Attention: ``additive B T S H`` and ``dot B T S H``, forward and backward; a memory of keys."""

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import nn


def case(name):
    kind, *sizes = name.split()
    B, T, S, H = map(int, sizes)
    tg.seed(0)
    attention = nn.Attention(kind, *([H, H, H] if kind == "additive" else []))
    rng = np.random.default_rng(0)
    query, keys, values = (
        tg.tensor(rng.standard_normal((B, n, H)).astype(np.float32), requires_grad=True)
        for n in (T, S, S)
    )
    sent = rng.standard_normal((B, T, H)).astype(np.float32)
    leaves = [query, keys, values, *attention.parameters()]

    def work():
        for leaf in leaves:
            leaf.grad = None
        context, _ = attention(query, keys, values)
        context.backward(sent)

    return work
