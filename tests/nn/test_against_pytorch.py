"""The same results as PyTorch's layers and cells for the same weights, gradients included.

Golden arrays stand in tests/golden/recurrent.npz; where PyTorch is installed, fresh cases are
drawn as well.
"""

from importlib.util import find_spec

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.golden.make_recurrent import CASES, GOLDEN, H, I, compute
from tinygrad_rnn import nn

SEEDS = [None, 1, 2, 3] if find_spec("torch") else [None]  # None: the golden arrays


def arrays_of(case, seed):
    if seed is not None:
        return compute(case, seed)
    with np.load(GOLDEN) as golden:
        return {n.partition("/")[2]: golden[n] for n in golden if n.startswith(f"{case}/")}


def build(case, dtype):
    """The module of ours that the case is about."""
    kind, options, _ = CASES[case]
    return getattr(nn, kind)(I, H, **options).astype(dtype)


def places(module):
    """Each of our cells with the ending of its weights' names in PyTorch."""
    if isinstance(module, nn.Cell):
        return [(module, "")]
    return [
        (cell, f"_l{number}" + ("_reverse" if direction == "reverse" else ""))
        for number, layer in enumerate(module.layers)
        for direction, cell in layer.items()
    ]


def ours(cell, ending, torch, prefix=""):
    """PyTorch's weights, or their gradients, as the cell has them."""
    gradient = prefix == "d_"
    found = {
        "w_x": torch[f"{prefix}weight_ih{ending}"].T,
        "w_h": torch[f"{prefix}weight_hh{ending}"].T,
    }
    if "b" in cell.params:
        b_x, b_h = (torch[f"{prefix}bias_{k}h{ending}"] for k in "ih")
        found["b"] = b_x if gradient else b_x + b_h  # the two have equal gradients
        if isinstance(cell, nn.GRUCell):  # of which only the last block is a bias of its own
            n = 2 * H
            found["b"] = np.concatenate([found["b"][:n], b_x[n:]])
            found["b_h"] = b_h[n:]
    return found


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("case", "dtype"),
    [(c, np.float64) for c in CASES] + [(c, np.float32) for c in ("lstm_deep", "gru_deep")],
)
def test_values_and_gradients_are_those_of_pytorch(case, dtype, seed):
    torch = arrays_of(case, seed)
    module = build(case, dtype)
    for cell, ending in places(module):
        for name, weight in ours(cell, ending, torch).items():
            getattr(cell, name).assign_(weight.astype(dtype))
    names = [n for n in ("h", "c") if n in torch]
    x, *start = (
        tg.tensor(torch[n].astype(dtype), requires_grad=True)
        for n in ("x", *(f"{n}_0" for n in names))
    )
    state = tuple(start) if len(start) > 1 else start[0]
    if isinstance(module, nn.Cell):
        last, out = module(x, state), {}
    else:
        y, last = module(x, state, lengths=torch.get("lengths"))
        out = {"y": y}
    out |= dict(zip(names, last if isinstance(last, tuple) else (last,), strict=True))
    found = {**out}
    loss = sum((v * torch[f"d{n}"].astype(dtype)).sum() for n, v in out.items())
    loss.backward()
    found |= {"d_x": x.grad, **{f"d_{n}_0": s.grad for n, s in zip(names, start, strict=True)}}
    # float32: 16 eps sqrt(n) max|b|, n the terms of the longest sum
    relative = 1e-10 if dtype == np.float64 else 16 * 6e-8 * np.sqrt(2 * (I + H) * 5)

    def agrees(got, want, what):
        bound = relative * max(1.0, np.abs(want).max())
        np.testing.assert_allclose(got, want, rtol=0, atol=bound, err_msg=what)

    for name, value in found.items():
        agrees(value, torch[name], name)
    for cell, ending in places(module):
        for name, gradient in ours(cell, ending, torch, "d_").items():
            agrees(getattr(cell, name).grad, gradient, f"{name}{ending}")
