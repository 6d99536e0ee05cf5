"""Gradients that meet add up, whatever their shape, and nobody else's array is written."""

import numpy as np
import pytest

import tinygrad_rnn as tg


@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
@pytest.mark.parametrize("uses", [1, 2, 3, 5])
def test_a_result_used_several_times_gets_every_gradient(shape, uses):
    x = tg.tensor(np.full(shape, 0.5), requires_grad=True)
    y = x * 3.0
    total = y * 2.0
    for _ in range(uses - 1):
        total = total + y * 2.0
    (g,) = tg.grad(total, x, np.ones(shape), retain_graph=True)
    np.testing.assert_array_equal(g.numpy(), np.full(shape, 6.0 * uses))
    total.backward(np.ones(shape))
    np.testing.assert_array_equal(x.grad.numpy(), np.full(shape, 6.0 * uses))


def test_gradients_are_arrays_of_their_own():
    """One that became somebody's .grad would otherwise grow together with another's."""
    a, b = (tg.tensor(np.ones(2), requires_grad=True) for _ in range(2))
    c = a + b
    w = tg.tensor(np.ones(2))
    found = tg.grad(c + b, [a, b, b, c], w, retain_graph=True)
    arrays = [g._data for g in found] + [w._data]
    for i, array in enumerate(arrays):
        assert not any(np.shares_memory(array, other) for other in arrays[i + 1 :])
    a.grad, b.grad = tg.grad(c, [a, b], w, retain_graph=True)
    (a * 10.0).backward(w)
    assert a.grad.tolist() == [11, 11]
    assert b.grad.tolist() == [1, 1]
