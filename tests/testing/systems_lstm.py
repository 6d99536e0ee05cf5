"""LSTMs by hand. Gates stand side by side in the order i f g o, rows stand in front."""

import numpy as np

from tests.testing.system import System, sigmoid, valid_steps

# ----- LSTM, rows of different lengths -----


def _lstm_run(x, h_0, c_0, w_x, w_h, b, lengths):
    """The states before the first step and after every step, and the gates of every step."""
    hs, cs, gates = [h_0], [c_0], []
    for x_t, on in zip(x, valid_steps(len(x), lengths), strict=True):
        i, f, g, o = np.split(x_t @ w_x + hs[-1] @ w_h + b, 4, axis=1)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        c = f * cs[-1] + i * g
        hs.append(np.where(on, o * np.tanh(c), hs[-1]))
        cs.append(np.where(on, c, cs[-1]))
        gates.append((i, f, g, o))
    return hs, cs, gates


def lstm_forward(x, h_0, c_0, w_x, w_h, b, lengths):
    """A masked step carries h and c along; its row of y is 0."""
    hs, cs, _ = _lstm_run(x, h_0, c_0, w_x, w_h, b, lengths)
    y = np.where(valid_steps(len(x), lengths), np.stack(hs[1:]), 0.0)
    return y, hs[-1], cs[-1]


def lstm_backward(cotangents, x, h_0, c_0, w_x, w_h, b, lengths):
    dy, dh, dc = cotangents
    hs, cs, gates = _lstm_run(x, h_0, c_0, w_x, w_h, b, lengths)
    valid = valid_steps(len(x), lengths)
    dx, dw_x, dw_h, db = (np.zeros_like(a) for a in (x, w_x, w_h, b))
    for t in reversed(range(len(x))):
        i, f, g, o = gates[t]
        h_before, c_before, tanh_c = hs[t], cs[t], np.tanh(cs[t + 1])
        dh_new = dy[t] + dh
        dc_new = dc + dh_new * o * (1 - tanh_c**2)
        di = dc_new * g * i * (1 - i)
        df = dc_new * c_before * f * (1 - f)
        dg = dc_new * i * (1 - g**2)
        do = dh_new * tanh_c * o * (1 - o)
        dz = np.where(valid[t], np.concatenate([di, df, dg, do], axis=1), 0.0)
        dx[t] = dz @ w_x.T
        dw_x += x[t].T @ dz
        dw_h += h_before.T @ dz
        db += dz.sum(axis=0)
        dh = np.where(valid[t], dz @ w_h.T, dh)
        dc = np.where(valid[t], dc_new * f, dc)
    return {"x": dx, "h_0": dh, "c_0": dc, "w_x": dw_x, "w_h": dw_h, "b": db}


# ----- LSTM with peepholes -----


def _peephole_step(x_t, h, c, w_x, w_h, b, p_i, p_f, p_o):
    """The gates and the new cell."""
    i, f, g, o = np.split(x_t @ w_x + h @ w_h + b, 4, axis=1)
    i, f, g = sigmoid(i + p_i * c), sigmoid(f + p_f * c), np.tanh(g)
    c_new = f * c + i * g
    return i, f, g, sigmoid(o + p_o * c_new), c_new


def peephole_lstm_forward(x, h_0, c_0, w_x, w_h, b, p_i, p_f, p_o):
    """i and f see the old cell, o sees the new one."""
    h, c, y = h_0, c_0, []
    for x_t in x:
        *_, o, c = _peephole_step(x_t, h, c, w_x, w_h, b, p_i, p_f, p_o)
        h = o * np.tanh(c)
        y.append(h)
    return np.stack(y), h, c


