"""The gradient of a function as a function itself, to be differentiated again."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_rnn.engine import grad
from tinygrad_rnn.modes import enable_grad
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.testing.numeric import differentiable

__all__ = ["pullback"]


def pullback(
    fn: Callable[..., Any], count: int, *, graph: bool
) -> Callable[..., tuple[Tensor, ...]]:
    """The function from inputs and cotangents to gradients, recorded itself or not."""

    def pull(*arguments: Tensor) -> tuple[Tensor, ...]:
        if not graph:
            arguments = tuple(t.detach() for t in arguments)
            for leaf in arguments[:count]:
                leaf._requires_grad = True  # the setter refuses complex numbers, rules do not
        leaves, cotangents = arguments[:count], arguments[count:]
        with enable_grad():
            outputs = differentiable(fn(*leaves))
            pairs = [
                (out, w)
                for out, w in zip(outputs, cotangents, strict=True)
                if isinstance(out, Tensor) and out.requires_grad
            ]
            if not pairs:
                return tuple(Tensor(np.zeros(leaf.shape)) for leaf in leaves)
            found = grad(
                [out for out, _ in pairs], leaves, [w for _, w in pairs],
                create_graph=graph, allow_unused=True,
            )  # fmt: skip
        return tuple(
            Tensor(np.zeros(leaf.shape)) if g is None else g
            for leaf, g in zip(leaves, found, strict=True)
        )

    return pull
