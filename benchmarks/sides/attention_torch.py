"""The same attention by PyTorch, of its operations: it has no additive layer."""

import numpy as np
import torch


def case(name):
    kind, *sizes = name.removesuffix(" step").split()
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

    def prepared():
        return keys if kind == "dot" else w_k(keys)

    def context(keys):
        if kind == "dot":
            scores = query @ keys.mT
        else:
            scores = torch.tanh(w_q(query)[:, :, None] + keys[:, None]) @ v
        return torch.softmax(scores, -1) @ values

    if name.endswith("step"):
        with torch.no_grad():
            memory = prepared()

        def step():
            with torch.no_grad():
                context(memory)

        return step

    def work():
        for leaf in leaves:
            leaf.grad = None
        context(prepared()).backward(sent)

    return work
