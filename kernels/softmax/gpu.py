"""On the GPU: the definition, over CuPy's arrays."""

from tinygrad_rnn.kernels._cuda import require


def row_sums(x, weights=None, out=None):
    xp = require(__name__)
    top = xp.max(x, axis=1, initial=-xp.inf)
    top = xp.where(xp.isfinite(top), top, 0).astype(x.dtype)
    shifted = x - top[:, None]
    lean = None if weights is None else (weights * shifted).sum(axis=1)
    powers = xp.exp(shifted)
    if out is not None:
        out[...] = powers
    return top, powers.sum(axis=1), lean


def row_best(x, count):
    xp = require(__name__)
    top, total, _ = row_sums(x)
    scores = xp.where(xp.isnan(x), -xp.inf, x)
    logs = (scores - top[:, None]) - xp.log(total)[:, None]
    logs = xp.where(scores == -xp.inf, -xp.inf, logs)
    kept = min(count, x.shape[1])
    bound = -xp.sort(-logs, axis=1)[:, kept - 1 : kept] if kept else logs[:, :0]
    good = (logs >= bound) & (logs > -xp.inf)
    token = xp.argsort(~good, axis=1, kind="stable")
    return top, total, scores.max(axis=1, initial=-xp.inf), token, good.sum(axis=1)


def row_slopes(x, top, total, g, even=None, weights=None, out=None):
    xp = require(__name__)
    slopes = xp.exp(x - top[:, None]) * (g / total)[:, None]
    idle = g == 0
    if even is not None:
        slopes -= even[:, None] * weights
        idle &= even == 0
    slopes = xp.where(idle[:, None], 0, slopes).astype(x.dtype)
    if out is None:
        return slopes
    out[...] = slopes
    return out
