"""Attention: ``additive B T S H``, ``dot B T S H``; ``step`` behind them for a decoder's."""

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import nn


def case(name):
    kind, *sizes = name.removesuffix(" step").split()
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

    if name.endswith("step"):
        with tg.no_grad():
            memory = attention.prepare(keys, values)

        def step():
            with tg.no_grad():
                attention(query, memory)

        return step

    def work():
        for leaf in leaves:
            leaf.grad = None
        context, _ = attention(query, keys, values)
        context.backward(sent)

    return work
