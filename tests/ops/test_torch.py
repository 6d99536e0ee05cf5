"""Where PyTorch is installed: the same values, gradients and second derivatives, kinks included."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.ops.specs import SPECS

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its own, at import
    torch = pytest.importorskip("torch", reason="PyTorch is not installed; it is never required")
F = torch.nn.functional


def _over(function, **names):
    """A reduction of torch's, whose axis None is the tuple of all axes."""

    def call(x, axis, keepdims, **rest):
        dims = tuple(range(x.ndim)) if axis is None else axis
        renamed = {names[key]: value for key, value in rest.items()}
        return function(x, dim=dims, keepdim=keepdims, **renamed)

    return call


def _prod(x, axis, keepdims):
    for a in sorted(_all(x, axis), reverse=True):
        x = x.prod(dim=a, keepdim=keepdims)
    return x


def _all(x, axis):
    axes = range(x.ndim) if axis is None else [axis] if isinstance(axis, int) else axis
    return [a % x.ndim for a in axes]


def _var(x, axis, keepdims, ddof):
    return torch.var(x, dim=_all(x, axis), keepdim=keepdims, correction=ddof)


def _norm(x, ord, axis, keepdims):
    return torch.linalg.vector_norm(x, ord, dim=_all(x, axis), keepdim=keepdims)


def _index(index):
    """Indices as torch takes them: without negative steps, arrays as tensors."""
    if isinstance(index, tuple):
        return tuple(_index(i) for i in index)
    return torch.from_numpy(np.array(index)) if isinstance(index, np.ndarray) else index


def _topk(x, k, axis, largest):
    return torch.topk(x, k, dim=axis, largest=largest).values


def _scatter(x, source, index, axis):
    index = np.where(index < 0, index + x.shape[axis], index)
    return x.scatter_add(axis, torch.from_numpy(index), source)


def _gather(x, index, axis):
    return x.gather(axis, torch.from_numpy(np.where(index < 0, index + x.shape[axis], index)))


def _take_along(x, index, axis):
    index = np.where(index < 0, index + x.shape[axis], index)
    return torch.take_along_dim(x, torch.from_numpy(index), axis)


PEERS = {
    "add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div, "exp": torch.exp,
    "log": torch.log, "log1p": torch.log1p, "expm1": torch.expm1, "sin": torch.sin,
    "cos": torch.cos, "sqrt": torch.sqrt, "square": torch.square, "neg": torch.neg,
    "reciprocal": torch.reciprocal, "power": torch.pow, "abs": torch.abs, "sign": torch.sign,
    "maximum": torch.maximum, "minimum": torch.minimum, "sigmoid": torch.sigmoid,
    "tanh": torch.tanh, "relu": torch.relu, "silu": F.silu,
    "power_of": lambda x, exponent: x**exponent,
    "number_to_the": lambda x, base: base**x,
    "clip": lambda x, low, high: torch.clamp(x, low, high),
    "where": lambda a, b, condition: torch.where(torch.tensor(condition), a, b),
    "leaky_relu": lambda x, slope: F.leaky_relu(x, slope),
    "elu": lambda x, alpha: F.elu(x, alpha),
    "gelu": lambda x: F.gelu(x, approximate="tanh"),
    "softplus": lambda x: F.softplus(x, threshold=50),
    "softmax": lambda x, axis: torch.softmax(x, axis),
    "log_softmax": lambda x, axis: torch.log_softmax(x, axis),
    "logsumexp": lambda x, axis, keepdims: torch.logsumexp(x, axis, keepdims),
    "layer_norm": lambda x, w, b, eps: F.layer_norm(x, x.shape[-1:], w, b, eps),
    "sum": _over(torch.sum), "mean": _over(torch.mean), "max": _over(torch.amax),
    "min": _over(torch.amin), "var": _var, "std": lambda *a, **k: _var(*a, **k).sqrt(),
    "prod": _prod, "norm": _norm, "cumsum": lambda x, axis: torch.cumsum(x, axis),
    "matmul": torch.matmul, "outer": torch.outer,
    "linear": lambda x, w, b=None: F.linear(x, w.T, b),
    "einsum": lambda *inputs, equation: torch.einsum(equation, *inputs),
    "embedding": lambda w, ids: w[torch.from_numpy(np.array(ids))],
    "take": lambda x, index: x[_index(index)],
    "take_along_axis": _take_along, "gather": _gather, "scatter_add": _scatter, "topk": _topk,
    "concat": lambda *xs, axis: torch.cat(xs, axis), "permute": lambda x, axes: x.permute(axes),
    "masked_fill": lambda x, mask, value: torch.where(torch.tensor(mask), value, x),
}  # fmt: skip


