"""Every operation on a GPU: the numbers of the CPU, and both derivatives, from the same specs."""

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.ops.specs import SPECS
from tinygrad_rnn import Tensor, grad
from tinygrad_rnn.device import to_device
from tinygrad_rnn.kernels._twin import use_reference
from tinygrad_rnn.testing.numeric import as_list

ROOM = 1e-10  # against the definition in float64

RUN = [spec for spec in SPECS.values() if spec.name != "to"]  # which goes where it is told
# What only other operations call, which have sent all arrays to the device.
OF_ONE_DEVICE = {"linear_cross_entropy_gradient"}


def close(found, expected, what):
    """Assert that numbers of the device are those of the CPU, and where they are."""
    if isinstance(expected, Tensor):
        assert isinstance(found, Tensor), what
        found, expected = found._data, expected._data
    assert type(found).__module__ == "cupy", f"{what} is a {type(found)}"
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape), what
    room = ROOM * max(1.0, np.abs(np.nan_to_num(expected)).max(initial=0.0))
    np.testing.assert_allclose(found.get(), expected, rtol=0, atol=room, err_msg=what)


def moved(value, device):
    """Arrays of the host in attributes, such as indices and masks, brought to the device."""
    if isinstance(value, tuple | list):
        return type(value)(moved(item, device) for item in value)
    return to_device(value, device) if isinstance(value, np.ndarray) else value


def run(spec, case, device):
    """Results, gradients and gradients of those, on a device."""
    leaves = [Tensor(to_device(x, device), requires_grad=True) for x in case.inputs]
    outputs = as_list(spec.subject(case)(*leaves))
    started = [out for out in outputs if isinstance(out, Tensor) and out.requires_grad]
    first = second = []
    if started and spec.smooth:
        rng = np.random.default_rng(5)
        ws = [_drawn(rng, out, device) for out in started]
        first = grad(started, leaves, ws, create_graph=True, allow_unused=True)
        plain = grad(started, leaves, ws, retain_graph=True, allow_unused=True)
        again = [g for g in first if g is not None and g.requires_grad]
        vs = [_drawn(rng, g, device) for g in again]
        second = grad(again, leaves, vs, allow_unused=True) if again else []
        first = [*first, *plain]
    return outputs, [*first, *second]


def _drawn(rng, like, device):
    return Tensor(to_device(rng.standard_normal(like.shape), device))


@pytest.mark.parametrize("spec", RUN, ids=str)
def test_an_operation_gives_what_the_cpu_gives(spec, on_gpu):
    sides = (spec.sample(1), spec.sample(0)) if spec.empty else (spec.sample(1),)

    @settings(
        max_examples=4, derandomize=True, deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.one_of(sides), st.booleans())
    def same(case, there):
        if spec.dodge:
            case = spec.dodged(case, 1e-3)
        with use_reference():
            outputs, slopes = run(spec, case, "cpu")
        if there or spec.name in OF_ONE_DEVICE:
            case = case._replace(attrs={k: moved(v, "gpu") for k, v in case.attrs.items()})
        found, found_slopes = run(spec, case, "gpu")
        for number, (a, b) in enumerate(zip(found, outputs, strict=True)):
            close(a, b, f"result {number}")
        for number, (a, b) in enumerate(zip(found_slopes, slopes, strict=True)):
            assert (a is None) == (b is None)
            if b is not None:
                close(a, b, f"gradient {number}")

    same()


@pytest.mark.parametrize("spec", [s for s in RUN if s.name not in OF_ONE_DEVICE], ids=str)
def test_all_of_an_operation_happens_where_its_operands_are(spec, standin):
    """Also where that is not the GPU on which a thread makes what it makes."""

    @settings(
        max_examples=1, derandomize=True, deadline=None, database=None,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate],
    )  # fmt: skip
    @given(spec.sample(1))
    def there(case):
        case = case._replace(attrs={k: moved(v, "gpu:1") for k, v in case.attrs.items()})
        found, slopes = run(spec, case, "gpu:1")
        arrays = [getattr(x, "_data", x) for x in (*found, *slopes) if x is not None]
        assert {array.device.id for array in arrays} == {1}
        assert standin.peak[0] == 0

    there()
