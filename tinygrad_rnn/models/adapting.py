"""Models that adapt while they read: by learning on, or by looking up what came before."""

import copy
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_rnn import ops
from tinygrad_rnn.arguments import bounded, shortened, whole
from tinygrad_rnn.device import host_array
from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.models.language_model import LanguageModel
from tinygrad_rnn.models.layers import arrays_of, state_of
from tinygrad_rnn.models.scores import losses_in_pieces
from tinygrad_rnn.models.text_model import Floats, TextModel
from tinygrad_rnn.modes import recorded
from tinygrad_rnn.text.vocabulary import Ids
from tinygrad_rnn.training.run_state import detached, evaluating

__all__ = ["CachePointer", "DynamicEvaluation", "mean_squares"]

Array = np.ndarray[Any, Any]

_ROWS = 256  # of a text that are compared with the memory at once


class _Adapting(TextModel):
    """What both have of the model that they wrap."""

    def __init__(self, model: LanguageModel) -> None:
        if not isinstance(model, LanguageModel):
            raise ArgumentError(
                f"{type(self).__name__}: model is {shortened(model)}, expected a LanguageModel."
            )
        self.vocabulary, self.vocabulary_size = model.vocabulary, model.vocabulary_size
        self.model = model


class DynamicEvaluation(_Adapting):
    """A model that goes on learning from what it reads (Krause et al. 2018).

        w ← w - lr · g + decay · (w_0 - w)        after each piece, g its gradient

    or, where ``squares`` of gradients are given, with v their mean and m the mean of all √v,

        w ← w - lr · g / (√v + eps) + decay · (w_0 - w) · √v / m

    Each piece is predicted first, then learnt from. ``log_likelihoods`` and ``score`` begin with
    the weights as they are, and leave them so; ``read`` keeps what was learnt, for texts and
    samples that come after, and ``reset`` goes back to w_0. It works on a copy of the model.
    Frozen weights stay as they are.

    Args:
        steps: How many tokens a piece has.
        squares: What ``mean_squares`` has gathered where the model was trained.
    """

    def __init__(
        self,
        model: LanguageModel,
        lr: float,
        *,
        decay: float = 0.0,
        steps: int = 20,
        squares: list[Array] | None = None,
        eps: float = 1e-3,
    ) -> None:
        where = "DynamicEvaluation"
        super().__init__(model)
        self.model = copy.deepcopy(model)
        self.lr = bounded(where, "lr", lr, least=0)
        self.decay = bounded(where, "decay", decay, least=0, most=1)
        self.steps = whole(where, "steps", steps, 1)
        self.eps = bounded(where, "eps", eps, above=0)
        self._parameters = list(self.model.parameters())
        self._first = [parameter.numpy().copy() for parameter in self._parameters]
        self._rates, self._pulls = self._scales(squares)

    def _scales(self, squares: list[Array] | None) -> tuple[list[Any], list[Any]]:
        """What the gradient of each weight, and its way back, are multiplied with."""
        if squares is None:
            same = [1.0] * len(self._first)
            return [self.lr] * len(same), [self.decay] * len(same)
        if [np.shape(v) for v in squares] != [w.shape for w in self._first]:
            raise ArgumentError(
                "DynamicEvaluation: squares do not have the shapes of the model's parameters; "
                "expected what mean_squares(model, chunks) gave for it."
            )
        roots = [np.sqrt(v) for v in squares]
        mean = sum(float(root.sum()) for root in roots) / sum(root.size for root in roots)
        rates = [self.lr / (root + self.eps) for root in roots]
        return rates, [np.minimum(self.decay * root / mean, 1.0) for root in roots]

    def start(self, rows: int = 1) -> Any:
        """The state before any token."""
        return self.model.start(rows)

    def step(self, tokens: Any, state: Any) -> tuple[Floats, Any]:
        """As the model's, with the weights as they are; nothing is learnt."""
        return self.model.step(tokens, state)

    def advance(self, ids: Any, state: Any = None) -> Any:
        """As the model's, with the weights as they are; nothing is learnt."""
        return self.model.advance(ids, state)

    def log_likelihoods(self, ids: Any, state: Any = None) -> Floats:
        """Of each token but the first, learning on from piece to piece; then it is forgotten."""
        before = [parameter.numpy().copy() for parameter in self._parameters]
        try:
            return self.read(ids, state)
        finally:
            self._assign(before)

    def read(self, ids: Any, state: Any = None) -> Floats:
        """``log_likelihoods`` that keeps what was learnt."""
        ids, found = self.ids(ids, least=1), [np.zeros(0)]
        carried = None if state is None else state_of(self.model.layers, state)
        with _recording(self.model):
            for nats in losses_in_pieces(self.model, ids, carried, self.steps):
                found.append(-nats.numpy())
                self.model.zero_grad()
                nats.mean().backward()
                self._learn()
            self.model.zero_grad()
        return np.concatenate(found)

    def reset(self) -> None:
        """Forget all that was learnt."""
        self._assign(self._first)

    def _learn(self) -> None:
        for parameter, first, rate, pull in zip(
            self._parameters, self._first, self._rates, self._pulls, strict=True
        ):
            w = parameter.numpy()
            g = 0 if parameter.grad is None else parameter.grad.numpy()
            parameter.assign_((w - rate * g + pull * (first - w)).astype(w.dtype))

    def _assign(self, weights: list[Array]) -> None:
        for parameter, weight in zip(self._parameters, weights, strict=True):
            parameter.assign_(weight)


