"""From one sequence to another: an encoder, a bridge, and a decoder with or without attention."""

from typing import Any, NamedTuple

import numpy as np

from tinygrad_rnn import decoding, nn, ops, random
from tinygrad_rnn.arguments import bounded, choice, shortened
from tinygrad_rnn.device import Array, host_array
from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.models.attending import Attending
from tinygrad_rnn.models.bridge import Bridge
from tinygrad_rnn.models.decoder import AttentionDecoder, Carried, Feeding, checked_feeding
from tinygrad_rnn.models.encoder import Encoder, Memory
from tinygrad_rnn.models.layers import (
    CellChoice,
    arrays_of,
    in_order,
    nothing,
    recurrent_layers,
    state_of,
)
from tinygrad_rnn.models.quick_step import quick_step
from tinygrad_rnn.models.read_out import ReadOut
from tinygrad_rnn.models.scores import ScoreLayer, cross_entropy, tied_to
from tinygrad_rnn.models.speaker import IGNORED, taught, with_end
from tinygrad_rnn.models.stepwise import forced, step_by_step
from tinygrad_rnn.models.text_model import Floats, vocabulary_and_size
from tinygrad_rnn.models.translator import Translator
from tinygrad_rnn.modes import no_grad
from tinygrad_rnn.nn.attention import Prepared
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.text.vocabulary import Vocabulary
from tinygrad_rnn.training.run_state import evaluating

__all__ = ["Seq2Seq"]


class State(NamedTuple):
    """Where the decoder of some rows is: arrays with rows first, as ``decoding`` wants them."""

    memory: Prepared | None
    carried: Carried


_NOT_TAKEN = {
    "num_layers": "encoder_layers and decoder_layers",
    "hidden_sizes": "hidden_size and encoder_size: all layers of a side are as wide",
    "proj_size": "hidden_size: what layers give out is as wide as their state",
}


