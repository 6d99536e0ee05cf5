"""Adam and what came of it."""

import math
from functools import cache
from typing import Any

import numpy as np

from tinygrad_rnn.optim.optimizer import Optimizer

__all__ = ["Adam", "AdamW", "Adamax", "NAdam", "RAdam"]

Betas = tuple[float, float]


class _Moments(Optimizer):
    """Moving averages of the gradient and of its square."""

    def moments(self, s: Any, x: Any) -> Any:
        """Bring m and v up to date; return the gradient that went into them."""
        g, (b1, b2) = self.gradient(s, x), s.betas
        x.m = b1 * x.m + (1 - b1) * g
        x.v = b2 * x.v + (1 - b2) * np.square(g)
        return g


class Adam(_Moments):
    """Moving averages of gradient and square, freed of their bias towards zero (Kingma 2015).

        m ← β₁ m + (1 - β₁) g
        v ← β₂ v + (1 - β₂) g²
        w ← w - lr / (1 - β₁ᵗ) · m / (√(v / (1 - β₂ᵗ)) + eps)

    Args:
        amsgrad: Divide by the largest v so far, not by the last one.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(
            params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=amsgrad,
            **options,
        )  # fmt: skip

    def update(self, s: Any, x: Any) -> None:
        """The equations."""
        self.moments(s, x)
        b1, b2 = s.betas
        v = x.v
        if s.amsgrad:
            v = x.v_max = np.maximum(x.v_max, x.v)
        root = (1 / math.sqrt(1 - b2**s.t)) * np.sqrt(v) + s.eps  # a division takes long
        x.w = x.w - s.lr / (1 - b1**s.t) * x.m / root


class AdamW(Adam):
    """Adam with the decay of weights beside the gradient (Loshchilov and Hutter 2019).

    w ← w - lr weight_decay w, and then the equations of Adam.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        decoupled_weight_decay: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad,
            decoupled_weight_decay=decoupled_weight_decay, **options,
        )  # fmt: skip


class NAdam(_Moments):
    """Adam that looks ahead as Nesterov's momentum does (Dozat 2016).

    m, v as in Adam;  μₜ = β₁ (1 - 0.96^(t momentum_decay) / 2),  Πₜ = μ₁ ··· μₜ
    n = (1 - μₜ) / (1 - Πₜ) g + μₜ₊₁ / (1 - Πₜ₊₁) m
    w ← w - lr n / (√(v / (1 - β₂ᵗ)) + eps)
    """

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        **options: Any,
    ) -> None:
        super().__init__(
            params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay,
            momentum_decay=momentum_decay, **options,
        )  # fmt: skip

    def update(self, s: Any, x: Any) -> None:
        """The equations."""
        g = self.moments(s, x)
        b1, b2 = s.betas
        mu, product = _products(b1, s.momentum_decay).at(s.t)
        mu_next, product_next = _products(b1, s.momentum_decay).at(s.t + 1)
        ahead = s.lr * (1 - mu) / (1 - product) * g
        ahead = ahead + s.lr * mu_next / (1 - product_next) * x.m
        x.w = x.w - ahead / ((1 / math.sqrt(1 - b2**s.t)) * np.sqrt(x.v) + s.eps)


class _Products:
    """μₜ and μ₁ ··· μₜ, which a resumed run has to find again.

    Threads share them, so a list is never changed: a longer one takes its place.
    """

    def __init__(self, beta: float, decay: float) -> None:
        self.beta = beta
        self.decay = decay
        self.known = [(0.0, 1.0)]

    def at(self, t: int) -> tuple[float, float]:
        known = self.known
        if len(known) <= t:
            known = list(known)
            for i in range(len(known), 2 * t + 1):
                mu = self.beta * (1 - 0.5 * 0.96 ** (i * self.decay))
                known.append((mu, known[-1][1] * mu))
            self.known = known
        return known[t]


_products = cache(_Products)


class RAdam(_Moments):
    """Adam that waits until v is known well enough (Liu et al. 2020).

    m, v as in Adam;  m̂ = m / (1 - β₁ᵗ)
    ρ∞ = 2 / (1 - β₂) - 1,  ρ = ρ∞ - 2 t β₂ᵗ / (1 - β₂ᵗ)
    ρ > 5:  r = √((ρ - 4) (ρ - 2) ρ∞ / ((ρ∞ - 4) (ρ∞ - 2) ρ))
            w ← w - lr m̂ r √(1 - β₂ᵗ) / (√v + eps)
    else:   w ← w - lr m̂
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, **options)

    def update(self, s: Any, x: Any) -> None:
        """The equations."""
        self.moments(s, x)
        b1, b2 = s.betas
        last = 2 / (1 - b2) - 1
        left = 1 - b2**s.t
        rho = last - 2 * s.t * b2**s.t / left
        step = s.lr / (1 - b1**s.t) * x.m
        if rho > 5:
            r = math.sqrt((rho - 4) * (rho - 2) * last / ((last - 4) * (last - 2) * rho))
            step = step * (r * math.sqrt(left)) / (np.sqrt(x.v) + s.eps)
        x.w = x.w - step


class Adamax(Optimizer):
    """Adam with the largest gradient in the place of v (Kingma and Ba 2015).

    m ← β₁ m + (1 - β₁) g
    u ← max(β₂ u, |g| + eps)
    w ← w - lr / (1 - β₁ᵗ) · m / u
    """

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, **options)

    def update(self, s: Any, x: Any) -> None:
        """The equations."""
        g, (b1, b2) = self.gradient(s, x), s.betas
        x.m = b1 * x.m + (1 - b1) * g
        x.u = np.maximum(b2 * x.u, np.absolute(g) + s.eps)
        x.w = x.w - s.lr / (1 - b1**s.t) * x.m / x.u
