"""Variants of the LSTM: with peepholes, and those that Greff et al. (2015) compare."""

from typing import Any

from tinygrad_rnn.nn.cell import Cell
from tinygrad_rnn.nn.init import per_gate

__all__ = ["LSTMVariantCell", "PeepholeLSTMCell"]


class PeepholeLSTMCell(Cell):
    """Long short-term memory whose gates see the memory (Gers & Schmidhuber 2000).

        i, f = sigmoid(... + p_i * c), sigmoid(... + p_f * c)
        c = f * c + i * tanh(...)
        h = sigmoid(... + p_o * c) * tanh(c)

    Gates: i f g o, side by side in w_x, w_h and b. The forget gate's bias starts at 1, the
    others at 0.
    """

    state = ("h", "c")
    params = {"w_x": "I 4H", "w_h": "H 4H", "b": "4H", "p_i": "H", "p_f": "H", "p_o": "H"}
    initializers = {"b": per_gate(0.0, 1.0, 0.0, 0.0)}

    def step(self, x: Any, h: Any, c: Any, p: Any) -> Any:
        """The equations."""
        i, f, g, o = (x @ p.w_x + h @ p.w_h + p.b).chunk(4)
        i, f, g = (i + p.p_i * c).sigmoid(), (f + p.p_f * c).sigmoid(), g.tanh()
        c = f * c + i * g
        o = (o + p.p_o * c).sigmoid()
        return o * c.tanh(), c


_VARIANTS = {
    "V": "the vanilla cell, which has peepholes",
    "NIG": "no input gate: i = 1",
    "NFG": "no forget gate: f = 1",
    "NOG": "no output gate: o = 1",
    "NIAF": "no input activation: g is not squashed",
    "NOAF": "no output activation: c is not squashed",
    "CIFG": "coupled input and forget gate: f = 1 - i",
    "NP": "no peepholes",
    "FGR": "full gate recurrence: each gate sees all gates of the step before",
}


class LSTMVariantCell(Cell):
    """The vanilla LSTM of Greff et al. (2015), with one thing changed.

        i, f = sigmoid(x w_x + h w_h + b + p * c)
        g = tanh(x w_x + h w_h + b)
        c = f * c + i * g
        o = sigmoid(x w_x + h w_h + b + p_o * c)
        h = o * tanh(c)

    In full gate recurrence, the three gates are states as well, and ``i r_i + f r_f + o r_o``
    of the step before is added to them.

    Gates: i f g o, side by side in w_x, w_h and b, without the one that a variant lacks. The
    forget gate's bias starts at 1, the others at 0.

    Args:
        variant: "V" (nothing changed), "NIG", "NFG", "NOG" (without input, forget or output
            gate), "NIAF", "NOAF" (without input or output activation), "CIFG" (f = 1 - i),
            "NP" (no peepholes) or "FGR" (full gate recurrence).
    """

    def __init__(
        self, input_size: int, hidden_size: int, *, variant: str = "V", bias: bool = True
    ) -> None:
        if variant not in _VARIANTS:
            known = ", ".join(f"{name} ({what})" for name, what in _VARIANTS.items())
            raise ValueError(f"LSTMVariantCell: variant is {variant!r}, expected one of {known}.")
        self.variant = variant
        gone = {"NIG": "i", "NFG": "f", "NOG": "o", "CIFG": "f"}.get(variant)
        self.blocks = [k for k in "ifgo" if k != gone]
        G = len(self.blocks)
        self.state = ("h", "c", "i", "f", "o") if variant == "FGR" else ("h", "c")
        self.params = {"w_x": f"I {G}H", "w_h": f"H {G}H", "b": f"{G}H"}
        if variant != "NP":
            self.params |= {f"p_{k}": "H" for k in self.blocks if k != "g"}
        if variant == "FGR":
            self.params |= {f"r_{k}": "H 3H" for k in "ifo"}
        self.initializers = {"b": per_gate(*(float(k == "f") for k in self.blocks))}
        super().__init__(input_size, hidden_size, bias=bias)

    def step(self, x: Any, h: Any, c: Any, *rest: Any) -> Any:
        """The equations."""
        *before, p = rest
        z = x @ p.w_x + h @ p.w_h + p.b
        z = dict(zip(self.blocks, z.chunk(len(self.blocks)), strict=True))
        if before:
            i, f, o = before
            more = dict(zip("ifo", (i @ p.r_i + f @ p.r_f + o @ p.r_o).chunk(3), strict=True))
            z |= {k: z[k] + more[k] for k in "ifo"}

        def gate(k: str, c: Any) -> Any:
            if k not in z:
                return 1.0
            seen = z[k] if self.variant == "NP" else z[k] + getattr(p, f"p_{k}") * c
            return seen.sigmoid()

        i = gate("i", c)
        f = 1 - i if self.variant == "CIFG" else gate("f", c)
        g = z["g"] if self.variant == "NIAF" else z["g"].tanh()
        c = f * c + i * g
        o = gate("o", c)
        h = o * (c if self.variant == "NOAF" else c.tanh())
        return (h, c, i, f, o) if before else (h, c)
