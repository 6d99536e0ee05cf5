"""REINFORCE: the gradient of an expected reward, through what was drawn."""

from typing import Any

import numpy as np

from tinygrad_rnn.arguments import bounded
from tinygrad_rnn.device import Array, beside, to_host, where_it_is
from tinygrad_rnn.errors import ArgumentError, ShapeError
from tinygrad_rnn.losses.reducing import masked, reduced, spread_mask, with_axes
from tinygrad_rnn.nn import Module
from tinygrad_rnn.tensor import Tensor, as_array, as_tensor

__all__ = ["MovingBaseline", "reinforce"]


@where_it_is
def reinforce(
    log_probs: object,
    rewards: Any,
    baseline: Any = 0.0,
    *,
    mask: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """``-(r - b) log π(a)`` of what was drawn (Williams 1992).

    Its gradient is, on average over draws, that of the expected reward with the sign turned. A
    baseline that does not depend on the draw changes no average, and makes it vary less.

    Args:
        log_probs: log π(a) of each draw (...).
        rewards: r, of that shape or of its leading axes: one reward for all draws of a
            sequence. No gradient goes there, nor to the baseline.
        baseline: b, a number or as the rewards; see ``MovingBaseline``.
        mask: Which draws count, as behind the end of a sequence none does.
    """
    where, log_probs = "reinforce", as_tensor(log_probs, "reinforce")
    mask = spread_mask(where, mask, log_probs.shape)
    gain = _of_draws("rewards", rewards, log_probs) - _of_draws("baseline", baseline, log_probs)
    losses = masked(mask, log_probs) * -gain.astype(log_probs.dtype)
    return reduced(where, masked(mask, losses), mask, reduction)


def _of_draws(name: str, given: Any, log_probs: Tensor) -> Array:
    """Rewards or a baseline, spread over the draws, in float64: the difference may be small."""
    array = as_array(given, "reinforce", exact=True)
    if array.shape != log_probs.shape[: array.ndim]:
        raise ShapeError(
            f"reinforce: {name} has shape {array.shape}, expected {log_probs.shape} as log_probs "
            "or its leading axes."
        )
    array = beside("reinforce", array, log_probs._data)
    return with_axes(array.astype(np.float64), log_probs.ndim)


class MovingBaseline(Module):
    """The mean of rewards so far, recent ones counting most: a baseline for ``reinforce``.

        m ← decay m + (1 - decay) mean(r),    b = m / (1 - decay^calls)

    The division makes up for the start at 0. A call in training mode returns the baseline
    *before* these rewards, which must not depend on them, and then takes them in. It is part of
    the state dict.

    Args:
        decay: How slowly it forgets, from 0 to below 1.
    """

    mean: Tensor
    known: Tensor

    def __init__(self, decay: float = 0.9) -> None:
        super().__init__()
        self.decay = bounded("MovingBaseline", "decay", decay, least=0, below=1)
        self.register_buffer("mean", np.zeros((), np.float64))
        self.register_buffer("known", np.zeros((), np.float64))  # 1 - decay^calls

    def forward(self, rewards: Any) -> float:
        """The baseline for these rewards, any shape."""
        rewards = to_host(as_array(rewards, "MovingBaseline", exact=True))
        if not rewards.size:
            raise ArgumentError("MovingBaseline: there are no rewards, expected one or more.")
        before = self.mean.item() / self.known.item() if self.known.item() else 0.0
        if self.training:
            new = 1.0 - self.decay
            self.mean.assign_(self.decay * self.mean.numpy() + new * rewards.mean(dtype=np.float64))
            self.known.assign_(self.decay * self.known.numpy() + new)
        return before

    def extra_repr(self) -> str:
        """The decay."""
        return f"decay={self.decay}"
