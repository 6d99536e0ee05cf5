"""What equations may say: comparisons, infinities, options that change."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn, ops


class Scaled(nn.Cell):
    state = ("h",)
    params = {"w": "I H"}
    scale = 1.0

    def step(self, x, h, p):
        return (x @ p.w) * (self.scale if self.training else 10.0) + h


def test_an_option_that_changes_changes_the_program():
    cell = Scaled(3, 5)
    x = tg.randn(1, 2, 3)
    layer = nn.Recurrent(cell)
    first = layer(x)[0].numpy()
    cell.scale = 3.0
    np.testing.assert_allclose(layer(x)[0].numpy(), 3 * first, rtol=1e-6)
    layer.eval()
    np.testing.assert_allclose(layer(x)[0].numpy(), 10 * first, rtol=1e-6)


@pytest.mark.parametrize(
    ("fused", "function"),
    [
        (True, lambda z: ops.where(z == 0, 1.0, z)),
        (True, lambda z: z.clip(-float("inf"), 1.0)),
        (True, lambda z: z.minimum(np.inf)),
        (False, lambda z: (z > 0) * z + z),
        (False, lambda z: ops.where((z > 0) * (z < 1), z, 0.0)),
        (False, lambda z: (z != 0) * z),
    ],
)
@pytest.mark.filterwarnings("ignore:.*step by step")
def test_comparisons_and_infinities_are_fused_or_run_step_by_step(fused, function):
    layer = nn.RNN(3, 4, nonlinearity=function)
    x = tg.randn(4, 2, 3)
    y, _ = layer(x)
    cell = layer.cells()[0]
    assert cell.plan == ("fused" if fused else "composite")
    h = tg.zeros(2, 4)
    for t in range(4):
        h = tg.Tensor(np.asarray(function(x[t] @ cell.w_x + h @ cell.w_h + cell.b)))
        np.testing.assert_allclose(y[t].numpy(), h.numpy(), rtol=1e-5, atol=1e-6)