# Where PyTorch differs, on purpose of either side.
DIFFERENT = {
    name: lambda x, axis, **attrs: axis == ()  # means all axes to them, none to NumPy
    for name in ("sum", "mean", "max", "min", "var", "std", "norm")
} | {
    "power_of": lambda x, exponent: exponent == 0,  # a constant; theirs records it all the same
    "power": lambda a, b: (b == 0).any(),  # their mixed second derivative there is not 1 / a
    "topk": lambda x, **attrs: np.unique(x).size < x.size,  # theirs chooses any of equals
    # Their second derivative is a difference of quotients: 0 in place of 1 for 1 and 1e-100.
    "prod": lambda x, axis, **attrs: axis == () or (np.abs(x[x != 0]) < 1e-3).any(),
    "elu": lambda x, alpha: (x == 0).any(),  # second derivative: ours of the left, theirs right
}


def derivatives(outputs, leaves, weights, grad, ones):
    """Gradients, and the gradients of their sum, with zeros for what does not depend."""
    first = grad(outputs, leaves, weights)
    second = [g for g in first if g.requires_grad]
    again = grad(second, leaves, [ones(g) for g in second]) if second else None
    return list(first), again


def cotangents_of(call):
    return call.cotangents(np.random.default_rng(1))


def ours(spec, case):
    leaves, outputs = call = spec.call(case)
    ws = cotangents_of(call)

    def grad(outputs, leaves, weights):
        found = tg.grad(outputs, leaves, weights, create_graph=True, allow_unused=True)
        return [tg.zeros_like(x) if g is None else g for g, x in zip(found, leaves, strict=True)]

    found = derivatives(outputs, leaves, ws, grad, lambda g: np.ones(g.shape))
    return [o.numpy() for o in outputs], *[f and [g.numpy() for g in f] for f in found]


def theirs(name, case, ws):
    leaves = [torch.from_numpy(np.array(x)).requires_grad_() for x in case.inputs]
    outputs = PEERS[name](*leaves, **case.attrs)
    outputs = list(outputs) if isinstance(outputs, tuple) else [outputs]

    def grad(outputs, leaves, weights):
        found = torch.autograd.grad(outputs, leaves, weights, create_graph=True, allow_unused=True)
        return [torch.zeros_like(x) if g is None else g for g, x in zip(found, leaves, strict=True)]

    ws = [torch.from_numpy(np.array(w)) for w in ws]
    found = derivatives(outputs, leaves, ws, grad, torch.ones_like)
    return [o.detach().numpy() for o in outputs], *[
        f and [g.detach().numpy(force=True) for g in f] for f in found
    ]


@pytest.mark.parametrize("name", PEERS)
@settings(max_examples=max(settings.default.max_examples, 20))
@given(st.data())
def test_parity(name, data):
    spec = SPECS[name]
    case = data.draw(spec.sample(1))
    if name in DIFFERENT and DIFFERENT[name](*case.inputs, **case.attrs):
        return
    values, first, second = ours(spec, case)
    expected = theirs(name, case, cotangents_of(spec.call(case)))
    for mine, wanted, room in zip((values, first, second), expected, (1, 4, 16), strict=True):
        zeros = [np.zeros(x.shape) for x in case.inputs]
        for a, b in zip(mine or zeros, wanted or zeros, strict=True):
            scale = max(1.0, float(np.abs(b[np.isfinite(b)]).max(initial=0)))
            np.testing.assert_allclose(a, b, rtol=0, atol=room * 1e-13 * scale)


def test_infinite_order_has_all_its_conventions():
    """Ties of the largest size share, with their signs."""
    x = np.array([3.0, -3.0, 1.0])
    t = torch.from_numpy(x.copy()).requires_grad_()
    torch.linalg.vector_norm(t, math.inf).backward()
    z = tg.tensor(x, requires_grad=True)
    tg.ops.norm(z, math.inf).backward()
    assert z.grad.tolist() == t.grad.tolist()
