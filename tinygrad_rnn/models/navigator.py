"""Walks by instructions in words: who reads them and moves, by what is in view."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from tinygrad_rnn import losses, nn, ops, random
from tinygrad_rnn.arguments import bounded, flag, whole
from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import ShapeError
from tinygrad_rnn.models.bridge import Bridge
from tinygrad_rnn.models.encoder import Encoder
from tinygrad_rnn.models.labels import right_share
from tinygrad_rnn.models.layers import CellChoice, recurrent_layers
from tinygrad_rnn.models.speaker import IGNORED, with_end
from tinygrad_rnn.models.text_model import Floats
from tinygrad_rnn.models.walk_reader import WalkReader
from tinygrad_rnn.nn import init
from tinygrad_rnn.nn.attention import Prepared
from tinygrad_rnn.tensor import Tensor, constant
from tinygrad_rnn.training.run_state import evaluating

__all__ = ["Navigator", "Walk", "World"]


class World(Protocol):
    """What somebody walks in: it shows what is in view, and lets them act."""

    def view(self) -> Any:
        """What is to be seen now: features (D,), or an image (C, H, W)."""

    def act(self, action: str) -> None:
        """Do something; what cannot be done changes nothing."""


class Walk(NamedTuple):
    """What somebody did.

    views      what was seen before each action (T, ...)
    actions    their names, T of them
    stopped    whether the last one is to stop; else there were too many
    attention  how much each word of the instruction, and its end, was looked at (T, S)
    """

    views: Array
    actions: list[str]
    stopped: bool
    attention: Floats


class State(NamedTuple):
    """Where walkers are in thought: the words, both layers' states, what each did last."""

    words: Prepared
    walking: Any
    deciding: Any
    done: Array


class Search(nn.Module):
    """Attention to places in view by what is asked for: the words that matter, and the state.

        z = Σ_j β_j (v_j + p_j),  β = softmax_j((c + s w + b) (v_j + p_j) / √D)

    seen (T, B, D h w), s (T, B, S), c (T, B, D)  ->  z (T, B, D); p_j is learned, for each place.
    """

    def __init__(self, features: tuple[int, ...], state: int, words: int) -> None:
        super().__init__()
        D, *sides = features
        if words != D:
            raise ShapeError(
                f"Navigator: features of places are {D} wide and words {words}, expected one "
                "width: what is in view is compared with what is asked for."
            )
        self.asking = nn.Linear(state, D)
        self.where = nn.Parameter(np.zeros((int(np.prod(sides)), D), np.float32))
        init.normal_(self.where)
        self.attention = nn.Attention("scaled_dot")

    def forward(self, seen: Tensor, state: Tensor, words: Tensor) -> Tensor:
        """What is found, of what is asked for."""
        T, B, D = words.shape
        places = seen.reshape(T * B, D, -1).swapaxes(1, 2) + self.where
        asked = (words + self.asking(state)).reshape(T * B, D)
        found: Tensor = self.attention(asked, places, places)[0].reshape(T, B, D)
        return found


