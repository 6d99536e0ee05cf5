"""How well a path agrees with an instruction: learned from pairs, a reward for who walks."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_rnn import nn, ops
from tinygrad_rnn.arguments import choice
from tinygrad_rnn.models.attending import Attending
from tinygrad_rnn.models.bridge import Bridge
from tinygrad_rnn.models.decoder import AttentionDecoder
from tinygrad_rnn.models.encoder import Encoder
from tinygrad_rnn.models.labels import check_as_many
from tinygrad_rnn.models.layers import CellChoice, recurrent_layers
from tinygrad_rnn.models.read_out import ReadOut
from tinygrad_rnn.models.scores import cross_entropy
from tinygrad_rnn.models.some_rows import some_rows
from tinygrad_rnn.models.speaker import IGNORED, taught
from tinygrad_rnn.models.text_model import Floats
from tinygrad_rnn.models.walk_reader import WalkReader
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.training.run_state import evaluating

__all__ = ["PathMatcher"]


class PathMatcher(WalkReader):
    """How likely the words of an instruction are, to somebody who sees the path.

        p_1 ... p_T = following([g(v_t); e(a_t)])         in both directions
        s_i = saying(e(x_{i-1}), s_{i-1}),                s_0 = bridge(p)
        c_i = Σ_t α_it p_t,  α_i = softmax_t(score(s_i, p_t))
        P(x_i | x_1 .. x_{i-1}, path) = softmax(U tanh(W [s_i; c_i]) + b)

        matcher = models.PathMatcher(words, ["go", "turn", "stop"], None, 32, 64, features=9)
        loss, values = matcher.loss(instructions, views, actions)  # of pairs that agree
        rewards = matcher.scores(instructions, views, actions)

    It learns from pairs that agree alone; a path that leads elsewhere makes the words unlikely
    that tell of what it does not have. Arguments are those of ``Navigator``.
    """

    def __init__(
        self,
        vocabulary: Any,
        actions: Sequence[str],
        encoder: nn.Module | None,
        embedding_dim: int,
        hidden_size: int,
        *,
        features: int | Sequence[int],
        cell: CellChoice = "LSTM",
        dropout: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(vocabulary, actions, encoder, features)
        where = "PathMatcher"
        E, H = embedding_dim, hidden_size
        self.glance = nn.Linear(int(np.prod(self.features)), H)
        both = {**options, "bidirectional": True}
        self.acted = nn.Embedding(len(self.actions), E)
        following = recurrent_layers(where, cell, H + E, H, 1, both, ahead=True)
        self.following = Encoder(nn.Identity(), following, dropout)
        self.embedding = nn.Embedding(self.end + 1, E)
        saying = recurrent_layers(where, cell, E, H, 1, options)
        K = self.following.width
        self.bridge = Bridge("linear", self.following, saying)
        looks = Attending("additive", saying.output_size, K, H)
        self.decoder = AttentionDecoder(
            saying, looks, ReadOut("tanh", saying.output_size, K, E, None, False), False
        )
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(self.decoder.read_out.width, self.end + 1)

    def forward(self, instructions: Any, views: Any, actions: Any) -> tuple[Tensor, Any]:
        """What scores of words are made of (S, B, W), and the words that are right (S, B)."""
        seen, lengths = self._seen("PathMatcher", views)
        acted = self._numbers(actions, lengths)
        ids = self._ids("PathMatcher", instructions, len(lengths))
        told, said, counts = taught("PathMatcher", "instructions", ids, self.end)
        noticed = ops.relu(self.glance(seen))
        steps = ops.concat([noticed, self.acted(np.maximum(acted, 0))], axis=-1)
        memory = self.following(steps, lengths)
        begin = self.decoder.start(self.bridge(memory), memory)
        words = self.dropout(self.embedding(told))
        found, _, _ = self.decoder(words, self.decoder.prepare(memory), begin, counts)
        return self.dropout(found), said

    def loss(
        self, instructions: Any, views: Any, actions: Any, *, reduction: str = "mean"
    ) -> tuple[Tensor, dict[str, Any]]:
        """The mean cross-entropy of the words of instructions, ends included, and {"nats": ...}.

        Args:
            instructions: Texts, or lists of tokens.
            views: For each what was in view before each action, (T, D) or (T, C, H, W).
            actions: For each the names of T actions.
            reduction: "none" gives the cross-entropy of all words, (S, B), 0 behind the ends.
        """
        choice("PathMatcher.loss", "reduction", reduction, ("mean", "none"))
        found, said = self(instructions, views, actions)
        loss = cross_entropy(self.out, found, said, ignore_index=IGNORED, reduction=reduction)
        return loss, {} if reduction == "none" else {"nats": loss.detach()}

    def word_scores(
        self, instructions: Any, views: Any, actions: Any, *, batch_size: int = 128
    ) -> list[Floats]:
        """For each pair log P of each word of the instruction, and of its end: (S + 1,)."""
        where = "PathMatcher.word_scores"
        found: list[Floats] = []
        ids = self._ids(where, instructions, len(views))
        check_as_many(where, len(views), "walks", actions, "actions")
        with evaluating(self):
            for rows in some_rows(where, len(views), batch_size):
                nats, _ = self.loss(ids[rows], views[rows], actions[rows], reduction="none")
                each = zip(nats.numpy().T, ids[rows], strict=True)
                found += [-own[: len(words) + 1] for own, words in each]
        return found

    def scores(self, instructions: Any, views: Any, actions: Any) -> Floats:
        """How well each path agrees, from 0 to 1: the probability of the word that fits least."""
        words = self.word_scores(instructions, views, actions)
        return np.exp([own.min() for own in words])
