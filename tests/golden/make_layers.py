"""Makes layers.npz: what PyTorch's layers compute, in float64.

    python tests/golden/make_layers.py      # with PyTorch installed

Every array stands under ``case/name``: parameters and buffers under PyTorch's names, inputs
``x``, ``x1``, ..., what came out (``y``, ``y1``), the gradient of y that was sent back (``dy``),
and those that arrived (``d_x``, ``d_weight``, ...). Buffers after the call are ``after_...``.
Integers are ids, which have no gradient.
"""

from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).with_name("layers.npz")

# name -> the class of torch.nn, its arguments, and the shapes of its inputs
CASES = {
    "linear": ("Linear", (3, 4), {}, [(2, 5, 3)]),
    "layer_norm": ("LayerNorm", (6,), {}, [(3, 2, 6)]),
    "layer_norm_of_two_axes": ("LayerNorm", ([2, 6],), {"eps": 0.1}, [(3, 2, 6)]),
    "batch_norm": ("BatchNorm1d", (4,), {}, [(5, 4)]),
    "batch_norm_of_images": ("BatchNorm2d", (3,), {"momentum": None}, [(2, 3, 2, 4)]),
    "conv1d": ("Conv1d", (4, 6, 3), {"stride": 2, "padding": 1}, [(2, 4, 8)]),
    "conv1d_same": ("Conv1d", (4, 6, 3), {"padding": "same", "groups": 2}, [(2, 4, 7)]),
    "conv2d": ("Conv2d", (3, 4, (3, 2)), {"padding": (1, 0), "bias": False}, [(2, 3, 5, 6)]),
    "conv2d_dilated": (
        "Conv2d", (2, 4, 3), {"dilation": (1, 2), "stride": (2, 1), "groups": 2}, [(2, 2, 7, 7)],
    ),
    "max_pool": ("MaxPool2d", (2,), {}, [(2, 3, 5, 6)]),
    "max_pool_padded": ("MaxPool1d", (3, 2, 1), {}, [(2, 3, 8)]),
    "avg_pool": ("AvgPool2d", ((2, 3), 1, (1, 1)), {}, [(2, 3, 5, 6)]),
    "avg_pool_of_what_is_there": (
        "AvgPool1d", (3, 2, 1), {"count_include_pad": False}, [(2, 3, 8)],
    ),
    "elu": ("ELU", (0.5,), {}, [(4, 5)]),
    "gelu": ("GELU", (), {"approximate": "tanh"}, [(4, 5)]),
    "hard_tanh": ("Hardtanh", (), {}, [(4, 5)]),
    "leaky_relu": ("LeakyReLU", (0.2,), {}, [(4, 5)]),
    "log_softmax": ("LogSoftmax", (1,), {}, [(4, 5)]),
    "silu": ("SiLU", (), {}, [(4, 5)]),
    "softplus": ("Softplus", (), {}, [(4, 5)]),
    "softsign": ("Softsign", (), {}, [(4, 5)]),
    "multi_head": (
        "MultiheadAttention", (4, 2), {"kdim": 3, "vdim": 5, "batch_first": True, "mask": "keys"},
        [(2, 3, 4), (2, 6, 3), (2, 6, 5)],
    ),
    "multi_head_of_one_sequence": (
        "MultiheadAttention", (4, 2), {"bias": False, "mask": "added"}, [(3, 2, 4)] * 3,
    ),
    "embedding": ("Embedding", (5, 3), {"padding_idx": -2}, [(4, 6)]),
    "flatten": ("Flatten", (1, 2), {}, [(2, 3, 4, 5)]),
}  # fmt: skip


def compute(kind: str, arguments: tuple, options: dict, shapes: list, seed: int = 0) -> dict:
    """All arrays of one case, drawn from ``seed``."""
    import torch

    options = dict(options)
    mask = options.pop("mask", None)
    torch.manual_seed(seed)
    module = getattr(torch.nn, kind)(*arguments, **options).double()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    names = ["x", *(f"x{k}" for k in range(1, len(shapes)))]
    if kind == "Embedding":
        if options.get("padding_idx") is not None:
            module.weight.data[options["padding_idx"]] = 0
        inputs = {"x": torch.randint(0, arguments[0], shapes[0])}
    else:
        inputs = {
            n: torch.randn(s, dtype=torch.float64, requires_grad=True)
            for n, s in zip(names, shapes, strict=True)
        }
    found = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    found = {name: value.detach().clone() for name, value in found.items()}
    more = {}
    if mask is not None:
        more, found["mask"] = _masked(mask, options.get("batch_first", False), arguments, shapes)
    y = module(*inputs.values(), **more)
    y, *rest = y if isinstance(y, tuple) else (y,)
    dy = torch.randn_like(y)
    if y.requires_grad:
        (y * dy).sum().backward()
    found |= {**inputs, "y": y, "dy": dy, **{f"y{k}": v for k, v in enumerate(rest, 1)}}
    found |= {f"after_{name}": value for name, value in module.named_buffers()}
    leaves = {**inputs, **dict(module.named_parameters())}
    found |= {f"d_{name}": leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}
    if kind.startswith("BatchNorm"):
        found["y_eval"] = module.eval()(inputs["x"])
    return {name: value.detach().numpy() for name, value in found.items()}


def _masked(mask: str, batch_first: bool, arguments: tuple, shapes: list) -> tuple[dict, object]:
    """The masks of one kind in PyTorch's form, where True hides, and in ours, where it shows."""
    import torch

    heads = arguments[1]
    T, S = (shape[1 if batch_first else 0] for shape in shapes[:2])
    B = shapes[0][0 if batch_first else 1]
    if mask == "keys":
        hidden = torch.rand(B, S) < 0.3
        hidden[:, 0] = False
        return {"key_padding_mask": hidden}, ~hidden if batch_first else ~hidden.T
    hidden = torch.rand(B, T, S) < 0.3
    hidden[..., 0] = False
    added = torch.randn(B, T, S, dtype=torch.float64).masked_fill(hidden, -torch.inf)
    seen = {"added": added, "pairs": hidden}[mask]
    return {"attn_mask": seen.repeat_interleave(heads, 0)}, added if mask == "added" else ~hidden


if __name__ == "__main__":
    np.savez_compressed(
        GOLDEN,
        **{f"{case}/{name}": a for case in CASES for name, a in compute(*CASES[case]).items()},
    )
