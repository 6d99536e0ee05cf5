"""Mistakes in layers, attention and losses: what went wrong, the right text, the wrong one."""

_CROSS_ENTROPY = [
    ("1/N missing", "dloss / N", "dloss"),
    ("divided by the number of classes", "dloss / N", "dloss / logits.shape[1]"),
    ("loss's cotangent ignored", "dloss / N", "1 / N"),
    ("sign", "-= 1", "+= 1"),
    ("softmax without its sum", "dlogits = softmax(logits)", "dlogits = np.exp(logits)"),
    ("softmax over the rows", "dlogits = softmax(logits)", "dlogits = softmax(logits.T).T"),
    ("one subtracted in every row", "dlogits[np.arange(N), labels]", "dlogits[:, labels]"),
    ("label not subtracted", "dlogits[np.arange(N), labels] -= 1", "pass"),
]

_WEIGHTED_NLL = [
    ("ignored rows counted", "counts = labels != _IGNORED", "counts = np.ones(len(labels), bool)"),
    ("ignored rows in the divisor", "max(counts.sum(), 1)", "len(labels)"),
    ("weight missing", "(weights[labels] * scale)[:, None]", "scale[:, None]"),
    (
        "every class by its own weight",
        "(weights[labels] * scale)[:, None]",
        "weights * scale[:, None]",
    ),
    (
        "label's one not weighted",
        "(p - one_hot) * (weights[labels] * scale)[:, None]",
        "p * (weights[labels] * scale)[:, None] - one_hot * scale[:, None]",
    ),
    (
        "repeated labels overwrite",
        "np.add.at(dweights, labels, -np.log(p[rows, labels]) * scale)",
        "dweights[labels] += -np.log(p[rows, labels]) * scale",
    ),
    (
        "weights' gradient without 1/N",
        "-np.log(p[rows, labels]) * scale",
        "-np.log(p[rows, labels]) * counts * dloss",
    ),
    ("sign of the weights' gradient", "-np.log(p[rows, labels])", "np.log(p[rows, labels])"),
    ("weights taken for constants", '"weights": dweights', '"weights": np.zeros_like(weights)'),
]

_LAYER_NORM = [
    ("mean taken for a constant", "(dx_hat - mean - slant)", "(dx_hat - slant)"),
    ("variance taken for a constant", "(dx_hat - mean - slant)", "(dx_hat - mean)"),
    ("both means left out", "(dx_hat - mean - slant)", "dx_hat"),
    ("variance's term with the wrong sign", "- slant", "+ slant"),
    ("gain left out of dx", "dx_hat = dy * gain", "dx_hat = dy"),
    ("rate left out", "rate * (dx_hat", "(dx_hat"),
    ("sum instead of mean", "(dx_hat * x_hat).mean(", "(dx_hat * x_hat).sum("),
    (
        "epsilon outside the root",
        "np.sqrt((centred**2).mean(axis=-1, keepdims=True) + _EPSILON)",
        "(np.sqrt((centred**2).mean(axis=-1, keepdims=True)) + _EPSILON)",
    ),
    (
        "unbiased variance",
        "(centred**2).mean(axis=-1, keepdims=True)",
        "((centred**2).sum(axis=-1, keepdims=True) / max(x.shape[-1] - 1, 1))",
    ),
    (
        "mean over the batch",
        "dx_hat.mean(axis=-1, keepdims=True)\n    slant",
        "dx_hat.mean(axis=1, keepdims=True)\n    slant",
    ),
    ("gain's gradient from x", "(dy * x_hat)", "(dy * x)"),
    ("gain's gradient from x - mean", "(dy * x_hat)", "(dy * centred)"),
    ("bias from the last step only", '"bias": dy.sum(axis=(0, 1))', '"bias": dy[-1].sum(axis=0)'),
]

