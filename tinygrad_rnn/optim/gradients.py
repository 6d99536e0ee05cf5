"""What is done to gradients between backward and step: clipping, accumulating."""

import math
from collections.abc import Sequence
from typing import Any, Literal, overload

import numpy as np

from tinygrad_rnn.arguments import bounded, whole
from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import ArgumentError, GradientError
from tinygrad_rnn.kernels.update import Item, clip, norm, update, written
from tinygrad_rnn.optim.arrays import gradients_of, tensors_of
from tinygrad_rnn.tensor import Tensor

__all__ = ["Accumulation", "clip_grad_norm", "clip_grad_value", "grad_norm"]


def grad_norm(parameters: Any) -> float:
    """The length of all gradients as one vector, √(Σ g²): the root of the sum of all squares."""
    tensors = [tensor for _, tensor in tensors_of("grad_norm", parameters)]
    return float(norm([tensor.grad._data for tensor in tensors if tensor.grad is not None]))


def clip_grad_norm(
    parameters: Any, max_norm: float, *, error_if_nonfinite: bool = False
) -> float | Tensor:
    """If ‖g‖ ≥ max_norm, g ← g · max_norm / ‖g‖; returns ‖g‖ as it was.

        ‖g‖ = √(Σ g²)     over all numbers of all gradients

    The root belongs to it: without, a norm of 10 is taken for 100, and gradients are scaled
    to a tenth of what they should be. Below ``max_norm`` nothing is touched. The norm depends
    neither on threads nor on the order of the parameters.

    The norm of gradients on a GPU is a Tensor there, so that nobody waits for it: ``float(norm)``
    does.

    Args:
        error_if_nonfinite: Raise where the norm is infinite or NaN, which waits for a GPU; else
            the gradients become NaN, as PyTorch's do.
    """
    where = "clip_grad_norm"
    max_norm = bounded(where, "max_norm", max_norm, above=0)
    tensors = [tensor for _, tensor in tensors_of(where, parameters)]
    return clipped(tensors, max_norm, error_if_nonfinite)


@overload
def clipped(
    tensors: Sequence[Tensor], max_norm: float, error_if_nonfinite: Literal[True]
) -> float: ...
@overload
def clipped(
    tensors: Sequence[Tensor], max_norm: float, error_if_nonfinite: bool
) -> float | Tensor: ...
def clipped(tensors: Sequence[Tensor], max_norm: float, error_if_nonfinite: bool) -> float | Tensor:
    """``clip_grad_norm`` of what has been checked."""
    arrays = gradients_of(tensors)
    if not error_if_nonfinite:
        found = clip(arrays, max_norm)
        return found if isinstance(found, float) else Tensor(found)
    length = float(norm(arrays))
    if not math.isfinite(length):
        raise GradientError(
            f"clip_grad_norm: the norm of the gradients is {length}, expected a finite number. "
            "tg.debug() finds the operation that made it."
        )
    if length >= max_norm:
        _scale(arrays, max_norm / length)
    return length


def clip_grad_value(parameters: Any, clip_value: float) -> None:
    """Every number of every gradient ← min(max(g, -clip_value), clip_value); NaN stays NaN."""
    where = "clip_grad_value"
    bound = bounded(where, "clip_value", clip_value, above=0)

    def rule(x: Any) -> None:
        x.g = np.minimum(np.maximum(x.g, -bound), bound)

    _change(gradients_of([tensor for _, tensor in tensors_of(where, parameters)]), rule)


class Accumulation:
    """One step for several backward passes, with the mean of their gradients.

        accumulation = optim.Accumulation(model.parameters(), every=4)
        for x, y in batches:
            loss_of(model(x), y).backward()      # gradients add up by themselves
            if accumulation.complete():          # after every fourth: they are the mean now
                optimizer.step()
                optimizer.zero_grad()

    Four batches of eight then make the step of one of 32, where losses are means.
    """

    def __init__(self, params: Any, every: int) -> None:
        self.every = whole("Accumulation", "every", every, 1, ArgumentError)
        self.count = 0
        self._tensors: list[Tensor] = [tensor for _, tensor in tensors_of("Accumulation", params)]

    def complete(self) -> bool:
        """Count a backward pass; after the last of a group, make means of the sums."""
        self.count = (self.count + 1) % self.every
        if self.count == 0:
            _scale(gradients_of(self._tensors), 1 / self.every)
        return self.count == 0


def _scale(arrays: list[Array], factor: float) -> None:
    def rule(x: Any) -> None:
        x.g = factor * x.g

    _change(arrays, rule)


def _change(arrays: list[Array], rule: Any) -> None:
    if arrays:
        equations = written(rule)
        update([Item(equations, {"g": array}) for array in arrays])
