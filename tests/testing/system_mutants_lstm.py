"""Mistakes in the backward passes of the LSTMs: what went wrong, the right text, the wrong one."""

_LSTM = [
    # gates
    ("i and g gates swapped", "[di, df, dg, do]", "[dg, df, di, do]"),
    ("df uses c_t instead of c_{t-1}", "dc_new * c_before * f", "dc_new * cs[t + 1] * f"),
    ("di uses c_{t-1} instead of g", "dc_new * g * i", "dc_new * c_before * i"),
    ("do without tanh(c)", "dh_new * tanh_c * o", "dh_new * o"),
    ("do from c instead of tanh(c)", "dh_new * tanh_c * o", "dh_new * cs[t + 1] * o"),
    ("tanh' replaced by sigmoid'", "(1 - g**2)", "g * (1 - g)"),
    ("sigmoid' replaced by tanh'", "c_before * f * (1 - f)", "c_before * (1 - f**2)"),
    ("forget gate's slope missing", "c_before * f * (1 - f)", "c_before"),
    # the cell
    ("cell carry dropped", "np.where(valid[t], dc_new * f, dc)", "np.where(valid[t], 0.0, dc)"),
    ("cell carried by i", "dc_new * f, dc)", "dc_new * i, dc)"),
    ("cell's tanh without its slope", "dh_new * o * (1 - tanh_c**2)", "dh_new * o"),
    ("cell's slope at c, not at tanh(c)", "(1 - tanh_c**2)", "(1 - cs[t + 1] ** 2)"),
    ("cell's tanh of c_{t-1}", "np.tanh(cs[t + 1])", "np.tanh(cs[t])"),
    # weights
    ("dWh uses h_t", "h_before.T @ dz", "hs[t + 1].T @ dz"),
    ("dWx uses x_{t-1}", "x[t].T @ dz", "x[t - 1].T @ dz"),
    ("db from last row only", "db += dz.sum(axis=0)", "db += dz[-1]"),
    ("db from t=0 only", "db += dz.sum(axis=0)", "db = dz.sum(axis=0)"),
    (
        "Wh not transposed",
        "dz @ w_h.T",
        "sum(d @ w for d, w in zip(np.split(dz, 4, axis=1), np.split(w_h, 4, axis=1)))",
    ),
    ("Wh gate blocks swapped", "dz @ w_h.T", "np.concatenate([dg, df, di, do], axis=1) @ w_h.T"),
    # masks
    (
        "mask ignored",
        "valid = valid_steps(len(x), lengths)",
        "valid = np.ones((len(x), len(lengths), 1), dtype=bool)",
    ),
    ("cell carry not masked", "dc = np.where(valid[t], dc_new * f, dc)", "dc = dc_new * f"),
    ("hidden carry not masked", "np.where(valid[t], dz @ w_h.T, dh)", "dz @ w_h.T"),
    (
        "masked steps reach the weights",
        "np.where(valid[t], np.concatenate([di, df, dg, do], axis=1), 0.0)",
        "np.concatenate([di, df, dg, do], axis=1)",
    ),
    ("masked outputs' cotangents carried along", "dz @ w_h.T, dh)", "dz @ w_h.T, dh_new)"),
    ("masked steps drop the cell carry", "dc_new * f, dc)", "dc_new * f, 0.0)"),
    # the ends
    (
        "final states' cotangents ignored",
        "dy, dh, dc = cotangents",
        "dy, dh, dc = cotangents[0], np.zeros_like(h_0), np.zeros_like(c_0)",
    ),
    ("final states' cotangents swapped", "dy, dh, dc = cotangents", "dy, dc, dh = cotangents"),
    ("c_0's gradient missing", '"c_0": dc', '"c_0": np.zeros_like(c_0)'),
    (
        "c_0's gradient taken a step early",
        "dc = np.where(valid[t], dc_new * f, dc)",
        "dc = np.where(valid[t], dc_new * f, dc) if t > 0 else dc_new",
    ),
    (
        "rows without steps lose h_0's gradient",
        '"h_0": dh',
        '"h_0": np.where(lengths[:, None] > 0, dh, 0.0)',
    ),
    ("first step left out", "reversed(range(len(x)))", "reversed(range(1, len(x)))"),
]

_PEEPHOLE_LSTM = [
    ("dc without the output gate's peephole", " + do * p_o", ""),
    ("dc carry without peepholes", " + di * p_i + df * p_f", ""),
    ("dc carry with peepholes swapped", "di * p_i + df * p_f", "di * p_f + df * p_i"),
    ("dp_o uses c_{t-1}", "(do * c)", "(do * c_before)"),
    ("dp_f uses c_t", "(df * c_before)", "(df * c)"),
    ("dp_i from last row only", "(di * c_before).sum(axis=0)", "(di * c_before)[-1]"),
    ("dp_f from t=0 only", "dp_f += ", "dp_f = "),
    ("cell carry dropped", "dc = dc + dh * o", "dc = dh * o"),
    ("dy added to the carry once, at the end", "dh = dh + dy[t]", "dh = dh + dy[t] * (t == 0)"),
    ("dWh uses h_t", "h_before.T @ dz", "states[t + 1][0].T @ dz"),
    ("f and g gates swapped", "[di, df, dg, do]", "[di, dg, df, do]"),
    ("output gate's slope missing", "np.tanh(c) * o * (1 - o)", "np.tanh(c)"),
]

_COUPLED_LSTM = [
    ("cell carried by i", "dc = dc * (1 - i)", "dc = dc * i"),
    ("di without the forgotten part", "(g - c_before)", "g"),
    ("di with the wrong sign", "(g - c_before)", "(c_before - g)"),
    ("tanh' replaced by sigmoid'", "(1 - g**2)", "g * (1 - g)"),
    ("tanh(c) of c_{t-1}", "np.tanh((1 - i) * c_before + i * g)", "np.tanh(c_before)"),
    (
        "dWh uses h_t",
        "np.stack([h for h, *_ in tape])",
        "np.stack([h for h, *_ in tape[1:]] + [h])",
    ),
    ("db from the last step only", "dz.sum(axis=(0, 1))", "dz[-1].sum(axis=0)"),
    ("hidden carry dropped", "dh = dh + dy[t]", "dh = dy[t]"),
    ("final cell's cotangent ignored", "dh, dc = dh_last, dc_last", "dh, dc = dh_last, 0.0"),
    ("c_0's gradient missing", '"c_0": dc', '"c_0": np.zeros_like(c_0)'),
    ("gates of w_x in another order", '"x": dz @ w_x.T', '"x": np.roll(dz, H, axis=2) @ w_x.T'),
]

LSTM_MISTAKES = {
    "lstm": _LSTM,
    "peephole_lstm": _PEEPHOLE_LSTM,
    "coupled_lstm": _COUPLED_LSTM,
}
