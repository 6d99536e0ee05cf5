"""The same results as PyTorch's layers and cells for the same weights, gradients included.

Golden arrays stand in tests/golden/recurrent.npz; where PyTorch is installed, fresh cases are
drawn as well, with any of the options that both have.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.golden.make_recurrent import CASES, GOLDEN, H, I, compute
from tests.golden.stored import fresh, stored
from tinygrad_rnn import nn
from tinygrad_rnn.kernels._twin import use_reference


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


def agrees_with(torch, kind, options, dtype=np.float64):
    """Hold our layer or cell against the arrays of PyTorch's."""
    module = getattr(nn, kind)(I, H, **options).astype(dtype)
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


@pytest.mark.parametrize(
    ("case", "dtype"),
    [(c, np.float64) for c in CASES] + [(c, np.float32) for c in ("lstm_deep", "gru_deep")],
)
def test_golden_recurrences(case, dtype):
    agrees_with(stored(GOLDEN, case), *CASES[case][:2], dtype)


flags = st.booleans()
stacks = {"bidirectional": flags, "num_layers": st.integers(1, 3)}
plain = {"nonlinearity": st.sampled_from(["tanh", "relu"])}
FRESH = {
    kind: st.fixed_dictionaries({"bias": flags, **options})
    for kind, options in {
        "LSTM": stacks, "GRU": stacks, "RNN": stacks | plain,
        "LSTMCell": {}, "GRUCell": {}, "RNNCell": plain,
    }.items()
}  # fmt: skip


@fresh
@pytest.mark.parametrize("kind", FRESH)
@given(st.data(), st.booleans(), st.integers(0, 99))
def test_fresh_recurrences(kind, data, lengths, seed):
    options = data.draw(FRESH[kind])
    with use_reference():
        lengths = lengths and not kind.endswith("Cell")
        agrees_with(compute(kind, options, lengths, seed), kind, options)
