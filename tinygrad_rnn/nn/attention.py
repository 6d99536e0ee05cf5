"""Attention: for each query, a weighted mean of values, weighed by how well their keys fit."""

from typing import Any, NamedTuple

import numpy as np

from tinygrad_rnn import ops
from tinygrad_rnn.arguments import bounded, flag
from tinygrad_rnn.device import Array, array_module, beside, to_host
from tinygrad_rnn.errors import ArgumentError, DTypeError, ShapeError
from tinygrad_rnn.kernels import attention as kernel
from tinygrad_rnn.modes import recording
from tinygrad_rnn.nn.attention_scores import (
    AdditiveScore,
    DotScore,
    GeneralScore,
    MultiHeadScore,
    Score,
)
from tinygrad_rnn.nn.checks import check_like
from tinygrad_rnn.nn.masks import mask_of_lengths
from tinygrad_rnn.nn.module import Module
from tinygrad_rnn.tensor import Tensor, as_array, as_tensor

__all__ = ["Attention", "Prepared"]

_SINGLE = AdditiveScore, DotScore, GeneralScore  # and no subclass, which may score otherwise
SCORES = ("dot", "scaled_dot", "general", "additive", "multi_head")


class Prepared(NamedTuple):
    """Keys and values as ``Attention.prepare`` leaves them, for many queries; rows come first.

    mask  booleans (B, 1 or T, S), or numbers of that shape to be added to the scores; or None
    of    (N,) the row that each query looks at, as several may look at one; None: its own
    """

    keys: Tensor
    values: Tensor
    mask: Array | None = None
    of: Array | None = None

    def rows(self, index: Any) -> "Prepared":
        """Some of the rows, or rows several times: what a beam search goes on with.

        Nothing is copied: of N rows, some are the same ones.
        """
        of = np.arange(len(self.keys)) if self.of is None else self.of
        return self._replace(of=of[to_host(as_array(index))])

    def first_rows(self, count: int) -> "Prepared":
        """Some of the rows, the first ones, each of which looks at its own."""
        mask = None if self.mask is None else self.mask[:count]
        return Prepared(self.keys[:count], self.values[:count], mask)

    def apart(self) -> "Prepared":
        """The same with keys and values of its own for each row."""
        if self.of is None:
            return self
        mask = None if self.mask is None else self.mask[self.of]
        return Prepared(self.keys[self.of], self.values[self.of], mask)


