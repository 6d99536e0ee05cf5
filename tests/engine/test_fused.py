"""An operation with several outputs and one backward behaves as the operations that it fuses."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.errors import GradientError
from tinygrad_rnn.primitive import Fused, run_fused


def leaf(values=(1.0, 2.0)):
    return tg.tensor(np.array(values), requires_grad=True)


def _halves(a, b, **attrs):
    """Two outputs: a * b and a + b."""
    return (a * b, a + b), None


def _halves_backward(residuals, gs, needs, a, b):
    gm, gs_ = gs
    parts = [np.zeros_like(a), np.zeros_like(b)]
    for number, other in ((0, b), (1, a)):
        if gm is not None:
            parts[number] += gm * other
        if gs_ is not None:
            parts[number] += gs_
    return [part if need else None for part, need in zip(parts, needs, strict=True)]


HALVES = Fused("halves", _halves, _halves_backward, lambda a, b: (a * b, a + b))


def halves(a, b):
    return run_fused(HALVES, (a, b), {})


def test_outputs_nobody_used_have_no_gradient():
    a, b = leaf(), leaf((3.0, 4.0))
    product, total = halves(a, b)
    product.sum().backward()
    assert (a.grad.tolist(), b.grad.tolist()) == ([3, 4], [1, 2])
    product, total = halves(a, b)
    (g,) = tg.grad((product + total * total).sum(), a)
    assert g.tolist() == [3 + 2 * 4, 4 + 2 * 6]


@pytest.mark.parametrize("create_graph", [False, True])
def test_an_input_that_leads_to_another_counts_once(create_graph):
    x = leaf()
    h = x * x
    product, total = halves(x, h)
    (g,) = tg.grad((product + total).sum(), x, create_graph=create_graph)
    np.testing.assert_allclose(g.numpy(), 3 * x.numpy() ** 2 + 1 + 2 * x.numpy())


def test_a_fused_operation_has_derivatives_of_any_order():
    a, b = leaf(), leaf((3.0, 4.0))
    frozen = tg.tensor(np.array([0.5, 0.5]))

    def second(f):
        product, total = f(a, b)
        g = tg.grad((product * product * total * frozen).sum(), [a, b], create_graph=True)
        return tg.grad(sum((x * x).sum() for x in g), [a, b])

    for fused, plain in zip(second(halves), second(lambda a, b: (a * b, a + b)), strict=True):
        np.testing.assert_allclose(fused.numpy(), plain.numpy())


def test_second_use_of_a_freed_fused_graph_is_named_through_any_output():
    a = leaf()
    product, total = halves(a, a)
    product.sum().backward()
    for output in (total, product):
        with pytest.raises(GradientError, match="has no saved arrays any more"):
            output.sum().backward()


def test_a_changed_output_of_several_is_noticed():
    a = leaf()
    product, total = halves(a, a)
    total.detach().assign_([0.0, 0.0])
    with pytest.raises(GradientError, match="the output of 'halves' has been changed"):
        product.sum().backward()
