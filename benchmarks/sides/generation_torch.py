"""The same in PyTorch: ``nn.LSTM``, or with ``cells`` behind, a loop over its cells."""

import torch
from torch import nn

V, H, LAYERS = 65, 512, 2


class Cells(nn.Module):
    """One step of a stack of cells."""

    def __init__(self, kind, width):
        super().__init__()
        cell = getattr(nn, f"{kind}Cell")
        self.cells = nn.ModuleList(cell(width if k == 0 else H, H) for k in range(LAYERS))

    def forward(self, x, state):
        state = [None] * LAYERS if state is None else state
        after = []
        for cell, before in zip(self.cells, state, strict=True):
            after.append(cell(x, before))
            x = after[-1][0] if isinstance(after[-1], tuple) else after[-1]
        return x, after


class Layers(nn.Module):
    """One step of a recurrent layer."""

    def __init__(self, kind, width):
        super().__init__()
        self.layers = getattr(nn, kind)(width, H, LAYERS)

    def forward(self, x, state):
        y, state = self.layers(x[None], state)
        return y[0], state


def case(name):
    *what, kind, width = name.removesuffix(" cells").split()
    torch.manual_seed(0)
    embedding, out = nn.Embedding(V, int(width)), nn.Linear(H, V)
    step = (Cells if name.endswith("cells") else Layers)(kind, int(width))
    token, state = torch.zeros(1, dtype=torch.long), None

    @torch.inference_mode()
    def work():
        nonlocal state, token
        hidden, state = step(embedding(token), state)
        log_probs = torch.log_softmax(out(hidden), dim=-1)
        if not what:
            token = torch.multinomial(log_probs.exp(), 1)[:, 0]

    return work
