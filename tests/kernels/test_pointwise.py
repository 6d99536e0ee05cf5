"""exp, tanh and sigmoid: how far from the truth they may be, and that bits never vary."""

import numpy as np
import pytest

from tinygrad_rnn.kernels.pointwise import exp, sigmoid, tanh

TRUTH = {
    exp: np.exp,
    tanh: np.tanh,
    sigmoid: lambda x: 1 / (1 + np.exp(-x)),
}


@pytest.mark.parametrize("function", TRUTH)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_common_values_are_close_to_the_truth(function, dtype):
    x = np.random.default_rng(0).normal(size=1001).astype(dtype) * 10
    truth = TRUTH[function](x.astype(np.longdouble))
    bound = 3e-7 if dtype == "float32" else 1e-15
    np.testing.assert_allclose(function(x).astype(np.longdouble), truth, rtol=bound)
