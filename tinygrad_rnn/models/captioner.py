"""Captions of images: an encoder of images, and layers that say what is to be seen."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_rnn import decoding, losses, nn, ops
from tinygrad_rnn.arguments import bounded, choice, flag, whole
from tinygrad_rnn.device import Array, host_array
from tinygrad_rnn.errors import ArgumentError, ShapeError
from tinygrad_rnn.models.describer import Describer
from tinygrad_rnn.models.layers import CellChoice, arrays_of, in_order, recurrent_layers, state_of
from tinygrad_rnn.models.scores import cross_entropy
from tinygrad_rnn.models.shown import feature_shape, features_of, image_of_each, places_of
from tinygrad_rnn.models.speaker import IGNORED, taught
from tinygrad_rnn.models.telling import Carried, Looking, Looks, Told
from tinygrad_rnn.models.text_model import Floats, vocabulary_and_size
from tinygrad_rnn.modes import no_grad
from tinygrad_rnn.nn.attention import Prepared
from tinygrad_rnn.tensor import Tensor, constant
from tinygrad_rnn.training.run_state import evaluating

__all__ = ["Captioner"]

IMAGES = ("first", "every", "input", "state", "spatial", "soft", "hard")


class Captioner(Describer):
    """An encoder looks at an image; layers say what is there, word by word.

        model = models.Captioner(words, encoder, 64, 128, features=(64, 6, 6), image="soft")
        loss, values = model.loss(images, captions)       # a list of tokens for each image
        model.caption(images, beam=3)

    | image     | layers are told of v, the mean of all places, or of places z             |
    |-----------|--------------------------------------------------------------------------|
    | "first"   | h = act(e W_xh + h W_hh + v W_ih) at the first step                      |
    | "every"   | the same at every step                                                   |
    | "input"   | v w is read before the first word                                        |
    | "state"   | h_0 = tanh(v w + b)                                                      |
    | "spatial" | h_0 = MLP(z), all places one after another, and c = h_0 at every step    |
    | "soft"    | c_t = g_t Σ_i a_ti z_i, a_t by h_{t-1}: see ``Looking``                  |
    | "hard"    | c_t = g_t z_s, the place s drawn from a_t; learned by REINFORCE          |

    But for the last two, all layers run over all words in one kernel. A token more than the
    vocabulary has, its ``end``, ends a caption, and is what begins it.

    Soft attention has the loss of Xu et al. 2015, hard attention that of its section 4.1:

        soft   -log P(y) + doubly_stochastic Σ_i (1 - Σ_t a_ti)²
        hard   -log P(y) - reinforce Σ_t (r_t - b_t) log a_ts - entropy Σ_t H(a_t)

    r_t is log P of the words from t on, as a place changes none before; b_t is a moving mean of
    log P of a word, for as many words. All are means over words.

    Args:
        vocabulary: A ``text.Vocabulary``, or how many tokens there are.
        encoder: Any module that makes (B, D) or (B, D, h, w) of images (B, C, H, W). None: images
            are such features themselves.
        embedding_dim: How wide the vectors of tokens are: E.
        hidden_size: The width of the layers: H; or a list with that of each, H that of the last.
        features: D or (D, h, w): what the encoder makes of one image.
        cell: As for ``LanguageModel``.
        image: One of the table.
        attention_size: The width of what scores of places are made of; H unless given.
        mlp_size: The width of the hidden layer in the MLP of "spatial"; H unless given, and with 0
            there is none: h_0 = tanh(z w + b).
        gate: Whether there is g_t; else it is 1.
        word_asks: Whether places are looked for by [h_{t-1}; e_t], the word before with them.
        dropout: The share of the vectors of tokens.
        hidden_dropout: The share of what layers give to the next one.
        output_dropout: The share of what scores are made of.
        options: Those of recurrent layers.
    """

    def __init__(
        self,
        vocabulary: Any,
        encoder: nn.Module | None,
        embedding_dim: int,
        hidden_size: int | Sequence[int],
        *,
        features: int | Sequence[int],
        cell: CellChoice = "LSTM",
        image: str = "soft",
        num_layers: int = 1,
        attention_size: int | None = None,
        mlp_size: int | None = None,
        gate: bool = True,
        word_asks: bool = False,
        doubly_stochastic: float = 1.0,
        reinforce: float = 1.0,
        entropy: float = 0.002,
        dropout: float = 0.0,
        hidden_dropout: float = 0.0,
        output_dropout: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__()
        where = "Captioner"
        self.vocabulary, self.end = vocabulary_and_size(where, vocabulary)
        self.image = choice(where, "image", image, IMAGES)
        self.features = feature_shape(where, features)
        if len(self.features) == 1 and image in ("spatial", "soft", "hard"):
            raise ShapeError(
                f"{where}: image={image!r} with features {features}, expected those of places: "
                "(D, h, w)."
            )
        self.encoder = encoder
        self.doubly_stochastic = bounded(where, "doubly_stochastic", doubly_stochastic, least=0)
        self.reinforce = bounded(where, "reinforce", reinforce, least=0)
        self.entropy = bounded(where, "entropy", entropy, least=0)
        D, E = self.features[0], embedding_dim
        H: Any = hidden_size
        several = num_layers > 1
        if isinstance(hidden_size, list | tuple) and hidden_size:
            H, several = hidden_size[-1], len(hidden_size) > 1
        looks = image in ("soft", "hard")
        beside = D if looks or image in ("first", "every") else 0
        if image == "spatial":
            beside = options.get("proj_size") or H  # h_0 as layers give it out
        between = {"dropout": hidden_dropout} if hidden_dropout and several else {}
        options = {**options, **between}
        layers = recurrent_layers(where, cell, E + beside, hidden_size, num_layers, options)
        if image == "spatial" and layers.output_size != beside:
            raise ShapeError(
                f"{where}: image='spatial' with layers that give out {layers.output_size} numbers, "
                f"expected {beside}, as hidden_size says: they read what they begin with."
            )
        self.embedding = nn.Embedding(self.end + 1, E)
        self.decoder: Looking | Told
        if looks:
            gate = flag(where, "gate", gate)
            word = E if flag(where, "word_asks", word_asks) else 0
            self.decoder = Looking(
                D, layers, H if attention_size is None else attention_size,
                hard=image == "hard", gate=gate, word=word,
            )  # fmt: skip
        else:
            width = int(np.prod(self.features)) if image == "spatial" else D
            inner = H if mlp_size is None else whole(where, "mlp_size", mlp_size, 0)
            self.decoder = Told(image, width, layers, beside, inner)
        self.dropout, self.output_dropout = nn.Dropout(dropout), nn.Dropout(output_dropout)
        self.out = nn.Linear(self.decoder.width, self.end + 1)
        self.baseline = losses.MovingBaseline() if image == "hard" else None

    # ----- training -----

    def loss(
        self,
        images: Any,
        captions: Any,
        of: Any = None,
        *,
        label_smoothing: float = 0.0,
        reduction: str = "mean",
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean cross-entropy of the words of captions, ends included, and {"nats": ...}.

        For attention with what is beside it: see the class.

        Args:
            images: (B, C, H, W), or a list of (C, H, W); or features. Bytes, as pictures have
                them, are made numbers from 0 to 1.
            captions: Lists of tokens without ends, or ``data.Padded``, as ``Seq2Seq`` takes them.
            of: Which image each caption is of, (N,), where there are others than one for each.
            label_smoothing: The share of each word that is spread over all, while training.
            reduction: "none" gives the cross-entropy of all words, (T, N), 0 behind the ends.
        """
        choice("Captioner.loss", "reduction", reduction, ("mean", "none"))
        read, said, lengths = taught("Captioner", "captions", captions, self.end)
        features, looks = self._taught(images, of, read, lengths)
        smoothing = label_smoothing if self.training else 0.0
        how = {"label_smoothing": smoothing, "reduction": reduction}
        if looks is None or reduction == "none" or not self.training:
            loss = self._cross_entropy(features, said, **how)
            return loss, {} if smoothing or reduction == "none" else {"nats": loss.detach()}
        there = np.arange(len(said)) < lengths[:, None]  # (N, T)
        if looks.drawn is not None:
            return self._of_draws(self._each(features, said, smoothing), looks, there)
        loss = self._cross_entropy(features, said, **how)
        values = {} if smoothing else {"nats": loss.detach()}
        if self.doubly_stochastic:
            total = (looks.weights * constant(there[..., None], loss)).sum(1)
            uneven = ops.square(1 - total).sum() * (1 / there.sum())
            loss = loss + self.doubly_stochastic * uneven
            values["uneven"] = uneven.detach()
        return loss, values

    def _each(self, features: Tensor, said: Array, smoothing: float) -> Tensor:
        return self._cross_entropy(features, said, label_smoothing=smoothing, reduction="none")

    def _of_draws(
        self, nats: Tensor, looks: Looks, there: Array
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of hard attention, by that of each word (T, N) and which are there (N, T)."""
        assert self.baseline is not None
        assert looks.drawn is not None
        assert looks.chosen is not None
        count = 1 / there.sum()
        loss = mean = nats.sum() * count
        gain = np.where(there, -nats.numpy().T.astype(np.float64), 0)
        to_come = np.cumsum(gain[:, ::-1], axis=1)[:, ::-1]
        words = np.cumsum(there[:, ::-1], axis=1)[:, ::-1]
        usual = self.baseline(gain[there])
        weights = ops.maximum(looks.weights, float(np.finfo(nats.dtype).tiny))
        logs = ops.log(weights)
        chosen = ops.take_along_axis(logs, looks.chosen[..., None], -1).squeeze(-1)
        counts = there & looks.drawn[:, None]
        drawn = losses.reinforce(chosen, to_come, usual * words, mask=counts, reduction="sum")
        loss = loss + self.reinforce * count * drawn
        spread = (weights * logs * constant(there[..., None], nats)).sum() * -count
        loss = loss - self.entropy * spread
        return loss, {"nats": mean.detach(), "entropy": spread.detach()}

    def _taught(
        self, images: Any, of: Any, read: Array, lengths: Array
    ) -> tuple[Tensor, Looks | None]:
        """All words with what is told: features (T, N, W), and where it looks."""
        seen = self._seen(images)
        number = image_of_each("Captioner", of, len(seen), len(lengths))
        carried = self.decoder.start(seen if number is None else seen[number])
        words = self.dropout(self.embedding(read))
        features, looks, _ = self.decoder(words, carried, lengths)
        return self.output_dropout(features), looks

    def _cross_entropy(self, features: Tensor, targets: Array, **how: Any) -> Tensor:
        return cross_entropy(self.out, features, targets, ignore_index=IGNORED, **how)

    def _seen(self, images: Any) -> Tensor:
        """Features of images: (B, D), or those of all places (B, P, D)."""
        weight = self.out.weight
        found = features_of("Captioner", images, self.encoder, self.features, weight)
        if len(self.features) == 1:
            return found
        if isinstance(self.decoder, Told) and self.image != "spatial":
            return found.mean((2, 3))
        return places_of(found)

    # ----- seeing, and saying step by step -----

    def encode(self, images: Any) -> Tensor:
        """What is made of images: (B, D), or of their places (B, P, D)."""
        with evaluating(self):
            return self._seen(images)

    def start(self, features: Tensor) -> Any:
        """Where the layers start, with the work on what is seen done: arrays, rows first."""
        with evaluating(self):
            carried = self.decoder.start(features)
        places = carried.places
        if places is not None:  # rows of the state will share it
            keys, values = map(in_order, places[:2])
            places = Prepared(Tensor(keys), Tensor(values), of=np.arange(len(features)))
        return self._as_arrays(carried, places, len(features))

    def scored(self, tokens: Any, state: Any) -> tuple[Any, ...]:
        """The same as ``decoding.LogProbs``, of which a search looks at the best alone."""
        if self.training:
            with evaluating(self):
                return self.scored(tokens, state)
        with no_grad():
            words = self.embedding(host_array(tokens)[None])
            features, looks, carried = self.decoder(words, self._as_given(state))
            found = decoding.LogProbs(self.out(features[0]))
        after = self._as_arrays(carried, state.places, len(tokens))
        return (found, after, {"attention": looks.shares()[:, 0]}) if looks else (found, after)

    def log_likelihoods(self, images: Any, captions: Any, of: Any = None) -> list[Floats]:
        """``log P`` of each token of each caption, its end with them, (T + 1,) each."""
        read, said, lengths = taught("Captioner", "captions", captions, self.end)
        with evaluating(self):
            features, _ = self._taught(images, of, read, lengths)
            found = -self._each(features, said, 0.0).numpy().T
        return [row[:length] for row, length in zip(found, lengths, strict=True)]

    def attention(self, images: Any, captions: Any, of: Any = None) -> list[Floats]:
        """How much is looked at each place for each token of a caption, its end too: (T, h, w)."""
        read, _, lengths = taught("Captioner", "captions", captions, self.end)
        with evaluating(self):
            _, looks = self._taught(images, of, read, lengths)
        if looks is None:
            raise ArgumentError(
                f'Captioner.attention: image is {self.image!r}, expected "soft" or "hard".'
            )
        return [
            row[:length].reshape(-1, *self.features[1:])
            for row, length in zip(looks.shares(), lengths, strict=True)
        ]

    def _as_arrays(self, carried: Carried, places: Any, rows: int) -> Carried:
        """Rows first, the states of layers by cell and name."""
        beside = None if carried.beside is None else carried.beside.data
        return Carried(arrays_of(self.decoder.layers, carried.layers, rows), beside, places)

    def _as_given(self, state: Carried) -> Carried:
        """The other way round."""
        beside = None if state.beside is None else Tensor(state.beside)
        return Carried(state_of(self.decoder.layers, state.layers), beside, state.places)
