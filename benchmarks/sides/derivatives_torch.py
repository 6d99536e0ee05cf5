"""The same derivatives by PyTorch.

A row's gradient comes from a walk of its own: at these sizes that is the fastest of its ways
(``is_grads_batched`` and ``vmap`` take several times longer). Second derivatives run without
oneDNN, which takes twice as long.
"""

import numpy as np
import torch
from sides.arguments import arguments
from torch import nn
from torch.autograd import grad


def case(name):
    what, kind, (T, B, H), _, _ = arguments(name)
    twice = what in ("second", "penalty")
    torch.backends.mkldnn.set_flags(not twice)
    torch.manual_seed(0)
    layer = getattr(nn, kind)(H, H)
    parameters = list(layer.parameters())
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((T, B, H)).astype(np.float32))
    x.requires_grad = twice

    def rows():
        y, _ = layer(x)
        return (y * y).sum(dim=(0, 2))

    def second(loss):
        first = grad(loss, [x, *parameters], create_graph=True)
        grad(sum((g * g).sum() for g in first), [x, *parameters], retain_graph=True)

    if what == "penalty":
        return lambda: second(rows().sum())
    losses = rows()
    total = losses.sum()
    if what == "second":
        return lambda: second(total)
    if what == "samples":
        return lambda: [grad(loss, parameters, retain_graph=True) for loss in losses]
    return lambda: grad(total, parameters, retain_graph=True)
