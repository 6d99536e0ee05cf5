"""The same losses and gradients as PyTorch's.

Golden arrays stand in tests/golden/losses.npz; where PyTorch is installed, fresh cases are
drawn as well, in all reductions.
"""

from importlib.util import find_spec

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.golden.make_losses import CASES, CUTOFFS, GOLDEN, REDUCTIONS, D, V, compute
from tinygrad_rnn import losses, ops

FRESH = [(seed, how) for seed in (1, 2) for how in REDUCTIONS] if find_spec("torch") else []
# None: the golden arrays.
DRAWS = [(None, "mean"), *FRESH]


def arrays_of(case, seed, reduction):
    if seed is not None:
        return compute(case, reduction, seed)
    with np.load(GOLDEN) as golden:
        return {n.partition("/")[2]: golden[n] for n in golden if n.startswith(f"{case}/")}


def ours(case, x, y, torch, reduction):
    """The loss by this library, for the same options under its names."""
    options = {k: v for k, v in CASES[case][1].items() if k not in ("weights", "soft")}
    if "weights" in torch:
        options["weights"] = torch["weights"]
    name = "cross_entropy" if case.startswith("cross_entropy") else case
    x = ops.log_softmax(x) if name in ("nll", "kl_divergence") else x
    return getattr(losses, name)(x, y, reduction=reduction, **options)


@pytest.mark.parametrize(("seed", "reduction"), DRAWS)
@pytest.mark.parametrize("case", [case for case in CASES if case != "adaptive"])
def test_values_and_gradients_are_those_of_pytorch(case, seed, reduction):
    torch = arrays_of(case, seed, reduction)
    x = tg.tensor(torch["x"], requires_grad=True)
    y = tg.tensor(torch["y"], requires_grad=True) if "d_y" in torch else torch["y"]
    loss = ours(case, x, y, torch, reduction)
    np.testing.assert_allclose(loss.numpy(), torch["loss"], rtol=1e-10, atol=1e-12)
    loss.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), torch["d_x"], rtol=1e-10, atol=1e-12)
    if "d_y" in torch:
        np.testing.assert_allclose(y.grad.numpy(), torch["d_y"], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("seed", "reduction"), DRAWS)
def test_an_adaptive_softmax_is_that_of_pytorch(seed, reduction):
    torch = arrays_of("adaptive", seed, reduction)
    layer = losses.AdaptiveSoftmax(D, V, CUTOFFS, div_value=2.0, head_bias=True).astype(np.float64)
    weights = dict(layer.named_parameters())
    names = {name: name.replace("tails", "tail").replace(".", "_") for name in weights}
    for name, weight in weights.items():
        weight.assign_(torch[names[name]].T)
    h = tg.tensor(torch["x"], requires_grad=True)
    loss = layer(h, torch["y"], reduction=reduction)
    loss.sum().backward()
    np.testing.assert_allclose(loss.numpy(), torch["loss"], rtol=1e-10)
    np.testing.assert_allclose(layer.log_prob(h).numpy(), torch["log_prob"], rtol=1e-10)
    np.testing.assert_allclose(h.grad.numpy(), torch["d_x"], rtol=1e-10, atol=1e-12)
    for name, weight in weights.items():
        want = torch[f"d_{names[name]}"].T
        np.testing.assert_allclose(weight.grad.numpy(), want, rtol=1e-10, atol=1e-12)
