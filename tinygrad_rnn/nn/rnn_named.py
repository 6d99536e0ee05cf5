"""Layers that have a name of their own: LSTM and GRU with some options set."""

from collections.abc import Sequence
from typing import ClassVar, Unpack

from tinygrad_rnn.nn.checks import check_size
from tinygrad_rnn.nn.options import Options
from tinygrad_rnn.nn.rnn import GRU, LSTM, Sizes

__all__ = ["AWDLSTM", "LayerNormGRU", "LayerNormLSTM", "ProjectedLSTM"]


class LayerNormLSTM(LSTM):
    """LSTM layers whose products, and whose c where h reads it, are normalised (Ba et al. 2016).

        i, f, o = sigmoid(...), g = tanh(LN(x w_x) + LN(h w_h) + b)
        c = f * c + i * g
        h = o * tanh(LN(c))

    Arguments and results are those of ``LSTM``; ``layer_norm`` may name fewer of w_x, w_h, c.
    """

    defaults: ClassVar[Options] = {"layer_norm": True}


class LayerNormGRU(GRU):
    """GRU layers whose products are normalised (Ba et al. 2016).

        r, z = sigmoid(LN(x w_x) + LN(h w_h) + b)
        n = tanh(LN(x w_x) + b + r * (LN(h w_h) + b_h))
        h = (1 - z) * n + z * h

    Arguments and results are those of ``GRU``; ``layer_norm`` may name one of w_x, w_h.
    """

    defaults: ClassVar[Options] = {"layer_norm": True}


class AWDLSTM(LSTM):
    """The regularised LSTM of language models (Merity et al. 2017), without its embedding.

        i, f, o = sigmoid(...), g = tanh((m_x * x) w_x + h (m_h * w_h) + b)
        c = f * c + i * g
        h = o * tanh(c),  y = m_y * h        m_x, m_h, m_y: 0 or 1 / (1 - rate), drawn once a call

    Recurrent weights are dropped for a whole sequence, and what is dropped of inputs, between
    layers and of outputs stays the same at all steps. Arguments and results are those of
    ``LSTM``.

    Args:
        num_layers: L; 3, or as many as there are widths, if it is not given.
        options: Those of ``LSTM``. The shares of what is dropped are the paper's unless given:
            weight_drop 0.5, input_dropout 0.4, dropout 0.3, output_dropout 0.4; locked is True.
    """

    defaults: ClassVar[Options] = {
        "weight_drop": 0.5,
        "input_dropout": 0.4,
        "dropout": 0.3,
        "output_dropout": 0.4,
        "locked": True,
    }

    def __init__(
        self,
        input_size: int,
        hidden_size: Sizes,
        num_layers: int | None = None,
        *,
        bias: bool = True,
        **options: Unpack[Options],
    ) -> None:
        widths = len(hidden_size) if isinstance(hidden_size, Sequence) else 0
        if num_layers is None:
            num_layers = widths or 3
        if (widths or num_layers) == 1:
            options.setdefault("dropout", 0.0)  # it stands between layers
        super().__init__(input_size, hidden_size, num_layers, bias=bias, **options)


class ProjectedLSTM(LSTM):
    """LSTM layers whose h is a projection (Sak et al. 2014), narrower than c.

        h = (o * tanh(c)) w_proj

    x (T, B, I), h_0 (L D, B, P), c_0 (L D, B, H)  ->  y (T, B, D P), and the final h and c

    Args:
        proj_size: P.
        options: Those of ``LSTM``.
    """

    def __init__(  # type: ignore[misc] # proj_size, an option elsewhere, has to be given here
        self,
        input_size: int,
        hidden_size: Sizes,
        proj_size: int,
        num_layers: int = 1,
        *,
        bias: bool = True,
        **options: Unpack[Options],
    ) -> None:
        options["proj_size"] = check_size(type(self).__name__, "proj_size", proj_size)
        super().__init__(input_size, hidden_size, num_layers, bias=bias, **options)
