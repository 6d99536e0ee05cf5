"""How layers that say a sentence are told of an image: by a vector, or by places to look at."""

from typing import Any, NamedTuple

import numpy as np

from tinygrad_rnn import nn, ops, random
from tinygrad_rnn.device import Array
from tinygrad_rnn.models.layers import nothing
from tinygrad_rnn.nn.attention import Prepared
from tinygrad_rnn.tensor import Tensor

__all__ = ["Beginning", "Carried", "Looking", "Looks", "Told"]


class Carried(NamedTuple):
    """What goes on from one step to the next.

    layers         the state of the layers, as they take it
    beside (B, D)  what the next step reads beside a word, or what ``Looking`` looks from; None
                   where there is nothing
    places         what may be looked at; None where there is no attention
    """

    layers: Any
    beside: Tensor | None = None
    places: Prepared | None = None


class Looks(NamedTuple):
    """Where some steps have looked.

    weights (B, T, P)  of all places
    chosen (B, T)      the place, where one is chosen at each step; else None
    drawn (B,)         rows whose places were drawn by chance; else None
    """

    weights: Tensor
    chosen: Array | None = None
    drawn: Array | None = None

    def shares(self) -> Array:
        """How much is looked at each place (B, T, P): all at the one, where one is chosen."""
        weights: Array = self.weights.numpy()
        if self.chosen is None:
            return weights
        return (np.arange(weights.shape[-1]) == self.chosen[..., None]).astype(weights.dtype)


class Beginning(nn.Module):
    """The state that layers begin in, made of a vector: h = tanh(v w + b), c = v w + b.

    With a width ``inner`` an MLP: tanh(v w' + b') takes the place of v.
    """

    def __init__(self, width: int, layers: nn.Recurrent, inner: int = 0) -> None:
        super().__init__()
        self.layout = layers.layout
        self.sizes = [list(sizes.values()) for sizes in self.layout.sizes]
        self.inner = nn.Linear(width, inner) if inner else None
        self.product = nn.Linear(inner or width, sum(map(sum, self.sizes)))

    def forward(self, vector: Tensor) -> Any:
        """vector (B, width) -> a state as the layers take it."""
        found = self.product(vector if self.inner is None else ops.tanh(self.inner(vector)))
        states: list[list[Tensor]] = []
        begin = 0
        for sizes in self.sizes:
            states.append([])
            for number, size in enumerate(sizes):
                part = found[:, begin : begin + size]
                states[-1].append(part if number else ops.tanh(part))  # others need no bounds
                begin += size
        return self.layout.pack(states, batched=True)


class Told(nn.Module):
    """Layers that are told of an image by a vector v, and run over all words in one kernel.

    | how     | layers begin with                            | and read                |
    |---------|----------------------------------------------|-------------------------|
    | first   | their own state                              | [e_0; v], then [e_t; 0] |
    | every   | their own state                              | [e_t; v]                |
    | input   | what a step over v w leads to                | e_t                     |
    | state   | h_0 = tanh(v w + b)                          | e_t                     |
    | spatial | h_0 = MLP(z), z all places one after another | [e_t; h_0]              |

    A weight of [e; v] is W_xh above W_ih: ``h = act(e W_xh + h W_hh + v W_ih)``.
    """

    def __init__(
        self, how: str, width: int, layers: nn.Recurrent, beside: int, inner: int = 0
    ) -> None:
        super().__init__()
        self.how, self.layers, self.width = how, layers, layers.output_size
        self.word = _read(layers) - beside
        if how == "input":
            self.read = nn.Linear(width, self.word)
        if how in ("state", "spatial"):
            self.beginning = Beginning(width, layers, inner if how == "spatial" else 0)

    def start(self, features: Tensor) -> Carried:
        """features (B, D), or those of all places (B, P, D) for "spatial"."""
        B = len(features)
        if self.how == "input":
            return Carried(self.layers(self.read(features).unsqueeze(0))[1])
        if self.how == "state":
            return Carried(self.beginning(features))
        if self.how == "spatial":
            state = self.beginning(features.reshape(B, -1))
            return Carried(state, _top(self.layers, state, B))
        begin = nothing(0, B, _read(self.layers), like=features)
        return Carried(self.layers(begin)[1], features)

    def forward(
        self, words: Tensor, carried: Carried, lengths: Array | None = None
    ) -> tuple[Tensor, None, Carried]:
        """words (T, B, E) -> what scores are made of (T, B, H), and what goes on."""
        beside = carried.beside
        if beside is not None:
            T, every = len(words), beside.unsqueeze(0)
            if self.how == "first":
                beside = nothing(*beside.shape, like=beside)
                every = ops.pad(every, [(0, T - 1), (0, 0), (0, 0)])
            else:
                every = ops.broadcast_to(every, T, *beside.shape)
            words = ops.concat([words, every], axis=-1)
        hidden, state = self.layers(words, carried.layers, lengths=lengths)
        return hidden, None, Carried(state, beside)


