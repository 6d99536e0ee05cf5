"""The decoder of a translation: layers, attention to what was read, and a read-out."""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np

from tinygrad_rnn import nn, ops
from tinygrad_rnn.arguments import choice
from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.kernels.noise import Noise
from tinygrad_rnn.models.attending import Attending
from tinygrad_rnn.models.encoder import Memory
from tinygrad_rnn.models.layers import nothing
from tinygrad_rnn.models.read_out import ReadOut
from tinygrad_rnn.nn.attention import Prepared
from tinygrad_rnn.tensor import Tensor

__all__ = ["AttentionDecoder", "Carried", "Feeding", "checked_feeding"]

Feeding = bool | Literal["context", "conditional"]


class Carried(NamedTuple):
    """What goes on from one step to the next.

    layers        the state of the layers, as they take it
    fed (B, F)    what the next step reads beside a word, or asks attention by; None where layers
                  are fed with nothing, or attention stands between two cells
    covered (B, S)  how much attention every place has had; None where nobody asks
    steps (B,)    how many steps there were
    """

    layers: Any
    fed: Tensor | None
    covered: Tensor | None
    steps: Array


class AttentionDecoder(nn.Module):
    """Layers that say a sentence, looking at what was read at every step.

        s_t = layers(e_t, s_{t-1})
        a_t = attention(s_t, memory)
        features_t = read_out(s_t, a_t, e_t)

    Layers, attention and read-out each run over all steps at once. With input feeding a step
    needs what the one before has found, so they run step by step:

    | feeding       | layers read              | attention is asked by |
    |---------------|--------------------------|-----------------------|
    | False         | e_t                      | s_t                   |
    | True          | [e_t; features_{t-1}]    | s_t  (Luong et al. 2015) |
    | "context"     | [e_t; a_t]               | s_{t-1}  (Bahdanau et al. 2015) |
    | "conditional" | e_t, then a_t (``then``) | what e_t makes of s_{t-1}  (Sennrich et al. 2017) |

    The last one's ``then`` are layers like ``layers``, which go on with their state within a step.
    """

    def __init__(
        self,
        layers: nn.Recurrent,
        attention: Attending | None,
        read_out: ReadOut,
        feeding: Feeding,
        then: nn.Recurrent | None = None,
    ) -> None:
        super().__init__()
        self.layers, self.attention, self.read_out = layers, attention, read_out
        self.feeding, self.then = feeding, then

    def prepare(self, memory: Memory) -> Prepared | None:
        """The work on what was read that is done once, for all steps."""
        return None if self.attention is None else self.attention.prepare(memory)

    def start(self, state: Any, memory: Memory) -> Carried:
        """What the first step goes on from, by the state that the bridge has made."""
        rows = len(memory.lengths)
        outputs = memory.outputs
        if state is None:
            width = self.layers.cells()[0].input_size or 0
            state = self.layers(nothing(0, rows, width, like=outputs))[1]
        fed = covered = None
        if self.feeding == "context":
            fed = self.layers.cells()[-1].given_out(self.layers.layout.unpack(state, (rows,))[-1])
        elif self.feeding is True:
            fed = nothing(rows, self.read_out.width, like=outputs)
        if self.attention is not None and self.attention.coverage:
            covered = nothing(rows, len(outputs), like=outputs)
        return Carried(state, fed, covered, np.zeros(rows, np.int64))

    def forward(
        self,
        words: Tensor,
        memory: Prepared | None,
        carried: Carried,
        lengths: Array | None = None,
        noise: Noise | None = None,
    ) -> tuple[Tensor, Tensor | None, Carried]:
        """words (T, B, E) -> features (T, B, W), weights (B, T, S) or None, and what goes on.

        What is made of rows behind the end of theirs, by ``lengths``, means nothing.
        """
        if not self.feeding:
            return self._run(words, memory, carried, lengths, noise)
        features, weights = [], []
        for found, looked, now in self._each(words, memory, carried, noise):
            features.append(found)
            weights.append(looked)
            carried = now
        together = None if weights[0] is None else ops.concat(weights, axis=1)
        return ops.concat(features), together, carried

    def told(
        self,
        words: Tensor,
        memory: Prepared | None,
        carried: Carried,
        lengths: Array,
        noise: Noise | None = None,
    ) -> tuple[list[Tensor], Carried]:
        """As ``forward``, the features of each step by themselves: (B, W)."""
        if not self.feeding:
            features, _, carried = self._run(words, memory, carried, lengths, noise)
            return [features[t] for t in range(len(words))], carried
        found = []
        for features, _, now in self._each(words, memory, carried, noise):
            found.append(features[0])
            carried = now
        return found, carried

    def first_rows(self, carried: Carried, count: int) -> Carried:
        """What goes on of some of the rows, the first ones."""
        layers, *others = carried
        rest = (None if x is None else x[:count] for x in others)
        return Carried(self.layers.layout.first_rows(layers, count), *rest)

    def _each(
        self, words: Tensor, memory: Prepared | None, carried: Carried, noise: Noise | None
    ) -> Iterator[tuple[Tensor, Tensor | None, Carried]]:
        """What ``_run`` gives, step by step."""
        for t in range(len(words)):
            later = None if noise is None else noise.later(t)
            step = self._run(words[t : t + 1], memory, carried, None, later)
            carried = step[2]
            yield step

    def _run(
        self,
        words: Tensor,
        memory: Prepared | None,
        carried: Carried,
        lengths: Array | None,
        noise: Noise | None,
    ) -> tuple[Tensor, Tensor | None, Carried]:
        """As ``forward``; one step, where there is feeding."""
        fed, read, context, weights = carried.fed, words, None, None
        if self.feeding == "context" and fed is not None:
            context, weights, carried = self._attend(fed[None], memory, carried)
            read = ops.concat([words, context], axis=-1)
        elif fed is not None:
            read = ops.concat([words, fed[None]], axis=-1)
        hidden, state = self.layers(read, carried.layers, lengths=lengths, noise=noise)
        if self.attention is not None and self.feeding != "context":
            context, weights, carried = self._attend(hidden, memory, carried)
        if self.then is not None:
            other = None if noise is None else noise.fold(1)
            hidden, state = self.then(context, state, noise=other)
        features = self.read_out(hidden, context, words)
        if fed is not None:
            fed = (hidden if self.feeding == "context" else features)[-1]
        return (
            features,
            weights,
            carried._replace(layers=state, fed=fed, steps=carried.steps + len(words)),
        )

    def _attend(
        self, query: Tensor, memory: Prepared | None, carried: Carried
    ) -> tuple[Tensor, Tensor, Carried]:
        assert self.attention is not None
        context, weights, covered = self.attention(query, memory, carried.covered, carried.steps)
        return context, weights, carried._replace(covered=covered)


def checked_feeding(given: Any, attention: Any) -> Feeding:
    """What ``input_feeding`` may be."""
    ways = False, True, "context", "conditional"
    feeding: Feeding = choice("Seq2Seq", "input_feeding", given, ways)
    if feeding in ("context", "conditional") and attention is None:
        raise ArgumentError(
            f'Seq2Seq: input_feeding="{feeding}" without attention, expected attention, which '
            "makes the context that is fed."
        )
    return feeding