class Seq2Seq(Translator):
    """An encoder reads a sentence; a decoder says another one, looking at what was read.

        h_1 ... h_S, final = encoder(x_1 ... x_S)
        s_0 = bridge(final)
        s_t = layers(e_t, s_{t-1})                        e_t: the vector of y_{t-1}
        a_t = Σ_i α_ti h_i,  α_t = softmax_i(score(s_t, h_i))
        P(y_t | y_1 .. y_{t-1}, x) = softmax(U [s_t; a_t] + b)

        model = models.Seq2Seq(english, french, 128, 256)
        loss, values = model.loss(sources, targets)        # lists of tokens, sentence by sentence
        model.translate(["two dogs"])

    A token more than the vocabularies have, their ``end``, ends every sentence, and is what the
    decoder begins with.

    Args:
        source_vocabulary: A ``text.Vocabulary``, or how many tokens there are.
        target_vocabulary: The same of what is said.
        embedding_dim: How wide the vectors of tokens are: E.
        hidden_size: The width of the decoder's layers, and of each direction of the encoder's.
        cell: Of both, as for ``LanguageModel``.
        bidirectional: Whether the encoder reads in both directions.
        encoder_size: Another width for the encoder's layers.
        attention: "additive", "dot", "general", "location", or None.
        longest: The most tokens of a source sentence, its end included, for "location".
        local: "monotonic" or "predictive": attention sees ``window`` places on either side of
            one, see ``Attending``.
        coverage: Whether attention knows where it has been.
        input_feeding: True: the layers also read the features of the step before; "context": what
            is looked at from the state before; "conditional": attention stands between two cells;
            see ``AttentionDecoder``. With False they run over all steps in one kernel.
        read_out: "linear", "tanh", "deep" or "deep_tanh", see ``ReadOut``; ``context_gate`` is
            for "tanh".
        bridge: "linear", "last", "average" or "zero", see ``Bridge``.
        tied: True makes scores with the table of target vectors; "all" also reads with it, if
            both vocabularies are one.
        dropout: The share of the vectors of tokens.
        memory_dropout: The share of what the encoder gives for each token.
        hidden_dropout: The share of what layers give to the next one.
        output_dropout: The share of what scores are made of.
        options: Those of recurrent layers, for encoder and decoder.
    """

    def __init__(
        self,
        source_vocabulary: Any,
        target_vocabulary: Any,
        embedding_dim: int,
        hidden_size: int,
        *,
        cell: CellChoice = "GRU",
        encoder_layers: int = 1,
        decoder_layers: int = 1,
        bidirectional: bool = True,
        encoder_size: int | None = None,
        attention: str | None = "additive",
        longest: int | None = None,
        local: str | None = None,
        window: int = 10,
        coverage: bool = False,
        input_feeding: Feeding = False,
        read_out: str = "linear",
        context_gate: bool = False,
        bridge: str = "linear",
        tied: bool | str = False,
        dropout: float = 0.0,
        memory_dropout: float = 0.0,
        hidden_dropout: float = 0.0,
        output_dropout: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__()
        self.source_vocabulary, sources = vocabulary_and_size("Seq2Seq", source_vocabulary)
        self.target_vocabulary, targets = vocabulary_and_size("Seq2Seq", target_vocabulary)
        self.source_end, self.end = sources, targets
        feeding = checked_feeding(input_feeding, attention)
        _check_options(
            options, attention, {"local": local, "coverage": coverage, "longest": longest}
        )

        def layers(width: int, size: int, count: int, **own: Any) -> nn.Recurrent:
            between = {"dropout": hidden_dropout} if hidden_dropout and count > 1 else {}
            given, ahead = {**options, **between, **own}, "bidirectional" in own
            return recurrent_layers("Seq2Seq", cell, width, size, count, given, ahead=ahead)

        E, H = embedding_dim, hidden_size
        self.target_embedding = nn.Embedding(targets + 1, E)
        shared = self._shares(tied)
        source_embedding = self.target_embedding if shared else nn.Embedding(sources + 1, E)
        encoder_size = H if encoder_size is None else encoder_size
        reads = layers(E, encoder_size, encoder_layers, bidirectional=bidirectional)
        self.encoder = Encoder(source_embedding, reads, dropout, memory_dropout)
        K = 0 if attention is None else self.encoder.width
        says = ReadOut(read_out, H, K, E, E if tied else None, context_gate)
        fed = {True: says.width, "context": K}.get(feeding, 0)
        # Layers that are always given a state to begin with have none to learn.
        told = {"initial_state": "zero"} if "initial_state" in options else {}
        speaks = layers(E + fed, H, decoder_layers, **({} if bridge == "zero" else told))
        then = layers(K, H, decoder_layers, **told) if feeding == "conditional" else None
        for (first, *_), width in ((reads.cells(), encoder_size), (speaks.cells(), H)):
            if first.output_size != width:
                raise ArgumentError(
                    f"Seq2Seq: cell {type(first).__name__} gives out {first.output_size} numbers, "
                    f"expected one that gives out as many as its hidden_size, {width}."
                )
        looks = None
        if attention is not None:
            looks = Attending(
                attention, H, K, H,
                longest=longest, local=local, window=window, coverage=coverage,
            )  # fmt: skip
        self.decoder = AttentionDecoder(speaks, looks, says, feeding, then)
        self.bridge = Bridge(bridge, self.encoder, speaks)
        self.dropout, self.output_dropout = nn.Dropout(dropout), nn.Dropout(output_dropout)
        self.out: ScoreLayer = (
            tied_to(self.target_embedding) if tied else nn.Linear(says.width, targets + 1)
        )

    def _shares(self, tied: bool | str) -> bool:
        """Whether there is one table of vectors, for both sides."""
        choice("Seq2Seq", "tied", tied, (False, True, "all"))
        if tied == "all" and (
            self.source_end != self.end or self.source_vocabulary != self.target_vocabulary
        ):
            raise ArgumentError(
                'Seq2Seq: tied="all" with two vocabularies, expected one for both sides.'
            )
        return tied == "all"

    # ----- training -----

    def loss(
        self,
        source: Any,
        target: Any,
        *,
        teacher_forcing: Any = 1.0,
        label_smoothing: float = 0.0,
        reduction: str = "mean",
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean cross-entropy of the tokens of targets, ends included, and {"nats": ...}.

        Sentences are lists of tokens without ends, as vocabularies give them; or ``data.Padded``
        of (B, T) and lengths, as ``data.pad`` gives it with ``batch_first=True``.

            batches = data.Batches(pairs, 64, shuffle=True, collate=lambda pairs: zip(*pairs))
            trainer = training.Trainer(model, optimizer, lambda model, batch: model.loss(*batch))

        Args:
            teacher_forcing: The share of tokens that the decoder is told; where it is not, it
                goes on with what it finds likeliest (Bengio et al. 2015). Or which of what it
                reads it is told: booleans (T,), by step, or (T, B), by token, T being the longest
                target's and its end's; at the first step there is nothing else to read.
            label_smoothing: The share of each target that is spread over all tokens, while
                training.
            reduction: "none" gives the losses of all tokens, (T, B), 0 behind the ends.
        """
        choice("Seq2Seq.loss", "reduction", reduction, ("mean", "none"))
        read, said, lengths = self._told(target)
        told = forced(teacher_forcing, read.shape)
        smoothing = bounded("Seq2Seq.loss", "label_smoothing", label_smoothing, least=0, most=1)
        how: dict[str, Any] = {"label_smoothing": smoothing, "reduction": reduction}
        if not self.training:
            how["label_smoothing"] = 0.0
        if told is None and not self.decoder.feeding:
            features, _ = self._taught(self._encoded(source, len(lengths)), read, lengths)
            loss = self._cross_entropy(features, said, **how)
        else:
            order = np.argsort(-lengths, kind="stable")
            told = np.ones(read.shape, np.bool_) if told is None else told
            told = np.broadcast_to(told, read.shape)[:, order]
            memory = self._encoded(source, len(lengths), order)
            spoken = step_by_step(self, memory, read[:, order], told, lengths[order])
            places = spoken.steps, order[spoken.rows]
            how["known"] = iter(() if spoken.scores is None else (spoken.scores,))
            loss = self._cross_entropy(spoken.features, said[places], **how)
            if reduction == "none":
                loss = ops.index_update(nothing(*said.shape, like=loss), places, loss)
        return loss, {} if smoothing or reduction == "none" else {"nats": loss.detach()}

    def _told(self, target: Any) -> tuple[Array, Array, Array]:
        """What the decoder is told and what it is to say, (T, B) each, and lengths."""
        return taught("Seq2Seq", "target", target, self.end)

    def _encoded(self, source: Any, rows: int, order: Any = slice(None)) -> Memory:
        ids, lengths = with_end("Seq2Seq", "source", source, self.source_end)
        if len(ids) != rows:
            raise ArgumentError(
                f"Seq2Seq: given {len(ids)} sources and {rows} targets, expected pairs."
            )
        memory: Memory = self.encoder(ids[order].T, lengths[order])
        return memory

    def _taught(self, memory: Memory, read: Array, lengths: Array) -> tuple[Tensor, Tensor | None]:
        """All steps with what is told: features (T, B, W), weights of attention (B, T, S)."""
        words = self.dropout(self.target_embedding(read))
        decoder, carried = self.decoder, self.decoder.start(self.bridge(memory), memory)
        noise = random.noise() if self.training else None
        features, weights, _ = decoder(words, decoder.prepare(memory), carried, lengths, noise)
        return self.output_dropout(features), weights

    def _vocabularies(self, where: str, words: bool) -> tuple[Vocabulary, Vocabulary]:
        if words and self.decoder.attention is None:
            raise ArgumentError(
                f"{where}: copy_unknown with attention=None, expected a model that looks at words."
            )
        return super()._vocabularies(where, words)

    def _cross_entropy(self, features: Tensor, targets: Array, **how: Any) -> Tensor:
        return cross_entropy(self.out, features, targets, ignore_index=IGNORED, **how)

    # ----- reading, and saying step by step -----

    def encode(self, source: Any) -> Memory:
        """What the encoder makes of sentences."""
        ids, lengths = with_end("Seq2Seq.encode", "source", source, self.source_end)
        with evaluating(self):
            return self.encoder(ids.T, lengths)  # type: ignore[no-any-return]

    def start(self, memory: Memory) -> State:
        """Where the decoder starts, with the work on what was read done."""
        with evaluating(self):
            carried = self.decoder.start(self.bridge(memory), memory)
            prepared = self.decoder.prepare(memory)
            if prepared is not None:  # rows of the state will share it
                keys, values = in_order(prepared.keys), in_order(prepared.values)
                each = np.arange(len(memory.lengths))
                prepared = Prepared(keys, values, prepared.mask, each)
            return self._as_arrays(prepared, carried)

    def step(self, tokens: Any, state: State) -> tuple[Any, ...]:
        """tokens (rows,) -> log-probabilities of what comes next (rows, V + 1), and the state.

        With attention also {"attention": (rows, S)}.
        """
        found, *rest = self.scored(tokens, state)
        return (np.asarray(found), *rest)

    def scored(self, tokens: Any, state: State) -> tuple[Any, ...]:
        """The same as ``decoding.LogProbs``, of which a search looks at the best alone."""
        if self.training:
            with evaluating(self):
                return self.scored(tokens, state)
        if not isinstance(state, State):
            raise ArgumentError(
                f"Seq2Seq.step: state is {shortened(state)}, expected one of model.start("
                "model.encode(sources)), or of the step before."
            )
        tokens = host_array(tokens)
        with no_grad():
            quickly = quick_step(self, tokens, *state)
            if quickly is not None:
                scores, looked, carried = quickly
                state = State(state.memory, carried)
            else:
                memory, carried = self._as_given(state)
                words = self.target_embedding(tokens[None])
                features, weights, carried = self.decoder(words, memory, carried)
                scores = self.out(features[0])
                looked = None if weights is None else weights.numpy()[:, 0]
                state = self._as_arrays(memory, carried)
        found = decoding.LogProbs(scores)
        return (found, state) if looked is None else (found, state, {"attention": looked})

    def log_likelihoods(self, source: Any, target: Any) -> list[Floats]:
        """``log P`` of each token of each target, its end with them, (T + 1,) each."""
        read, said, lengths = self._told(target)
        with evaluating(self):
            features, _ = self._taught(self._encoded(source, len(lengths)), read, lengths)
            found = -self._cross_entropy(features, said, reduction="none").numpy().T
        return [row[:length] for row, length in zip(found, lengths, strict=True)]

    def alignment(self, source: Any, target: Any) -> list[Floats]:
        """How much each token of a target looks at each of its source, ends with them: (T, S)."""
        read, _, lengths = self._told(target)
        with evaluating(self):
            memory = self._encoded(source, len(lengths))
            _, weights = self._taught(memory, read, lengths)
        if weights is None:
            raise ArgumentError("Seq2Seq.alignment: the model has no attention.")
        return [
            row[:to, :of]
            for row, to, of in zip(weights.numpy(), lengths, memory.lengths, strict=True)
        ]

    def _as_arrays(self, memory: Prepared | None, carried: Carried) -> State:
        """Rows first, the states of layers by cell and name."""
        return State(
            None if memory is None else Prepared(*map(_array, memory)),
            Carried(
                arrays_of(self.decoder.layers, carried.layers, len(carried.steps)),
                _array(carried.fed), _array(carried.covered), carried.steps,
            ),
        )  # fmt: skip

    def _as_given(self, state: State) -> tuple[Prepared | None, Carried]:
        """The other way round."""
        memory, carried = state
        if memory is not None:
            keys, values = _tensor(memory.keys), _tensor(memory.values)
            memory = memory._replace(keys=keys, values=values)
        layers = state_of(self.decoder.layers, carried.layers)
        fed, covered = _tensor(carried.fed), _tensor(carried.covered)
        return memory, Carried(layers, fed, covered, carried.steps)


def _check_options(
    options: dict[str, Any], attention: str | None, of_attention: dict[str, Any]
) -> None:
    """Raise for options that encoder and decoder cannot have, or that say how nobody looks."""
    for name, expected in _NOT_TAKEN.items():
        if options.get(name):
            given = shortened(options[name])
            raise ArgumentError(f"Seq2Seq: {name} is {given}, expected {expected}.")
    for name, value in of_attention.items():
        if attention is None and value not in (None, False):
            raise ArgumentError(
                f"Seq2Seq: {name} is {shortened(value)} and attention None, expected attention: it "
                "says how that looks."
            )


def _array(x: Any) -> Any:
    return x.data if isinstance(x, Tensor) else x


def _tensor(x: Any) -> Any:
    return None if x is None else Tensor(x)
