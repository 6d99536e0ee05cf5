"""Every loss as one reads it in a book, in NumPy: a number for each row or element."""

import numpy as np


def log_softmax(x):
    return x - x.max(-1, keepdims=True) - np.log(
        np.exp(x - x.max(-1, keepdims=True)).sum(-1, keepdims=True)
    )  # fmt: skip


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def mse(x, y):
    return (x - y) ** 2


def l1(x, y):
    return np.abs(x - y)


def huber(x, y, delta):
    d = np.abs(x - y)
    return np.where(d <= delta, d * d / 2, delta * (d - delta / 2))


def bce(s, y, weight):
    return -weight * y * np.log(sigmoid(s)) - (1 - y) * np.log(1 - sigmoid(s))


def kl(log_q, p):
    return (p * (np.log(np.where(p > 0, p, 1)) - log_q)).sum(-1)


def soft_cross_entropy(scores, q, weights=1.0, smoothing=0.0):
    q = (1 - smoothing) * q + smoothing / q.shape[-1]
    return -(q * weights * log_softmax(scores)).sum(-1)
