"""Makes losses.npz: what PyTorch's losses give, in float64.

    python tests/golden/make_losses.py      # with PyTorch installed

Every array stands under ``case/name``: what goes in, ``loss``, and the gradient of its sum by
each input that has one (``d_x``, ...). Classes stand last, as in this library.
"""

from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).with_name("losses.npz")
N, D, V = 6, 8, 9

# name -> our function, and options. Of these, "weights", "pos_weights" and "soft" say that there
# are such, "lead" is the shape of the rows, "ignored" and "masked" are the rows that do not count.
CASES = {
    "cross_entropy": ("cross_entropy", {"ignored": [2]}),
    "cross_entropy_smoothed": (
        "cross_entropy", {"label_smoothing": 0.1, "weights": True, "ignored": [2]},
    ),
    "cross_entropy_soft": (
        "cross_entropy", {"label_smoothing": 0.2, "weights": True, "soft": True},
    ),
    "nll": ("nll", {"weights": True, "ignored": [2]}),
    "mse": ("mse", {}),
    "l1": ("l1", {}),
    "huber": ("huber", {"delta": 0.7}),
    "bce_with_logits": ("bce_with_logits", {"pos_weight": 2.5}),
    "kl_divergence": ("kl_divergence", {}),
    "linear_cross_entropy": (
        "linear_cross_entropy", {"label_smoothing": 0.1, "weights": True, "ignored": [0, 4]},
    ),
    "adaptive": ("AdaptiveSoftmax", {"cutoffs": [3, 6], "div_value": 2.0, "head_bias": True}),
}  # fmt: skip
PEERS = {
    "cross_entropy": "cross_entropy", "linear_cross_entropy": "cross_entropy", "nll": "nll_loss",
    "mse": "mse_loss", "l1": "l1_loss", "huber": "huber_loss", "kl_divergence": "kl_div",
    "bce_with_logits": "binary_cross_entropy_with_logits",
}  # fmt: skip


def compute(kind: str, options: dict, reduction: str = "mean", seed: int = 0) -> dict:
    """All arrays of one case, drawn from ``seed``."""
    import torch

    torch.manual_seed(seed)
    if kind == "AdaptiveSoftmax":
        return _adaptive(options, reduction)
    options, real = dict(options), torch.float64
    lead, ignored = options.pop("lead", (N,)), options.pop("ignored", [])
    counts = torch.ones(lead, dtype=torch.bool)
    counts.view(-1)[options.pop("masked", [])] = False
    if kind == "linear_cross_entropy":
        h = torch.randn(*lead, D, dtype=real, requires_grad=True)
        leaves = {"x": h, "w": torch.randn(D, V, dtype=real, requires_grad=True)}
        leaves["bias"] = torch.randn(V, dtype=real, requires_grad=True)
        x = h @ leaves["w"] + leaves["bias"]
    else:
        x = torch.randn(*lead, V, dtype=real, requires_grad=True)
        leaves = {"x": x}
    arrays = {}
    if options.pop("weights", False):
        arrays["weights"] = options["weight"] = torch.rand(V, dtype=real)
    if options.pop("pos_weights", False):
        arrays["pos_weight"] = options["pos_weight"] = 3 * torch.rand(V, dtype=real)
    elif "pos_weight" in options:
        options["pos_weight"] = torch.tensor(options["pos_weight"], dtype=real)
    soft = options.pop("soft", kind == "kl_divergence")
    if kind in ("cross_entropy", "linear_cross_entropy", "nll") and not soft:
        y = torch.randint(0, V, lead)
        y.view(-1)[ignored] = options.get("ignore_index", -100)
    else:
        y = torch.rand(*lead, V, dtype=real)
        leaves["y"] = y = (torch.softmax(3 * y, -1) if soft else y).requires_grad_()
    rows, of_rows = x[counts], y[counts]  # PyTorch has no masks
    if kind == "kl_divergence":  # of rows, whose mean PyTorch calls batchmean
        options["reduction"] = {"mean": "batchmean"}.get(reduction, reduction)
    given = torch.log_softmax(rows, -1) if kind in ("nll", "kl_divergence") else rows
    how = {"reduction": reduction, **options}
    loss = getattr(torch.nn.functional, PEERS[kind])(given, of_rows, **how)
    if reduction == "none":
        loss = loss.sum(-1) if kind == "kl_divergence" else loss
        loss = torch.zeros(*lead, *loss.shape[1:], dtype=real).masked_scatter(
            counts if loss.ndim == 1 else counts[..., None], loss
        )
    loss.sum().backward()
    found = {**leaves, **arrays, "y": y, "loss": loss, "mask": counts}
    found |= {f"d_{name}": leaf.grad for name, leaf in leaves.items()}
    return {name: value.detach().numpy() for name, value in found.items()}


def _adaptive(options: dict, reduction: str) -> dict:
    import torch

    layer = torch.nn.AdaptiveLogSoftmaxWithLoss(D, V, dtype=torch.float64, **options)
    h = torch.randn(N, D, dtype=torch.float64, requires_grad=True)
    y = torch.randint(0, V, (N,))
    rows = -layer(h, y).output
    loss = {"none": lambda v: v, "sum": torch.sum, "mean": torch.mean}[reduction](rows)
    loss.sum().backward()
    parts = {name.replace(".", "_"): p for name, p in layer.named_parameters()}
    found = {"x": h, "y": y, "loss": loss, "log_prob": layer.log_prob(h), "d_x": h.grad, **parts}
    found["best"] = layer.predict(h)
    found |= {f"d_{n}": torch.zeros_like(p) if p.grad is None else p.grad for n, p in parts.items()}
    return {name: value.detach().numpy() for name, value in found.items()}


if __name__ == "__main__":
    np.savez_compressed(
        GOLDEN,
        **{f"{case}/{name}": a for case in CASES for name, a in compute(*CASES[case]).items()},
    )