def peephole_lstm_backward(cotangents, x, h_0, c_0, w_x, w_h, b, p_i, p_f, p_o):
    dy, dh, dc = cotangents
    states, gates = [(h_0, c_0)], []
    for x_t in x:
        i, f, g, o, c = _peephole_step(x_t, *states[-1], w_x, w_h, b, p_i, p_f, p_o)
        gates.append((i, f, g, o))
        states.append((o * np.tanh(c), c))

    dx, dw_x, dw_h, db = (np.zeros_like(a) for a in (x, w_x, w_h, b))
    dp_i, dp_f, dp_o = np.zeros_like(p_i), np.zeros_like(p_f), np.zeros_like(p_o)
    for t in reversed(range(len(x))):
        i, f, g, o = gates[t]
        (h_before, c_before), (_, c) = states[t], states[t + 1]
        dh = dh + dy[t]
        do = dh * np.tanh(c) * o * (1 - o)
        dc = dc + dh * o * (1 - np.tanh(c) ** 2) + do * p_o
        di = dc * g * i * (1 - i)
        df = dc * c_before * f * (1 - f)
        dg = dc * i * (1 - g**2)
        dz = np.concatenate([di, df, dg, do], axis=1)
        dp_i += (di * c_before).sum(axis=0)
        dp_f += (df * c_before).sum(axis=0)
        dp_o += (do * c).sum(axis=0)
        dx[t] = dz @ w_x.T
        dw_x += x[t].T @ dz
        dw_h += h_before.T @ dz
        db += dz.sum(axis=0)
        dh = dz @ w_h.T
        dc = dc * f + di * p_i + df * p_f
    gradients = {"x": dx, "h_0": dh, "c_0": dc, "w_x": dw_x, "w_h": dw_h, "b": db}
    return gradients | {"p_i": dp_i, "p_f": dp_f, "p_o": dp_o}


# ----- LSTM whose forget gate is 1 - i -----


def coupled_lstm_forward(x, h_0, c_0, w_x, w_h, b):
    """The gates are i g o; c = (1 - i) c + i g."""
    h, c, y = h_0, c_0, []
    for x_t in x:
        i, g, o = np.split(x_t @ w_x + h @ w_h + b, 3, axis=1)
        i = sigmoid(i)
        c = (1 - i) * c + i * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        y.append(h)
    return np.stack(y), h, c


def coupled_lstm_backward(cotangents, x, h_0, c_0, w_x, w_h, b):
    dy, dh_last, dc_last = cotangents
    tape, h, c = [], h_0, c_0
    for x_t in x:
        i, g, o = np.split(x_t @ w_x + h @ w_h + b, 3, axis=1)
        i, g, o = sigmoid(i), np.tanh(g), sigmoid(o)
        tape.append((h, c, i, g, o))
        c = (1 - i) * c + i * g
        h = o * np.tanh(c)

    T, B, H = dy.shape
    dz = np.zeros((T, B, 3 * H))
    dh, dc = dh_last, dc_last
    for t in range(T - 1, -1, -1):
        _, c_before, i, g, o = tape[t]
        tanh_c = np.tanh((1 - i) * c_before + i * g)
        dh = dh + dy[t]
        dc = dc + dh * o * (1 - tanh_c**2)
        dz[t, :, :H] = dc * (g - c_before) * i * (1 - i)
        dz[t, :, H : 2 * H] = dc * i * (1 - g**2)
        dz[t, :, 2 * H :] = dh * tanh_c * o * (1 - o)
        dh = dz[t] @ w_h.T
        dc = dc * (1 - i)
    hs_before = np.stack([h for h, *_ in tape])
    return {
        "x": dz @ w_x.T,
        "h_0": dh,
        "c_0": dc,
        "w_x": np.einsum("tbi,tbk->ik", x, dz),
        "w_h": np.einsum("tbh,tbk->hk", hs_before, dz),
        "b": dz.sum(axis=(0, 1)),
    }


_CELL = {"x": "T B I", "h_0": "B H", "c_0": "B H"}
_WEIGHTS = {"w_x": "I 4H", "w_h": "H 4H", "b": "4H"}
_PEEPHOLES = {"p_i": "H", "p_f": "H", "p_o": "H"}

LSTMS = [
    System("lstm", _CELL | _WEIGHTS | {"lengths": "lengths T B"}, lstm_forward, lstm_backward),
    System(
        "peephole_lstm",
        _CELL | _WEIGHTS | _PEEPHOLES,
        peephole_lstm_forward,
        peephole_lstm_backward,
    ),
    System(
        "coupled_lstm",
        _CELL | {"w_x": "I 3H", "w_h": "H 3H", "b": "3H"},
        coupled_lstm_forward,
        coupled_lstm_backward,
    ),
]
