"""A translator's step without Tensors in between, where nothing looks on.

A hypothesis alone is a few rows, for which kernels take half a millisecond; modules, Tensors and
checks around them would take as long. What is given here has the bits of the long way.
"""

from typing import Any, TypeGuard

import numpy as np

from tinygrad_rnn import nn
from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import TraceError
from tinygrad_rnn.kernels import attention, pointwise
from tinygrad_rnn.kernels.recurrence.program import Program
from tinygrad_rnn.models.attending import Attending
from tinygrad_rnn.models.decoder import AttentionDecoder, Carried
from tinygrad_rnn.models.layers import are_plain
from tinygrad_rnn.models.read_out import ReadOut
from tinygrad_rnn.nn.attention import Prepared
from tinygrad_rnn.nn.attention_scores import AdditiveScore, GeneralScore
from tinygrad_rnn.nn.linear import product_of
from tinygrad_rnn.nn.stepping import Weights, stacked, stepper_of
from tinygrad_rnn.tensor import Tensor

__all__ = ["quick_step"]

# What modules of these very kinds do is written out here.
_KNOWN = frozenset({
    nn.Embedding, AttentionDecoder, Attending, nn.Attention, AdditiveScore, GeneralScore,
    ReadOut, nn.Linear, nn.TiedLinear,
})  # fmt: skip


def quick_step(
    model: Any, tokens: Array, memory: Prepared | None, carried: Carried
) -> tuple[Array, Array | None, Carried] | None:
    """Scores (rows, V + 1), weights of attention, and what goes on; None for the long way."""
    decoder, out = model.decoder, model.out
    cells = stacked(decoder.layers)
    looks, says = decoder.attention, decoder.read_out
    if cells is None or decoder.feeding or says.gate is not None or not _nobody_looks(model):
        return None
    if not _plain_tokens(tokens, model.end):
        return None
    asked = _queries(looks, memory, len(tokens))
    program = cells[-1]._trace()
    if asked is None or not _gives_a_state(program):
        return None
    table = model.target_embedding.weight
    found = stepper_of(decoder)(cells, tokens, carried.layers, table=table, products=asked)
    if found is None:
        return None
    query, layers = found
    hidden = layers[-1][program.results.index(program.output)]
    parts, weights = [hidden], None
    if looks is not None:
        context, weights = _looked(looks.attention.score, query, memory)
        parts.append(context)
    scores = product_of(_features(says, parts, table, tokens), out.weight, out.bias, _turned(out))
    return scores, weights, carried._replace(layers=layers, steps=carried.steps + 1)


def _gives_a_state(program: Program | TraceError) -> TypeGuard[Program]:
    """Whether what a cell gives out is one of its states."""
    return isinstance(program, Program) and program.output in program.results


def _nobody_looks(model: Any) -> bool:
    """Whether no module has a hook, or is another than it seems."""
    decoder = model.decoder
    looks, says = decoder.attention, decoder.read_out
    parts = [model.target_embedding, model.out, decoder, says, says.product]
    if looks is not None:
        parts += [looks, looks.attention, looks.attention.score]
    plain = are_plain(decoder.layers, parts, _KNOWN)
    return plain and model.target_embedding.padding_id is None


def _plain_tokens(tokens: Array, most: int) -> bool:
    plain = tokens.dtype.kind in "iu" and tokens.ndim == 1 and len(tokens) > 0
    return plain and all(0 <= token <= most for token in tokens.tolist())


def _queries(looks: Attending | None, memory: Prepared | None, rows: int) -> list[Weights] | None:
    """The products that make queries of states; None where attention is of another kind."""
    if looks is None:
        return []
    if looks.local is not None or looks.coverage or memory is None or memory.of is None:
        return None
    score = looks.attention.score
    if type(score) is AdditiveScore:
        return [(score.w_q, None, False)] if _fits(memory, rows, score.w_q) else None
    return [] if type(score) is GeneralScore and _fits(memory, rows, score.w) else None


def _fits(memory: Any, rows: int, weight: Tensor) -> bool:
    """Whether what was read is as ``start`` leaves it: kernels trust what they are given."""
    keys, values, mask, of = memory
    alike = keys.dtype == values.dtype == weight.dtype and keys.ndim == values.ndim == 3
    if not (alike and keys.shape[:2] == values.shape[:2]):
        return False
    count, places, width = keys.shape
    if mask is not None and (mask.dtype != np.bool_ or mask.shape != (count, 1, places)):
        return False
    if of.dtype != np.int64 or of.shape != (rows,) or width != weight.shape[1]:
        return False
    whole = keys.flags.c_contiguous and values.flags.c_contiguous
    return bool(whole and of.min() >= 0 and of.max() < count)


def _looked(score: Any, query: Array, memory: Any) -> tuple[Array, Array]:
    seen = None if memory.mask is None else np.ascontiguousarray(memory.mask[:, 0]).view(np.uint8)
    vector = score.v._data if type(score) is AdditiveScore else None
    keys, values = np.asarray(memory.keys), np.asarray(memory.values)
    return attention.attend(query, keys, vector, values, seen, memory.of)


def _features(says: ReadOut, parts: list[Array], table: Tensor, tokens: Array) -> Array:
    """What scores are made of."""
    if says.deep:
        parts.append(table._data[tokens])
    joined = np.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]
    if says.product is None:
        return joined
    features = product_of(joined, says.product.weight, says.product.bias, False)
    return pointwise.tanh(features, out=features) if says.bent else features


def _turned(out: Any) -> bool:
    return isinstance(out, nn.TiedLinear)
