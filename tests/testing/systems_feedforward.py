"""Layers, attention and losses by hand."""

import numpy as np

from tests.testing.system import System, sigmoid, softmax, valid_steps

_EPSILON = 1e-5  # of layer norm
_IGNORED = 0  # the label that weighted_nll leaves out

# ----- losses -----


def cross_entropy_forward(logits, labels):
    """The mean over rows of -log softmax at the label."""
    shifted = logits - logits.real.max(axis=1, keepdims=True)
    log_sums = np.log(np.exp(shifted).sum(axis=1))
    loss = (log_sums - shifted[np.arange(len(labels)), labels]).mean()
    return (np.asarray(loss),)


def cross_entropy_backward(cotangents, logits, labels):
    (dloss,) = cotangents
    N = len(labels)
    dlogits = softmax(logits)
    dlogits[np.arange(N), labels] -= 1
    dlogits *= dloss / N
    return {"logits": dlogits}


def weighted_nll_forward(logits, weights, labels):
    """-log softmax at the label, times the label's weight; rows labelled 0 are left out."""
    counts = labels != _IGNORED
    shifted = logits - logits.real.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    losses = -weights[labels] * log_p[np.arange(len(labels)), labels]
    loss = np.where(counts, losses, 0.0).sum() / max(counts.sum(), 1)
    return (np.asarray(loss),)


def weighted_nll_backward(cotangents, logits, weights, labels):
    (dloss,) = cotangents
    rows = np.arange(len(labels))
    counts = labels != _IGNORED
    scale = np.where(counts, dloss / max(counts.sum(), 1), 0.0)
    p = softmax(logits)
    one_hot = np.zeros_like(p)
    one_hot[rows, labels] = 1
    dlogits = (p - one_hot) * (weights[labels] * scale)[:, None]
    dweights = np.zeros_like(weights)
    np.add.at(dweights, labels, -np.log(p[rows, labels]) * scale)
    return {"logits": dlogits, "weights": dweights}


# ----- layers -----


def layer_norm_forward(x, gain, bias):
    """Over the last axis."""
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred**2).mean(axis=-1, keepdims=True)
    return (gain * centred / np.sqrt(variance + _EPSILON) + bias,)


def layer_norm_backward(cotangents, x, gain, bias):
    (dy,) = cotangents
    centred = x - x.mean(axis=-1, keepdims=True)
    rate = 1 / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + _EPSILON)
    x_hat = centred * rate
    dx_hat = dy * gain
    mean = dx_hat.mean(axis=-1, keepdims=True)
    slant = x_hat * (dx_hat * x_hat).mean(axis=-1, keepdims=True)
    dx = rate * (dx_hat - mean - slant)
    return {"x": dx, "gain": (dy * x_hat).sum(axis=(0, 1)), "bias": dy.sum(axis=(0, 1))}


def embedding_forward(table, ids):
    """A row of the table per id."""
    return (table[ids],)


def embedding_backward(cotangents, table, ids):
    (dy,) = cotangents
    dtable = np.zeros_like(table)
    np.add.at(dtable, ids, dy)
    return {"table": dtable}


def linear_forward(x, w, b):
    """The same product at every step."""
    return (x @ w + b,)


def linear_backward(cotangents, x, w, b):
    (dy,) = cotangents
    rows = x.reshape(-1, x.shape[2])
    drows = dy.reshape(-1, dy.shape[2])
    return {"x": dy @ w.T, "w": rows.T @ drows, "b": drows.sum(axis=0)}


def convolution_forward(x, w, b):
    """y_t = b + the sum over k of x_{t-k} w_k, where x is 0 before its first step."""
    T = len(x)
    y = np.zeros((*x.shape[:2], w.shape[2])) + b
    for k in range(min(len(w), T)):
        y = y + np.concatenate([np.zeros((k, *y.shape[1:])), x[: T - k] @ w[k]])
    return (y,)


def convolution_backward(cotangents, x, w, b):
    (dy,) = cotangents
    T = len(x)
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for k in range(min(len(w), T)):
        dx[: T - k] += dy[k:] @ w[k].T
        dw[k] = np.einsum("tbi,tbf->if", x[: T - k], dy[k:])
    return {"x": dx, "w": dw, "b": dy.sum(axis=(0, 1))}


def max_pooling_forward(x, lengths):
    """The largest of each row's valid steps; 0 in a row without any."""
    ordered = np.where(valid_steps(len(x), lengths), x.real, -np.inf)
    largest = np.take_along_axis(x, ordered.argmax(axis=0)[None], axis=0)[0]
    return (np.where(lengths[:, None] > 0, largest, 0.0),)


def max_pooling_backward(cotangents, x, lengths):
    (dy,) = cotangents
    best = np.where(valid_steps(len(x), lengths), x, -np.inf).argmax(axis=0)
    dx = np.zeros_like(x)
    np.put_along_axis(dx, best[None], np.where(lengths[:, None] > 0, dy, 0.0)[None], axis=0)
    return {"x": dx}


# ----- one matrix used twice -----


