"""Steps of optimisers: ``Adam 20 500000`` is one over 20 arrays of 500000 numbers each.

``clip`` scales gradients to a smaller norm each time; ``lazy Adam V E N`` updates an embedding
of V rows of which N have a gradient.
"""

import numpy as np
from sides.arguments import arguments

import tinygrad_rnn as tg
from tinygrad_rnn import nn, optim


def parameters(count, size):
    rng = np.random.default_rng(0)
    made = [nn.Parameter(rng.standard_normal(size).astype(np.float32)) for _ in range(count)]
    for parameter in made:  # gradients stand where a backward pass leaves them
        (parameter * rng.standard_normal(size).astype(np.float32)).sum().backward()
    return made


def case(name):
    if name.startswith("lazy"):
        _, kind, (V, E, N), _, _ = arguments(name)
        (table,) = parameters(1, (V, E))
        grad = np.zeros((V, E), np.float32)
        grad[np.random.default_rng(1).choice(V, N, replace=False)] = 1
        table.grad = tg.tensor(grad)
        return optim.Adam([table], lazy=kind == "rows").step
    kind, _, sizes, _, options = arguments(f"{name.split()[0]} {name}")
    options.pop("torch", None)
    made = parameters(*sizes)
    if kind == "clip":
        return lambda: optim.clip_grad_norm(made, 1e-3)
    return getattr(optim, kind)(made, lr=1e-3, **options).step
