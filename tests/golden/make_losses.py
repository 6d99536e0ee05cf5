"""Makes losses.npz: what PyTorch's losses give, in float64.

    python tests/golden/make_losses.py      # with PyTorch installed

Every array stands under ``case/name``: what goes in, ``loss``, and the gradient of its sum by
each input that has one (``d_x``, ...). Classes stand last, as in this library.
"""

from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).with_name("losses.npz")
N, D, V = 6, 8, 9
CUTOFFS = [3, 6]

# name -> the function of torch.nn.functional, and its options
CASES = {
    "cross_entropy": ("cross_entropy", {}),
    "cross_entropy_smoothed": ("cross_entropy", {"label_smoothing": 0.1, "weights": True}),
    "cross_entropy_soft": (
        "cross_entropy",
        {"label_smoothing": 0.2, "weights": True, "soft": True},
    ),
    "nll": ("nll_loss", {"weights": True}),
    "mse": ("mse_loss", {}),
    "l1": ("l1_loss", {}),
    "huber": ("huber_loss", {"delta": 0.7}),
    "bce_with_logits": ("binary_cross_entropy_with_logits", {"pos_weight": 2.5}),
    "kl_divergence": ("kl_div", {}),
    "adaptive": ("", {}),
}
REDUCTIONS = ["none", "sum", "mean"]


def compute(case: str, reduction: str = "mean", seed: int = 0) -> dict[str, np.ndarray]:
    """All arrays of one case, drawn from ``seed``."""
    import torch
    from torch.nn import functional

    torch.manual_seed(seed)
    kind, options = CASES[case]
    real = torch.float64
    if case == "adaptive":
        return _adaptive(reduction)
    options = dict(options)
    x = torch.randn(N, V, dtype=real, requires_grad=True)
    arrays, leaves = {"x": x}, {"x": x}
    if options.pop("weights", False):
        arrays["weights"] = options["weight"] = torch.rand(V, dtype=real)
    if "pos_weight" in options:
        options["pos_weight"] = torch.tensor(options["pos_weight"], dtype=real)
    if case in ("cross_entropy", "cross_entropy_smoothed", "nll"):
        y = torch.randint(0, V, (N,))
        y[2] = -100
    else:
        y = torch.rand(N, V, dtype=real)
        y = torch.softmax(3 * y, -1) if options.pop("soft", case == "kl_divergence") else y
        leaves["y"] = y.requires_grad_()
    arrays["y"] = y
    how = {**options, "reduction": reduction}
    if case == "kl_divergence":  # of rows, whose mean PyTorch calls batchmean
        how["reduction"] = {"mean": "batchmean"}.get(reduction, reduction)
    given = torch.log_softmax(x, -1) if case in ("nll", "kl_divergence") else x
    loss = getattr(functional, kind)(given, y, **how)
    loss = loss.sum(-1) if case == "kl_divergence" and reduction == "none" else loss
    loss.sum().backward()
    found = {**arrays, "loss": loss, **{f"d_{n}": leaf.grad for n, leaf in leaves.items()}}
    return {name: value.detach().numpy() for name, value in found.items()}


def _adaptive(reduction: str) -> dict[str, np.ndarray]:
    import torch

    layer = torch.nn.AdaptiveLogSoftmaxWithLoss(
        D, V, CUTOFFS, div_value=2.0, head_bias=True, dtype=torch.float64
    )
    h = torch.randn(N, D, dtype=torch.float64, requires_grad=True)
    y = torch.randint(0, V, (N,))
    rows = -layer(h, y).output
    loss = {"none": lambda v: v, "sum": torch.sum, "mean": torch.mean}[reduction](rows)
    loss.sum().backward()
    parts = {name.replace(".", "_"): p for name, p in layer.named_parameters()}
    found = {"x": h, "y": y, "loss": loss, "log_prob": layer.log_prob(h), "d_x": h.grad, **parts}
    found |= {f"d_{name}": p.grad for name, p in parts.items()}
    return {name: value.detach().numpy() for name, value in found.items()}


if __name__ == "__main__":
    np.savez_compressed(
        GOLDEN,
        **{f"{case}/{name}": a for case in CASES for name, a in compute(case).items()},
    )
