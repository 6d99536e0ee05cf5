"""Cells that were found by a search among equations: MUT1 to MUT3, and NAS."""

from typing import Any

from tinygrad_rnn.nn.cell import Cell

__all__ = ["MUT1Cell", "MUT2Cell", "MUT3Cell", "NASCell"]


class _Mutant(Cell):
    """What MUT1 to MUT3 share: x stands beside h, projected by w_p where it is not as wide."""

    state = ("h",)
    wide: dict[str, str] = {}
    projects = True

    def __init__(self, input_size: int, hidden_size: int, *, bias: bool = True) -> None:
        self.as_wide = input_size == hidden_size
        self.params = dict(self.wide)
        if self.as_wide and self.projects:
            self.input = "H"
            self.params = {n: s.replace("I ", "H ") for n, s in self.params.items()}
        elif self.projects:
            self.params["w_p"] = "I H"
        super().__init__(input_size, hidden_size, bias=bias)

    def beside(self, x: Any, p: Any) -> Any:
        """x as wide as h."""
        return x if self.as_wide else x @ p.w_p


class MUT1Cell(_Mutant):
    """The first of three cells found by evolution (Jozefowicz et al. 2015).

        z = sigmoid(x w_x + b)
        r = sigmoid(x w_x + h w_h + b)
        h = tanh((r * h) v_h + tanh(x) + b_h) * z + h * (1 - z)

    Gates: z r, side by side in w_x and b; biases start at 0. x is projected by w_p (I, H) where
    it is not as wide as h.
    """

    wide = {"w_x": "I 2H", "w_h": "H H", "v_h": "H H", "b": "2H", "b_h": "H"}

    def step(self, x: Any, h: Any, p: Any) -> Any:
        """The equations."""
        z, r = (x @ p.w_x + p.b).chunk(2)
        z, r = z.sigmoid(), (r + h @ p.w_h).sigmoid()
        n = ((r * h) @ p.v_h + self.beside(x, p).tanh() + p.b_h).tanh()
        return n * z + h * (1 - z)


class MUT2Cell(_Mutant):
    """The second (Jozefowicz et al. 2015).

        z = sigmoid(x w_x + h w_h + b)
        r = sigmoid(x + h w_h + b)
        h = tanh((r * h) v_h + x w_x + b_h) * z + h * (1 - z)

    Gates: z r, side by side in w_h and b, and z n in w_x; biases start at 0. In r, x is projected
    by w_p (I, H) where it is not as wide as h.
    """

    wide = {"w_x": "I 2H", "w_h": "H 2H", "v_h": "H H", "b": "2H", "b_h": "H"}

    def step(self, x: Any, h: Any, p: Any) -> Any:
        """The equations."""
        x_z, x_n = (x @ p.w_x).chunk(2)
        z, r = (h @ p.w_h + p.b).chunk(2)
        z, r = (x_z + z).sigmoid(), (self.beside(x, p) + r).sigmoid()
        n = ((r * h) @ p.v_h + x_n + p.b_h).tanh()
        return n * z + h * (1 - z)


class MUT3Cell(_Mutant):
    """The third (Jozefowicz et al. 2015).

        z = sigmoid(x w_x + tanh(h) w_z + b)
        r = sigmoid(x w_x + h w_h + b)
        h = tanh((r * h) v_h + x w_x + b) * z + h * (1 - z)

    Gates: z r n, side by side in w_x and b; biases start at 0.
    """

    wide = {"w_x": "I 3H", "w_z": "H H", "w_h": "H H", "v_h": "H H", "b": "3H"}
    projects = False

    def step(self, x: Any, h: Any, p: Any) -> Any:
        """The equations."""
        z, r, n = (x @ p.w_x + p.b).chunk(3)
        z, r = (z + h.tanh() @ p.w_z).sigmoid(), (r + h @ p.w_h).sigmoid()
        n = ((r * h) @ p.v_h + n).tanh()
        return n * z + h * (1 - z)


class NASCell(Cell):
    """The cell that a search for architectures found (Zoph & Le 2017), in TensorFlow's form.

    With the eight blocks x_k of x w_x and h_k of h w_h + b:

        a_0 = sigmoid(x_0 + h_0)    a_4 = tanh(x_4 + h_4)       b_0 = tanh(a_0 * a_1)
        a_1 = relu(x_1 + h_1)       a_5 = sigmoid(x_5 + h_5)    b_1 = tanh(a_2 + a_3)
        a_2 = sigmoid(x_2 + h_2)    a_6 = tanh(x_6 + h_6)       b_2 = tanh(a_4 * a_5)
        a_3 = relu(x_3 * h_3)       a_7 = sigmoid(x_7 + h_7)    b_3 = sigmoid(a_6 + a_7)

        c = tanh(b_0 + c) * b_1
        h = tanh(c * tanh(b_2 + b_3))

    Gates: the blocks 0 to 7, side by side in w_x, w_h and b; biases start at 0.
    """

    state = ("h", "c")
    params = {"w_x": "I 8H", "w_h": "H 8H", "b": "8H"}

    def step(self, x: Any, h: Any, c: Any, p: Any) -> Any:
        """The equations."""
        xs, hs = (x @ p.w_x).chunk(8), (h @ p.w_h + p.b).chunk(8)
        z = [u * v if k == 3 else u + v for k, (u, v) in enumerate(zip(xs, hs, strict=True))]
        a = [z[0].sigmoid(), z[1].relu(), z[2].sigmoid(), z[3].relu()]
        a += [z[4].tanh(), z[5].sigmoid(), z[6].tanh(), z[7].sigmoid()]
        b_0, b_1 = (a[0] * a[1]).tanh(), (a[2] + a[3]).tanh()
        b_2, b_3 = (a[4] * a[5]).tanh(), (a[6] + a[7]).sigmoid()
        c = (b_0 + c).tanh() * b_1
        return (c * (b_2 + b_3).tanh()).tanh(), c
