"""A trace tells of every step what the cell, unrolled step by step on Tensors, says of it."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.nn.cell_list import CELLS, draw, make
from tinygrad_rnn import nn, ops
from tinygrad_rnn.errors import GradientError
from tinygrad_rnn.kernels.recurrence.reference import lines
from tinygrad_rnn.ops.recurrence import OVER_TENSORS

T, B = 5, 3
HELD = np.array([[0, 0, 1], [0, 1, 1], [0, 0, 1], [0, 0, 0], [1, 0, 0]], bool)


RESETS = np.array([[0, 1, 0], [0, 0, 0], [1, 1, 0], [0, 0, 0], [0, 1, 1]], bool)


def unrolled(cell, x, states, held, resets, reverse):
    """y (T, B, width), the final states, and of each step its rows by name, and its weights."""
    program, names = cell.program, cell.row_names
    outputs, rows, weights = [None] * T, [None] * T, [None] * T
    state_names = [name for name, _ in program.states]
    for t in reversed(range(T)) if reverse else range(T):
        boundary = t + 1 if reverse else t
        if boundary < T:
            states = [ops.where(resets[boundary][:, None], 0.0, s) for s in states]
        weights[t] = {n: w.detach().requires_grad_() for n, w in cell.weights().items()}
        known = {}
        for number, op in enumerate(program.operations):
            if op.name in ("input", "state"):
                known[number] = x[t] if op.name == "input" else states[op["index"]]
        every = range(len(program.operations))
        values = lines(program, OVER_TENSORS, known, weights[t], every, np.float64)
        pause = held[t][:, None]
        new = [values[r] for r in program.results]
        rows[t] = {name: values[line] for name, line in names.items()}
        after = [ops.where(pause, s, n) for s, n in zip(states, new, strict=True)]
        rows[t]["after"] = dict(zip(state_names, after, strict=True))
        outputs[t] = ops.where(pause, 0.0, values[program.output])
        states = after
    return ops.stack(outputs), states, rows, weights


def agree(got, want):
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-10)


def check(cell, masked=False, reverse=False, reset=False):
    """All of a trace, against the unrolled cell."""
    held = HELD if masked else np.zeros((T, B), bool)
    resets = RESETS if reset else np.zeros((T, B), bool)
    x, states = draw(cell, T, B)
    x = None if x is None else tg.tensor(x, requires_grad=True)
    states = [tg.tensor(s, requires_grad=True) for s in states]
    layer = nn.Recurrent(cell, reverse=reverse)
    pack = states[0][None] if len(states) == 1 else tuple(s[None] for s in states)
    how = {"steps": T} if x is None else {}
    if masked:
        how["mask"] = ~held
    if reset:
        how["resets"] = resets
    y, final, trace = layer(x, pack, return_trace=True, **how)
    finals = [final] if len(states) == 1 else final

    given, ends, rows, weights = unrolled(cell, x, states, held, resets, reverse)
    rng = np.random.default_rng(5)
    dy, d_finals = rng.standard_normal(y.shape), [rng.standard_normal(s.shape) for s in states]

    def loss(y, finals):
        return (y * dy).sum() + sum((f * d).sum() for f, d in zip(finals, d_finals, strict=True))

    mine = loss(y, [f[0] for f in finals])
    mine.backward()
    expected = loss(given, ends)
    agree(mine, expected)
    state_names = list(cell.state_sizes)
    assert set(trace) == set(cell.row_names)
    for name in trace:
        there = [row[name] for row in rows]
        if name in state_names:
            want = np.stack([row["after"][name].numpy() for row in rows])
        else:
            wide = [np.broadcast_to(np.asarray(r), (B, trace[name].shape[-1])) for r in there]
            want = np.where(held[..., None], 0, np.stack(wide))
        agree(trace[name], want)
        assert not trace[name].requires_grad
        if there[0].ndim < 2:
            continue
        found = tg.grad(expected, there, retain_graph=True, allow_unused=True)
        found = [np.zeros(there[0].shape) if g is None else g.numpy() for g in found]
        want = np.where(held[..., None], 0, np.stack(found))
        agree(trace.gradient(name), want)
        agree(trace.gradient_norms(name), np.sqrt((want**2).sum(axis=(1, 2))))
        agree(trace.gradient_norms(name, by_row=True), np.sqrt((want**2).sum(axis=2)))
    for name in cell.weights():
        found = tg.grad(expected, [w[name] for w in weights], retain_graph=True, allow_unused=True)
        zero = np.zeros(weights[0][name].shape)
        want = np.stack([zero if g is None else g.numpy() for g in found])
        parts = trace.parts(name)
        agree(parts, want)
        agree(parts.numpy().sum(axis=0), getattr(cell, name).grad)
        agree(trace.part_norms(name), np.sqrt((want**2).reshape(T, -1).sum(axis=1)))


@pytest.mark.slow
@pytest.mark.parametrize("name", CELLS)
@pytest.mark.usefixtures("reference")
def test_every_cell_line_by_line(name):
    check(make(name))
    check(make(name), masked=True, reverse=True)
    check(make(name), masked=True, reset=True)


@pytest.mark.parametrize("name", ["lstm", "gru_before", "lstm_peephole", "naive_memory"])
def test_cells_in_one_kernel(name):
    cell = make(name)
    assert cell.plan == "fused"
    for masked in (False, True):
        for reverse in (False, True):
            for reset in (False, True):
                cell.zero_grad()
                check(cell, masked, reverse, reset)


@pytest.mark.parametrize(
    "options",
    [
        {"zoneout": {"h": 0.3, "c": 0.2}, "layer_norm": True},
        {"recurrent_dropout": 0.4, "locked": False, "input_dropout": 0.3, "weight_drop": 0.5},
        {"proj_size": 2, "state_clip": 0.5, "gate_activation": "softplus"},
    ],
    ids=str,
)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.usefixtures("reference")
def test_options_of_cells(options, masked):
    """The parts add up to the gradient, whatever is drawn; names stay with their rows."""
    cell = make("lstm").configure(**options)
    layer = nn.Recurrent(cell)
    x = tg.randn(T, B, cell.input_size, dtype=np.float64)
    how = {"mask": ~HELD} if masked else {}
    y, (_, c), trace = layer(x, return_trace=True, **how)
    assert {"h", "c", "i", "f", "g", "o"} <= set(trace.names)
    (y.square().sum() + c.sum()).backward()
    for name, weight in cell.weights().items():
        agree(trace.parts(name).numpy().sum(axis=0), weight.grad)
    stepping = ~HELD if masked else np.ones((T, B), bool)
    g, f = trace["g"].numpy()[stepping], trace["f"].numpy()[stepping]
    z = trace.pre_activation("f").numpy()[stepping]
    assert (abs(g) < 1).all()
    if "gate_activation" not in options:
        agree(f, 1 / (1 + np.exp(-z)))
    agree(trace["c"][-1], c[0])


class Own(nn.Cell):
    """Sums along a row are nothing that a program has: it runs on Tensors."""

    state = ("h", "c")
    params = {"w_x": "I H", "w_h": "H H", "b": "H"}

    def step(self, x, h, c, p):
        z = x @ p.w_x + h @ p.w_h + p.b
        pair = (z.cumsum(axis=-1), 3)
        r = pair[0].sigmoid()
        c = r * c + (1 - r) * z
        return r * c.tanh(), c


@pytest.mark.filterwarnings("ignore:Own runs step by step:RuntimeWarning")
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_cell_without_a_program(masked, reverse):
    held = HELD if masked else np.zeros((T, B), bool)
    layer = nn.Recurrent(Own(3, 4), reverse=reverse).astype(np.float64)
    cell = layer.cells()[0]
    x = tg.randn(T, B, 3, dtype=np.float64)
    y, (_, c), trace = layer(x, return_trace=True, mask=~held)
    assert trace.names == ("h", "c", "z", "pair_0", "r")
    dy, dc = (np.random.default_rng(1).standard_normal(a.shape) for a in (y, c))
    ((y * dy).sum() + (c * dc).sum()).backward()

    state = [tg.zeros(B, 4, dtype=np.float64) for _ in "hc"]
    rows, weights, losses = [None] * T, [None] * T, []
    for t in reversed(range(T)) if reverse else range(T):
        p = weights[t] = nn.Recurrent(cell.clone().astype(np.float64)).cells()[0]
        for name, weight in cell.named_parameters():
            getattr(p, name).assign_(weight)
        z = x[t] @ p.w_x + state[0] @ p.w_h + p.b
        r = z.cumsum(axis=-1).sigmoid()
        new = r * state[1] + (1 - r) * z
        out, pause = r * new.tanh(), held[t][:, None]
        rows[t] = {"h": out, "c": new, "r": r, "z": z}
        losses.append((ops.where(pause, 0.0, out) * dy[t]).sum())
        state = [ops.where(pause, a, b) for a, b in zip(state, (out, new), strict=True)]
        rows[t]["after"] = dict(zip("hc", state, strict=True))
    loss = sum(losses) + (state[1] * dc[0]).sum()
    pause = held[..., None]
    for name in ("z", "r", "h", "c"):
        after = [row["after"].get(name, row[name]) for row in rows]
        want = np.where(pause, 0, np.stack([row[name].numpy() for row in rows]))
        if name in "hc":
            want = np.stack([a.numpy() for a in after])
        agree(trace[name], want)
        there = [row[name] for row in rows]
        found = tg.grad(loss, there, retain_graph=True)
        agree(trace.gradient(name), np.where(pause, 0, np.stack([g.numpy() for g in found])))
    for name, weight in cell.named_parameters():
        found = tg.grad(loss, [getattr(p, name) for p in weights], retain_graph=True)
        agree(trace.parts(name), np.stack([g.numpy() for g in found]))
        agree(trace.part_norms(name), [np.sqrt((g.numpy() ** 2).sum()) for g in found])
        agree(trace.parts(name).numpy().sum(axis=0), weight.grad)
    with pytest.raises(TypeError, match=r"what went into .r. is not known.*Own runs on Tensors"):
        trace.pre_activation("r")


@pytest.mark.filterwarnings("ignore:Noisy runs step by step:RuntimeWarning")
def test_a_step_that_gives_other_numbers_when_it_runs_again_is_refused():
    class Noisy(Own):
        def step(self, x, h, c, p):
            h, c = super().step(x, h, c, p)
            return ops.dropout(h, 0.5), c

    layer = nn.Recurrent(Noisy(3, 4))
    y, _, trace = layer(tg.randn(T, B, 3), return_trace=True)
    y.sum().backward()
    assert np.array_equal(trace._record.rows("h"), y)
    for ask in (lambda: trace["r"], lambda: trace.names, lambda: trace.part_norms("b")):
        with pytest.raises(GradientError, match="the step of Noisy gave other numbers"):
            ask()
