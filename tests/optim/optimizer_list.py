"""Every optimiser by its name, with options, and its definition written out by hand."""

import math

import numpy as np

from tinygrad_rnn import optim


def root(v, o):
    return np.sqrt(v + o["eps"]) if o.get("eps_inside_root") else np.sqrt(v) + o["eps"]


def by_hand(kind, o, w, gradients):
    """The weights after all gradients: one loop, no classes, whatever the name of the rule."""
    w = w.copy()
    state = {name: np.zeros_like(w) for name in ("m", "v", "u", "a", "largest", "average")}
    m, v, u, a, largest, average = state.values()
    b1, b2 = o.get("betas", (0, 0))
    product = 1.0
    for t, g in enumerate(gradients, 1):
        decay = o.get("weight_decay", 0.0)
        if o.get("decoupled_weight_decay"):
            w = w - o["lr"] * decay * w
        else:
            g = g + decay * w
        if kind == "SGD":
            if o.get("momentum"):
                m = g if t == 1 else o["momentum"] * m + (1 - o.get("dampening", 0)) * g
                g = g + o["momentum"] * m if o.get("nesterov") else m
            w = w - o["lr"] * g
        elif kind == "Adagrad":
            v = v + g**2
            if t == 1:
                v = v + o.get("initial_accumulator_value", 0)
            w = w - o["lr"] / (1 + (t - 1) * o.get("lr_decay", 0)) * g / root(v, o)
        elif kind == "Adadelta":
            v = o["rho"] * v + (1 - o["rho"]) * g**2
            d = np.sqrt(u + o["eps"]) / np.sqrt(v + o["eps"]) * g
            u = o["rho"] * u + (1 - o["rho"]) * d**2
            w = w - o["lr"] * d
        elif kind == "RMSprop":
            v = o["alpha"] * v + (1 - o["alpha"]) * g**2
            size = v
            if o.get("centered"):
                a = o["alpha"] * a + (1 - o["alpha"]) * g
                size = v - a**2
            m = o.get("momentum", 0) * m + g / root(size, o)
            w = w - o["lr"] * m
        elif kind == "Lion":
            w = w - o["lr"] * np.sign(b1 * m + (1 - b1) * g)
            m = b2 * m + (1 - b2) * g
        elif kind == "Adamax":
            m = b1 * m + (1 - b1) * g
            u = np.maximum(b2 * u, abs(g) + o["eps"])
            w = w - o["lr"] / (1 - b1**t) * m / u
        elif kind == "ASGD":
            rate = o["lr"] / (1 + o["lambd"] * o["lr"] * (t - 1)) ** o["alpha"]
            w = w * (1 - o["lambd"] * rate) - rate * g
            average = average + (w - average) / max(1, t - 1 - o["t0"])
        else:
            m = b1 * m + (1 - b1) * g
            v = b2 * v + (1 - b2) * g**2
            m_hat, v_hat = m / (1 - b1**t), v / (1 - b2**t)
            if kind == "Adam":
                largest = np.maximum(largest, v)
                if o.get("amsgrad"):
                    v_hat = largest / (1 - b2**t)
                w = w - o["lr"] * m_hat / (np.sqrt(v_hat) + o["eps"])
            elif kind == "NAdam":
                mu, after = (b1 * (1 - 0.5 * 0.96 ** (n * o["momentum_decay"])) for n in (t, t + 1))
                product *= mu
                n = (1 - mu) / (1 - product) * g + after / (1 - product * after) * m
                w = w - o["lr"] * n / (np.sqrt(v_hat) + o["eps"])
            elif kind == "RAdam":
                last = 2 / (1 - b2) - 1
                rho = last - 2 * t * b2**t / (1 - b2**t)
                if rho > 5:
                    r = math.sqrt((rho - 4) * (rho - 2) * last / ((last - 4) * (last - 2) * rho))
                    w = w - o["lr"] * m_hat * r * math.sqrt(1 - b2**t) / (np.sqrt(v) + o["eps"])
                else:
                    w = w - o["lr"] * m_hat
    return w, average


ADAM = {"lr": 0.1, "betas": (0.9, 0.99), "eps": 1e-3}
CASES = {
    "sgd": ("SGD", {"lr": 0.1, "weight_decay": 0.1}),
    "momentum": ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.1}),
    "nesterov": ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "adagrad": (
        "Adagrad",
        {"lr": 0.1, "lr_decay": 0.2, "eps": 1e-3, "initial_accumulator_value": 0.5},
    ),
    "adagrad_inside": ("Adagrad", {"lr": 0.1, "eps": 1e-2, "eps_inside_root": True}),
    "adadelta": ("Adadelta", {"lr": 1.0, "rho": 0.8, "eps": 1e-3}),
    "rmsprop": ("RMSprop", {"lr": 0.1, "alpha": 0.9, "eps": 1e-2, "eps_inside_root": True}),
    "centered": ("RMSprop", {"lr": 0.1, "alpha": 0.9, "eps": 0.1, "centered": True,
                             "momentum": 0.5}),
    "adam": ("Adam", ADAM),
    "amsgrad": ("Adam", {**ADAM, "amsgrad": True}),
    "adamw": ("AdamW", {**ADAM, "weight_decay": 0.3}),
    "nadam": ("NAdam", {**ADAM, "momentum_decay": 0.01}),
    "radam": ("RAdam", ADAM),
    "adamax": ("Adamax", ADAM),
    "asgd": ("ASGD", {"lr": 0.1, "lambd": 0.01, "alpha": 0.75, "t0": 2}),
    "lion": ("Lion", {"lr": 0.1, "betas": (0.9, 0.99), "weight_decay": 0.1}),
    "decoupled": ("SGD", {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True}),
}  # fmt: skip


def make(case, params, **more):
    """An optimiser of ours."""
    kind, options = CASES[case]
    return getattr(optim, kind)(params, **options, **more)


def expected(case, w, gradients):
    """The weights after all gradients, and their average, as the definition says."""
    kind, options = CASES[case]
    decoupled = {"decoupled_weight_decay": True} if kind in ("AdamW", "Lion") else {}
    return by_hand("Adam" if kind == "AdamW" else kind, {**options, **decoupled}, w, gradients)