def tied_product_forward(x, s, w):
    """y = (x w) * tanh(s w)."""
    return ((x @ w) * np.tanh(s @ w),)


def tied_product_backward(cotangents, x, s, w):
    (dy,) = cotangents
    left, right = x @ w, np.tanh(s @ w)
    dleft = dy * right
    dright = dy * left * (1 - right**2)
    return {"x": dleft @ w.T, "s": dright @ w.T, "w": x.T @ dleft + s.T @ dright}


def tied_autoencoder_forward(x, w, b, b_out):
    """y = sigmoid(x w + b) w^T + b_out."""
    return (sigmoid(x @ w + b) @ w.T + b_out,)


def tied_autoencoder_backward(cotangents, x, w, b, b_out):
    (dy,) = cotangents
    code = sigmoid(x @ w + b)
    dz = (dy @ w) * code * (1 - code)
    dw = x.T @ dz + dy.T @ code
    return {"x": dz @ w.T, "w": dw, "b": dz.sum(axis=0), "b_out": dy.sum(axis=0)}


# ----- attention -----


def dot_attention_forward(q, k, v, mask):
    """softmax(q k^T / sqrt(K)) v, over the keys in the mask."""
    scores = q @ k.transpose(0, 2, 1) / np.sqrt(k.shape[2])
    return (softmax(scores, mask[:, None, :]) @ v,)


def dot_attention_backward(cotangents, q, k, v, mask):
    (dy,) = cotangents
    scale = 1 / np.sqrt(k.shape[2])
    weights = softmax(q @ k.transpose(0, 2, 1) * scale, mask[:, None, :])
    dweights = dy @ v.transpose(0, 2, 1)
    mean = (weights * dweights).sum(axis=2, keepdims=True)
    dscores = weights * (dweights - mean) * scale
    dq = dscores @ k
    dk = dscores.transpose(0, 2, 1) @ q
    dv = weights.transpose(0, 2, 1) @ dy
    return {"q": dq, "k": dk, "v": dv}


def additive_attention_forward(query, keys, w_q, w_k, v):
    """The keys weighed by softmax(tanh(query w_q + keys w_k) v), and the weights."""
    scores = np.tanh((query @ w_q)[:, None] + keys @ w_k) @ v
    weights = softmax(scores)
    return (weights[:, :, None] * keys).sum(axis=1), weights


def additive_attention_backward(cotangents, query, keys, w_q, w_k, v):
    dcontext, dweights = cotangents
    hidden = np.tanh((query @ w_q)[:, None] + keys @ w_k)
    weights = softmax(hidden @ v)
    dweights = dweights + (keys * dcontext[:, None]).sum(axis=2)
    dscores = weights * (dweights - (weights * dweights).sum(axis=1, keepdims=True))
    dz = dscores[:, :, None] * v * (1 - hidden**2)
    dz_query = dz.sum(axis=1)
    return {
        "query": dz_query @ w_q.T,
        "keys": weights[:, :, None] * dcontext[:, None] + dz @ w_k.T,
        "w_q": query.T @ dz_query,
        "w_k": np.einsum("btk,bta->ka", keys, dz),
        "v": np.einsum("bt,bta->a", dscores, hidden),
    }


_CLASSES = {"logits": "N V", "labels": "ids V N"}
_NORM = {"x": "T B H", "gain": "H", "bias": "H"}
_POOLING = {"x": "T B I", "lengths": "lengths T B"}
_PRODUCT = {"x": "B I", "s": "B I", "w": "I H"}
_CONVOLUTION = {"x": "T B I", "w": "K I F", "b": "F"}
_AUTOENCODER = {"x": "B I", "w": "I H", "b": "H", "b_out": "I"}
_DOT = {"q": "B S K", "k": "B T K", "v": "B T F", "mask": "mask B T"}
_ADDITIVE = {"query": "B H", "keys": "B T K", "w_q": "H A", "w_k": "K A", "v": "A"}

FEEDFORWARD = [
    System("cross_entropy", _CLASSES, cross_entropy_forward, cross_entropy_backward),
    System(
        "weighted_nll", _CLASSES | {"weights": "V"}, weighted_nll_forward, weighted_nll_backward
    ),
    System("layer_norm", _NORM, layer_norm_forward, layer_norm_backward),
    System("embedding", {"table": "V E", "ids": "ids V N"}, embedding_forward, embedding_backward),
    System("linear", {"x": "T B I", "w": "I H", "b": "H"}, linear_forward, linear_backward),
    System("convolution", _CONVOLUTION, convolution_forward, convolution_backward),
    System("max_pooling", _POOLING, max_pooling_forward, max_pooling_backward),
    System("tied_product", _PRODUCT, tied_product_forward, tied_product_backward),
    System("tied_autoencoder", _AUTOENCODER, tied_autoencoder_forward, tied_autoencoder_backward),
    System("dot_attention", _DOT, dot_attention_forward, dot_attention_backward),
    System(
        "additive_attention", _ADDITIVE, additive_attention_forward, additive_attention_backward
    ),
]
