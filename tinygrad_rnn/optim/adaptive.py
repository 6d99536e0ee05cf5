"""Rates of their own for every weight, from the squares of its gradients."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygrad_rnn.device import Array
from tinygrad_rnn.optim.optimizer import Optimizer

__all__ = ["Adadelta", "Adagrad", "RMSprop"]


def _root(s: Any, squares: Any) -> Any:
    """√squares + eps, or √(squares + eps)."""
    if s.eps_inside_root:
        return np.sqrt(squares + s.eps)
    return np.sqrt(squares) + s.eps


class Adagrad(Optimizer):
    """Rates that fall with the sum of squared gradients (Duchi et al. 2011).

        v ← v + g²
        w ← w - lr / (1 + (t - 1) lr_decay) · g / (√v + eps)

    Args:
        eps_inside_root: Divide by √(v + eps), as min-char-rnn does, with eps = 1e-8.
        initial_accumulator_value: Where v begins.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        eps_inside_root: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(
            params, lr=lr, lr_decay=lr_decay, weight_decay=weight_decay, eps=eps,
            initial_accumulator_value=initial_accumulator_value, eps_inside_root=eps_inside_root,
            **options,
        )  # fmt: skip

    def update(self, s: Any, x: Any) -> None:
        """The equations."""
        g = self.gradient(s, x)
        x.v = x.v + np.square(g)
        x.w = x.w - s.lr / (1 + (s.t - 1) * s.lr_decay) * g / _root(s, x.v)

    def initial(self, s: Mapping[str, Any], name: str, w: Array) -> Array:
        """v begins with an option, also that of rows that ``lazy`` comes to at a later step."""
        v = super().initial(s, name, w)
        v += s["initial_accumulator_value"]
        return v


class Adadelta(Optimizer):
    """Steps as large as earlier ones were (Zeiler 2012).

    v ← ρ v + (1 - ρ) g²
    d = g √(u + eps) / √(v + eps)
    u ← ρ u + (1 - ρ) d²
    w ← w - lr d
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(params, lr=lr, rho=rho, eps=eps, weight_decay=weight_decay, **options)

    def update(self, s: Any, x: Any) -> None:
        """The equations."""
        g = self.gradient(s, x)
        x.v = s.rho * x.v + (1 - s.rho) * np.square(g)
        d = np.sqrt(x.u + s.eps) / np.sqrt(x.v + s.eps) * g
        x.u = s.rho * x.u + (1 - s.rho) * np.square(d)
        x.w = x.w - s.lr * d


class RMSprop(Optimizer):
    """Rates from a moving average of squared gradients (Hinton 2012).

        v ← α v + (1 - α) g²
        d = g / (√v + eps)                          centred: √(v - a²), a ← α a + (1 - α) g
        m ← momentum m + d,  w ← w - lr m           without momentum: w ← w - lr d

    Args:
        centered: Divide by the deviation of the gradient, not by its size.
        eps_inside_root: Divide by √(v + eps), as some other libraries do.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        eps_inside_root: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(
            params, lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum,
            centered=centered, eps_inside_root=eps_inside_root, **options,
        )  # fmt: skip

    def update(self, s: Any, x: Any) -> None:
        """The equations."""
        g = self.gradient(s, x)
        v = x.v = s.alpha * x.v + (1 - s.alpha) * np.square(g)
        if s.centered:
            x.a = s.alpha * x.a + (1 - s.alpha) * g
            v = np.maximum(v - np.square(x.a), 0.0)  # rounding may take it below
        d = g / _root(s, v)
        if s.momentum:
            d = x.m = s.momentum * x.m + d
        x.w = x.w - s.lr * d