class Looking(nn.Module):
    """Layers that look at places z_i of an image before every word (Xu et al. 2015).

        a_t = softmax_i(v·tanh(h_{t-1} w_q + z_i w_k + b))
        g_t = sigmoid(h_{t-1} w_g + b_g)
        c_t = g_t Σ_i a_ti z_i                      soft
        c_t = g_t z_s,  s drawn from a_t            hard
        h_t = layers([e_t; c_t], h_{t-1})
        features_t = [h_t; c_t; e_t]

    h_t is what the layers give out, with what leads around them; h_0, and the state in which they
    begin, are made of the mean of all places. In training, hard attention draws for every other
    row, by chance; the others see the mean that soft attention has, without which it learns slowly
    (Xu et al. 2015, section 4.1). Out of training it takes the likeliest place.

    h_{t-1} has not read the word before the one to be said, e_t. Where that decides what is spoken
    of, as "blue" does of two things, it has to ask as well: [h_{t-1}; e_t] in place of h_{t-1}.

    Args:
        width: That of a place.
        layers: They read a word and a place.
        inner: The width of what scores of places are made of.
        hard: Whether it is hard attention.
        gate: Whether there is g_t; else it is 1.
        word: How wide the word is that asks as well; 0 where it does not.
    """

    def __init__(
        self, width: int, layers: nn.Recurrent, inner: int, *, hard: bool, gate: bool, word: int = 0
    ) -> None:
        super().__init__()
        H = layers.output_size
        self.layers, self.hard, self.word = layers, hard, word
        self.beginning = Beginning(width, layers)
        self.attention = nn.Attention("additive", H + word, width, inner)
        self.gate = nn.Linear(H, 1) if gate else None
        self.width = H + _read(layers)

    def start(self, features: Tensor) -> Carried:
        """features (B, P, D)."""
        state = self.beginning(features.mean(1))
        hidden = _top(self.layers, state, len(features))
        return Carried(state, hidden, self.attention.prepare(features))

    def forward(
        self, words: Tensor, carried: Carried, lengths: Array | None = None
    ) -> tuple[Tensor, Looks, Carried]:
        """words (T, B, E) -> what scores are made of (T, B, H + D + E), and what goes on.

        Of a row with fewer words, by ``lengths``, what is there after its last word goes on.
        """
        state, hidden, places = carried
        assert hidden is not None
        assert places is not None
        B = words.shape[1]
        drawn = random.generator().random(B) < 0.5 if self.hard and self.training else None
        noise = random.noise() if self.training else None
        outputs, contexts, weights, chosen = [], [], [], []
        for t in range(len(words)):
            asks = ops.concat([hidden, words[t]], axis=-1) if self.word else hidden
            context, looked = self.attention(asks, places)
            if self.hard:
                chosen.append(_chosen(looked.numpy(), drawn))
                context = self._at(chosen[-1], drawn, context, places)
            if self.gate is not None:
                context = context * ops.sigmoid(self.gate(hidden))
            read = ops.concat([words[t], context], axis=-1).unsqueeze(0)
            later = None if noise is None else noise.later(t)
            going = None if lengths is None or t < lengths.min() else (lengths > t).astype(np.intp)
            y, state = self.layers(read, state, lengths=going, noise=later)
            hidden = y[0] if going is None else ops.where(going[:, None] > 0, y[0], hidden)
            outputs.append(hidden)
            contexts.append(context)
            weights.append(looked)
        features = ops.concat([ops.stack(outputs), ops.stack(contexts), words], axis=-1)
        picked = np.stack(chosen, axis=1) if self.hard else None
        looks = Looks(ops.stack(weights, axis=1), picked, drawn)
        return features, looks, Carried(state, hidden, places)

    @staticmethod
    def _at(chosen: Array, drawn: Array | None, mean: Tensor, places: Prepared) -> Tensor:
        """What is at the chosen places (B, D); the mean where none was drawn."""
        rows = np.arange(len(chosen)) if places.of is None else places.of
        there = places.values[rows, chosen]
        return there if drawn is None else ops.where(drawn[:, None], there, mean)


def _chosen(weights: Array, drawn: Array | None) -> Array:
    """A place for each row of weights (B, P): the likeliest, or one that is drawn."""
    if drawn is None:
        return weights.argmax(axis=1)
    below = np.cumsum(weights, axis=1, dtype=np.float64)
    found = (below <= random.generator().random(len(weights))[:, None] * below[:, -1:]).sum(axis=1)
    return np.minimum(found, weights.shape[1] - 1)


def _top(layers: nn.Recurrent, state: Any, rows: int) -> Tensor:
    """What the last layer gives out in a state (B, H)."""
    return layers.cells()[-1].given_out(layers.layout.unpack(state, (rows,))[-1])


def _read(layers: nn.Recurrent) -> int:
    """How wide what layers read is."""
    return layers.cells()[0].input_size or 0
