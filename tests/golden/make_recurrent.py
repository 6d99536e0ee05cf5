"""Makes recurrent.npz: what PyTorch's recurrent layers and cells compute, in float64.

    python tests/golden/make_recurrent.py      # with PyTorch installed

Every array stands under ``case/name``: weights under PyTorch's names, ``x``, ``h_0``, ``c_0``,
``lengths``, what came out (``y``, ``h``, ``c``), the gradients of the outputs that were sent
back (``dy``, ``dh``, ``dc``), and the gradients that arrived (``d_x``, ``d_weight_ih_l0``, ...).
"""

from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).with_name("recurrent.npz")

# name -> the class of torch.nn, its options, and whether rows have lengths
CASES = {
    "lstm": ("LSTM", {}, False),
    "lstm_deep": ("LSTM", {"num_layers": 2, "bidirectional": True}, True),
    "lstm_plain": ("LSTM", {"bias": False}, True),
    "gru": ("GRU", {}, False),
    "gru_deep": ("GRU", {"num_layers": 2, "bidirectional": True}, True),
    "rnn_tanh": ("RNN", {"num_layers": 2}, True),
    "rnn_relu": ("RNN", {"nonlinearity": "relu", "bidirectional": True}, False),
    "lstm_cell": ("LSTMCell", {}, False),
    "gru_cell": ("GRUCell", {}, False),
    "rnn_cell": ("RNNCell", {"nonlinearity": "relu"}, False),
}
T, B, I, H = 5, 4, 3, 4


def compute(kind: str, options: dict, has_lengths: bool, seed: int = 0) -> dict[str, np.ndarray]:
    """All arrays of one case, drawn from ``seed``."""
    import torch

    torch.manual_seed(seed)
    module = getattr(torch.nn, kind)(I, H, dtype=torch.float64, **options)
    cell = kind.endswith("Cell")
    count = options.get("num_layers", 1) * (1 + options.get("bidirectional", False))
    x = torch.randn(*(() if cell else (T,)), B, I, dtype=torch.float64, requires_grad=True)
    rows = (B, H) if cell else (count, B, H)
    names = ["h", "c"] if "LSTM" in kind else ["h"]
    states = {f"{n}_0": torch.randn(rows, dtype=torch.float64, requires_grad=True) for n in names}
    start = tuple(states.values()) if len(names) > 1 else states["h_0"]
    arrays = {"x": x, **states, **dict(module.named_parameters())}
    if cell:
        last = module(x, start)
        out = {}
    elif has_lengths:
        lengths = torch.randint(1, T + 1, (B,))
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        y, last = module(packed, start)
        y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, total_length=T)
        out = {"y": y}
    else:
        y, last = module(x, start)
        out = {"y": y}
    out |= dict(zip(names, last if len(names) > 1 else [last], strict=True))
    sent = {f"d{n}": torch.randn_like(v) for n, v in out.items()}
    sum((v * sent[f"d{n}"]).sum() for n, v in out.items()).backward()
    found = {**arrays, **out, **sent, **{f"d_{n}": a.grad for n, a in arrays.items()}}
    if has_lengths:
        found["lengths"] = lengths
    return {name: value.detach().numpy() for name, value in found.items()}


if __name__ == "__main__":
    np.savez_compressed(
        GOLDEN,
        **{f"{case}/{name}": a for case in CASES for name, a in compute(*CASES[case]).items()},
    )
