"""RNN, LSTM and GRU: recurrent layers with PyTorch's names, shapes and returns."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypedDict, Unpack

from tinygrad_rnn.nn.cell import Cell
from tinygrad_rnn.nn.cells import GRUCell, LSTMCell, RNNCell
from tinygrad_rnn.nn.recurrent import Recurrent

__all__ = ["GRU", "LSTM", "RNN"]

Sizes = int | Sequence[int]


class Options(TypedDict, total=False):
    """What every recurrent layer takes; see ``Recurrent``."""

    bidirectional: bool
    reverse: bool
    merge: Literal["concat", "sum", "mean", "mul", "none"]
    batch_first: bool
    dropout: float
    connect: Literal["residual", "highway", "dense"] | None
    initial_state: Literal["zero", "learned"]
    stateful: bool
    output: Literal["all", "last"]
    fused: bool | Literal["require"] | None


class _Layer(Recurrent):
    """A recurrent layer that makes its own cell; one width, or one for each layer."""

    def __init__(
        self, make: Callable[[int], Cell], hidden_size: Sizes, num_layers: int, options: Options
    ) -> None:
        sizes = None if isinstance(hidden_size, int) else list(hidden_size)
        first = hidden_size if isinstance(hidden_size, int) else (sizes or [0])[0]
        super().__init__(make(first), num_layers, hidden_sizes=sizes, **options)


class RNN(_Layer):
    """Vanilla recurrent layers: ``y, h = rnn(x, h_0)``.

        h = f(x w_x + h w_h + b)

    x (T, B, I), h_0 (L D, B, H)  ->  y (T, B, D H), h (L D, B, H)

    Args:
        hidden_size: H, or a list with the width of each layer.
        num_layers: L.
        nonlinearity: f: "tanh", "relu", "sigmoid", "identity", or a function of a row.
        nonlinearity_first: ``h = x w_x + f(h) w_h + b`` instead.
        options: Those of ``Recurrent``: bidirectional, batch_first, dropout, ...
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: Sizes,
        num_layers: int = 1,
        *,
        nonlinearity: str | Callable[[Any], Any] = "tanh",
        nonlinearity_first: bool = False,
        bias: bool = True,
        **options: Unpack[Options],
    ) -> None:
        def make(size: int) -> Cell:
            return RNNCell(
                input_size,
                size,
                nonlinearity=nonlinearity,
                nonlinearity_first=nonlinearity_first,
                bias=bias,
            )

        super().__init__(make, hidden_size, num_layers, options)


class LSTM(_Layer):
    """Long short-term memory layers: ``y, (h, c) = lstm(x, (h_0, c_0))``.

        i, f, o = sigmoid(...), g = tanh(x w_x + h w_h + b)
        c = f * c + i * g
        h = o * tanh(c)

    x (T, B, I), h_0, c_0 (L D, B, H)  ->  y (T, B, D H), h, c (L D, B, H)

    Args:
        hidden_size: H, or a list with the width of each layer.
        num_layers: L.
        options: Those of ``Recurrent``: bidirectional, batch_first, dropout, ...
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: Sizes,
        num_layers: int = 1,
        *,
        bias: bool = True,
        **options: Unpack[Options],
    ) -> None:
        def make(size: int) -> Cell:
            return LSTMCell(input_size, size, bias=bias)

        super().__init__(make, hidden_size, num_layers, options)


class GRU(_Layer):
    """Gated recurrent layers: ``y, h = gru(x, h_0)``.

        r, z = sigmoid(x w_x + h w_h + b)
        n = tanh(x w_x + b + r * (h w_h + b_h))
        h = (1 - z) * n + z * h

    x (T, B, I), h_0 (L D, B, H)  ->  y (T, B, D H), h (L D, B, H)

    Args:
        hidden_size: H, or a list with the width of each layer.
        num_layers: L.
        reset_after: False puts the reset gate in front of the product; see ``GRUCell``.
        options: Those of ``Recurrent``: bidirectional, batch_first, dropout, ...
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: Sizes,
        num_layers: int = 1,
        *,
        reset_after: bool = True,
        bias: bool = True,
        **options: Unpack[Options],
    ) -> None:
        def make(size: int) -> Cell:
            return GRUCell(input_size, size, reset_after=reset_after, bias=bias)

        super().__init__(make, hidden_size, num_layers, options)
