"""Kernels that are written for cells with options compute what their lines say.

Not compiled, every cell with every option; compiled, which takes seconds for each program, a
few cells and sets of options that have each other's parts, and all pairs at night.
"""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import settings

import tinygrad_rnn as tg
from tests.nn.cell_list import CELLS, draw, make
from tests.nn.test_cell_options import OPTIONS, TOGETHER
from tinygrad_rnn import nn
from tinygrad_rnn.kernels._jit import DISABLED
from tinygrad_rnn.kernels._pool import num_threads, set_num_threads
from tinygrad_rnn.kernels.recurrence.reference import HOLD, RESET, STEP

T, B, I = 3, 2, 2
H = 9 if DISABLED else 19  # more than one vector of units, and a part of one
MASK = np.array([[STEP, STEP], [STEP | RESET, HOLD], [STEP, STEP]], np.uint8)
CALLS = ({}, {"mask": MASK}, {"mask": MASK, "reverse": True})

NIGHTLY = settings.default.max_examples > 100
compiled = pytest.mark.skipif(DISABLED, reason="nothing is compiled under NUMBA_DISABLE_JIT=1")

# Of options that touch the same places of a program: after, before, without the others.
SETS = [
    ("gru_before", {"input_dropout": 0.4, "zoneout": 0.3, "layer_norm": True}),
    ("mgu", {"recurrent_dropout": 0.4, "locked": False, "proj_size": 2, "state_clip": 0.5}),
]


def takes(name, option):
    return name != "autonomous" or "input_dropout" not in OPTIONS[option]


def generic(cell):
    """Weights that no option starts with: gains of 1, shifts of 0."""
    rng = np.random.default_rng(3)
    for weight in cell.parameters():
        more = 0.3 * rng.standard_normal(weight.shape)
        weight.assign_(weight.numpy() + more.astype(weight.dtype))
    return cell


def results(cell, how):
    """Outputs, final states, and the gradients of a weighted sum of them all."""
    x, states = draw(cell, T, B)
    x = None if x is None else tg.tensor(x, requires_grad=True)
    states = [tg.tensor(s, requires_grad=True) for s in states]
    y, finals = cell.sequence(x, states, steps=T if x is None else None, **how)
    rng = np.random.default_rng(4)
    loss = sum((out * rng.uniform(0.5, 1.5, out.shape)).sum() for out in (y, *finals))
    named = {f"state {k}": s for k, s in enumerate(states)} | dict(cell.named_parameters())
    named |= {} if x is None else {"x": x}
    grads = tg.grad(loss, list(named.values()))
    found = {f"gradient of {name}": g for name, g in zip(named, grads, strict=True)}
    found |= {"y": y} | {f"final state {k}": s for k, s in enumerate(finals)}
    return {name: np.array(t.numpy()) for name, t in found.items()}


def check(name, options):
    """The kernel against the lines of its program, both ways, with rows held and put back."""
    cell = generic(make(name, I, H).configure(**options))
    noise = tg.random.noise(first_step=5, rows=[7, 2**32 - 1])
    for how in CALLS:
        cell.fused = "require"
        fused = results(cell, {**how, "noise": noise})
        cell.fused = False
        for what, value in results(cell, {**how, "noise": noise}).items():
            bound = 1e-11 * max(1.0, abs(value).max(initial=0))
            np.testing.assert_allclose(
                fused[what], value, rtol=0, atol=bound, err_msg=f"{name}, {list(how)}, {what}"
            )


def check_rows(name, options):
    """The gradients of each row's own loss, in one walk and in a walk for each."""
    cell = generic(make(name, I, H).configure(**options))
    cell.fused = "require"
    x, states = draw(cell, T, B)
    states = [tg.tensor(s) for s in states]
    x = None if x is None else tg.tensor(x)
    how = {"noise": tg.random.noise(), "mask": MASK, "steps": T if x is None else None}
    y, finals = cell.sequence(x, states, **how)
    losses = (y * y).sum(axis=(0, 2)) + sum((s * s).sum(axis=1) for s in finals)
    weights = list(cell.parameters())
    by_rows = tg.per_sample_grads(losses, weights)
    for b in range(B):
        alone = tg.grad(losses[b], weights, retain_graph=True)
        for (what, _), row, one in zip(cell.named_parameters(), by_rows, alone, strict=True):
            bound = 1e-11 * max(1.0, abs(one.numpy()).max())
            np.testing.assert_allclose(
                row.numpy()[b], one.numpy(), rtol=0, atol=bound, err_msg=f"{name}, {what}"
            )


