"""Mistakes in recurrences with one state: what went wrong, the right text, the wrong one."""

_FINAL = "dy, dh = cotangents"
_NO_FINAL = "dy, dh = cotangents[0], np.zeros_like(h_0)"

_RNN = [
    ("Wh not transposed", "dz @ w_h.T", "dz @ w_h"),
    ("dWh uses h_t", "h_before.T @ dz", "y[t].T @ dz"),
    ("dWh leaves h_0 out", "if t > 0 else h_0", "if t > 0 else np.zeros_like(h_0)"),
    ("h_{-1} is the last state", "y[t - 1] if t > 0 else h_0", "y[t - 1]"),
    ("final state's cotangent ignored", _FINAL, _NO_FINAL),
    ("final state's cotangent counted twice", _FINAL, "dy, dh = cotangents[0], 2 * cotangents[1]"),
    ("tanh' replaced by sigmoid'", "(1 - y[t] ** 2)", "y[t] * (1 - y[t])"),
    ("tanh' at h_{t-1}", "(1 - y[t] ** 2)", "(1 - h_before**2)"),
    ("tanh' without the square", "(1 - y[t] ** 2)", "(1 - y[t])"),
    ("carry skips the slope", "dh = dz @ w_h.T", "dh = (dy[t] + dh) @ w_h.T"),
    ("carry dropped", "dh = dz @ w_h.T", "dh = np.zeros_like(h_0)"),
    ("carry cut every three steps", "dh = dz @ w_h.T", "dh = dz @ w_h.T * (t % 3 > 0)"),
    ("dWh clipped", '"w_h": dw_h', '"w_h": np.clip(dw_h, -5, 5)'),
    ("outputs' cotangents ignored", "(dy[t] + dh)", "dh"),
    ("h_0's gradient taken a step early", "dh = dz @ w_h.T", "dh = dz @ w_h.T if t > 0 else dz"),
    ("db from t=0 only", "db += ", "db = "),
    ("dx straight from dy", "dx[t] = dz @ w_x.T", "dx[t] = dy[t] @ w_x.T"),
]

_INDRNN = [
    ("relu' counts zero as positive", "y[t] > 0", "y[t] >= 0"),
    ("relu' at h_{t-1}", "(y[t] > 0)", "(before[t] > 0)"),
    ("du uses h_t", "dz * before", "dz * y"),
    ("du leaves h_0 out", "[h_0[None], y[:-1]]", "[np.zeros_like(h_0)[None], y[:-1]]"),
    (
        "states before wrap around",
        "np.concatenate([h_0[None], y[:-1]])",
        "np.roll(y, 1, axis=0)",
    ),
    ("carry without u", "dh = dz[t] * u", "dh = dz[t]"),
    ("carry outside relu", "(dy[t] + dh) * (y[t] > 0)", "dy[t] * (y[t] > 0) + dh"),
    (
        "du from the last step only",
        "(dz * before).sum(axis=(0, 1))",
        "(dz * before)[-1].sum(axis=0)",
    ),
    ("final state's cotangent ignored", _FINAL, _NO_FINAL),
]

_GRU_AFTER = [
    (
        "r and z gates swapped",
        "d_input = np.concatenate([dr, dz, dn]",
        "d_input = np.concatenate([dz, dr, dn]",
    ),
    ("dWh without r", "[dr, dz, dn * r]", "[dr, dz, dn]"),
    ("db_h without r", "(dn * r).sum(axis=0)", "dn.sum(axis=0)"),
    ("dn by z instead of 1 - z", "dn = dh * (1 - z)", "dn = dh * z"),
    ("carry by 1 - z instead of z", "dh = dh * z + ", "dh = dh * (1 - z) + "),
    ("direct carry dropped", "dh = dh * z + ", "dh = "),
    ("dz with the wrong sign", "(h - n)", "(n - h)"),
    ("dz forgets that h is kept", "dh * (h - n)", "dh * n"),
    ("dr without the bias in the product", "dn * inner * r", "dn * (inner - b_h) * r"),
    ("dr before the product, as in the paper", "dn * inner * r", "dn * h * r"),
    ("tanh' replaced by sigmoid'", "(1 - n**2)", "n * (1 - n)"),
    ("dWh uses h_t", "h.T @ d_hidden", "y[t].T @ d_hidden"),
    ("carry through n without r", "d_hidden @ w_h.T", "d_input @ w_h.T"),
    ("input bias gets the hidden side's", "db += d_input", "db += d_hidden"),
    ("final state's cotangent ignored", _FINAL, _NO_FINAL),
]

_GRU_BEFORE = [
    ("dv_h without r", "(r * h).T @ dn", "h.T @ dn"),
    ("dr after the product", "dr = d_reset * h * r", "dr = dn * (h @ v_h) * r"),
    ("carry through the product without r", "d_reset * r + ", "d_reset + "),
    ("carry through the product dropped", " + d_reset * r", ""),
    ("v_h not transposed", "dn @ v_h.T", "dn @ v_h"),
    ("carry through the gates dropped", " + d_gates @ w_h.T", ""),
    ("z and r blocks swapped", "[dr, dz]", "[dz, dr]"),
    ("dz with the wrong sign", "(h - n)", "(n - h)"),
    ("dn by z instead of 1 - z", "dn = dh * (1 - z)", "dn = dh * z"),
    ("sigmoid' of r missing", "d_reset * h * r * (1 - r)", "d_reset * h"),
    (
        "db without n's share",
        "db += d_all.sum(axis=0)",
        "db[: -dn.shape[1]] += d_gates.sum(axis=0)",
    ),
    ("h_0's gradient missing", '"h_0": dh', '"h_0": np.zeros_like(h_0)'),
]

