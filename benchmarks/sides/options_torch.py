"""Recurrent layers with options in PyTorch, the way people write them there.

What PyTorch has is used: dropout in front of a layer, ``proj_size`` of an LSTM,
``functional_call`` with weights that were dropped. For all else there is a loop over steps, with
the products of x before it.
"""

import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

OWN = {"bias", "num_layers", "bidirectional"}  # and proj_size, of an LSTM
FUNCTIONS = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "hard_tanh": F.hardtanh,
    "hard_sigmoid": F.hardsigmoid,
}


def make(kind, H, options):
    """A layer whose input is as wide as its state."""
    options = dict(options)
    if options.keys() <= OWN | ({"proj_size"} if kind == "LSTM" else set()):
        return getattr(nn, kind)(H, H, **options)
    if "input_dropout" in options:
        return InputDropout(getattr(nn, kind)(H, H), options["input_dropout"], "locked" in options)
    if "weight_drop" in options:
        return WeightDrop(getattr(nn, kind)(H, H), options["weight_drop"])
    return {"LSTM": LoopedLSTM, "GRU": LoopedGRU}[kind](H, **options)


class InputDropout(nn.Module):
    """Dropout of x: of every step anew, or locked to the same units of all of them."""

    def __init__(self, layer, rate, locked):
        super().__init__()
        self.layer, self.rate, self.locked = layer, rate, locked

    def forward(self, x):
        if self.locked:
            return self.layer(x * F.dropout(x.new_ones(1, *x.shape[1:]), self.rate))
        return self.layer(F.dropout(x, self.rate))


class WeightDrop(nn.Module):
    """Dropout of the recurrent weights (DropConnect)."""

    def __init__(self, layer, rate):
        super().__init__()
        self.layer, self.rate = layer, rate

    def forward(self, x):
        dropped = F.dropout(self.layer.weight_hh_l0, self.rate)
        return functional_call(self.layer, {"weight_hh_l0": dropped}, x)


class Looped(nn.Module):
    """A loop over steps, with whatever option is asked for."""

    def __init__(
        self,
        H,
        recurrent_dropout=0.0,
        locked=True,
        zoneout=0.0,
        layer_norm=False,
        state_clip=None,
        activation="tanh",
        gate_activation="sigmoid",
        proj_size=None,
    ):
        super().__init__()
        self.H, self.P = H, proj_size or H
        self.dropout, self.locked = recurrent_dropout, locked
        self.zoneout, self.clip = zoneout, state_clip
        self.tanh, self.sigmoid = FUNCTIONS[activation], FUNCTIONS[gate_activation]
        gates = self.blocks * H
        self.of_x = nn.Linear(H, gates, bias=not layer_norm)
        self.of_h = nn.Linear(self.P, gates, bias=not layer_norm)
        self.project = nn.Linear(H, self.P, bias=False) if proj_size else nn.Identity()
        norm = nn.LayerNorm if layer_norm else lambda width: nn.Identity()
        self.norm_x, self.norm_h, self.norm_c = norm(gates), norm(gates), norm(H)

    def forward(self, x):
        B = x.shape[1]
        states = [x.new_zeros(B, width) for width in self.widths()]
        read = x.new_zeros(B, self.P)
        mask = F.dropout(torch.ones_like(read), self.dropout) if self.locked else None
        outputs = []
        for gates in self.norm_x(self.of_x(x)).unbind(0):
            if self.dropout:
                read = read * mask if self.locked else F.dropout(read, self.dropout)
            read, *states = self.step(gates, self.norm_h(self.of_h(read)), *states)
            outputs.append(read)
        return torch.stack(outputs), states

    def clipped(self, state):
        return state.clamp(-self.clip, self.clip) if self.clip else state

    def kept(self, old, new):
        """What the next step gets: zoneout leaves some of the old state."""
        return torch.where(torch.rand_like(new) < self.zoneout, old, new) if self.zoneout else new


class LoopedLSTM(Looped):
    blocks = 4

    def widths(self):
        return self.P, self.H

    def step(self, gates_x, gates_h, h, c):
        i, f, g, o = (gates_x + gates_h).chunk(4, dim=-1)
        new = self.clipped(self.sigmoid(f) * c + self.sigmoid(i) * self.tanh(g))
        out = self.project(self.sigmoid(o) * self.tanh(self.norm_c(new)))
        h = self.kept(h, self.clipped(out))
        return h, h, self.kept(c, new)


class LoopedGRU(Looped):
    blocks = 3

    def widths(self):
        return (self.H,)

    def step(self, gates_x, gates_h, h):
        x_r, x_z, x_n = gates_x.chunk(3, dim=-1)
        h_r, h_z, h_n = gates_h.chunk(3, dim=-1)
        z = self.sigmoid(x_z + h_z)
        n = self.tanh(x_n + self.sigmoid(x_r + h_r) * h_n)
        h = self.kept(h, self.clipped(n + z * (h - n)))
        return self.project(h), h
