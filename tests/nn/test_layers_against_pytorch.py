"""The same results as PyTorch's layers for the same weights and data, gradients included.

Golden arrays stand in tests/golden/layers.npz; where PyTorch is installed, fresh cases are
drawn as well.
"""

from importlib.util import find_spec

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.golden.make_layers import CASES, GOLDEN, compute
from tinygrad_rnn import nn

SEEDS = [None, 1, 2] if find_spec("torch") else [None]  # None: the golden arrays
NAMES = {
    "BatchNorm1d": "BatchNorm", "BatchNorm2d": "BatchNorm", "Hardtanh": "HardTanh",
}  # fmt: skip


def arrays_of(case, seed):
    if seed is not None:
        return compute(case, seed)
    with np.load(GOLDEN) as golden:
        return {n.partition("/")[2]: golden[n] for n in golden if n.startswith(f"{case}/")}


def build(case):
    """Our module of the same arguments."""
    kind, arguments, options, _ = CASES[case]
    if kind == "MultiheadAttention":
        return nn.Attention("multi_head", 4, 3, value_size=5, num_heads=2)
    options = {k: v for k, v in options.items() if k != "approximate"}
    if "count_include_pad" in options:
        options = {"count_padding": options["count_include_pad"]}
    return getattr(nn, NAMES.get(kind, kind))(*arguments, **options)


def ours(name, array):
    """A parameter of PyTorch's, or its gradient, under our name and in our layout."""
    if name == "in_proj_bias":
        return {f"score.b_{n}": b for n, b in zip("qkv", np.split(array, 3), strict=True)}
    if "proj" in name:
        ending = {"q_proj_weight": "w_q", "k_proj_weight": "w_k", "v_proj_weight": "w_v"}
        known = ending.get(name, "w_o" if name.endswith("weight") else "b_o")
        return {f"score.{known}": array.T}
    return {name: array}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_those_of_pytorch(case, seed):
    torch = arrays_of(case, seed)
    module = build(case).astype(np.float64)
    turned = case == "linear"  # PyTorch's are (out, in)
    mine = {}
    for name in torch:
        if f"d_{name}" in torch and not name.startswith("x"):
            for known, array in ours(name, torch[name]).items():
                mine[known] = array.T if turned else array
        elif f"after_{name}" in torch:
            mine[name] = torch[name]
    module.load_state_dict(mine)
    inputs = [tg.tensor(torch[n], requires_grad=True) for n in ("x", "x1", "x2") if n in torch]
    result = module(*inputs, *([torch["mask"]] if "mask" in torch else []))
    y, *rest = result if isinstance(result, tuple) else (result,)

    def agrees(got, want, what):
        want = np.asarray(want)
        bound = 1e-10 * max(1.0, np.abs(want).max(initial=0))
        np.testing.assert_allclose(got, want, rtol=0, atol=bound, err_msg=what)

    agrees(y, torch["y"], "y")
    for number, other in enumerate(rest, 1):
        agrees(other, torch[f"y{number}"], f"y{number}")
    y.backward(torch["dy"])
    for name, x in zip(("x", "x1", "x2"), inputs, strict=False):
        agrees(x.grad, torch[f"d_{name}"], f"the gradient of {name}")
    parameters = dict(module.named_parameters())
    for name in torch:
        if f"d_{name}" in torch and not name.startswith("x"):
            for known, array in ours(name, torch[f"d_{name}"]).items():
                agrees(parameters[known].grad, array.T if turned else array, known)
    for name, buffer in module.named_buffers():
        agrees(buffer, torch[f"after_{name}"], name)
    if "y_eval" in torch:
        agrees(module.eval()(inputs[0]), torch["y_eval"], "y in use")
