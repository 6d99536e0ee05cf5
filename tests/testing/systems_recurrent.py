"""Recurrences by hand that carry one state: without gates, gated, and in two directions."""

import numpy as np

from tests.testing.system import System, sigmoid, valid_steps

# ----- without gates -----


def rnn_forward(x, h_0, w_x, w_h, b):
    """h = tanh(x w_x + h w_h + b)."""
    h, y = h_0, []
    for x_t in x:
        h = np.tanh(x_t @ w_x + h @ w_h + b)
        y.append(h)
    return np.stack(y), h


def rnn_backward(cotangents, x, h_0, w_x, w_h, b):
    dy, dh = cotangents
    y, _ = rnn_forward(x, h_0, w_x, w_h, b)
    dx, dw_x, dw_h, db = (np.zeros_like(a) for a in (x, w_x, w_h, b))
    for t in reversed(range(len(x))):
        h_before = y[t - 1] if t > 0 else h_0
        dz = (dy[t] + dh) * (1 - y[t] ** 2)
        dx[t] = dz @ w_x.T
        dw_x += x[t].T @ dz
        dw_h += h_before.T @ dz
        db += dz.sum(axis=0)
        dh = dz @ w_h.T
    return {"x": dx, "h_0": dh, "w_x": dw_x, "w_h": dw_h, "b": db}


def indrnn_forward(x, h_0, w_x, u, b):
    """h = relu(x w_x + u * h + b): each unit carries only itself along."""
    h, y = h_0, []
    for x_t in x:
        z = x_t @ w_x + u * h + b
        h = np.where(z.real > 0, z, 0.0)
        y.append(h)
    return np.stack(y), h


def indrnn_backward(cotangents, x, h_0, w_x, u, b):
    dy, dh = cotangents
    y, _ = indrnn_forward(x, h_0, w_x, u, b)
    before = np.concatenate([h_0[None], y[:-1]])
    dz = np.zeros_like(dy)
    for t in range(len(x) - 1, -1, -1):
        dz[t] = (dy[t] + dh) * (y[t] > 0)
        dh = dz[t] * u
    return {
        "x": dz @ w_x.T,
        "h_0": dh,
        "w_x": np.einsum("tbi,tbh->ih", x, dz),
        "u": (dz * before).sum(axis=(0, 1)),
        "b": dz.sum(axis=(0, 1)),
    }


# ----- gated recurrent units -----


def _gru_after_step(x_t, h, w_x, w_h, b, b_h):
    """The gates r z n, and what r multiplies."""
    x_r, x_z, x_n = np.split(x_t @ w_x + b, 3, axis=1)
    h_r, h_z, h_n = np.split(h @ w_h, 3, axis=1)
    r, z, inner = sigmoid(x_r + h_r), sigmoid(x_z + h_z), h_n + b_h
    return r, z, np.tanh(x_n + r * inner), inner


def gru_after_forward(x, h_0, w_x, w_h, b, b_h):
    """n = tanh(x w_x + b + r * (h w_h + b_h)), h = (1 - z) n + z h."""
    h, y = h_0, []
    for x_t in x:
        _, z, n, _ = _gru_after_step(x_t, h, w_x, w_h, b, b_h)
        h = (1 - z) * n + z * h
        y.append(h)
    return np.stack(y), h


def gru_after_backward(cotangents, x, h_0, w_x, w_h, b, b_h):
    dy, dh = cotangents
    y, _ = gru_after_forward(x, h_0, w_x, w_h, b, b_h)
    dx, dw_x, dw_h, db, db_h = (np.zeros_like(a) for a in (x, w_x, w_h, b, b_h))
    for t in reversed(range(len(x))):
        h = y[t - 1] if t > 0 else h_0
        r, z, n, inner = _gru_after_step(x[t], h, w_x, w_h, b, b_h)
        dh = dh + dy[t]
        dn = dh * (1 - z) * (1 - n**2)
        dr = dn * inner * r * (1 - r)
        dz = dh * (h - n) * z * (1 - z)
        d_input = np.concatenate([dr, dz, dn], axis=1)
        d_hidden = np.concatenate([dr, dz, dn * r], axis=1)
        dx[t] = d_input @ w_x.T
        dw_x += x[t].T @ d_input
        dw_h += h.T @ d_hidden
        db += d_input.sum(axis=0)
        db_h += (dn * r).sum(axis=0)
        dh = dh * z + d_hidden @ w_h.T
    return {"x": dx, "h_0": dh, "w_x": dw_x, "w_h": dw_h, "b": db, "b_h": db_h}


def _gru_before_step(x_t, h, w_x, w_h, v_h, b):
    """The gates r z n."""
    x_r, x_z, x_n = np.split(x_t @ w_x + b, 3, axis=1)
    h_r, h_z = np.split(h @ w_h, 2, axis=1)
    r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
    return r, z, np.tanh(x_n + (r * h) @ v_h)


