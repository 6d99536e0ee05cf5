"""The same results as PyTorch's layers for the same weights and data, gradients included.

Golden arrays stand in tests/golden/layers.npz; where PyTorch is installed, fresh cases are
drawn as well, with any of the options that both have.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.golden.make_layers import CASES, GOLDEN, compute
from tests.golden.stored import fresh, stored
from tinygrad_rnn import nn

NAMES = {
    "BatchNorm1d": "BatchNorm", "BatchNorm2d": "BatchNorm", "Hardtanh": "HardTanh",
}  # fmt: skip
OPTIONS = {
    "count_include_pad": "count_padding", "padding_idx": "padding_id", "dim": "axis",
    "elementwise_affine": "affine", "track_running_stats": "track", "negative_slope": "slope",
}  # fmt: skip


def build(kind, arguments, options, _shapes):
    """Our module of the same arguments."""
    options = {k: v for k, v in options.items() if k not in ("approximate", "mask")}
    if kind == "MultiheadAttention":
        width, heads = arguments
        sizes = options.pop("kdim", width), options.pop("vdim", width)
        batch_first = options.pop("batch_first", False)
        return nn.Attention(
            "multi_head", width, sizes[0], value_size=sizes[1], num_heads=heads,
            batch_first=batch_first, **options,
        )  # fmt: skip
    options = {OPTIONS.get(name, name): value for name, value in options.items()}
    if options.get("padding_id") is not None:
        options["padding_id"] %= arguments[0]  # PyTorch counts from the end, too
    return getattr(nn, NAMES.get(kind, kind))(*arguments, **options)


def ours(kind, name, array):
    """A parameter of PyTorch's, or its gradient, under our names and in our layout."""
    if kind == "Linear":
        return {name: array.T}  # PyTorch's are (out, in)
    if name == "in_proj_bias":
        return {f"score.b_{n}": b for n, b in zip("qkv", np.split(array, 3), strict=True)}
    if name == "in_proj_weight":
        return {f"score.w_{n}": w.T for n, w in zip("qkv", np.split(array, 3), strict=True)}
    if "proj" in name:
        ending = {"q_proj_weight": "w_q", "k_proj_weight": "w_k", "v_proj_weight": "w_v"}
        known = ending.get(name, "w_o" if name.endswith("weight") else "b_o")
        return {f"score.{known}": array.T}
    return {name: array}


def agrees_with(torch, kind, arguments, options, shapes):
    """Hold our layer against the arrays of PyTorch's."""

    def close(got, want, what):
        want = np.asarray(want)
        bound = 1e-10 * max(1.0, np.abs(want).max(initial=0))
        np.testing.assert_allclose(got, want, rtol=0, atol=bound, err_msg=what)

    module = build(kind, arguments, options, shapes).astype(np.float64)
    mine, slopes = {}, {}
    for name in torch:
        if f"d_{name}" in torch and not name.startswith("x"):
            mine |= ours(kind, name, torch[name])
            slopes |= ours(kind, name, torch[f"d_{name}"])
        elif f"after_{name}" in torch:
            mine[name] = torch[name]
    module.load_state_dict(mine)
    names = [name for name in ("x", "x1", "x2") if name in torch]
    inputs = [tg.tensor(torch[n], requires_grad=torch[n].dtype.kind == "f") for n in names]
    result = module(*inputs, *([torch["mask"]] if "mask" in torch else []))
    y, *rest = result if isinstance(result, tuple) else (result,)
    close(y, torch["y"], "y")
    for number, other in enumerate(rest, 1):
        close(other, torch[f"y{number}"], f"y{number}")
    if y.requires_grad:
        y.backward(torch["dy"])
    for name, x in zip(names, inputs, strict=True):
        assert (x.grad is not None) == (f"d_{name}" in torch), name
        if x.grad is not None:
            close(x.grad, torch[f"d_{name}"], f"the gradient of {name}")
    parameters = dict(module.named_parameters())
    assert parameters.keys() == slopes.keys()
    for name, slope in slopes.items():
        close(parameters[name].grad, slope, f"the gradient of {name}")
    for name, buffer in module.named_buffers():
        close(buffer, torch[f"after_{name}"], name)
    if "y_eval" in torch:
        close(module.eval()(inputs[0]), torch["y_eval"], "y in use")


@pytest.mark.parametrize("case", CASES)
def test_golden_layers(case):
    agrees_with(stored(GOLDEN, case), *CASES[case])


# ----- fresh cases: the class of torch.nn -> a strategy of its arguments, options and shapes -----

flags = st.booleans()
few = st.integers(1, 3)


def affine(width):
    return st.tuples(st.just((width, 4)), st.fixed_dictionaries({"bias": flags}),
                     st.sampled_from([[(width,)], [(2, width)], [(2, 0, width)]]))  # fmt: skip


