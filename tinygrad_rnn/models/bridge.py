"""The bridge: what the decoder starts from, made of what the encoder ends with."""

from typing import Any

import numpy as np

from tinygrad_rnn import nn, ops
from tinygrad_rnn.arguments import choice
from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.models.encoder import Encoder, Memory
from tinygrad_rnn.tensor import Tensor, constant

__all__ = ["BRIDGES", "Bridge"]

BRIDGES = ("linear", "last", "average", "zero")


class Bridge(nn.Module):
    """The initial state of the decoder's layers.

    Layers are matched from the top down; a decoder that is deeper has the encoder's lowest one
    for the rest. f and b are its two directions, or the only one.

    | how     | h                             | other states, as c                       |
    |---------|-------------------------------|------------------------------------------|
    | linear  | tanh([h_f; h_b] w + bias)     | [c_f; c_b] w + bias                      |
    | last    | [h_f; h_b]                    | [c_f; c_b]; widths have to fit           |
    | average | tanh(mean_s outputs_s w + bias) | mean_s outputs_s w + bias              |
    | zero    | the layers' own initial state, whatever was read                         |||
    """

    def __init__(self, how: str, encoder: Encoder, layers: nn.Recurrent) -> None:
        super().__init__()
        self.how = choice("Seq2Seq", "bridge", how, BRIDGES)
        below, above = encoder.layers, layers
        self.layout = above.layout
        shift = below.num_layers - above.num_layers
        self.sources = [max(0, number + shift) for number in range(above.num_layers)]
        self.products: list[list[nn.Linear]] = []
        for sizes, source in zip(above.layout.sizes, self.sources, strict=True):
            given = [
                sum(cell.state_sizes[name] for cell in below.layers[source].values())
                for name in sizes
            ]
            if how == "last" and given != list(sizes.values()):
                raise ShapeError(
                    f'Seq2Seq: bridge="last" brings states {given} wide from the encoder, the '
                    f"decoder has {list(sizes.values())}; expected equal widths, by encoder_size= "
                    'or another bridge, such as "linear".'
                )
            if how == "average":
                given = [encoder.width] * len(sizes)
            if how in ("linear", "average"):
                self.products.append(
                    [nn.Linear(*widths) for widths in zip(given, sizes.values(), strict=True)]
                )
        self.directions = len(below.directions)

    def forward(self, memory: Memory) -> Any:
        """A state as the decoder's layers take it; None for their own initial one."""
        if self.how == "zero":
            return None
        if self.how == "average":
            mean = _sum_over_tokens(memory.outputs) / constant(
                memory.lengths[:, None], memory.outputs
            )
            found = [[mean] * len(sizes) for sizes in self.layout.sizes]
        else:
            found = [self._final(memory, source) for source in self.sources]
        if self.how != "last":
            found = [
                [
                    _bounded(k, product(x))
                    for k, (product, x) in enumerate(zip(*of_layer, strict=True))
                ]
                for of_layer in zip(self.products, found, strict=True)
            ]
        return self.layout.pack(found, batched=True)

    def _final(self, memory: Memory, layer: int) -> list[Tensor]:
        """The last states of a layer of the encoder, its directions side by side."""
        cells = memory.final[layer * self.directions : (layer + 1) * self.directions]
        return [
            ops.concat(list(parts), axis=-1) if len(parts) > 1 else parts[0]
            for parts in zip(*cells, strict=True)
        ]


def _sum_over_tokens(outputs: Tensor) -> Tensor:
    """Their sum (B, K), from the first to the last whatever stands beside a sentence.

    NumPy adds in another order where there is one number a token.
    """
    S, B, K = outputs.shape
    ones = constant(np.ones((1, S)), outputs)
    return (ones @ outputs.reshape(S, B * K)).reshape(B, K)


def _bounded(number: int, state: Tensor) -> Tensor:
    """h lies between -1 and 1; what else a cell holds need not."""
    return ops.tanh(state) if number == 0 else state
