"""Values are NumPy's: in both element types, for every layout, without touching an operand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.ops.checks import (
    DENORMAL,
    ROOM,
    check_values,
    cotangents_of,
    gradients,
    outputs_of,
    run,
    tolerance,
)
from tests.ops.specs import SMOOTH, SPECS
from tinygrad_rnn.testing.arrays import LAYOUTS, relayout

every = pytest.mark.parametrize("spec", SPECS.values(), ids=str)
HALF = settings(max_examples=max(settings.default.max_examples // 2, 5))


@every
@given(st.data())
def test_the_value_is_the_references(spec, data):
    case = data.draw(spec.sample(1))
    check_values(spec, case, np.float64)
    check_values(spec, case, np.float32)


@every
@HALF
@given(st.data(), st.sampled_from([np.float32, np.float64]))
def test_operands_may_lie_anywhere(spec, data, dtype):
    case = data.draw(spec.sample(1))
    for layout in LAYOUTS:
        inputs = tuple(np.array(relayout(x, layout)) for x in case.inputs)
        check_values(spec, case._replace(inputs=inputs), dtype, layout)


@pytest.mark.parametrize("spec", [s for s in SPECS.values() if s.empty], ids=str)
@HALF
@given(st.data())
def test_axes_of_size_0_are_like_any_other(spec, data):
    case = data.draw(spec.sample(0))
    check_values(spec, case, np.float64)
    if spec.smooth:
        for g, x in zip(gradients(spec, case), case.inputs, strict=True):
            assert g.shape == x.shape
            assert g.dtype == np.float64


@pytest.mark.parametrize("spec", [s for s in SMOOTH if s.comparable], ids=str)
@HALF
@given(st.data())
def test_float32_keeps_its_type_and_follows_float64(spec, data):
    """Values and gradients of float32 operands against those of the same numbers in float64."""
    case = data.draw(spec.sample(1))
    case = case._replace(inputs=tuple(x.astype(np.float32).astype(float) for x in case.inputs))
    _, narrow = run(spec, case, np.float32)
    _, wide = run(spec, case, np.float64)
    if spec.name == "astype":
        return
    for a, b in zip(narrow, wide, strict=True):
        assert a.dtype == np.float32
        allowed = tolerance(spec, case, np.nan_to_num(b.numpy(), neginf=0), np.float32)
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=0, atol=allowed)
    check_narrow_gradients(spec, case)


@pytest.mark.parametrize("spec", [s for s in SPECS.values() if s.laws], ids=str)
@given(st.data())
def test_laws(spec, data):
    case = data.draw(spec.sample(1))
    inputs = tuple(relayout(x, "read_only") for x in case.inputs)
    for law in spec.laws:
        law(*inputs, **case.attrs)


@pytest.mark.parametrize("spec", [s for s in SPECS.values() if s.linear], ids=str)
@given(st.data(), st.floats(-2, 2), st.floats(-2, 2))
def test_linear_functions_are(spec, data, a, b):
    case = data.draw(spec.sample(1))
    rng = np.random.default_rng(3)

    def of(*inputs):
        return [o.numpy() for o in outputs_of(spec.fn(*map(tg.Tensor, inputs), **case.attrs))]

    linear = range(len(case.inputs)) if spec.name in ("concat", "stack") else spec.linear
    linear = [i for i in linear if i < len(case.inputs)]
    other = [rng.standard_normal(x.shape) if i in linear else x for i, x in enumerate(case.inputs)]
    mixed = [a * x + b * y if i in linear else x
             for i, (x, y) in enumerate(zip(case.inputs, other, strict=True))]  # fmt: skip
    for whole, x, y in zip(of(*mixed), of(*case.inputs), of(*other), strict=True):
        np.testing.assert_allclose(whole, a * x + b * y, rtol=0, atol=1e-12 * (1 + elements(x, y)))


def check_narrow_gradients(spec, case):
    """Slopes of float32 operands, of their type, against those in float64."""
    ws = [w.astype(np.float32) for w in cotangents_of(run(spec, case)[1])]
    wide = gradients(spec, case, [w.astype(np.float64) for w in ws])
    terms = max(spec.terms(*case.inputs, **case.attrs), *(w.size for w in ws), 1)
    size = max(float(np.abs(g).max(initial=0)) for g in wide)  # S, too, is over all operands
    if spec.slope_scale is not None:
        steepest = spec.slope_scale(*case.inputs, **case.attrs)
        size = max(size, steepest * max(float(np.abs(w).max(initial=0)) for w in ws))
    allowed = ROOM * np.finfo(np.float32).eps * np.sqrt(terms) * size + DENORMAL
    for g, wanted in zip(gradients(spec, case, ws, np.float32), wide, strict=True):
        assert g.dtype == np.float32
        np.testing.assert_allclose(g, wanted, rtol=0, atol=allowed)


def elements(*arrays):
    return max(float(np.abs(x).max(initial=0)) for x in arrays) * 10
