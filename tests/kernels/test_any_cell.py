"""Whatever equations a cell has, its kernel is right: beside the same in operations on Tensors.

Memory that nobody has written is NaN here, so that gradients that were left out are found.
"""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.kernels.any_cell import any_cell
from tinygrad_rnn import nn, ops
from tinygrad_rnn.kernels import _memory
from tinygrad_rnn.kernels._jit import DISABLED

SEEDS = range(150 if DISABLED else 6)  # to compile one takes seconds


@pytest.fixture(autouse=True)
def poisoned():
    _memory.poison()
    yield
    _memory.poison(False)


def cell_of(state, params, step, input="I"):
    return type("Own", (nn.Cell,), {"state": state, "params": params, "step": step, "input": input})


def first_half(self, x, h, p):
    used, _ = (h @ p.w).chunk(2)
    return (x @ p.v + used).tanh()


def half_and_whole(self, x, h, c, p):
    a, _ = (h @ p.w).chunk(2)
    u, v = (c @ p.w).chunk(2)
    return a.tanh() * x, u.sigmoid() * v.tanh()


def two_overlapping_parts(self, x, h, c, p):
    _, a, b = (h @ p.w).chunk(3)
    u, v, _ = (c @ p.w).chunk(3)
    return a.tanh() * x + b, u.sigmoid() * v.tanh()


def condition_of_x(self, x, h, p):
    return ops.where(x > 0, (h @ p.w).tanh(), h)


def sign_of_x(self, x, h, p):
    return (h @ p.w + x @ p.v).tanh() * x.sign()


def block_of_x_as_condition(self, x, h, p):
    a, b = x.chunk(2)
    return ops.where(b > 0, (h @ p.w + a).tanh(), h)


def number_over_two_widths(self, x, h, c, p):
    return (h * p.a + x @ p.v).tanh(), (c * p.a).tanh()


def made_number_over_two_widths(self, x, h, c, p):
    a = p.a.sigmoid() * p.k
    return (h * a + x @ p.v).tanh() * p.k, (c * a + p.a).tanh()


def product_of_a_bias(self, x, h, p):
    return (x @ p.v + h + p.b @ p.w).tanh()


def bias_behind_a_norm(self, x, h, p):
    return ((h @ p.w + x @ p.v).layer_norm() + p.b).tanh()


def bias_behind_the_norm_of_a_state(self, x, h, p):
    return ((h.layer_norm() + p.b) @ p.w + x @ p.v).tanh()


def bias_behind_two_norms(self, x, h, p):
    return ((h @ p.w).layer_norm() + (x @ p.v).layer_norm() + p.b).tanh()


def states_that_are_called_as_kernels_call_theirs(self, x, h, h_new, h_again, h_old_t, hnew, p):
    c = (x @ p.v + h_new * h).tanh()
    return h_again * c, c, h_old_t + h, c * hnew, (h + c).sin()


WIDE = {"h": "H", "c": "P"}
NORMED = {"w": "H H", "v": "I H", "b": "H"}
NAMES = ("h", "h_new", "h_again", "h_old_t", "hnew")
FOUND = [
    (cell_of(("h",), {"w": "H 2H", "v": "I H"}, first_half), (2, 3), {}),
    (cell_of(("h", "c"), {"w": "H 2H"}, half_and_whole, "H"), (3, 3), {}),
    (cell_of(("h", "c"), {"w": "H 3H"}, two_overlapping_parts, "H"), (3, 3), {}),
    (cell_of(("h",), {"w": "H H"}, condition_of_x, "H"), (3, 3), {}),
    (cell_of(("h",), {"w": "H H", "v": "H H"}, sign_of_x, "H"), (3, 3), {}),
    (cell_of(("h",), {"w": "H H"}, block_of_x_as_condition, "2H"), (6, 3), {}),
    (cell_of(WIDE, {"v": "I H", "a": ""}, number_over_two_widths), (2, 3), {"P": 40}),
    (cell_of(WIDE, {"v": "I H", "a": "", "k": ""}, made_number_over_two_widths), (2, 7), {"P": 3}),
    (cell_of(("h",), {"v": "I H", "b": "H", "w": "H H"}, product_of_a_bias), (2, 3), {}),
    (cell_of(("h",), NORMED, bias_behind_a_norm), (2, 3), {}),
    (cell_of(("h",), NORMED, bias_behind_the_norm_of_a_state), (2, 3), {}),
    (cell_of(("h",), NORMED, bias_behind_two_norms), (2, 3), {}),
    (cell_of(NAMES, {"v": "I H"}, states_that_are_called_as_kernels_call_theirs), (2, 3), {}),
]


def gradients(layer, fused, x, states, how):
    """What comes out, and the gradient of everything, None being zeros."""
    cell = layer.cells()[0]
    cell.fused = fused
    tg.seed(7)  # of what options drop
    given = tuple(s[None] for s in states)
    y, last = layer(x, given if len(given) > 1 else given[0], **how)
    last = last if isinstance(last, tuple) else (last,)
    goal = y.sin().sum() + sum(s.square().sum() for s in last)
    inputs = [*states, *cell.parameters()] + ([] if x is None else [x])
    found = tg.grad(goal, inputs, allow_unused=True)
    return [y.numpy(), *last] + [
        np.zeros(i.shape) if g is None else g.numpy() for i, g in zip(inputs, found, strict=True)
    ]


def check(cell, seed=0, **options):
    rng = np.random.default_rng(seed)
    T, B = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    layer = nn.Recurrent(cell, reverse=bool(rng.integers(2)), **options)
    draw = lambda *shape: tg.tensor(rng.normal(size=shape), requires_grad=True)
    x = None if cell.input is None else draw(T, B, cell.input_size)
    states = [draw(B, width) for width in cell.state_sizes.values()]
    how = {"steps": T} if x is None else {}
    mask = {"lengths": rng.integers(0, T + 1, B)}
    mask = mask if seed % 2 else {"mask": rng.random((T, B)) < 0.6}
    for more in ({}, mask):
        plain = gradients(layer, False, x, states, how | more)
        for _ in range(1 if DISABLED else 3):  # what is met again is written down
            fused = gradients(layer, "require", x, states, how | more)
            for one, other in zip(fused, plain, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(("kind", "sizes", "more"), FOUND, ids=[f[0].step.__name__ for f in FOUND])
def test_cells_that_were_wrong_once(kind, sizes, more):
    tg.seed(1)
    for seed in range(4):
        check(kind(*sizes, **more).astype(np.float64), seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_any_cell(seed):
    check(any_cell(seed), seed)


@pytest.mark.parametrize("seed", range(100 if DISABLED else 2))
def test_any_cell_with_options(seed):
    rng, cell = np.random.default_rng(seed), any_cell(1000 + seed)
    options = {
        "layer_norm": True, "zoneout": 0.3, "state_clip": 0.4, "recurrent_dropout": 0.3,
        "activation": "sigmoid", "weight_drop": 0.3, "recompute": 2, "truncate": 2,
    }  # fmt: skip
    options |= {} if cell.input is None else {"input_dropout": 0.3}
    chosen = {name: value for name, value in options.items() if rng.random() < 0.4}
    check(cell, seed, **chosen)


def test_a_state_of_weights_alone_that_is_drawn_from():
    def step(self, x, h, c, p):
        return (x @ p.v + h * c).tanh(), p.b.tanh()

    kind = cell_of(("h", "c"), {"v": "I H", "b": "H"}, step)
    for seed in range(4):
        check(kind(2, 3).astype(np.float64), seed, zoneout=0.3)
