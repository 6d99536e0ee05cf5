"""Masks with every flag: the kernel is the program run line by line, gradients included."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.ops.specs_recurrence import NAMES, PROGRAM
from tinygrad_rnn import ops
from tinygrad_rnn.kernels.recurrence.reference import CUT, HOLD, RESET, STEP

I, H = 2, 3


def tensors(rng, *shapes):
    return [tg.Tensor(rng.standard_normal(shape)).requires_grad_() for shape in shapes]


def draw(T, B, seed):
    """The input, states, restart and weights."""
    rng = np.random.default_rng(seed)
    rows = [(B, H)] * 4
    return tensors(rng, (T, B, I), *rows, (I, 2 * H), (H, 2 * H), (2 * H,))


def run(inputs, mask, reverse, **how):
    """Outputs and final states, and the gradients of all inputs."""
    x, h, c, h_again, c_again, *weights = inputs
    y, finals = ops.recurrence(
        PROGRAM, x, [h, c], dict(zip(NAMES, weights, strict=True)),
        restart=[h_again, c_again], mask=mask, reverse=reverse, **how,
    )  # fmt: skip
    rng = np.random.default_rng(5)
    found = [y, *finals]
    loss = sum((part * rng.standard_normal(part.shape)).sum() for part in found)
    return found, tg.grad(loss, inputs, allow_unused=True)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_the_kernel_is_the_program_line_by_line(seed, reverse):
    T, B = 6 - seed % 3, 1 + seed % 5
    codes = [HOLD, STEP, STEP, RESET, CUT, STEP | RESET, STEP | CUT, RESET | CUT, 7]
    mask = np.random.default_rng(seed).choice(codes, (T, B)).astype(np.uint8)
    inputs = draw(T, B, seed)
    fused, d_fused = run(inputs, mask, reverse, composite=False)
    composite, d_composite = run(inputs, mask, reverse, composite=True)
    again, d_again = run(inputs, mask, reverse, recompute=1 + seed % 4)
    for a, b, c in zip(fused, composite, again, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)
        np.testing.assert_array_equal(a, c)
    for a, b in [*zip(d_fused, d_composite, strict=True), *zip(d_fused, d_again, strict=True)]:
        a, b = (0 if g is None else g.numpy() for g in (a, b))
        np.testing.assert_allclose(a, b, atol=1e-12)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_cut_is_a_detached_state(reverse):
    T, B, cut = 5, 3, 2  # before this step of the run
    x, h, c, _, _, *weights = draw(T, B, 0)
    params = dict(zip(NAMES, weights, strict=True))
    mask = np.full((T, B), STEP, np.uint8)
    mask[T - 1 - cut if reverse else cut] |= CUT
    y, finals = ops.recurrence(PROGRAM, x, [h, c], params, mask=mask, reverse=reverse)
    first, second = (x[T - cut :], x[: T - cut]) if reverse else (x[:cut], x[cut:])
    y_1, between = ops.recurrence(PROGRAM, first, [h, c], params, reverse=reverse)
    between = [state.detach() for state in between]
    y_2, by_hand = ops.recurrence(PROGRAM, second, between, params, reverse=reverse)
    pieces = ops.concat([y_2, y_1] if reverse else [y_1, y_2])
    wanted = [x, h, c, *weights]
    losses = [(y * y).sum() + finals[1].sum(), (pieces * pieces).sum() + by_hand[1].sum()]
    for a, b in zip(*(tg.grad(loss, wanted) for loss in losses), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)
    np.testing.assert_array_equal(y, pieces)
