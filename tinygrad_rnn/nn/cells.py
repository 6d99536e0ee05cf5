"""The cells: each is its equations.

Rows stand in front, so a product is ``x @ w``: w_x is (I, G H), w_h is (H, G H), with the G
gates side by side in the order in which the equations name them. Vectors named ``b`` are
biases and start at 0 unless a cell says otherwise. The variables of a step are what a trace
calls its rows: each gate ends up in the variable that the equations name it by.
"""

from typing import Any

from tinygrad_rnn.nn import init
from tinygrad_rnn.nn.cell import Cell
from tinygrad_rnn.nn.checks import check_size
from tinygrad_rnn.nn.functions import Function, check_nonlinearity, nonlinearity_of
from tinygrad_rnn.nn.init import per_gate
from tinygrad_rnn.nn.parameter import Parameter

__all__ = [
    "AutonomousCell", "GRUCell", "IndRNNCell", "LSTMCell", "LSTMWithoutForgetCell", "MGUCell",
    "NaiveMemoryCell", "RHNCell", "RNNCell",
]  # fmt: skip


# ----- without gates -----


class RNNCell(Cell):
    """The vanilla recurrent unit (Elman 1990).

        h = f(x w_x + h w_h + b)

    or, with the nonlinearity in front of the product (Pascanu et al. 2013, eq. 2):

        h = x w_x + f(h) w_h + b

    Args:
        nonlinearity: f: the name of one (``nn.Activation``), or a function of a row.
        nonlinearity_first: Whether the second form is used.
    """

    state = ("h",)
    params = {"w_x": "I H", "w_h": "H H", "b": "H"}

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        nonlinearity: str | Function = "tanh",
        nonlinearity_first: bool = False,
        bias: bool = True,
    ) -> None:
        check_nonlinearity("RNNCell", "nonlinearity", nonlinearity)
        self.nonlinearity = nonlinearity
        self.nonlinearity_first = bool(nonlinearity_first)
        super().__init__(input_size, hidden_size, bias=bias)

    def step(self, x: Any, h: Any, p: Any) -> Any:
        """The equations."""
        f = nonlinearity_of(self.nonlinearity)
        if self.nonlinearity_first:
            return x @ p.w_x + f(h) @ p.w_h + p.b
        return f(x @ p.w_x + h @ p.w_h + p.b)


class IndRNNCell(Cell):
    """Independent units: each carries only itself along (Li et al. 2018).

        h = f(x w_x + u * h + b)

    u (H) starts between 0 and 1.
    """

    state = ("h",)
    params = {"w_x": "I H", "u": "H", "b": "H"}
    initializers = {"u": init.uniform_}

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        nonlinearity: str | Function = "relu",
        bias: bool = True,
    ) -> None:
        check_nonlinearity("IndRNNCell", "nonlinearity", nonlinearity)
        self.nonlinearity = nonlinearity
        super().__init__(input_size, hidden_size, bias=bias)

    def step(self, x: Any, h: Any, p: Any) -> Any:
        """The equations."""
        f = nonlinearity_of(self.nonlinearity)
        return f(x @ p.w_x + p.u * h + p.b)


class AutonomousCell(Cell):
    """A system without input, which runs on from its initial state.

        s = f(s w + b)

    s is also what a step gives out.
    """

    state = ("s",)
    input = None
    params = {"w": "H H", "b": "H"}

    def __init__(
        self, hidden_size: int, *, nonlinearity: str | Function = "tanh", bias: bool = True
    ) -> None:
        check_nonlinearity("AutonomousCell", "nonlinearity", nonlinearity)
        self.nonlinearity = nonlinearity
        super().__init__(hidden_size=hidden_size, bias=bias)

    def step(self, s: Any, p: Any) -> Any:
        """The equations."""
        f = nonlinearity_of(self.nonlinearity)
        return f(s @ p.w + p.b)


class NaiveMemoryCell(Cell):
    """A memory that everything is added to: the step from the RNN towards the LSTM.

        g = tanh(x w_x + h w_h + b)
        c = c w_c + g w_g
        h = tanh(c)

    h is what a step gives out, c the memory.
    """

    state = ("h", "c")
    params = {"w_x": "I H", "w_h": "H H", "b": "H", "w_c": "H H", "w_g": "H H"}

    def step(self, x: Any, h: Any, c: Any, p: Any) -> Any:
        """The equations."""
        g = (x @ p.w_x + h @ p.w_h + p.b).tanh()
        c = c @ p.w_c + g @ p.w_g
        return c.tanh(), c


# ----- long short-term memory -----


class LSTMWithoutForgetCell(Cell):
    """Long short-term memory as it was first (Hochreiter & Schmidhuber 1997).

        i, o = sigmoid(...), g = tanh(x w_x + h w_h + b)
        c = c + i * g
        h = o * tanh(c)

    Gates: i g o, side by side in w_x, w_h and b; biases start at 0.
    """

    state = ("h", "c")
    params = {"w_x": "I 3H", "w_h": "H 3H", "b": "3H"}

    def step(self, x: Any, h: Any, c: Any, p: Any) -> Any:
        """The equations."""
        i, g, o = (x @ p.w_x + h @ p.w_h + p.b).chunk(3)
        i, g, o = i.sigmoid(), g.tanh(), o.sigmoid()
        c = c + i * g
        return o * c.tanh(), c


