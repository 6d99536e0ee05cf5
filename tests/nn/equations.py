"""The cells' equations once more, gate by gate in NumPy, as the papers have them.

``step(p, x, *state)`` takes weights cut into blocks: ``p("w_x", 1)`` is block 1 of w_x. None of
it is shared with the library.
"""

import numpy as np


def sigma(z):
    return 1 / (1 + np.exp(-z))


def relu(z):
    return np.maximum(z, 0)


tanh = np.tanh


def rnn(f):
    return lambda p, x, h: (f(x @ p("w_x") + h @ p("w_h") + p("b")),)


def pascanu(f):
    return lambda p, x, h: (f(h) @ p("w_h") + x @ p("w_x") + p("b"),)


def indrnn(p, x, h):
    return (relu(x @ p("w_x") + p("u") * h + p("b")),)


def autonomous(p, s):
    return (tanh(s @ p("w") + p("b")),)


def naive_memory(p, x, h, c):
    g = tanh(x @ p("w_x") + h @ p("w_h") + p("b"))
    c = c @ p("w_c") + g @ p("w_g")
    return tanh(c), c


def lstm_without_forget(p, x, h, c):
    i, g, o = (x @ p("w_x", k) + h @ p("w_h", k) + p("b", k) for k in range(3))
    c = c + sigma(i) * tanh(g)
    return sigma(o) * tanh(c), c


def lstm(p, x, h, c):
    i, f, g, o = (x @ p("w_x", k) + h @ p("w_h", k) + p("b", k) for k in range(4))
    c = sigma(f) * c + sigma(i) * tanh(g)
    return sigma(o) * tanh(c), c


def greff(variant):
    """Greff et al. 2015, section 2 and figure 3's list of variants."""

    def step(p, x, h, c, *gates):
        order = {"NIG": "fgo", "NFG": "igo", "NOG": "ifg", "CIFG": "igo"}.get(variant, "ifgo")
        z = {k: x @ p("w_x", n) + h @ p("w_h", n) + p("b", n) for n, k in enumerate(order)}
        if variant == "FGR":
            for n, k in enumerate("ifo"):
                z[k] = z[k] + sum(s @ p(f"r_{m}", n) for m, s in zip("ifo", gates, strict=True))
        peep = {k: 0.0 if variant == "NP" else p(f"p_{k}") for k in order if k != "g"}
        i = 1.0 if variant == "NIG" else sigma(z["i"] + peep["i"] * c)
        if variant == "CIFG":
            f = 1 - i
        else:
            f = 1.0 if variant == "NFG" else sigma(z["f"] + peep["f"] * c)
        c = (z["g"] if variant == "NIAF" else tanh(z["g"])) * i + c * f
        o = 1.0 if variant == "NOG" else sigma(z["o"] + peep["o"] * c)
        h = (c if variant == "NOAF" else tanh(c)) * o
        return (h, c, i, f, o) if variant == "FGR" else (h, c)

    return step


def gru_after(p, x, h):
    r = sigma(x @ p("w_x", 0) + h @ p("w_h", 0) + p("b", 0))
    z = sigma(x @ p("w_x", 1) + h @ p("w_h", 1) + p("b", 1))
    n = tanh(x @ p("w_x", 2) + p("b", 2) + r * (h @ p("w_h", 2) + p("b_h")))
    return (z * h + (1 - z) * n,)


def gru_before(p, x, h):
    r = sigma(x @ p("w_x", 0) + h @ p("w_h", 0) + p("b", 0))
    z = sigma(x @ p("w_x", 1) + h @ p("w_h", 1) + p("b", 1))
    n = tanh(x @ p("w_x", 2) + (r * h) @ p("v_h") + p("b", 2))
    return (z * h + (1 - z) * n,)


def mgu(p, x, h):
    f = sigma(x @ p("w_x", 0) + h @ p("w_h") + p("b", 0))
    n = tanh(x @ p("w_x", 1) + (f * h) @ p("v_h") + p("b", 1))
    return ((1 - f) * h + f * n,)


def mut1(p, x, h):
    beside = x if x.shape == h.shape else x @ p("w_p")
    z = sigma(x @ p("w_x", 0) + p("b", 0))
    r = sigma(x @ p("w_x", 1) + h @ p("w_h") + p("b", 1))
    return (tanh((r * h) @ p("v_h") + tanh(beside) + p("b_h")) * z + h * (1 - z),)


def mut2(p, x, h):
    beside = x if x.shape == h.shape else x @ p("w_p")
    z = sigma(x @ p("w_x", 0) + h @ p("w_h", 0) + p("b", 0))
    r = sigma(beside + h @ p("w_h", 1) + p("b", 1))
    return (tanh((r * h) @ p("v_h") + x @ p("w_x", 1) + p("b_h")) * z + h * (1 - z),)


def mut3(p, x, h):
    z = sigma(x @ p("w_x", 0) + tanh(h) @ p("w_z") + p("b", 0))
    r = sigma(x @ p("w_x", 1) + h @ p("w_h") + p("b", 1))
    return (tanh((r * h) @ p("v_h") + x @ p("w_x", 2) + p("b", 2)) * z + h * (1 - z),)


def nas(p, x, h, c):
    """TensorFlow's NASCell, layer by layer; its bias stands beside the state's product."""
    xs = [x @ p("w_x", k) for k in range(8)]
    hs = [h @ p("w_h", k) + p("b", k) for k in range(8)]
    first = [
        sigma(xs[0] + hs[0]), relu(xs[1] + hs[1]), sigma(xs[2] + hs[2]), relu(xs[3] * hs[3]),
        tanh(xs[4] + hs[4]), sigma(xs[5] + hs[5]), tanh(xs[6] + hs[6]), sigma(xs[7] + hs[7]),
    ]  # fmt: skip
    second = [
        tanh(first[0] * first[1]), tanh(first[2] + first[3]),
        tanh(first[4] * first[5]), sigma(first[6] + first[7]),
    ]  # fmt: skip
    c = tanh(second[0] + c) * second[1]
    return tanh(c * tanh(second[2] + second[3])), c


def rhn(depth):
    def step(p, x, h):
        for layer in range(depth):
            more = [x @ p("w_x", k) if layer == 0 else 0.0 for k in range(2)]
            n = tanh(more[0] + h @ p(f"w_{layer}", 0) + p(f"b_{layer}", 0))
            t = sigma(more[1] + h @ p(f"w_{layer}", 1) + p(f"b_{layer}", 1))
            h = n * t + h * (1 - t)
        return (h,)

    return step
