"""Derivatives are right, and behave: every operation, first and second order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.ops.checks import (
    check_derivatives,
    check_layouts,
    check_needs,
    check_subgradients,
    cotangents_of,
    gradients,
    run,
)
from tests.ops.specs import SMOOTH
from tinygrad_rnn.testing import strategies as gs

every = pytest.mark.parametrize("spec", SMOOTH, ids=str)
HALF = settings(max_examples=max(settings.default.max_examples // 2, 5))


@every
@given(st.data(), gs.seeds())
def test_first_and_second_derivatives(spec, data, seed):
    check_derivatives(spec, data.draw(spec.sample(1)), seed)


@pytest.mark.parametrize("spec", [s for s in SMOOTH if s.dodge and s.bounded], ids=str)
@given(st.data(), gs.seeds())
def test_slopes_at_kinks_lie_between_those_beside_them(spec, data, seed):
    check_subgradients(spec, data.draw(spec.sample(1)), seed)


@every
@HALF
@given(st.data())
def test_frozen_inputs_change_nothing_for_the_others(spec, data):
    check_needs(spec, data.draw(spec.sample(1)))


@every
@settings(max_examples=max(settings.default.max_examples // 4, 3))
@given(st.data())
def test_layouts_of_operands_and_cotangents_do_not_matter(spec, data):
    check_layouts(spec, data.draw(spec.sample(1)))


@every
@HALF
@given(st.data(), st.floats(-2, 2))
def test_gradients_are_linear_in_the_cotangent(spec, data, factor):
    case = data.draw(spec.sample(1))
    _, outputs = run(spec, case)
    w, v = cotangents_of(outputs, 1), cotangents_of(outputs, 2)
    mixed = gradients(spec, case, [a + factor * b for a, b in zip(w, v, strict=True)])
    for whole, a, b in zip(mixed, gradients(spec, case, w), gradients(spec, case, v), strict=True):
        size = np.abs(a).max(initial=0) + abs(factor) * np.abs(b).max(initial=0)
        np.testing.assert_allclose(whole, a + factor * b, rtol=0, atol=1e-12 * max(size, 1))
    for zero in gradients(spec, case, [np.zeros(o.shape) for o in outputs]):
        assert not zero.any()


@every
@HALF
@given(st.data())
def test_gradients_share_no_memory(spec, data):
    """Neither with each other nor with cotangents and operands: each may be written."""
    case = data.draw(spec.sample(1))
    leaves, outputs = run(spec, case)
    cotangents = [tg.Tensor(w) for w in cotangents_of(outputs)]
    pairs = [(o, w) for o, w in zip(outputs, cotangents, strict=True) if o.requires_grad]
    if not pairs:
        return
    found = tg.grad([o for o, _ in pairs], leaves, [w for _, w in pairs], allow_unused=True)
    arrays = [g._data for g in found if g is not None]
    others = [x._data for x in leaves + outputs + cotangents]
    for i, array in enumerate(arrays):
        for other in arrays[i + 1 :] + others:
            assert not np.shares_memory(array, other)
        assert array.flags.writeable or not array.size


@every
@HALF
@given(st.data())
def test_backward_adds_and_repeats_itself(spec, data):
    case = data.draw(spec.sample(1))
    leaves, outputs = run(spec, case)
    expected = gradients(spec, case)
    ws = [tg.Tensor(w) for w in cotangents_of(outputs)]
    pairs = [(o, w) for o, w in zip(outputs, ws, strict=True) if o.requires_grad]
    if not pairs:
        return
    before = [(o.numpy().copy(), w.numpy().copy()) for o, w in pairs]
    once = []
    for _ in range(2):
        tg.backward([o for o, _ in pairs], [w for _, w in pairs], retain_graph=True)
        once.append([None if x.grad is None else x.grad.numpy().copy() for x in leaves])
    for first, second, wanted in zip(*once, expected, strict=True):
        if first is None:
            assert not wanted.any()
            continue
        np.testing.assert_array_equal(first, wanted)
        np.testing.assert_array_equal(second, first + first)
    for (o, w), (old, seed) in zip(pairs, before, strict=True):
        np.testing.assert_array_equal(o.numpy(), old)
        np.testing.assert_array_equal(w.numpy(), seed)
