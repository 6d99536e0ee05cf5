"""The maps of weights, lane by lane: what the instructions make of them is the cell.

The places of matrix instructions are written here anew, from the manual of PTX ("Matrix
fragments for mma.m16n8k16" and "m16n8k8"), and from nothing of the library's.
"""

import numpy as np
import pytest

from tests.kernels.persistent.on_cpu import HOPPER, drawn
from tinygrad_rnn.kernels import recurrence
from tinygrad_rnn.kernels.recurrence.persistent.maps import (
    CELLS,
    backward_places,
    forward_places,
    gate_place,
)
from tinygrad_rnn.kernels.recurrence.persistent.planner import plan
from tinygrad_rnn.kernels.recurrence.persistent.recognised import recognised
from tinygrad_rnn.kernels.recurrence.persistent.reference import GRU, LSTM, RNN
from tinygrad_rnn.kernels.recurrence.tracing import trace
from tinygrad_rnn.ops.recurrence import RULES

LANE = np.arange(32)
GROUP, WITHIN = LANE // 4, LANE % 4


def instruction(a, b, c, halves):
    """C (16, 8) += A (16, K) B (K, 8) by registers: a (.., 32, 4, n), b (32, 2, n), c (.., 32, 4).

    n numbers in a register: 2 of bfloat16 in m16n8k16, 1 of tf32 in m16n8k8.
    """
    K = halves * 8
    left, right = np.zeros((*a.shape[:-3], 16, K)), np.zeros((K, 8))
    for register in range(4):
        row = GROUP + 8 * (register in (1, 3))
        for number in range(halves):
            k = WITHIN * halves + number + (register >= 2) * 4 * halves
            left[..., row, k] = a[..., LANE, register, number]
    for register in range(2):
        for number in range(halves):
            right[WITHIN * halves + number + register * 4 * halves, GROUP] = b[
                LANE, register, number
            ]
    product = left @ right
    for register in range(4):
        row, column = GROUP + 8 * (register >= 2), WITHIN * 2 + register % 2
        c[..., LANE, register] += product[..., row, column]


def taken(places, weight):
    """The weights, by places."""
    return np.where(places < 0, 0.0, weight.reshape(-1)[np.maximum(places, 0)])


def sums(shape, fragments, rank, warp, operand):
    """A warp's registers after all its instructions: (tiles, 32, 4); operand is (8, depth)."""
    c = np.zeros((shape.tiles, 32, 4))
    for block in range(shape.blocks):
        # Each lane loads 16 bytes of the row of its group.
        first = (warp % shape.parts * shape.blocks + block) * shape.precision.k_block
        first = first + WITHIN * shape.precision.a_quad
        loaded = operand[GROUP[:, None], first[:, None] + np.arange(shape.precision.a_quad)]
        words = loaded.reshape(32, 2, 2, shape.precision.a_word)
        for number in range(2):
            a = fragments[rank, warp, block, :, number]
            instruction(a, words[:, number], c, shape.precision.a_word)
    return c


def product_forward(shape, fragments, h):
    """h (8, H) times the weights, as all threads of a cluster have it: (8, gates, units)."""
    operand = np.zeros((8, shape.depth))
    operand[:, : shape.hidden] = h
    cell, found = shape.cell, np.zeros((8, shape.cell.gates, shape.cluster * shape.units))
    for rank in range(shape.cluster):
        for warp in range(shape.warps):
            c = sums(shape, fragments, rank, warp, operand)
            for gate in range(cell.gates):
                for s in range(cell.groups):
                    tile, half = gate_place(cell, gate, s)
                    group = warp // shape.parts * cell.groups + s
                    unit = rank * shape.units + group * 8 + GROUP
                    for pair in range(2):
                        found[2 * WITHIN + pair, gate, unit] += c[tile, LANE, 2 * half + pair]
    return found[:, :, : shape.hidden].reshape(8, -1)


