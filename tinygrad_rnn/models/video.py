"""Captions of clips: by the mean of all frames, and by layers that know their order."""

from typing import Any, NamedTuple

from tinygrad_rnn import decoding, nn, ops
from tinygrad_rnn.arguments import choice, whole
from tinygrad_rnn.device import Array, host_array
from tinygrad_rnn.models.captioner import Captioner
from tinygrad_rnn.models.clips import frames_of, mean_of
from tinygrad_rnn.models.describer import Describer
from tinygrad_rnn.models.layers import (
    CellChoice,
    arrays_of,
    nothing,
    recurrent_layers,
    state_of,
)
from tinygrad_rnn.models.scores import cross_entropy
from tinygrad_rnn.models.shown import image_of_each
from tinygrad_rnn.models.speaker import IGNORED, taught
from tinygrad_rnn.models.text_model import Floats, vocabulary_and_size
from tinygrad_rnn.modes import no_grad
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.training.run_state import evaluating

__all__ = ["S2VT", "MeanPooling"]


class MeanPooling(Captioner):
    """Captions of clips by the mean of their frames (Venugopalan et al. 2015, NAACL).

        v = 1/T Σ_t f_t                                f_t: features of frame t

    A ``Captioner`` of this vector, which is the same in whatever order frames come.

        model = models.MeanPooling(words, encoder, 64, 128, features=96)
        loss, values = model.loss(clips, captions)
        model.caption(clips)

    Args:
        encoder: Any module that makes (N, D) of frames (N, C, H, W), or None, as for
            ``VideoLabels``.
        features: D.
        image: "every" as in the paper, "first", "input" or "state", see ``Captioner``.
        options: What else ``Captioner`` takes.
    """

    def __init__(
        self,
        vocabulary: Any,
        encoder: nn.Module | None,
        embedding_dim: int,
        hidden_size: int,
        *,
        features: int,
        image: str = "every",
        **options: Any,
    ) -> None:
        choice("MeanPooling", "image", image, ("first", "every", "input", "state"))
        super().__init__(
            vocabulary, encoder, embedding_dim, hidden_size,
            features=whole("MeanPooling", "features", features, 1), image=image, **options,
        )  # fmt: skip

    def _seen(self, images: Any) -> Tensor:
        (width,), like = self.features, self.out.weight
        return mean_of(*frames_of("MeanPooling", images, self.encoder, width, like))


class Watched(NamedTuple):
    """The states of both layers, as they take them, when a clip has been read."""

    watching: Any
    saying: Any
    rows: int