class Attention(Module):
    """Attention: values brought together by how well their keys fit a query.

        a = softmax(e),  e_s = score(query, key_s)
        context = Σ_s a_s value_s

    query (B, T, Q), keys (B, S, K), values (B, S, V)  ->  context (B, T, V), weights (B, T, S);
    a single query is (B, Q), with context (B, V) and weights (B, S).

        attention = nn.Attention("additive", 32, 64, 48)
        context, weights = attention(query, keys, values, mask)

    | score      | e                               | sizes                              |
    |------------|---------------------------------|------------------------------------|
    | dot        | q·k                             | none                               |
    | scaled_dot | q·k / √K                        | none                               |
    | general    | q·(k w)                         | query_size, key_size               |
    | additive   | v·tanh(q w_q + k w_k + b)       | query_size, key_size, hidden_size  |
    | multi_head | scaled dots of N projections    | query_size; others are the same unless given |

    A decoder, whose queries come one by one, has the work on keys done once:

        memory = attention.prepare(keys, values, mask)
        context, weights = attention(query, memory)

    A mask is true where there is a key: (B, S), or (B, T, S) for each query. Or it holds numbers
    that are added to the scores, -inf for no key. What is behind a mask has the weight 0 and no
    gradient; a query without any key has weights and context 0 (before an output projection),
    not NaN.

    Args:
        score: One of the above, or a Score of one's own.
        query_size: Q.
        key_size: K.
        hidden_size: H of additive; of multi_head, the width of all heads together.
        value_size: V, for multi_head; the same as K unless given.
        num_heads: N, for multi_head. The weights that come out are the mean of all heads'.
        bias: Whether additive and multi_head have biases.
        dropout: The share of weights that is dropped while training.
        causal: Whether query t sees no key behind place t.
        batch_first: False for (T, B, Q), (S, B, K), (S, B, V), masks of keys (S, B) and a context
            (T, B, V), as recurrent layers have them; weights and masks of three axes stay.
    """

    score: Score

    def __init__(
        self,
        score: str | Score = "scaled_dot",
        query_size: int | None = None,
        key_size: int | None = None,
        hidden_size: int | None = None,
        *,
        value_size: int | None = None,
        num_heads: int | None = None,
        bias: bool = True,
        dropout: float = 0.0,
        causal: bool = False,
        batch_first: bool = True,
    ) -> None:
        super().__init__()
        sizes = {
            "query_size": query_size, "key_size": key_size, "hidden_size": hidden_size,
            "value_size": value_size, "num_heads": num_heads,
        }  # fmt: skip
        self.score = _score_of(score, sizes, flag("Attention", "bias", bias))
        self.dropout = bounded("Attention", "dropout", dropout, least=0, below=1)
        self.causal = flag("Attention", "causal", causal)
        self.batch_first = flag("Attention", "batch_first", batch_first)

    def prepare(
        self, keys: Any, values: Any = None, mask: Any = None, *, lengths: Any = None
    ) -> Prepared:
        """Do the work on keys and values once, for many calls."""
        keys = self._rows_first("keys", keys)
        values = keys if values is None else self._rows_first("values", values)
        if values.shape[:2] != keys.shape[:2]:
            raise ShapeError(
                f"Attention: keys are {keys.shape[:2]} and values {values.shape[:2]} rows and "
                "places, expected a value for each key."
            )
        self._check_width("keys", keys, self.score.key_size)
        self._check_width("values", values, self.score.value_size)
        _check_alike(keys=keys, values=values)
        seen = self._mask(mask, lengths, *keys.shape[:2])
        return Prepared(*self.score.prepare(keys, values), seen)

    def forward(
        self, query: Any, keys: Any, values: Any = None, mask: Any = None, *, lengths: Any = None
    ) -> tuple[Tensor, Tensor]:
        """Query, keys and values, or query and what ``prepare`` gave -> context, weights.

        lengths (B,)  how many keys each row has, instead of a mask
        """
        if not isinstance(keys, Prepared):
            memory = self.prepare(keys, values, mask, lengths=lengths)
        elif values is None and mask is None and lengths is None:
            memory = keys
        else:
            raise ArgumentError(
                "Attention: given prepared keys and values, mask or lengths, expected these in "
                "prepare()."
            )
        query = as_tensor(query, "Attention")
        single = query.ndim == 2
        query = query.unsqueeze(1) if single else self._rows_first("query", query)
        self._check_width("query", query, self.score.query_size)
        _check_alike(query=query, keys=memory.keys)
        rows = len(memory.keys if memory.of is None else memory.of)
        if len(query) != rows:
            raise ShapeError(
                f"Attention: query has {len(query)} rows, keys {rows}, expected as many."
            )
        context, weights = self._shared(query, memory) or self._attend(query, memory.apart())
        if single:
            return context.squeeze(1), weights.squeeze(1)
        return (context if self.batch_first else context.swapaxes(0, 1)), weights

    def _shared(self, query: Tensor, memory: Prepared) -> tuple[Tensor, Tensor] | None:
        """The same for single queries to rows that they may share; None where it is not quick."""
        mask, of, dropped = memory.mask, memory.of, self.training and self.dropout
        if of is None or query.shape[1] != 1 or dropped or self.causal:
            return None
        if recording.get() is not False or not (mask is None or _of_keys(mask)):
            return None
        score: Any = self.score
        if type(score) not in _SINGLE or score._forward_hooks:
            return None
        asked, vector = score.single(query.squeeze(1))
        arrays = asked._data, memory.keys._data, memory.values._data
        if len({x.device for x in (asked, memory.keys, memory.values)}) > 1:
            return None  # to where the error is raised, as below
        xp = array_module(asked._data)
        queries, keys, values = map(xp.ascontiguousarray, arrays)
        if queries.shape[1] != keys.shape[2] or not ((of >= 0) & (of < len(keys))).all():
            return None
        vector = None if vector is None else vector._data
        seen = None
        if mask is not None:
            mask = beside("Attention", mask, queries)
            seen = xp.ascontiguousarray(mask[:, 0]).view(np.uint8)
        context, weights = kernel.attend(queries, keys, vector, values, seen, of)
        return Tensor(context[:, None]), Tensor(weights[:, None])

    def _attend(self, query: Tensor, memory: Prepared) -> tuple[Tensor, Tensor]:
        """query (B, T, Q) -> context (B, T, V), weights (B, T, S)."""
        T, S = query.shape[1], memory.keys.shape[-2]
        seen, added = self._seen(memory.mask, T, S)
        scores = self.score(query, memory.keys, seen)
        heads = scores.ndim == 4
        if added is not None:
            added = array_module(scores._data).asarray(added, scores.dtype)
            scores = scores + Tensor(added[:, None] if heads else added)
        weights = ops.masked_softmax(scores, seen[:, None] if heads and seen is not None else seen)
        context = self.score.combine(
            ops.dropout(weights, self.dropout, self.training), memory.values
        )
        return context, weights.mean(1) if heads else weights

    def _rows_first(self, name: str, x: Any) -> Tensor:
        x = as_tensor(x, "Attention")
        if x.ndim != 3:
            places, width = {"query": ("T", "Q"), "keys": ("S", "K"), "values": ("S", "V")}[name]
            order = f"({f'B, {places}' if self.batch_first else f'{places}, B'}, {width})"
            also = " or (B, Q)" if name == "query" else ""
            raise ShapeError(f"Attention: {name} has shape {x.shape}, expected {order}{also}.")
        turned: Tensor = x if self.batch_first else x.swapaxes(0, 1)
        return turned

    def _check_width(self, name: str, x: Tensor, size: int | None) -> None:
        if size is not None and x.shape[-1] != size:
            raise ShapeError(f"Attention: {name} is {x.shape[-1]} wide, expected {size}.")
        check_like("Attention", name, x, next(self.score.parameters(), None))

    # ----- masks -----

    def _mask(self, mask: Any, lengths: Any, B: int, S: int) -> Array | None:
        """(B, 1 or T, S), or None where every key is seen."""
        if lengths is not None:
            if mask is not None:
                raise ArgumentError("Attention: given a mask and lengths, expected one of them.")
            return mask_of_lengths("Attention", lengths, S, B).T[:, None]
        if mask is None:
            return None
        if isinstance(mask, Tensor) and mask.requires_grad:
            raise ArgumentError(
                "Attention: the mask requires a gradient, expected constants; what is learned "
                "belongs into a Score."
            )
        array = as_array(mask, "Attention")
        if array.dtype.kind not in "bf":
            raise DTypeError(
                f"Attention: the mask holds {array.dtype}, expected booleans, true where there is "
                "a key, or numbers to be added to the scores."
            )
        if array.ndim == 2:
            array = (array if self.batch_first else array.T)[:, None]
        if array.ndim != 3 or array.shape[::2] != (B, S):
            keys = "(B, S)" if self.batch_first else "(S, B)"
            raise ShapeError(
                f"Attention: the mask has shape {as_array(mask).shape}, expected {keys} or "
                f"(B, T, S) with B = {B}, S = {S}."
            )
        return array

    def _seen(self, mask: Array | None, T: int, S: int) -> tuple[Array | None, Array | None]:
        """Which keys queries see, and what is added to the scores of those."""
        if mask is not None and mask.shape[1] not in (1, T):
            raise ShapeError(
                f"Attention: the mask is for {mask.shape[1]} queries, expected {T}, or (B, S)."
            )
        added = None
        if mask is not None and mask.dtype != np.bool_:
            mask, numbers = mask != -np.inf, mask
            # Nobody waits for a GPU to find out whether there is anything to add.
            if not isinstance(numbers, np.ndarray) or np.any(numbers[mask]):
                added = np.where(mask, numbers, 0)
        if self.causal:
            if T != S:
                raise ShapeError(
                    f"Attention: causal=True with {T} queries and {S} keys, expected as many, the "
                    "same sequence; for single queries, give the keys so far."
                )
            xp = np if mask is None else array_module(mask)
            earlier = xp.tri(S, dtype=np.bool_)[None]
            mask = earlier if mask is None else mask & earlier
        return mask, added

    def extra_repr(self) -> str:
        """Options."""
        return f"dropout={self.dropout}, causal={self.causal}, batch_first={self.batch_first}"


