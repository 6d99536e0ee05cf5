"""The read-out: one vector of what the decoder holds and what it looks at, to score words by."""

from tinygrad_rnn import nn, ops
from tinygrad_rnn.arguments import choice, flag
from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.tensor import Tensor

__all__ = ["READ_OUTS", "ReadOut"]

READ_OUTS = ("linear", "tanh", "deep", "deep_tanh")


class ReadOut(nn.Module):
    """Features of a word that is to be said, from state s, context a and the word before, e.

    | how       | features              |                                         |
    |-----------|-----------------------|-----------------------------------------|
    | linear    | [s; a]                | scores are a product of both            |
    | tanh      | tanh([s; a] w + b)    | Luong et al. 2015                       |
    | deep      | [s; a; e]             | the word before is seen once more       |
    | deep_tanh | tanh([s; a; e] w + b) | Sennrich et al. 2017                    |

    A context gate (Tu et al. 2017) weighs, in "tanh", what was said against what is read:

        z = sigmoid([s; a; e] w_z + b_z)
        features = tanh((1 - z) * ([s; e] w_s + b) + z * (a w_a))

    Args:
        state: How wide s is.
        context: How wide a is; 0 without attention.
        word: How wide e is.
        width: Of the features; None: what they have by themselves.
        gate: Whether there is a context gate.
    """

    def __init__(
        self, how: str, state: int, context: int, word: int, width: int | None, gate: bool = False
    ) -> None:
        super().__init__()
        self.how = choice("Seq2Seq", "read_out", how, READ_OUTS)
        self.deep, self.bent = how.startswith("deep"), how.endswith("tanh")
        self.gate: nn.Linear | None = None
        self.product: nn.Linear | None = None
        if flag("Seq2Seq", "context_gate", gate):
            if how != "tanh" or not context:
                raise ArgumentError(
                    f"Seq2Seq: context_gate with read_out={how!r} and "
                    f'{"" if context else "no "}attention, expected read_out="tanh" and attention.'
                )
            self.width = width or state
            self.gate = nn.Linear(state + context + word, self.width)
            self.said = nn.Linear(state + word, self.width)
            self.seen = nn.Linear(context, self.width, bias=False)
            return
        joined = state + context + (word if self.deep else 0)
        if self.bent:
            self.product = nn.Linear(joined, width or state)
        elif width is not None and width != joined:
            self.product = nn.Linear(joined, width, bias=False)
        self.width = self.product.out_features if self.product else joined

    def forward(self, state: Tensor, context: Tensor | None, word: Tensor) -> Tensor:
        """State (..., H), context (..., K) or None, word (..., E) -> features (..., width)."""
        if self.gate is not None:
            assert context is not None
            z = ops.sigmoid(self.gate(ops.concat([state, context, word], axis=-1)))
            said = self.said(ops.concat([state, word], axis=-1))
            return ops.tanh(said + z * (self.seen(context) - said))
        parts = [state] if context is None else [state, context]
        if self.deep:
            parts.append(word)
        joined = ops.concat(parts, axis=-1) if len(parts) > 1 else state
        if self.product is None:
            return joined
        features: Tensor = self.product(joined)
        return ops.tanh(features) if self.bent else features
