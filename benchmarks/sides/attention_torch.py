"""The same attention by PyTorch, of its operations: it has no additive layer."""

import numpy as np
import torch


def case(name):
    kind, *sizes = name.split()
    B, T, S, H = map(int, sizes)
    rng = np.random.default_rng(0)
    query, keys, values = (
        torch.tensor(rng.standard_normal((B, n, H)).astype(np.float32), requires_grad=True)
        for n in (T, S, S)
    )
    sent = torch.tensor(rng.standard_normal((B, T, H)).astype(np.float32))
    leaves = [query, keys, values]
    if kind == "additive":
        w_q, w_k = torch.nn.Linear(H, H, bias=False), torch.nn.Linear(H, H)
        v = torch.nn.Parameter(torch.rand(H) / H**0.5)
        leaves += [*w_q.parameters(), *w_k.parameters(), v]

    def scores():
        if kind == "dot":
            return query @ keys.mT
        return torch.tanh(w_q(query)[:, :, None] + w_k(keys)[:, None]) @ v

    def work():
        for leaf in leaves:
            leaf.grad = None
        (torch.softmax(scores(), -1) @ values).backward(sent)

    return work