@pytest.mark.skipif(not DISABLED, reason="compiled: the sets below; this is for Python")
@pytest.mark.parametrize("option", OPTIONS)
def test_every_cell_with_every_option_in_python(option):
    for name in CELLS:
        if takes(name, option):
            check(name, OPTIONS[option])
            check_rows(name, OPTIONS[option])


@compiled
@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), SETS, ids=[name for name, _ in SETS])
def test_sets_of_options(name, options):
    check(name, options)
    check_rows(name, options)


@compiled
@pytest.mark.skipif(not NIGHTLY, reason="compiles a kernel for each pair: for the night")
@pytest.mark.parametrize("option", OPTIONS)
def test_every_cell_with_every_option(option):
    for name in CELLS:
        if takes(name, option):
            check(name, OPTIONS[option])
            check_rows(name, OPTIONS[option])


# ----- bits -----

# Compiled for tests/nn/test_cell_options.py: all options at once.
LAYERS = [(nn.LSTM, "float32"), (nn.GRU, "float64")]
STEPS, ROWS = 6, 9
LENGTHS = np.array([6, 0, 3, 6, 1, 5, 2, 6, 4])


def layer_of(kind, dtype):
    layer = kind(I, H, bidirectional=True, fused="require", **TOGETHER).astype(dtype)
    generic(layer)
    rng = np.random.default_rng(5)
    return layer, rng.standard_normal((STEPS, ROWS, I)).astype(dtype)


def of_rows(layer, x, noise, rows, *, masked, create_graph=False):
    """Some rows in a batch of their own: outputs, final states, and all gradients."""
    x = tg.tensor(x[:, rows], requires_grad=True)
    noise = replace(noise, rows=noise.rows[rows])
    y, finals = layer(x, noise=noise, lengths=LENGTHS[rows] if masked else None)
    finals = finals if isinstance(finals, tuple) else (finals,)
    loss = (y * y).sum() + sum((s * s * 0.3).sum() for s in finals)
    inputs = [x, *layer.parameters()]
    return [t.numpy() for t in (y, *finals, *tg.grad(loss, inputs, create_graph=create_graph))]


@compiled
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("kind", "dtype"), LAYERS)
def test_a_row_has_its_bits_in_any_batch_and_on_any_number_of_threads(kind, dtype, masked):
    layer, x = layer_of(kind, dtype)
    noise = tg.random.noise(first_step=3, rows=np.arange(ROWS) * 1000)
    count = 2 + len(layer.layout.names)  # y, the final states, and the gradient of x
    before = num_threads()
    try:
        set_num_threads(1)
        whole = of_rows(layer, x, noise, np.arange(ROWS), masked=masked)
        for threads, rows in product((1, 2), (np.arange(ROWS), [4], [8, 1, 5, 0], [7, 7, 2])):
            set_num_threads(threads)
            found = of_rows(layer, x, noise, np.array(rows), masked=masked)
            for value, expected in zip(found[:count], whole, strict=False):
                np.testing.assert_array_equal(value, expected[:, rows])
    finally:
        set_num_threads(before)


@compiled
@pytest.mark.parametrize("masked", [False, True])
def test_a_replay_drops_what_the_kernel_has_dropped(masked):
    layer, x = layer_of(nn.GRU, "float64")
    noise = tg.random.noise(rows=np.arange(ROWS))
    once = of_rows(layer, x, noise, slice(None), masked=masked)
    again = of_rows(layer, x, noise, slice(None), masked=masked, create_graph=True)
    for value, expected in zip(again, once, strict=True):
        bound = 1e-11 * max(1.0, abs(expected).max())
        np.testing.assert_allclose(value, expected, rtol=0, atol=bound)
