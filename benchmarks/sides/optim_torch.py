"""The same steps by PyTorch: ``torch="fused"``, ``"foreach"`` or ``"loop"``."""

import numpy as np
import torch
from sides.arguments import arguments

HOW = {"fused": {"fused": True}, "foreach": {"foreach": True}, "loop": {"foreach": False}}


def case(name):
    kind, _, (count, size), _, options = arguments(f"{name.split()[0]} {name}")
    how = HOW[options.pop("torch")]
    rng = np.random.default_rng(0)
    made = []
    for _ in range(count):
        numbers = rng.standard_normal(size).astype(np.float32)
        made.append(torch.nn.Parameter(torch.from_numpy(numbers)))
    for parameter in made:
        numbers = torch.from_numpy(rng.standard_normal(size).astype(np.float32))
        (parameter * numbers).sum().backward()
    if kind == "clip":
        return lambda: torch.nn.utils.clip_grad_norm_(made, 1e-3, **how)
    return getattr(torch.optim, kind)(made, lr=1e-3, **how, **options).step
