"""Averages of weights: kept beside them, and put in their place for a while."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np

from tinygrad_rnn.arguments import bounded, whole
from tinygrad_rnn.device import Array, to_host
from tinygrad_rnn.errors import StateDictError
from tinygrad_rnn.kernels.update import Item, update, written
from tinygrad_rnn.optim.arrays import copy_of, fitting, tensors_of, weight_of
from tinygrad_rnn.tensor import Tensor

__all__ = ["EMA", "exchanged", "moved"]


def moved(average: Any, w: Any, share: float) -> Any:
    """An average, moved by a share of the way to the weights.

    A share of 1 is all of it: whatever the average was, finite or not, is forgotten.
    """
    return w if share == 1 else (1 - share) * average + share * w


@contextmanager
def exchanged(where: str, averages: Sequence[tuple[str, Tensor, Array]]) -> Iterator[None]:
    """Let tensors hold their averages; give them their own numbers back, whatever happens."""
    for name, tensor, average in averages:
        fitting(f"{where}.averaged", name, tensor, "average", average)
    own_numbers = [copy_of(tensor._data) for _, tensor, _ in averages]
    try:
        for _, tensor, average in averages:
            tensor.assign_(average)
        yield
    finally:
        for (_, tensor, _), before in zip(averages, own_numbers, strict=True):
            tensor.assign_(before)


class EMA:
    """An average of the weights as they were after each step.

        average ← average + (1 - decay) (w - average)

    With ``decay=None`` all steps count alike: average ← average + (w - average) / t, which is
    stochastic weight averaging. The first update takes the weights as they are.

        ema = optim.EMA(model.parameters())
        ...
        optimizer.step()
        ema.update()
        ...
        with ema.averaged():                # evaluate with the averages
            ...

    Args:
        decay: How much of the average stays at each update.
        warm_up: Begin with a smaller decay, (1 + t) / (10 + t), so that early weights do not
            stay for long.
    """

    def __init__(self, params: Any, decay: float | None = 0.999, *, warm_up: bool = False) -> None:
        if decay is not None:
            decay = bounded("EMA", "decay", decay, least=0, below=1)
        self.decay = decay
        self.warm_up = warm_up
        self.t = 0
        self._tensors = tensors_of("EMA", params)
        self.averages = [copy_of(tensor._data) for _, tensor in self._tensors]

    def update(self) -> None:
        """Take the weights as they are now into the average."""
        self.averages = [
            fitting("EMA.update", name, tensor, "average", average)
            for name, tensor, average in self._averages()
        ]
        t = self.t + 1
        share = self._share(t)

        def rule(x: Any) -> None:
            x.average = moved(x.average, x.w, share)

        equations = written(rule)
        update([
            Item(equations, {"average": average, "w": weight_of("EMA.update", name, tensor)})
            for name, tensor, average in self._averages()
        ])  # fmt: skip
        self.t = t  # an update that fails is none

    def _share(self, t: int) -> float:
        if t == 1:
            return 1.0
        if self.decay is None:
            return 1 / t
        decay = self.decay
        return 1 - (min(decay, (1 + t) / (10 + t)) if self.warm_up else decay)

    def averaged(self) -> AbstractContextManager[None]:
        """In a with block, the parameters hold their averages."""
        return exchanged("EMA", self._averages())

    def copy_to_parameters(self) -> None:
        """Make the averages the weights, for good."""
        for _, tensor, average in self._averages():
            tensor.assign_(average)

    def _averages(self) -> list[tuple[str, Tensor, Array]]:
        pairs = zip(self._tensors, self.averages, strict=True)
        return [(name, tensor, average) for (name, tensor), average in pairs]

    def state_dict(self) -> dict[str, Any]:
        """How many updates there were, and copies of the averages."""
        return {"t": self.t, "averages": [np.array(to_host(a), copy=True) for a in self.averages]}

    def load_state_dict(self, state_dict: Any) -> None:
        """Go on where another average of the same weights was."""
        try:
            t = whole("", "t", state_dict["t"], 0)
            given = [np.asarray(a) for a in state_dict["averages"]]
        except (TypeError, KeyError, ValueError):
            raise StateDictError(
                "EMA.load_state_dict: expected what the state_dict() of an EMA returned."
            ) from None
        kinds = [[(a.shape, a.dtype.name) for a in arrays] for arrays in (given, self.averages)]
        if kinds[0] != kinds[1]:
            raise StateDictError(
                f"EMA.load_state_dict: the averages are {kinds[0]}, expected {kinds[1]}; nothing "
                "was changed."
            )
        self.t = t
        for average, array in zip(self.averages, given, strict=True):
            average[...] = array