class Navigator(WalkReader):
    """Reads an instruction, then walks by it, seeing no more than what is in view.

        w_1 ... w_S = reading(e(x_1) ... e(x_S))            in both directions
        s_t = walking([g(v_t); e(a_{t-1})], s_{t-1})        v_t: what is in view; s_0 = bridge(w)
        c_t = Σ_i α_ti e(x_i),  α_t = softmax_i(score(s_t, w_i))         the words that matter now
        z_t = search(v_t, s_t, c_t)                                       what they ask for, in view
        d_t = deciding([s_t; c_t; g(v_t); z_t], d_{t-1})
        P(a_t) = softmax(d_t u + b)

    Views without places, of D numbers each, are read as they are: g(v) = v, and there is no z.

        model = models.Navigator(words, ["go", "turn", "stop"], None, 32, 64, features=9)
        loss, values = model.loss(instructions, views, actions)  # of demonstrations
        walks = model.walk(worlds, ["go to the red door and stop"])

    A walk that was drawn and had some reward is learned from by ``reward_loss``.

    Args:
        vocabulary: A ``text.Vocabulary`` of instructions, or how many tokens there are.
        actions: Their names, the last of which is to stop.
        encoder: Any module that makes features (N, D), or of places (N, D, h, w), of views. None:
            views are such features themselves.
        embedding_dim: How wide the vectors of words and of actions are.
        hidden_size: The width of the layers, of ``reading`` in each direction.
        features: D; or (D, h, w), D being as wide as the vectors of words.
        cell: As for ``LanguageModel``.
        dropout: The share of vectors of words, of features, and of what scores are made of.
        options: Those of recurrent layers.
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
        where = "Navigator"
        E, H, D = embedding_dim, hidden_size, self.features[0]
        both = {**options, "bidirectional": True}
        reading = recurrent_layers(where, cell, E, H, 1, both, ahead=True)
        self.embedding = nn.Embedding(self.end + 1, E)
        self.reading = Encoder(self.embedding, reading, dropout)
        K = self.reading.width
        self.done = nn.Embedding(len(self.actions) + 1, E)  # the last one: nothing yet
        seen = D if len(self.features) == 1 else H
        self.walking = recurrent_layers(where, cell, seen + E, H, 1, options)
        self.bridge = Bridge("linear", self.reading, self.walking)
        S = self.walking.output_size
        self.attention = nn.Attention("additive", S, K, H, batch_first=False)
        self.glance: nn.Linear | None = None
        self.search: Search | None = None
        read = S + E + seen
        if len(self.features) == 3:
            self.glance = nn.Linear(int(np.prod(self.features)), H)
            self.search = Search(self.features, S, E)
            read += D
        self.deciding = recurrent_layers(where, cell, read, H, 1, options)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(self.deciding.output_size, len(self.actions))

    # ----- learning -----

    def forward(self, instructions: Any, views: Any, actions: Any) -> tuple[Tensor, Tensor, Array]:
        """Scores (T, B, A) before each action, looks at words (B, T, S), numbers of actions."""
        seen, lengths = self._seen("Navigator", views)
        done = self._numbers(actions, lengths)
        state = self._begin("Navigator", instructions, len(lengths))
        before = np.concatenate([state.done, np.maximum(done[:-1], 0)])
        scores, weights, _ = self._think(seen, state._replace(done=before), lengths)
        return scores, weights, done

    def _begin(self, where: str, instructions: Any, count: int) -> State:
        """Where walkers are when they have read, and done nothing yet."""
        tokens = self._ids(where, instructions, count)
        ids, lengths = with_end(where, "instructions", tokens, self.end)
        memory = self.reading(ids.T, lengths)
        values = self.embedding(ids.T)
        words = self.attention.prepare(memory.outputs, values, lengths=lengths)
        return State(words, self.bridge(memory), None, np.full((1, count), len(self.actions)))

    def _think(
        self, seen: Tensor, state: State, lengths: Array | None = None
    ) -> tuple[Tensor, Tensor, State]:
        """seen (T, B, ...) and what was done before -> scores (T, B, A), weights, the state."""
        noticed = seen if self.glance is None else ops.relu(self.glance(seen))
        noticed = self.dropout(noticed)
        read = ops.concat([noticed, self.done(state.done)], axis=-1)
        walked, walking = self.walking(read, state.walking, lengths=lengths)
        found, weights = self.attention(walked, state.words)
        known = [walked, found, noticed]
        if self.search is not None:
            known.append(self.search(seen, walked, found))
        decided, deciding = self.deciding(
            ops.concat(known, axis=-1), state.deciding, lengths=lengths
        )
        scores = self.out(self.dropout(decided))
        return scores, weights, State(state.words, walking, deciding, state.done)

    def loss(self, instructions: Any, views: Any, actions: Any) -> tuple[Tensor, dict[str, Any]]:
        """The mean cross-entropy of demonstrated actions, and {"accuracy": ...}.

        Args:
            instructions: Texts, or lists of tokens.
            views: For each what was in view before each action, (T, D) or (T, C, H, W).
            actions: For each the names of T actions.
        """
        scores, _, targets = self(instructions, views, actions)
        loss = losses.cross_entropy(scores, targets, ignore_index=IGNORED)
        return loss, {"accuracy": right_share(scores, targets)}

    def reward_loss(
        self,
        instructions: Any,
        views: Any,
        actions: Any,
        rewards: Any,
        baseline: Any = 0.0,
        *,
        entropy: float = 0.0,
    ) -> tuple[Tensor, dict[str, Any]]:
        """REINFORCE: ``-(r - b) log P`` of walks that were drawn, a mean over their actions.

        Args:
            rewards: r of each walk, (B,).
            baseline: b, a number or (B,), which must not depend on the walk's own draws.
            entropy: How much unlike choices are asked for: the weight of the entropy of P.
        """
        weight = bounded("Navigator.reward_loss", "entropy", entropy, least=0)
        scores, _, done = self(instructions, views, actions)
        targets, logs = done.T, ops.log_softmax(scores).swapaxes(0, 1)
        there = targets != IGNORED
        chosen = ops.take_along_axis(logs, np.where(there, targets, 0)[..., None], -1).squeeze(-1)
        loss = losses.reinforce(chosen, rewards, baseline, mask=there)
        mask = constant(there[..., None], logs)
        spread = (ops.exp(logs) * logs * mask).sum() * (-1 / there.sum())
        values = {"reward": np.mean(rewards), "entropy": spread.detach()}
        return loss - weight * spread, values

    # ----- walking -----

    def walk(
        self,
        worlds: Sequence[World],
        instructions: Any,
        *,
        limit: int = 100,
        sample: bool = False,
    ) -> list[Walk]:
        """Walk in worlds, which are changed by it, each by an instruction.

        Args:
            limit: The most actions of a walk; who has not stopped by then gives up.
            sample: Whether actions are drawn by their probability, in place of the likeliest.
        """
        most = whole("Navigator.walk", "limit", limit, 1)
        sample = flag("Navigator.walk", "sample", sample)
        count, stop = len(worlds), len(self.actions) - 1
        seen: list[list[Array]] = [[] for _ in worlds]
        acted: list[list[int]] = [[] for _ in worlds]
        looked: list[list[Array]] = [[] for _ in worlds]
        going = list(range(count))
        with evaluating(self):
            words = self._ids("Navigator.walk", instructions, count)
            state = self._begin("Navigator.walk", words, count)
            views = [np.asarray(world.view()) for world in worlds]
            for _ in range(most):
                for n in going:
                    views[n] = np.asarray(worlds[n].view())
                    seen[n].append(views[n])
                now = [view[None] for view in views]
                frames, _ = self._seen("Navigator.walk", now)
                scores, weights, state = self._think(frames, state)
                chosen = self._chosen(scores.numpy()[0], sample)
                state = state._replace(done=chosen[None])
                for n in going:
                    acted[n].append(int(chosen[n]))
                    looked[n].append(weights.numpy()[n, 0])
                    worlds[n].act(self.actions[chosen[n]])
                going = [n for n in going if chosen[n] != stop]
                if not going:
                    break
        return [
            Walk(
                np.stack(seen[n]), [self.actions[a] for a in acted[n]],
                acted[n][-1] == stop, np.stack(looked[n])[:, : len(words[n]) + 1],
            )
            for n in range(count)
        ]  # fmt: skip

    def _chosen(self, scores: Array, sample: bool) -> Array:
        if not sample:
            return scores.argmax(axis=1)
        # The largest of scores and Gumbel's noise is a draw from their softmax.
        noise = random.generator().gumbel(size=scores.shape)
        return (scores + noise).argmax(axis=1)
