"""Whether the gradient of a model's loss is that of its values, along a line."""

import numpy as np
import pytest


def check_slope(model, loss, *, step=1e-6, rel=1e-6):
    """Every weight has a gradient; by all of them the loss changes as it does by a small step."""
    loss().backward()
    parameters, rng = list(model.parameters()), np.random.default_rng(0)
    assert all(parameter.grad is not None for parameter in parameters)
    before = [np.array(parameter.numpy()) for parameter in parameters]
    along = [rng.standard_normal(parameter.shape) for parameter in parameters]
    slope = sum((p.grad.numpy() * d).sum() for p, d in zip(parameters, along, strict=True))
    sides = []
    for way in (step, -step):
        for parameter, value, d in zip(parameters, before, along, strict=True):
            parameter.assign_(value + way * d)
        sides.append(loss().item())
    assert (sides[0] - sides[1]) / (2 * step) == pytest.approx(slope, rel=rel)