_EMBEDDING = [
    ("repeated ids overwrite", "np.add.at(dtable, ids, dy)", "dtable[ids] += dy"),
    (
        "repeated ids averaged",
        "np.add.at(dtable, ids, dy)",
        "np.add.at(dtable, ids, dy)\n"
        "    dtable /= np.maximum(np.bincount(ids, minlength=len(table)), 1)[:, None]",
    ),
    ("last id left out", "(dtable, ids, dy)", "(dtable, ids[:-1], dy[:-1])"),
    (
        "first row taken for padding",
        "np.add.at(dtable, ids, dy)",
        "np.add.at(dtable, ids, dy)\n    dtable[0] = 0",
    ),
    ("divided by the number of ids", "(dtable, ids, dy)", "(dtable, ids, dy / len(ids))"),
]

_LINEAR = [
    ("bias from the last step only", "drows.sum(axis=0)", "dy[-1].sum(axis=0)"),
    ("bias from the first row only", "drows.sum(axis=0)", "dy[:, 0].sum(axis=0)"),
    ("bias averaged over rows", "drows.sum(axis=0)", "drows.mean(axis=0)"),
    ("dw from the last step only", "rows.T @ drows", "x[-1].T @ dy[-1]"),
    ("dw averaged over rows", "rows.T @ drows", "rows.T @ drows / len(rows)"),
    ("rows in another order", "dy.reshape(", "dy.transpose(1, 0, 2).reshape("),
    ("bias taken for a constant", "drows.sum(axis=0)", "np.zeros_like(b)"),
]

_CONVOLUTION = [
    ("kernel read backwards", "w[k].T", "w[-1 - k].T"),
    ("kernel off by one", "w[k].T", "w[k - 1].T"),
    ("taps look ahead", "x[: T - k], dy[k:])", "x[k:], dy[: T - k])"),
    ("dx at the output's step", "dx[: T - k] +=", "dx[k:] +="),
    ("dx overwritten by each tap", "dx[: T - k] +=", "dx[: T - k] ="),
    ("last tap left out", "range(min(len(w), T))", "range(min(len(w) - 1, T))"),
    ("tap that reaches furthest left out", "range(min(len(w), T))", "range(min(len(w), T - 1))"),
    ("bias from the last step only", "dy.sum(axis=(0, 1))", "dy[-1].sum(axis=0)"),
]

_MAX_POOLING = [
    ("padding may win", "np.where(valid_steps(len(x), lengths), x, -np.inf)", "x"),
    ("padding taken for zeros", "x, -np.inf)", "x, 0.0)"),
    ("a row without steps gets a gradient", "np.where(lengths[:, None] > 0, dy, 0.0)", "dy"),
    ("off by one", "best[None]", "((best + 1) % len(x))[None]"),
    (
        "last valid step instead of the largest",
        "best[None]",
        "(0 * best + np.maximum(lengths - 1, 0)[:, None])[None]",
    ),
    ("largest by size", "x, -np.inf)", "abs(x), -np.inf)"),
    ("one place for all features", "best[None]", "np.broadcast_to(best[:, :1], best.shape)[None]"),
    ("one place for all rows", "best[None]", "np.broadcast_to(best[:1], best.shape)[None]"),
]

_TIED_PRODUCT = [
    ("first use only", "x.T @ dleft + s.T @ dright", "x.T @ dleft"),
    ("last use only", "x.T @ dleft + s.T @ dright", "s.T @ dright"),
    ("one use counted twice", "x.T @ dleft + s.T @ dright", "2 * x.T @ dleft"),
    ("inputs of the uses swapped", "x.T @ dleft + s.T @ dright", "s.T @ dleft + x.T @ dright"),
    ("the other factor left out", "dleft = dy * right", "dleft = dy"),
    ("its own factor instead of the other", "dright = dy * left", "dright = dy * right"),
    ("tanh' replaced by sigmoid'", "(1 - right**2)", "right * (1 - right)"),
]

