"""RNN, LSTM and GRU: recurrent layers with PyTorch's names, shapes and returns."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Unpack

from tinygrad_rnn.nn.cell import Cell
from tinygrad_rnn.nn.cells import GRUCell, LSTMCell, RNNCell
from tinygrad_rnn.nn.checks import check_size, check_sizes
from tinygrad_rnn.nn.options import Options, check_options
from tinygrad_rnn.nn.recurrent import Recurrent

__all__ = ["GRU", "LSTM", "RNN"]

Sizes = int | Sequence[int]


class _Layer(Recurrent):
    """A recurrent layer that makes its own cell; one width, or one for each layer."""

    defaults: ClassVar[Options] = {}  # of the options that a subclass sets

    def __init__(
        self,
        kind: type[Cell],
        sizes: tuple[Any, Any, Any],
        options: Options,
        **of_cell: Any,
    ) -> None:
        where = type(self).__name__
        input_size, hidden_size, num_layers = sizes
        options = {**self.defaults, **options}
        check_options(where, options, besides=("num_layers", *of_cell))
        check_size(where, "input_size", input_size)
        widths = None
        if hasattr(hidden_size, "__len__") and not isinstance(hidden_size, str):
            widths = check_sizes(where, "hidden_size", hidden_size)
        first = check_size(where, "hidden_size", hidden_size) if widths is None else widths[0]
        cell = kind(input_size, first, **of_cell)
        super().__init__(cell, num_layers, hidden_sizes=widths, **options)


class RNN(_Layer):
    """Vanilla recurrent layers: ``y, h = rnn(x, h_0)``.

        h = f(x w_x + h w_h + b)

    x (T, B, I), h_0 (L D, B, H)  ->  y (T, B, D H), h (L D, B, H)

    Args:
        hidden_size: H, or a list with the width of each layer.
        num_layers: L.
        nonlinearity: f: the name of one (``nn.Activation``), or a function of a row.
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
        sizes = input_size, hidden_size, num_layers
        super().__init__(
            RNNCell,
            sizes,
            options,
            nonlinearity=nonlinearity,
            nonlinearity_first=nonlinearity_first,
            bias=bias,
        )


class LSTM(_Layer):
    """Long short-term memory layers: ``y, (h, c) = lstm(x, (h_0, c_0))``.

        i, f, o = sigmoid(...), g = tanh(x w_x + h w_h + b)
        c = f * c + i * g
        h = o * tanh(c)

    x (T, B, I), h_0, c_0 (L D, B, H)  ->  y (T, B, D H), h, c (L D, B, H)

    Gates: i f g o, side by side in each cell's w_x, w_h and b; the bias of f starts at 1.

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
        sizes = input_size, hidden_size, num_layers
        super().__init__(LSTMCell, sizes, options, bias=bias)


class GRU(_Layer):
    """Gated recurrent layers: ``y, h = gru(x, h_0)``.

        r, z = sigmoid(x w_x + h w_h + b)
        n = tanh(x w_x + b + r * (h w_h + b_h))
        h = (1 - z) * n + z * h

    x (T, B, I), h_0 (L D, B, H)  ->  y (T, B, D H), h (L D, B, H)

    Gates: r z n, side by side in each cell's w_x, w_h and b; biases start at 0.

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
        sizes = input_size, hidden_size, num_layers
        super().__init__(GRUCell, sizes, options, reset_after=reset_after, bias=bias)