class LSTMCell(Cell):
    """Long short-term memory (Gers et al. 2000).

        i, f, o = sigmoid(...), g = tanh(x w_x + h w_h + b)
        c = f * c + i * g
        h = o * tanh(c)

    Gates: i f g o, side by side in w_x, w_h and b, as in PyTorch. The forget gate's bias starts
    at 1, the others at 0. PyTorch's two biases are one here, their sum.
    """

    state = ("h", "c")
    params = {"w_x": "I 4H", "w_h": "H 4H", "b": "4H"}
    initializers = {"b": per_gate(0.0, 1.0, 0.0, 0.0)}

    def step(self, x: Any, h: Any, c: Any, p: Any) -> Any:
        """The equations."""
        i, f, g, o = (x @ p.w_x + h @ p.w_h + p.b).chunk(4)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        c = f * c + i * g
        return o * c.tanh(), c


# ----- gated recurrent units -----


class GRUCell(Cell):
    """The gated recurrent unit (Cho et al. 2014), in the form of PyTorch and cuDNN.

        r, z = sigmoid(x w_x + h w_h + b)
        n = tanh(x w_x + b + r * (h w_h + b_h))
        h = (1 - z) * n + z * h

    or, with the reset gate in front of the product, as the paper has it (v_h is (H, H)):

        n = tanh(x w_x + b + (r * h) v_h)

    Gates: r z n, side by side in w_x, w_h and b, as in PyTorch; in the second form w_h holds r z.
    Biases start at 0.

    z says how much is kept. Where a paper writes ``h = (1 - u) * h + u * n``, u is 1 - z, and
    sigmoid(-a) = 1 - sigmoid(a): ``flip_update_gate_`` turns one kind of weights into the other.

    Args:
        reset_after: Whether the first form is used.
    """

    state = ("h",)
    w_x: Parameter
    w_h: Parameter

    def __init__(
        self, input_size: int, hidden_size: int, *, reset_after: bool = True, bias: bool = True
    ) -> None:
        self.reset_after = bool(reset_after)
        self.params = (
            {"w_x": "I 3H", "w_h": "H 3H", "b": "3H", "b_h": "H"}
            if reset_after
            else {"w_x": "I 3H", "w_h": "H 2H", "v_h": "H H", "b": "3H"}
        )
        super().__init__(input_size, hidden_size, bias=bias)

    def step(self, x: Any, h: Any, p: Any) -> Any:
        """The equations."""
        x_r, x_z, x_n = (x @ p.w_x + p.b).chunk(3)
        if self.reset_after:
            h_r, h_z, h_n = (h @ p.w_h).chunk(3)
        else:
            h_r, h_z = (h @ p.w_h).chunk(2)
        r, z = (x_r + h_r).sigmoid(), (x_z + h_z).sigmoid()
        n = (x_n + (r * (h_n + p.b_h) if self.reset_after else (r * h) @ p.v_h)).tanh()
        return (1 - z) * n + z * h

    def flip_update_gate_(self) -> None:
        """Let z mean what 1 - z did: for weights made with the other sign, in both directions."""
        for weight in (self.w_x, self.w_h, getattr(self, "b", None)):
            if isinstance(weight, Parameter):
                values = weight.numpy().copy()
                values[..., self.hidden_size : 2 * self.hidden_size] *= -1
                weight.assign_(values)


class MGUCell(Cell):
    """The minimal gated unit (Zhou et al. 2016): one gate resets and updates.

        f = sigmoid(x w_x + h w_h + b)
        n = tanh(x w_x + (f * h) v_h + b)
        h = (1 - f) * h + f * n

    Gates: f n, side by side in w_x and b; biases start at 0.
    """

    state = ("h",)
    params = {"w_x": "I 2H", "w_h": "H H", "v_h": "H H", "b": "2H"}

    def step(self, x: Any, h: Any, p: Any) -> Any:
        """The equations."""
        x_f, x_n = (x @ p.w_x + p.b).chunk(2)
        f = (x_f + h @ p.w_h).sigmoid()
        n = (x_n + (f * h) @ p.v_h).tanh()
        return (1 - f) * h + f * n


class RHNCell(Cell):
    """Recurrent highway: L layers deep within a step (Zilly et al. 2017), carry 1 - t.

        n, t = tanh(...), sigmoid(h w_l + b_l), for l = 0 with x w_x added
        h = t * n + (1 - t) * h

    Gates: n t, side by side in w_x, w_l and b_l. The biases of t start at -2, those of n at 0:
    at first, states are carried.

    Args:
        depth: L.
    """

    state = ("h",)

    def __init__(
        self, input_size: int, hidden_size: int, *, depth: int = 3, bias: bool = True
    ) -> None:
        self.depth = check_size("RHNCell", "depth", depth)
        self.params = {"w_x": "I 2H"}
        for layer in range(depth):
            self.params |= {f"w_{layer}": "H 2H", f"b_{layer}": "2H"}
        self.initializers = {f"b_{layer}": per_gate(0.0, -2.0) for layer in range(depth)}
        super().__init__(input_size, hidden_size, bias=bias)

    def step(self, x: Any, h: Any, p: Any) -> Any:
        """The equations."""
        for layer in range(self.depth):
            z = h @ getattr(p, f"w_{layer}") + getattr(p, f"b_{layer}")
            n, t = (x @ p.w_x + z if layer == 0 else z).chunk(2)
            n, t = n.tanh(), t.sigmoid()
            h = t * n + (1 - t) * h
        return h