def mean_squares(model: LanguageModel, chunks: Iterable[Any]) -> list[Array]:
    """The mean of the squares of gradients over chunks of ``data.Streams``, by parameter.

    For ``DynamicEvaluation(..., squares=...)``; made of the text that the model was trained on,
    with nothing dropped.
    """
    model, state, count = copy.deepcopy(model), None, 0
    found = [np.zeros(parameter.shape, parameter.dtype) for parameter in model.parameters()]
    with _recording(model):
        for chunk in chunks:
            model.zero_grad()
            loss, state, _ = model.loss(chunk.x, chunk.y, None if chunk.first else state)
            loss.backward()
            state, count = detached(state), count + 1
            for total, parameter in zip(found, model.parameters(), strict=True):
                if parameter.grad is not None:
                    total += parameter.grad.numpy() ** 2
    if not count:
        raise ArgumentError("mean_squares: there was no chunk.")
    return [total / count for total in found]


@contextmanager
def _recording(model: LanguageModel) -> Iterator[None]:
    """In a with block, nothing is dropped, but what a gradient needs is recorded."""
    with evaluating(model), recorded():
        yield


class CachePointer(_Adapting):
    """A model and a memory of what came lately (Grave et al. 2016: the continuous cache).

        P(w) = (1 - share) · P_model(w) + share · P_cache(w)
        P_cache(w) ∝ Σ_i [w came after h_i] exp(theta h_t · h_i)        over the last ``size`` i < t

    h are the outputs of the model's last layer. A word that came where the network felt as it
    does now becomes likelier; nothing is trained. While the memory is empty the model is alone.

    Args:
        size: How many tokens are remembered.
        theta: How much likeness counts; 0 counts tokens alone.
        share: Of the memory.
    """

    def __init__(
        self, model: LanguageModel, size: int = 500, *, theta: float = 0.3, share: float = 0.1
    ) -> None:
        super().__init__(model)
        self.size = whole("CachePointer", "size", size, 1)
        self.theta = bounded("CachePointer", "theta", theta, least=0)
        self.share = bounded("CachePointer", "share", share, least=0, below=1)

    def start(self, rows: int = 1) -> Any:
        """The model's state, and of the newest tokens h and what came after; how many were read."""
        width, dtype = self.model.layers.cells()[-1].output_size, self.model.embedding.weight.dtype
        return {
            "model": self.model.start(rows),
            "read": np.zeros(rows, np.int64),
            "h": np.zeros((rows, self.size + 1, width), dtype),
            "after": np.zeros((rows, self.size), np.int64),  # the last h has nothing after it yet
        }

    def step(self, tokens: Any, state: Any) -> tuple[Floats, Any]:
        """tokens (rows,) -> log-probabilities of what comes next (rows, V), and the state."""
        tokens = host_array(tokens)
        with evaluating(self.model):
            hidden, after = self.model(tokens[None], state_of(self.model.layers, state["model"]))
            log_probs = ops.log_softmax(self.model.scores(hidden)).numpy()[0]
        now = hidden.numpy()[0][:, None]
        state = {
            "model": arrays_of(self.model.layers, after, len(tokens)),
            "read": state["read"] + 1,
            "h": np.concatenate([state["h"][:, 1:], now], axis=1),
            "after": np.concatenate([state["after"][:, 1:], tokens[:, None]], axis=1),
        }
        known = np.arange(-self.size, 0) > -state["read"][:, None]
        weights = _softmax(self.theta * (state["h"][:, :-1] * now).sum(axis=-1), known)
        cache = np.zeros_like(log_probs)
        np.add.at(cache, (np.arange(len(tokens))[:, None], state["after"]), weights)
        return self._mixed(log_probs, cache, known.any(axis=1, keepdims=True)), state

    def advance(self, ids: Any, state: Any = None) -> Any:
        """The state after tokens, of one row."""
        ids, state = self.ids(ids), self.start() if state is None else state
        hidden, _, after = self._run(ids, state["model"])
        return {
            "model": after,
            "read": state["read"] + len(ids),
            "h": np.concatenate([state["h"][0], hidden])[None, -self.size - 1 :],
            "after": np.concatenate([state["after"][0], ids])[None, -self.size :],
        }

    def log_likelihoods(self, ids: Any, state: Any = None) -> Floats:
        """``log P(ids[t + 1] | ids[:t + 1])`` of each token but the first, (T - 1,)."""
        ids, state = self.ids(ids, least=1), self.start() if state is None else state
        hidden, found, _ = self._run(ids[:-1], state["model"], ids[1:])
        h = np.concatenate([state["h"][0], hidden])
        after = np.concatenate([state["after"][0], ids])
        first = self.size + 1 - int(state["read"][0])  # the place in h of the first token
        for begin in range(0, len(hidden), _ROWS):
            now = np.arange(begin, min(begin + _ROWS, len(hidden)))[:, None]
            places = np.arange(begin + 1, now[-1, 0] + self.size + 1)
            known = (places > now) & (places <= now + self.size) & (places >= first)
            likeness = ops.matmul(hidden[now[:, 0]], h[places].T).numpy()
            weights = _softmax(self.theta * likeness, known)
            cache = np.where(after[places] == ids[now + 1], weights, 0).sum(axis=1)
            there = known.any(axis=1)
            found[now[:, 0]] = self._mixed(found[now[:, 0]], cache, there)
        return found

    def _run(self, ids: Ids, state: Any, targets: Ids | None = None) -> tuple[Array, Array, Any]:
        """h after each token (T, H), the log-probabilities of targets, and the model's state."""
        model, carried = self.model, state_of(self.model.layers, state)
        width = model.layers.cells()[-1].output_size
        hiddens, found = [np.zeros((0, width), model.embedding.weight.dtype)], [np.zeros(0)]
        with evaluating(model):
            for begin in range(0, len(ids), _ROWS):
                piece = slice(begin, begin + _ROWS)
                hidden, carried = model(ids[piece, None], carried)
                hiddens.append(hidden.numpy()[:, 0])
                if targets is not None:
                    nats = model.cross_entropy(hidden, targets[piece, None], "none")
                    found.append(-nats.numpy()[:, 0])
            after = arrays_of(model.layers, carried, 1)
        return np.concatenate(hiddens), np.concatenate(found), after

    def _mixed(self, log_probs: Array, cache: Array, there: Any) -> Array:
        """The model's probabilities and the memory's, where there is one, in logs."""
        with np.errstate(divide="ignore"):
            rest = np.log(self.share * cache)
        return np.where(there, np.logaddexp(math.log1p(-self.share) + log_probs, rest), log_probs)


def _softmax(scores: Array, known: Array) -> Array:
    """Of those that are known, along the last axis; zeros where none is."""
    scores = np.where(known, scores, -np.inf)
    top = scores.max(axis=-1, keepdims=True)
    weights: Array = np.exp(scores - np.where(np.isfinite(top), top, 0))
    weights /= np.maximum(weights.sum(axis=-1, keepdims=True), 1e-30)
    return weights