def gru_before_forward(x, h_0, w_x, w_h, v_h, b):
    """n = tanh(x w_x + b + (r * h) v_h), h = (1 - z) n + z h."""
    h, y = h_0, []
    for x_t in x:
        _, z, n = _gru_before_step(x_t, h, w_x, w_h, v_h, b)
        h = (1 - z) * n + z * h
        y.append(h)
    return np.stack(y), h


def gru_before_backward(cotangents, x, h_0, w_x, w_h, v_h, b):
    dy, dh = cotangents
    y, _ = gru_before_forward(x, h_0, w_x, w_h, v_h, b)
    dx, dw_x, dw_h, dv_h, db = (np.zeros_like(a) for a in (x, w_x, w_h, v_h, b))
    for t in reversed(range(len(x))):
        h = y[t - 1] if t > 0 else h_0
        r, z, n = _gru_before_step(x[t], h, w_x, w_h, v_h, b)
        dh = dh + dy[t]
        dn = dh * (1 - z) * (1 - n**2)
        d_reset = dn @ v_h.T  # of r * h
        dr = d_reset * h * r * (1 - r)
        dz = dh * (h - n) * z * (1 - z)
        d_gates = np.concatenate([dr, dz], axis=1)
        d_all = np.concatenate([d_gates, dn], axis=1)
        dx[t] = d_all @ w_x.T
        dw_x += x[t].T @ d_all
        dw_h += h.T @ d_gates
        dv_h += (r * h).T @ dn
        db += d_all.sum(axis=0)
        dh = dh * z + d_reset * r + d_gates @ w_h.T
    return {"x": dx, "h_0": dh, "w_x": dw_x, "w_h": dw_h, "v_h": dv_h, "b": db}


def mgu_forward(x, h_0, w_x, w_h, v_h, b):
    """f = sigmoid(...), n = tanh(x w_x + (f * h) v_h + b), h = (1 - f) h + f n."""
    h, y = h_0, []
    for x_t in x:
        x_f, x_n = np.split(x_t @ w_x + b, 2, axis=1)
        f = sigmoid(x_f + h @ w_h)
        h = (1 - f) * h + f * np.tanh(x_n + (f * h) @ v_h)
        y.append(h)
    return np.stack(y), h


def mgu_backward(cotangents, x, h_0, w_x, w_h, v_h, b):
    dy, dh = cotangents
    y, _ = mgu_forward(x, h_0, w_x, w_h, v_h, b)
    hs = np.concatenate([h_0[None], y])
    dx, dw_x, dw_h, dv_h, db = (np.zeros_like(a) for a in (x, w_x, w_h, v_h, b))
    for t in reversed(range(len(x))):
        h = hs[t]
        x_f, x_n = np.split(x[t] @ w_x + b, 2, axis=1)
        f = sigmoid(x_f + h @ w_h)
        n = np.tanh(x_n + (f * h) @ v_h)

        dh = dh + dy[t]
        dn = dh * f * (1 - n**2)
        d_kept = dn @ v_h.T  # of f * h
        df = (dh * (n - h) + d_kept * h) * f * (1 - f)
        dz = np.concatenate([df, dn], axis=1)
        dx[t] = dz @ w_x.T
        dw_x += x[t].T @ dz
        dw_h += h.T @ df
        dv_h += (f * h).T @ dn
        db += dz.sum(axis=0)
        dh = dh * (1 - f) + d_kept * f + df @ w_h.T
    return {"x": dx, "h_0": dh, "w_x": dw_x, "w_h": dw_h, "v_h": dv_h, "b": db}


# ----- recurrent highway, two layers deep -----


def _highway_layer(z, s):
    """The gates n and t, and the state after the layer."""
    n, t = np.split(z, 2, axis=1)
    n, t = np.tanh(n), sigmoid(t)
    return n, t, t * n + (1 - t) * s


def highway_forward(x, h_0, w_x, w_0, b_0, w_1, b_1):
    """s = t * n + (1 - t) * s twice in a step; x enters in the first layer."""
    h, y = h_0, []
    for x_t in x:
        *_, s = _highway_layer(x_t @ w_x + h @ w_0 + b_0, h)
        *_, h = _highway_layer(s @ w_1 + b_1, s)
        y.append(h)
    return np.stack(y), h


def highway_backward(cotangents, x, h_0, w_x, w_0, b_0, w_1, b_1):
    dy, dh = cotangents
    y, _ = highway_forward(x, h_0, w_x, w_0, b_0, w_1, b_1)
    dx, dw_x, dw_0, db_0 = (np.zeros_like(a) for a in (x, w_x, w_0, b_0))
    dw_1, db_1 = np.zeros_like(w_1), np.zeros_like(b_1)
    for step in reversed(range(len(x))):
        h = y[step - 1] if step > 0 else h_0
        n_0, t_0, s = _highway_layer(x[step] @ w_x + h @ w_0 + b_0, h)
        n_1, t_1, _ = _highway_layer(s @ w_1 + b_1, s)

        dh = dh + dy[step]
        dn = dh * t_1 * (1 - n_1**2)
        dt = dh * (n_1 - s) * t_1 * (1 - t_1)
        dz_1 = np.concatenate([dn, dt], axis=1)
        dw_1 += s.T @ dz_1
        db_1 += dz_1.sum(axis=0)
        ds = dh * (1 - t_1) + dz_1 @ w_1.T

        dn = ds * t_0 * (1 - n_0**2)
        dt = ds * (n_0 - h) * t_0 * (1 - t_0)
        dz_0 = np.concatenate([dn, dt], axis=1)
        dx[step] = dz_0 @ w_x.T
        dw_x += x[step].T @ dz_0
        dw_0 += h.T @ dz_0
        db_0 += dz_0.sum(axis=0)
        dh = ds * (1 - t_0) + dz_0 @ w_0.T
    gradients = {"x": dx, "h_0": dh, "w_x": dw_x}
    return gradients | {"w_0": dw_0, "b_0": db_0, "w_1": dw_1, "b_1": db_1}