def _of_keys(mask: Array) -> bool:
    """Whether a mask says which keys there are, the same for all queries of a row."""
    return bool(mask.dtype == np.bool_) and mask.shape[1] == 1


def _check_alike(**tensors: Tensor) -> None:
    (one, a), (other, b) = tensors.items()
    if a.dtype.kind == b.dtype.kind == "f" and a.dtype != b.dtype:
        raise DTypeError(
            f"Attention: {one} holds {a.dtype}, but {other} {b.dtype}, expected one type; nothing "
            "is converted silently: use .astype()."
        )


def _score_of(score: Any, sizes: dict[str, int | None], bias: bool) -> Score:
    """The score of a name, made with those of the sizes that it takes."""
    given = {name: size for name, size in sizes.items() if size is not None}
    if isinstance(score, Score):
        _check_sizes("a Score of one's own", given, (), ())
        return score
    if not isinstance(score, str) or score not in SCORES:
        raise ArgumentError(
            f"Attention: score is {score!r}, expected one of {', '.join(SCORES)}, or a Score."
        )
    pair = ("query_size", "key_size")
    if score == "general":
        _check_sizes(score, given, pair, pair)
        return GeneralScore(**given)
    if score == "additive":
        _check_sizes(score, given, (*pair, "hidden_size"), (*pair, "hidden_size"))
        return AdditiveScore(**given, bias=bias)
    if score == "multi_head":
        _check_sizes(score, given, ("query_size", "num_heads"), tuple(sizes))
        key_size = given.setdefault("key_size", given["query_size"])
        given.setdefault("value_size", key_size)
        given.setdefault("hidden_size", given["query_size"])
        return MultiHeadScore(**given, bias=bias)
    _check_sizes(score, given, (), ())
    return DotScore(scaled=score == "scaled_dot")


def _check_sizes(
    score: str, given: dict[str, int], needed: tuple[str, ...], known: tuple[str, ...]
) -> None:
    missing = [name for name in needed if name not in given]
    extra = [name for name in given if name not in known]
    if missing or extra:
        fault = f"{missing[0]} is missing" if missing else f"given {extra[0]}"
        expected = ", ".join(needed) if needed else "no sizes"
        raise ArgumentError(f"Attention: {fault}; {score!r} takes {expected}.")