class S2VT(Describer):
    """Two stacked layers read a clip frame by frame, then say what is in it (Venugopalan et al.
    2015, ICCV), so that they know in which order things happen.

        a_t = watching(f_t w + b)      saying([a_t; 0])                  t = 1 ... S
        a_t = watching(0)              s_t = saying([a_t; e_{t-1}])      t = S + 1 ...
        P(y_t | y_1 .. y_{t-1}, clip) = softmax(s_t u + b)

    While frames are read words are padding, while words are said frames are; each goes on in the
    state of the other. Each of the four runs is one kernel, whatever lengths clips have.

        model = models.S2VT(words, encoder, 64, 128, features=96)
        loss, values = model.loss(clips, captions)
        model.caption(clips, beam=5)

    A clip may have one frame: trained on images as such clips first, it knows what things are
    called before it is told what they do.

    Args:
        vocabulary: A ``text.Vocabulary``, or how many tokens there are.
        encoder: Any module that makes (N, D) of frames (N, C, H, W). None: clips are such features
            themselves, (T, D).
        embedding_dim: How wide the vectors of tokens are, and what is read of a frame: E.
        hidden_size: The width of both layers.
        features: D.
        cell: Of both, as for ``LanguageModel``.
        dropout: The share of the vectors of tokens and of what is read of frames.
        output_dropout: The share of what scores are made of.
        options: Those of recurrent layers, for both.
    """

    def __init__(
        self,
        vocabulary: Any,
        encoder: nn.Module | None,
        embedding_dim: int,
        hidden_size: int,
        *,
        features: int,
        cell: CellChoice = "LSTM",
        dropout: float = 0.0,
        output_dropout: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__()
        self.vocabulary, self.end = vocabulary_and_size("S2VT", vocabulary)
        self.encoder, self.features = encoder, whole("S2VT", "features", features, 1)
        self.width = E = embedding_dim
        H = hidden_size
        self.embedding = nn.Embedding(self.end + 1, E)
        self.read = nn.Linear(features, E)
        self.watching = recurrent_layers("S2VT", cell, E, H, 1, options)
        self.saying = recurrent_layers("S2VT", cell, self.watching.output_size + E, H, 1, options)
        self.dropout, self.output_dropout = nn.Dropout(dropout), nn.Dropout(output_dropout)
        self.out = nn.Linear(self.saying.output_size, self.end + 1)

    # ----- training -----

    def loss(
        self,
        clips: Any,
        captions: Any,
        of: Any = None,
        *,
        label_smoothing: float = 0.0,
        reduction: str = "mean",
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean cross-entropy of the words of captions, ends included, and {"nats": ...}.

        Arguments are those of ``Captioner.loss``, with clips in place of images.
        """
        choice("S2VT.loss", "reduction", reduction, ("mean", "none"))
        read, said, lengths = taught("S2VT", "captions", captions, self.end)
        watched = self._watched(clips)
        number = image_of_each("S2VT", of, watched.rows, len(lengths))
        features, _ = self._say(
            read, watched if number is None else self._of(watched, number), lengths
        )
        smoothing = label_smoothing if self.training else 0.0
        loss = cross_entropy(
            self.out, features, said,
            ignore_index=IGNORED, label_smoothing=smoothing, reduction=reduction,
        )  # fmt: skip
        return loss, {} if smoothing or reduction == "none" else {"nats": loss.detach()}

    def _watched(self, clips: Any) -> Watched:
        """The states when the frames have been read."""
        like = self.out.weight
        frames, lengths = frames_of("S2VT", clips, self.encoder, self.features, like)
        seen, watching = self.watching(self.dropout(self.read(frames)), lengths=lengths)
        words = nothing(*seen.shape[:2], self.width, like=seen)
        _, saying = self.saying(ops.concat([seen, words], axis=-1), lengths=lengths)
        return Watched(watching, saying, len(lengths))

    def _say(
        self, tokens: Array, watched: Watched, lengths: Array | None = None
    ) -> tuple[Tensor, Watched]:
        """tokens (T, B) -> what scores are made of (T, B, H), and the states after."""
        words = self.dropout(self.embedding(tokens))
        frames = nothing(*tokens.shape, self.width, like=words)
        seen, watching = self.watching(frames, watched.watching, lengths=lengths)
        read = ops.concat([seen, words], axis=-1)
        hidden, saying = self.saying(read, watched.saying, lengths=lengths)
        return self.output_dropout(hidden), Watched(watching, saying, watched.rows)

    def _of(self, watched: Watched, number: Array) -> Watched:
        """The states of some rows, in any order and any number of times."""

        def taken(layers: nn.Recurrent, state: Any) -> Any:
            cells = layers.layout.unpack(state, (watched.rows,))
            return layers.layout.pack([[p[number] for p in parts] for parts in cells], True)

        return Watched(
            taken(self.watching, watched.watching), taken(self.saying, watched.saying), len(number)
        )

    # ----- watching, and saying step by step -----

    def encode(self, clips: Any) -> Watched:
        """What is left of clips when they have been watched."""
        with evaluating(self):
            return self._watched(clips)

    def start(self, watched: Watched) -> Any:
        """Where the layers start to say something: arrays, rows first."""
        return {
            "watching": arrays_of(self.watching, watched.watching, watched.rows),
            "saying": arrays_of(self.saying, watched.saying, watched.rows),
        }

    def scored(self, tokens: Any, state: Any) -> tuple[Any, ...]:
        """``step`` with ``decoding.LogProbs``, of which a search looks at the best alone."""
        if self.training:
            with evaluating(self):
                return self.scored(tokens, state)
        tokens = host_array(tokens)[None]
        with no_grad():
            watched = Watched(
                state_of(self.watching, state["watching"]),
                state_of(self.saying, state["saying"]),
                tokens.shape[1],
            )
            features, watched = self._say(tokens, watched)
            found = decoding.LogProbs(self.out(features[0]))
        return found, self.start(watched)

    def log_likelihoods(self, clips: Any, captions: Any, of: Any = None) -> list[Floats]:
        """``log P`` of each token of each caption, its end with them, (T + 1,) each."""
        lengths = taught("S2VT", "captions", captions, self.end)[2]
        with evaluating(self):
            found = -self.loss(clips, captions, of, reduction="none")[0].numpy().T
        return [row[:length] for row, length in zip(found, lengths, strict=True)]