# ----- both directions, rows of different lengths -----


def _one_direction(x, h_0, w_x, w_h, b, valid, order):
    """The states by step, and the last one."""
    h, states = h_0, [h_0] * len(x)
    for t in order:
        h = np.where(valid[t], np.tanh(x[t] @ w_x + h @ w_h + b), h)
        states[t] = h
    return np.stack(states), h


def bidirectional_forward(x, h_0, w_x, w_h, b, g_0, v_x, v_h, d, lengths):
    """An RNN h from left to right beside one, g, from each row's last step to its first.

    Masked steps carry the states along; their rows of y are 0.
    """
    valid = valid_steps(len(x), lengths)
    there = range(len(x))
    hs, h = _one_direction(x, h_0, w_x, w_h, b, valid, there)
    gs, g = _one_direction(x, g_0, v_x, v_h, d, valid, reversed(there))
    return np.where(valid, np.concatenate([hs, gs], axis=2), 0.0), h, g


def bidirectional_backward(cotangents, x, h_0, w_x, w_h, b, g_0, v_x, v_h, d, lengths):
    dy, dh, dg = cotangents
    T, H = len(x), h_0.shape[1]
    valid = valid_steps(T, lengths)
    hs, _ = _one_direction(x, h_0, w_x, w_h, b, valid, range(T))
    gs, _ = _one_direction(x, g_0, v_x, v_h, d, valid, reversed(range(T)))

    dz = np.zeros_like(dy)
    dw_h, dv_h = np.zeros_like(w_h), np.zeros_like(v_h)
    for t in reversed(range(T)):
        before = hs[t - 1] if t > 0 else h_0
        dz[t, :, :H] = np.where(valid[t], (dy[t, :, :H] + dh) * (1 - hs[t] ** 2), 0.0)
        dw_h += before.T @ dz[t, :, :H]
        dh = np.where(valid[t], dz[t, :, :H] @ w_h.T, dh)
    for t in range(T):
        before = gs[t + 1] if t < T - 1 else g_0
        dz[t, :, H:] = np.where(valid[t], (dy[t, :, H:] + dg) * (1 - gs[t] ** 2), 0.0)
        dv_h += before.T @ dz[t, :, H:]
        dg = np.where(valid[t], dz[t, :, H:] @ v_h.T, dg)

    dw_x, dv_x = np.split(np.einsum("tbi,tbk->ik", x, dz), 2, axis=1)
    db, dd = np.split(dz.sum(axis=(0, 1)), 2)
    dx = dz[:, :, :H] @ w_x.T + dz[:, :, H:] @ v_x.T
    there = {"h_0": dh, "w_x": dw_x, "w_h": dw_h, "b": db}
    return {"x": dx} | there | {"g_0": dg, "v_x": dv_x, "v_h": dv_h, "d": dd}


_STATE = {"x": "T B I", "h_0": "B H"}
_RNN = {"w_x": "I H", "w_h": "H H", "b": "H"}
_BACK = {"g_0": "B H", "v_x": "I H", "v_h": "H H", "d": "H"}
_GRU_AFTER = {"w_x": "I 3H", "w_h": "H 3H", "b": "3H", "b_h": "H"}
_GRU_BEFORE = {"w_x": "I 3H", "w_h": "H 2H", "v_h": "H H", "b": "3H"}
_MGU = {"w_x": "I 2H", "w_h": "H H", "v_h": "H H", "b": "2H"}
_HIGHWAY = {"w_x": "I 2H", "w_0": "H 2H", "b_0": "2H", "w_1": "H 2H", "b_1": "2H"}

RECURRENT = [
    System("rnn", _STATE | _RNN, rnn_forward, rnn_backward),
    System("indrnn", _STATE | {"w_x": "I H", "u": "H", "b": "H"}, indrnn_forward, indrnn_backward),
    System("gru_after", _STATE | _GRU_AFTER, gru_after_forward, gru_after_backward),
    System("gru_before", _STATE | _GRU_BEFORE, gru_before_forward, gru_before_backward),
    System("mgu", _STATE | _MGU, mgu_forward, mgu_backward),
    System("highway", _STATE | _HIGHWAY, highway_forward, highway_backward),
    System(
        "bidirectional",
        _STATE | _RNN | _BACK | {"lengths": "lengths T B"},
        bidirectional_forward,
        bidirectional_backward,
    ),
]