_TIED_AUTOENCODER = [
    ("encoder's use only", "x.T @ dz + dy.T @ code", "x.T @ dz"),
    ("decoder's use only", "x.T @ dz + dy.T @ code", "dy.T @ code"),
    ("uses averaged", "x.T @ dz + dy.T @ code", "(x.T @ dz + dy.T @ code) / 2"),
    ("decoder reads x instead of the code", "dy.T @ code", "dy.T @ (x @ w + b)"),
    ("sigmoid' replaced by tanh'", "code * (1 - code)", "(1 - code**2)"),
    ("b from last row only", "dz.sum(axis=0)", "dz[-1]"),
    ("b_out passed through the code", '"b_out": dy.sum(axis=0)', '"b_out": (dz @ w.T).sum(axis=0)'),
]

_DOT_ATTENTION = [
    ("scale forgotten", "(dweights - mean) * scale", "(dweights - mean)"),
    ("scale applied twice", "(dweights - mean) * scale", "(dweights - mean) * scale**2"),
    (
        "scale forgotten in dk",
        "dscores.transpose(0, 2, 1) @ q",
        "dscores.transpose(0, 2, 1) @ q / scale",
    ),
    ("softmax without its sum", "(dweights - mean)", "dweights"),
    ("plain mean instead of the weighted one", "(weights * dweights).sum(", "dweights.mean("),
    ("mask ignored", ", mask[:, None, :])", ")"),
    (
        "masked keys set to zero instead of left out",
        "q @ k.transpose(0, 2, 1) * scale, mask[:, None, :]",
        "q @ k.transpose(0, 2, 1) * scale * mask[:, None, :]",
    ),
    (
        "masked values get a gradient",
        "dv = weights.transpose(0, 2, 1)",
        "dv = softmax(q @ k.transpose(0, 2, 1) * scale).transpose(0, 2, 1)",
    ),
    (
        "dv from the last query only",
        "weights.transpose(0, 2, 1) @ dy",
        "weights[:, -1:].transpose(0, 2, 1) @ dy[:, -1:]",
    ),
    (
        "mean over the queries",
        "(weights * dweights).sum(axis=2,",
        "(weights * dweights).sum(axis=1,",
    ),
]

_ADDITIVE_ATTENTION = [
    ("weights' own cotangent ignored", "dweights = dweights + ", "dweights = "),
    (
        "context's cotangent ignored",
        "dweights + (keys * dcontext[:, None]).sum(axis=2)",
        "dweights",
    ),
    ("keys only as values", "dcontext[:, None] + dz @ w_k.T", "dcontext[:, None]"),
    ("keys only as keys", "weights[:, :, None] * dcontext[:, None] + dz @ w_k.T", "dz @ w_k.T"),
    ("query from the last key only", "dz.sum(axis=1)", "dz[:, -1]"),
    (
        "softmax without its sum",
        "weights * (dweights - (weights * dweights).sum(axis=1, keepdims=True))",
        "weights * dweights",
    ),
    (
        "softmax over the batch",
        "(weights * dweights).sum(axis=1,",
        "(weights * dweights).sum(axis=0,",
    ),
    ("tanh' missing", " * (1 - hidden**2)", ""),
    ("v before the tanh", "dscores, hidden)", "dscores, (query @ w_q)[:, None] + keys @ w_k)"),
]

FEEDFORWARD_MISTAKES = {
    "cross_entropy": _CROSS_ENTROPY,
    "weighted_nll": _WEIGHTED_NLL,
    "layer_norm": _LAYER_NORM,
    "embedding": _EMBEDDING,
    "linear": _LINEAR,
    "convolution": _CONVOLUTION,
    "max_pooling": _MAX_POOLING,
    "tied_product": _TIED_PRODUCT,
    "tied_autoencoder": _TIED_AUTOENCODER,
    "dot_attention": _DOT_ATTENTION,
    "additive_attention": _ADDITIVE_ATTENTION,
}
