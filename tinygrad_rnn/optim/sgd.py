"""Gradient descent: with momentum, averaged, averaged on a trigger, by signs."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from tinygrad_rnn.arguments import shortened, whole
from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import ArgumentError, StateDictError
from tinygrad_rnn.optim.arrays import copy_of
from tinygrad_rnn.optim.averaging import exchanged, moved
from tinygrad_rnn.optim.optimizer import Optimizer
from tinygrad_rnn.optim.options import measured

__all__ = ["ASGD", "NTASGD", "SGD", "Lion"]


class SGD(Optimizer):
    """Gradient descent, with momentum if asked for.

        m ← momentum m + (1 - dampening) g          at the first step m ← g
        w ← w - lr m                                Nesterov: w ← w - lr (g + momentum m)

    Args:
        nesterov: Look ahead: the gradient counts as if the momentum had been applied.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(
            params, lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay,
            nesterov=nesterov, **options,
        )  # fmt: skip

    def check_group(self, options: dict[str, Any]) -> None:
        """Nesterov's form is one of momentum."""
        if options["nesterov"] and (options["momentum"] == 0 or options["dampening"] != 0):
            raise ArgumentError(
                f"{self.name}: nesterov=True with momentum={options['momentum']} and "
                f"dampening={options['dampening']}, expected a momentum and no dampening."
            )

    def update(self, s: Any, x: Any) -> None:
        """The equations."""
        g = self.gradient(s, x)
        if s.momentum:
            x.m = s.momentum * x.m + (1 - s.dampening if s.t > 1 else 1.0) * g
            g = g + s.momentum * x.m if s.nesterov else x.m
        x.w = x.w - s.lr * g


class _Averaged(Optimizer):
    """Keeps averages of its weights, under the name ``average``, once its equations do."""

    def initial(self, s: Mapping[str, Any], name: str, w: Array) -> Array:
        """An average of weights that ``lazy`` never changed is these weights, not 0."""
        return copy_of(w)

    def averaged(self) -> AbstractContextManager[None]:
        """In a with block, parameters hold their averages, as far as averaging has begun."""
        averages = [
            (self.names[w], w, kept["average"])
            for w, kept in self.state.items()
            if "average" in kept
        ]
        return exchanged(self.name, averages)


class ASGD(_Averaged):
    """Averaged gradient descent (Polyak and Juditsky 1992), with PyTorch's schedule.

        η = lr / (1 + lambd lr (t - 1))^alpha
        w ← (1 - lambd η) w - η g
        average ← average + μ (w - average),  μ = 1 / max(1, t - 1 - t0)

    ``averaged()`` puts the averages in the place of the weights for a while. ``NTASGD`` decides
    by itself when to begin, which is what language models use.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(
            params, lr=lr, lambd=lambd, alpha=alpha, t0=t0, weight_decay=weight_decay, **options
        )

    def update(self, s: Any, x: Any) -> None:
        """The equations."""
        g = self.gradient(s, x)
        rate = s.lr / (1 + s.lambd * s.lr * (s.t - 1)) ** s.alpha
        share = 1 / max(1, s.t - 1 - s.t0)
        x.w = (1 - s.lambd * rate) * x.w - rate * g
        x.average = moved(x.average, x.w, share)


class NTASGD(_Averaged):
    """Averaged gradient descent with the non-monotone trigger (Merity et al. 2018, AWD-LSTM).

        w ← w - lr g
        average ← average + (w - average) / k       from the trigger on; k steps since then

    ``observe(loss)`` is told the validation loss whenever there is one. Averaging begins when it
    is worse than the best of all but the last ``n`` before it.

    Args:
        n: For how many evaluations the loss may fail to improve.
        averaging: The step at which averaging begins, if that is known; 0: the trigger decides.
    """

    def __init__(
        self, params: Any, lr: float = 30.0, n: int = 5, averaging: int = 0, **options: Any
    ) -> None:
        self.n = whole("NTASGD", "n", n, 0, ArgumentError)
        whole("NTASGD", "averaging", averaging, 0, ArgumentError)
        self.losses: list[float] = []
        super().__init__(params, lr=lr, averaging=averaging, **options)

    def update(self, s: Any, x: Any) -> None:
        """The equations."""
        g = self.gradient(s, x)
        x.w = x.w - s.lr * g
        if 0 < s.averaging <= s.t:
            share = 1 / max(1, s.t - s.averaging + 1)
            x.average = moved(x.average, x.w, share)

    @property
    def triggered(self) -> bool:
        """Whether averaging has begun."""
        return any(group["averaging"] for group in self.param_groups)

    def observe(self, loss: Any) -> bool:
        """Take note of a validation loss; say whether this one began the averaging."""
        loss = measured("NTASGD.observe", "loss", loss)
        earlier = self.losses[: max(0, len(self.losses) - self.n)]
        begins = not self.triggered and bool(earlier) and loss > min(earlier)
        self.losses.append(loss)
        if begins:
            self.begin()
        return begins

    def begin(self) -> None:
        """Average from the next step on."""
        steps = max((kept["step"] for kept in self.state.values()), default=0)
        for group in self.param_groups:
            group["averaging"] = steps + 1
            for tensor in group["params"]:  # those that joined late begin with the others
                self.state.setdefault(tensor, {})["step"] = steps

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Train more parameters, which are averaged at once where others are."""
        late = bool(self.state) and self.triggered
        super().add_param_group(group)
        if late:
            self.param_groups[-1]["averaging"] = 1

    def state_dict(self) -> dict[str, Any]:
        """Options, what is kept, and the losses observed."""
        return {**super().state_dict(), "losses": list(self.losses)}

    def load_state_dict(self, state_dict: Any) -> None:
        """Go on where another optimiser of this kind was."""
        where = "NTASGD.load_state_dict"
        given = state_dict.get("losses", ()) if isinstance(state_dict, Mapping) else ()
        try:
            losses = [measured(where, "a loss", loss) for loss in given]
        except TypeError:
            raise StateDictError(
                f"{where}: losses is {shortened(given)}, expected numbers; nothing was changed."
            ) from None
        super().load_state_dict(state_dict)
        self.losses = losses


class Lion(Optimizer):
    """Signs of an interpolated momentum (Chen et al. 2023); the decay of weights is decoupled.

    w ← w - lr weight_decay w
    w ← w - lr sign(β₁ m + (1 - β₁) g)
    m ← β₂ m + (1 - β₂) g
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        decoupled_weight_decay: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(
            params, lr=lr, betas=betas, weight_decay=weight_decay,
            decoupled_weight_decay=decoupled_weight_decay, **options,
        )  # fmt: skip

    def update(self, s: Any, x: Any) -> None:
        """The equations."""
        g, (b1, b2) = self.gradient(s, x), s.betas
        x.w = x.w - s.lr * np.sign(b1 * x.m + (1 - b1) * g)
        x.m = b2 * x.m + (1 - b2) * g