@st.composite
def layer_norms(draw):
    size = draw(st.lists(few, min_size=1, max_size=3))
    options = {"eps": draw(st.sampled_from([1e-5, 0.1, 2.0])), "elementwise_affine": draw(flags),
               "bias": draw(flags)}  # fmt: skip
    return (size,), options, [tuple(draw(st.lists(few, max_size=2)) + size)]


@st.composite
def batch_norms(draw, axes):
    options = {"eps": draw(st.sampled_from([1e-5, 0.1])), "affine": draw(flags),
               "momentum": draw(st.sampled_from([0.1, 0.0, 1.0, None])),
               "track_running_stats": draw(flags)}  # fmt: skip
    return (3,), options, [(draw(st.integers(2, 4)), 3, *draw(st.tuples(*[few] * axes)))]


def sizes_of(draw, axes, least=1, most=3):
    """One number for all axes, or one for each."""
    whole = st.integers(least, most)
    return draw(whole | st.tuples(*[whole] * axes))


@st.composite
def convolutions(draw, axes):
    groups = draw(st.integers(1, 2))
    channels = groups * draw(few), groups * draw(few)
    options = {"groups": groups, "dilation": sizes_of(draw, axes, most=2), "bias": draw(flags)}
    options["padding"] = "same" if draw(flags) else sizes_of(draw, axes, least=0)
    if options["padding"] != "same":
        options["stride"] = sizes_of(draw, axes)
    shape = draw(st.integers(0, 2)), channels[0], *draw(st.tuples(*[st.integers(5, 8)] * axes))
    return (*channels, sizes_of(draw, axes)), options, [shape]


@st.composite
def pools(draw, axes, mean=False):
    kernel = draw(st.tuples(*[few] * axes))
    stride = draw(st.none() | st.tuples(*[few] * axes))
    padding = draw(st.tuples(*[st.integers(0, k // 2) for k in kernel]))
    options = {"count_include_pad": draw(flags)} if mean else {}
    shape = draw(st.integers(0, 2)), 2, *draw(st.tuples(*[st.integers(3, 8)] * axes))
    return (kernel, stride, padding), options, [shape]


@st.composite
def embeddings(draw):
    rows = draw(few)
    padding = draw(st.none() | st.integers(-rows, rows - 1))
    return (rows, draw(few)), {"padding_idx": padding}, [tuple(draw(st.lists(few, max_size=2)))]


@st.composite
def attentions(draw):
    heads, batch_first = draw(few), draw(flags)
    width, key, value = heads * draw(few), draw(few), draw(few)
    B, T, S = draw(st.tuples(few, few, few))
    options = {"bias": draw(flags), "batch_first": batch_first,
               "mask": draw(st.sampled_from([None, "keys", "pairs", "added"]))}  # fmt: skip
    if draw(flags):
        options |= {"kdim": key, "vdim": value}
    else:
        key = value = width
    shapes = [(B, T, width), (B, S, key), (B, S, value)]
    return (width, heads), options, [s if batch_first else (s[1], s[0], s[2]) for s in shapes]


def elementwise(**options):
    return st.tuples(st.just(()), st.fixed_dictionaries(options), st.just([(3, 4)]))


FRESH = {
    "Linear": affine(3), "LayerNorm": layer_norms(), "Embedding": embeddings(),
    "BatchNorm1d": batch_norms(0) | batch_norms(1), "BatchNorm2d": batch_norms(2),
    "Conv1d": convolutions(1), "Conv2d": convolutions(2), "MaxPool1d": pools(1),
    "MaxPool2d": pools(2), "AvgPool1d": pools(1, mean=True), "AvgPool2d": pools(2, mean=True),
    "Flatten": st.tuples(st.tuples(st.integers(0, 1), st.integers(-2, -1)), st.just({}),
                         st.just([(2, 3, 4)])),
    "MultiheadAttention": attentions(),
    "ELU": elementwise(alpha=st.floats(0.1, 2)), "GELU": elementwise(approximate=st.just("tanh")),
    "LeakyReLU": elementwise(negative_slope=st.floats(0, 1)),
    "Softmax": elementwise(dim=st.integers(-2, 1)),
    "LogSoftmax": elementwise(dim=st.integers(-2, 1)),
} | {
    kind: elementwise()  # Hardsigmoid is left out: in theirs, 1/6 is a number of float32
    for kind in ("Hardtanh", "Identity", "ReLU", "SiLU", "Sigmoid", "Softplus",
                 "Softsign", "Tanh")
}  # fmt: skip


@fresh
@pytest.mark.parametrize("kind", FRESH)
@given(st.data(), st.integers(0, 99))
def test_fresh_layers(kind, data, seed):
    case = kind, *data.draw(FRESH[kind])
    agrees_with(compute(*case, seed=seed), *case)
