"""The cells that persistent kernels are written for: their equations, as programs are made of.

``cells.cuh`` has the same in CUDA, with what backward does.
"""

from dataclasses import dataclass
from typing import Any

__all__ = ["GRU", "LSTM", "RNN"]


@dataclass(frozen=True)
class LSTM:
    """nn.LSTMCell: gates i f g o."""

    bias: bool
    state = ("h", "c")

    @property
    def params(self) -> dict[str, str]:
        """The weights, by the letters of their sizes."""
        return {"w_x": "I 4H", "w_h": "H 4H"} | ({"b": "4H"} if self.bias else {})

    def step(self, x: Any, h: Any, c: Any, p: Any) -> Any:
        """The equations."""
        z = x @ p.w_x + h @ p.w_h
        i, f, g, o = (z + p.b if self.bias else z).chunk(4)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        c = f * c + i * g
        return o * c.tanh(), c


@dataclass(frozen=True)
class GRU:
    """nn.GRUCell, reset after: gates r z n."""

    bias: bool
    state = ("h",)

    @property
    def params(self) -> dict[str, str]:
        """The weights, by the letters of their sizes."""
        return {"w_x": "I 3H", "w_h": "H 3H"} | ({"b": "3H", "b_h": "H"} if self.bias else {})

    def step(self, x: Any, h: Any, p: Any) -> Any:
        """The equations."""
        z = x @ p.w_x
        x_r, x_z, x_n = (z + p.b if self.bias else z).chunk(3)
        h_r, h_z, h_n = (h @ p.w_h).chunk(3)
        r, z = (x_r + h_r).sigmoid(), (x_z + h_z).sigmoid()
        n = (x_n + r * (h_n + p.b_h if self.bias else h_n)).tanh()
        return (1 - z) * n + z * h


@dataclass(frozen=True)
class RNN:
    """nn.RNNCell with tanh or relu."""

    bias: bool
    relu: bool
    state = ("h",)

    @property
    def params(self) -> dict[str, str]:
        """The weights, by the letters of their sizes."""
        return {"w_x": "I H", "w_h": "H H"} | ({"b": "H"} if self.bias else {})

    def step(self, x: Any, h: Any, p: Any) -> Any:
        """The equations."""
        z = x @ p.w_x + h @ p.w_h
        z = z + p.b if self.bias else z
        return z.relu() if self.relu else z.tanh()