_MGU = [
    ("df without the reset path", "(dh * (n - h) + d_kept * h)", "(dh * (n - h))"),
    ("df without the update path", "(dh * (n - h) + d_kept * h)", "(d_kept * h)"),
    ("df with the sign of the other convention", "(n - h)", "(h - n)"),
    ("carry by f instead of 1 - f", "dh * (1 - f)", "dh * f"),
    ("carry through the product without f", "d_kept * f", "d_kept"),
    ("dv_h uses h instead of f * h", "(f * h).T @ dn", "h.T @ dn"),
    ("v_h not transposed", "dn @ v_h.T", "dn @ v_h"),
    ("dWh uses h_t", "h.T @ df", "hs[t + 1].T @ df"),
    ("sigmoid' doubled", "f * (1 - f)\n", "2 * f * (1 - f)\n"),
    ("dy of the step after", "dh = dh + dy[t]", "dh = dh + dy[min(t + 1, len(x) - 1)]"),
]

_HIGHWAY = [
    ("second layer's direct carry dropped", "ds = dh * (1 - t_1) + dz_1", "ds = dz_1"),
    ("first layer's direct carry dropped", "dh = ds * (1 - t_0) + dz_0", "dh = dz_0"),
    ("second layer reads h instead of s", "s.T @ dz_1", "h.T @ dz_1"),
    ("transform gate's derivative without the carry", "dh * (n_1 - s)", "dh * n_1"),
    ("first layer's gate compares with s", "(n_0 - h)", "(n_0 - s)"),
    ("second layer's weights used twice", "dz_0 @ w_0.T", "dz_0 @ w_1.T"),
    ("x entering both layers", "x[step].T @ dz_0", "x[step].T @ (dz_0 + dz_1)"),
    ("biases of the two layers swapped", '"b_0": db_0, ', '"b_0": db_1, '),
    ("carried by t instead of 1 - t", "ds * (1 - t_0)", "ds * t_0"),
    ("final state's cotangent ignored", _FINAL, _NO_FINAL),
]

_BIDIRECTIONAL = [
    (
        "right to left reads its left neighbour",
        "gs[t + 1] if t < T - 1 else",
        "gs[t - 1] if t > 0 else",
    ),
    ("right to left starts from its end", "gs[t + 1] if t < T - 1 else g_0", "gs[(t + 1) % T]"),
    ("right to left starts from zero", "else g_0", "else np.zeros_like(g_0)"),
    ("right to left walked the wrong way", "for t in range(T):", "for t in reversed(range(T)):"),
    ("both directions get the first half of dy", "(dy[t, :, H:] + dg)", "(dy[t, :, :H] + dg)"),
    ("final states' cotangents swapped", "dy, dh, dg = cotangents", "dy, dg, dh = cotangents"),
    (
        "right to left's carry not masked",
        "np.where(valid[t], dz[t, :, H:] @ v_h.T, dg)",
        "dz[t, :, H:] @ v_h.T",
    ),
    (
        "left to right's carry not masked",
        "np.where(valid[t], dz[t, :, :H] @ w_h.T, dh)",
        "dz[t, :, :H] @ w_h.T",
    ),
    (
        "mask ignored",
        "valid = valid_steps(T, lengths)",
        "valid = np.ones((T, len(lengths), 1), dtype=bool)",
    ),
    (
        "masked outputs' cotangents carried along",
        "dz[t, :, H:] @ v_h.T, dg)",
        "dz[t, :, H:] @ v_h.T, dg + dy[t, :, H:])",
    ),
    ("dx of one direction", " + dz[:, :, H:] @ v_x.T", ""),
    ("weights of the directions swapped", "dw_x, dv_x = ", "dv_x, dw_x = "),
    ("right to left's dWh uses h_t", "before.T @ dz[t, :, H:]", "gs[t].T @ dz[t, :, H:]"),
    ("one direction's weights used in both", "dz[t, :, H:] @ v_h.T", "dz[t, :, H:] @ w_h.T"),
    (
        "rows without steps lose g_0's gradient",
        '"g_0": dg',
        '"g_0": np.where(lengths[:, None] > 0, dg, 0.0)',
    ),
    ("g_0's gradient at the first step", '"g_0": dg', '"g_0": dz[0, :, H:] @ v_h.T'),
]

RECURRENT_MISTAKES = {
    "rnn": _RNN,
    "indrnn": _INDRNN,
    "gru_after": _GRU_AFTER,
    "gru_before": _GRU_BEFORE,
    "mgu": _MGU,
    "highway": _HIGHWAY,
    "bidirectional": _BIDIRECTIONAL,
}
