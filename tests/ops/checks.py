"""Checks that hold for every operation, each of one spec and one case."""

import itertools

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn.testing import assert_gradients
from tinygrad_rnn.testing.arrays import LAYOUTS, relayout
from tinygrad_rnn.testing.comparison import generic_like
from tinygrad_rnn.testing.numeric import inner

ROOM = 16  # the error model: 16 eps sqrt(n) max|b|
DENORMAL = 1e-37  # kernels take smaller numbers as zeros


def outputs_of(result):
    """Differentiable outputs and plain arrays, in their order."""
    return list(result) if isinstance(result, tuple | list) else [result]


def run(spec, case, dtype=np.float64, needs=None):
    """Call the operation on leaves; return them and the outputs that are Tensors."""
    needs = needs or [True] * len(case.inputs)
    leaves = [
        tg.Tensor(x.astype(dtype, copy=False), requires_grad=need)
        for x, need in zip(case.inputs, needs, strict=True)
    ]
    results = outputs_of(spec.fn(*leaves, **case.attrs))
    return leaves, [out for out in results if isinstance(out, tg.Tensor)]


def nodes_of(outputs):
    """Every node of the graph behind some outputs."""
    seen, stack = {}, [out._node for out in outputs]
    while stack:
        node = stack.pop()
        if type(node).__name__ == "Node" and id(node) not in seen:
            seen[id(node)] = node
            stack.extend(node.parents)
    return seen.values()


def cotangents_of(outputs, seed=1):
    rng = np.random.default_rng(seed)
    return [generic_like(rng, out).astype(out.dtype) for out in outputs]


def gradients(spec, case, cotangents=None, dtype=np.float64, needs=None, **how):
    """The gradients of one call as arrays, None for inputs that are left out."""
    leaves, outputs = run(spec, case, dtype, needs)
    cotangents = cotangents_of(outputs) if cotangents is None else cotangents
    pairs = [(o, w) for o, w in zip(outputs, cotangents, strict=True) if o.requires_grad]
    wanted = [leaf for leaf in leaves if leaf.requires_grad]
    if not pairs or not wanted:
        return [np.zeros(x.shape, dtype) if x.requires_grad else None for x in leaves]
    found = tg.grad([o for o, _ in pairs], wanted, [w for _, w in pairs],
                    allow_unused=True, **how)  # fmt: skip
    found = iter(found)
    result = []
    for leaf in leaves:
        g = next(found) if leaf.requires_grad else None
        missing = leaf.requires_grad and g is None
        result.append(np.zeros(leaf.shape, dtype) if missing else g if g is None else g.numpy())
    return result


def dodged(spec, case, margin):
    """The case with its inputs away from kinks."""
    return case if spec.dodge is None else case._replace(inputs=spec.dodge(case.inputs, margin))


def check_derivatives(spec, case, seed=0):
    """First order by complex steps (or four points), second order by the same over gradients."""

    def fn(*inputs):
        return spec.fn(*inputs, **case.attrs)

    method = "complex" if spec.analytic else "central4"
    case = dodged(spec, case, 1e-9 if spec.analytic else 5e-3)  # four points look to both sides
    assert_gradients(
        fn, *case.inputs, method=method, order=2, kinks="ignore", seed=seed, name=spec.name
    )


def check_subgradients(spec, case, seed=0):
    """At kinks, too, a slope lies between those to the left and to the right."""
    for direction in range(3):  # a wrong slope may lie between the two of one direction
        _check_subgradient(spec, case, [seed, direction])


def _check_subgradient(spec, case, seed):
    _, outputs = run(spec, case)
    rng = np.random.default_rng(seed)
    ws = [generic_like(rng, out) for out in outputs]
    us = [generic_like(rng, x) for x in case.inputs]
    found = gradients(spec, case, ws)
    slope = inner(found, us)
    low = high = size = 0.0
    h = 2.0**-20  # exact where operands are multiples of 1/2

    def at(step):
        moved = tuple(x + step * u for x, u in zip(case.inputs, us, strict=True))
        return [o.numpy() for o in run(spec, case._replace(inputs=moved))[1]]

    for w, before, here, after in zip(ws, at(-h), at(0.0), at(h), strict=True):
        left, right = w * (here - before) / h, w * (after - here) / h
        low += np.minimum(left, right).sum()
        high += np.maximum(left, right).sum()
        size += np.maximum(np.abs(left), np.abs(right)).sum()
    # One-sided differences are right to h only, and smooth elements have nearly no interval.
    room = 1e-4 * (size + inner([np.abs(g) for g in found], [np.abs(u) for u in us]))
    assert low - room <= slope <= high + room, (
        f"{spec.name}: a slope of {slope} at a kink, but {low} and {high} beside it"
    )


def tolerance(spec, case, expected, dtype):
    """The error model: by how much rounding in this type may move results."""
    size = float(np.abs(expected).max(initial=0)) if np.size(expected) else 0.0
    if spec.scale is not None:
        size = max(size, spec.scale(*case.inputs, **case.attrs))
    terms = spec.terms(*case.inputs, **case.attrs)
    return ROOM * np.finfo(dtype).eps * np.sqrt(terms) * size + DENORMAL


def check_values(spec, case, dtype, layout="read_only"):
    """The value is the reference's, of the type of the operands, which are left alone."""
    inputs = tuple(relayout(x.astype(dtype), layout) for x in case.inputs)
    before = [x.copy() for x in inputs]
    results = outputs_of(spec.fn(*map(tg.Tensor, inputs), **case.attrs))
    wide = inputs if spec.exact else tuple(x.astype(np.float64) for x in inputs)
    expected = outputs_of(spec.reference(*wide, **case.attrs))
    assert len(results) == len(expected)
    for result, wanted in zip(results, expected, strict=True):
        value = np.asarray(result)
        wanted = np.asarray(wanted)
        assert value.shape == wanted.shape
        if isinstance(result, tg.Tensor) and spec.name != "astype":
            assert value.dtype == dtype
        if spec.exact:
            np.testing.assert_array_equal(value, wanted)
        else:
            allowed = tolerance(spec, case, wanted, dtype)
            np.testing.assert_allclose(value, wanted, rtol=0, atol=allowed)
    for x, old in zip(inputs, before, strict=True):
        np.testing.assert_array_equal(x, old)


def check_needs(spec, case):
    """Any inputs may be frozen: the others' gradients stay the same, to the bit."""
    full = gradients(spec, case)
    for needs in itertools.product([True, False], repeat=len(case.inputs)):
        if not any(needs):
            continue
        for g, wanted, need in zip(gradients(spec, case, needs=needs), full, needs, strict=True):
            if need:
                np.testing.assert_array_equal(g, wanted)
            else:
                assert g is None


def check_layouts(spec, case):
    """Neither the layout of an operand nor that of a cotangent changes what comes out."""
    _, outputs = run(spec, case)
    cotangents = cotangents_of(outputs)
    for layout in LAYOUTS:
        laid = case._replace(inputs=tuple(relayout(x, layout) for x in case.inputs))
        ws = [relayout(w, layout) for w in cotangents]
        same = case._replace(inputs=tuple(np.array(x) for x in laid.inputs))
        moved, plain = run(spec, laid)[1], run(spec, same)[1]
        for a, b in zip(moved, plain, strict=True):
            allowed = tolerance(spec, same, np.nan_to_num(b.numpy(), neginf=0), np.float64)
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=0, atol=allowed)
        plain = gradients(spec, same, [np.array(w) for w in ws])
        for a, b in zip(gradients(spec, laid, ws), plain, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-12 * np.abs(b).max(initial=1))