def product_backward(shape, fragments, dz):
    """dz (8, gates H) times the weights, turned, by way of what blocks send: (8, H)."""
    owned, units = shape.units // 16, shape.units
    sources = shape.cluster * shape.parts
    arrived = np.full((shape.cluster, sources, owned, 32, 4), np.nan)
    for rank in range(shape.cluster):
        operand = np.zeros((8, shape.depth))
        known = min(units, max(0, shape.hidden - rank * units))
        for gate in range(shape.cell.gates):
            first = gate * shape.hidden + rank * units
            operand[:, gate * units : gate * units + known] = dz[:, first : first + known]
        for warp in range(shape.warps):
            c = sums(shape, fragments, rank, warp, operand)
            for i in range(shape.tiles):
                number = warp // shape.parts * shape.tiles + i
                tile = (number + rank * owned) % (shape.cluster * owned)
                source = rank * shape.parts + warp % shape.parts
                assert np.isnan(arrived[tile // owned, source, tile % owned]).all()
                arrived[tile // owned, source, tile % owned] = c[i]
    assert shape.arriving == arrived[0].size * 4
    total = arrived.sum(axis=1).reshape(shape.cluster, units // 8, 32, 2)  # two numbers a thread
    found = np.zeros((8, shape.cluster * units))
    for rank in range(shape.cluster):
        for warp in range(units // 8):
            unit = rank * units + warp * 8 + LANE // 8 * 2 + LANE % 2
            for pair in range(2):
                found[LANE // 2 % 4 * 2 + pair, unit] = total[rank, warp, LANE, pair]
    return found[:, : shape.hidden]


CASES = [
    ("lstm", 100, "medium", "cluster"), ("gru", 72, "high", "cluster"),
    ("tanh", 140, "medium", "cluster"), ("lstm", 512, "medium", "cluster"),
    ("lstm", 33, "high", "cta"), ("gru", 64, "medium", "cta"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "H", "precision", "way"), CASES)
def test_instructions_multiply_with_the_weights(kind, H, precision, way):
    found = plan(kind, 5, 8, 4, H, "float32", precision, HOPPER, ways=(way,))
    rng = np.random.default_rng(1)
    weight = rng.standard_normal((H, CELLS[kind].gates * H))
    h, dz = rng.standard_normal((8, H)), rng.standard_normal((8, CELLS[kind].gates * H))
    there, back = (
        taken(places(shape), weight)
        for places, shape in ((forward_places, found.forward), (backward_places, found.backward))
    )
    np.testing.assert_allclose(product_forward(found.forward, there, h), h @ weight, atol=1e-11)
    np.testing.assert_allclose(
        product_backward(found.backward, back, dz), dz @ weight.T, atol=1e-11
    )


@pytest.mark.parametrize("precision", ["high", "medium"])
@pytest.mark.parametrize("kind", ["lstm", "gru", "tanh", "relu"])
@pytest.mark.parametrize("H", [200, 512, 650, 1500])
def test_every_weight_stands_in_one_place(kind, precision, H):
    found = plan(kind, 5, 8, 4, H, "float32", precision, HOPPER)
    if isinstance(found, str):
        assert "do not fit" in found
        return
    for places, shape in ((forward_places, found.forward), (backward_places, found.backward)):
        known = places(shape).ravel()
        known = np.sort(known[known >= 0])
        np.testing.assert_array_equal(known, np.arange(H * H * CELLS[kind].gates))


def test_words_are_those_that_threads_load():
    """Lane after lane 16 bytes, so that a warp's loads are neighbours."""
    shape = plan("lstm", 5, 8, 4, 512, "float32", "medium", HOPPER).forward
    sizes = forward_places(shape).shape
    assert sizes == (shape.cluster, shape.warps, shape.blocks, shape.tiles, 2, 32, 4, 2)
    assert np.prod(sizes[5:]) * 2 == 512


# ----- a whole recurrence, emulated -----


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def steps_of_lstm(found, weight, z, h, c, rounded):
    """Forward and backward over z (T, 8, 4 H), with products through the maps."""
    there, back = found.forward, found.backward
    first = taken(forward_places(there), rounded(weight))
    second = taken(backward_places(back), rounded(weight))
    kept, ys = [], []
    for x in z:
        i, f, g, o = np.split(x + product_forward(there, first, rounded(h)), 4, axis=1)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        before, c = c, f * c + i * g
        h = o * np.tanh(c)
        kept.append((i, f, g, o, before, c))
        ys.append(h)
    return np.stack(ys), kept, lambda dz: product_backward(back, second, rounded(dz))


def bfloat16(x):
    bits = x.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)


@pytest.mark.parametrize(("rounded", "room"), [(lambda x: x, 1e-10), (bfloat16, 1e-2)])
def test_an_emulated_lstm_is_the_cell(rounded, room):
    program, H, T = trace(LSTM(True)), 72, 4
    arrays = drawn(program, T, 8, 5, H)
    found = plan("lstm", T, 8, 5, H, "float32", "medium", HOPPER, ways=("cluster",))
    p = arrays["params"]
    y, _, run = recurrence.forward(program, arrays["x"], arrays["states"], p, rules=RULES, steps=T)
    _, d_states, _, _ = recurrence.backward(
        run, arrays["dy"], arrays["ends"], needs_x=False, needed=set()
    )
    z = arrays["x"] @ p["w_x"] + p["b"]
    ours, kept, turned = steps_of_lstm(found, p["w_h"], z, *arrays["states"], rounded)
    assert np.linalg.norm(ours - y) < room * np.linalg.norm(y)
    dh, dc = arrays["ends"]
    for (i, f, g, o, before, after), dy in zip(kept[::-1], arrays["dy"][::-1], strict=True):
        dh, bent = dh + dy, np.tanh(after)
        dc = dc + dh * o * (1 - bent**2)
        dz = dc * g * i * (1 - i), dc * before * f * (1 - f), dc * i * (1 - g**2)
        dz = np.concatenate([*dz, dh * bent * o * (1 - o)], axis=1)
        dh, dc = turned(dz), dc * f
    for ours_, right in zip((dh, dc), d_states, strict=True):
        assert np.linalg.norm(ours_ - right) < room * np.linalg.norm(right)


# ----- which programs -----


@pytest.mark.parametrize("bias", [True, False])
def test_cells_of_the_library_are_recognised(bias):
    from tinygrad_rnn import nn

    cells = {
        "lstm": nn.LSTMCell(3, 4, bias=bias), "gru": nn.GRUCell(3, 4, bias=bias),
        "tanh": nn.RNNCell(3, 4, bias=bias),
        "relu": nn.RNNCell(3, 4, bias=bias, nonlinearity="relu"),
    }  # fmt: skip
    for kind, cell in cells.items():
        roles = recognised(cell.program)
        assert roles.kind == kind
        assert roles.w_h == "w_h"
        assert roles.b_h == ("b_h" if kind == "gru" and bias else "")
    for other in (nn.GRUCell(3, 4, reset_after=False), nn.RNNCell(3, 4, nonlinearity="sigmoid")):
        assert recognised(other.program) is None


def test_names_do_not_matter():
    class Mine:
        state = ("mine",)
        params = {"first": "I 3H", "second": "H 3H", "third": "3H", "fourth": "H"}

        def step(self, x, h, p):
            x_r, x_z, x_n = (x @ p.first + p.third).chunk(3)
            h_r, h_z, h_n = (h @ p.second).chunk(3)
            r, z = (x_r + h_r).sigmoid(), (x_z + h_z).sigmoid()
            n = (x_n + r * (h_n + p.fourth)).tanh()
            return (1 - z) * n + z * h

    roles = recognised(trace(Mine()))
    assert (roles.kind, roles.w_h, roles.b_h) == ("gru", "second", "fourth")
    assert recognised(trace(GRU(False))).b_h == ""
    assert recognised(trace(RNN(True, True))).kind == "relu"
