"""Optimizer: an optimiser is its update equations."""

from collections.abc import Iterable, Mapping
from functools import partial
from types import SimpleNamespace
from typing import Any

from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.device import Array, out_of_memory, there
from tinygrad_rnn.errors import ArgumentError, GradientError
from tinygrad_rnn.kernels.update import Equations, Item, touched, update, written
from tinygrad_rnn.optim import state
from tinygrad_rnn.optim.arrays import fitting, tensors_of, weight_of, writing, zeros_like
from tinygrad_rnn.optim.options import check_named, checked_group
from tinygrad_rnn.tensor import Tensor

__all__ = ["Optimizer"]


class Optimizer:
    """The base of all optimisers; ``update`` says what a subclass does.

        class Lion(optim.Optimizer):
            def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), **options):
                super().__init__(params, lr=lr, betas=betas, **options)

            def update(self, s, x):
                g, (b1, b2) = self.gradient(s, x), s.betas
                x.w = x.w - s.lr * np.sign(b1 * x.m + (1 - b1) * g)
                x.m = b2 * x.m + (1 - b2) * g

    ``x.w`` are the weights, ``x.g`` their gradient; every other name is kept from step to step
    and begins with zeros (or with what ``initial`` says). ``s`` holds the options of the group,
    and ``s.t``, the number of the step, from 1 on. From these lines one kernel is compiled, which
    passes once over all parameters: they may use arithmetic, np.sqrt, np.square, np.sign,
    np.absolute, np.maximum, np.minimum, and whatever computes numbers from numbers or branches on
    them.

    Args:
        params: Tensors, such as ``module.parameters()``; pairs of a name and a tensor, which
            errors then mention; or dicts, each with "params" and options of its own.
        lr: The learning rate.
        weight_decay: How much of the weights is taken away from them: as a part of the
            gradient, g + weight_decay w, or
        decoupled_weight_decay: beside it, w <- w - lr weight_decay w.
        maximize: Go up instead of down.
        lazy: Where all numbers of a gradient's row are zero, leave the row of the weights and
            of what is kept as they are: for embeddings, of which a batch reads few rows.
        options: What the equations read from ``s`` beside these. A subclass with an ``__init__``
            of its own names them there; others are refused.
    """

    def __init__(
        self,
        params: Any,
        *,
        lr: float,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        maximize: bool = False,
        lazy: bool = False,
        **options: Any,
    ) -> None:
        common = {
            "lr": lr, "weight_decay": weight_decay, "maximize": maximize, "lazy": lazy,
            "decoupled_weight_decay": decoupled_weight_decay,
        }  # fmt: skip
        self.name = type(self).__name__
        if type(self).__init__ is not Optimizer.__init__:
            check_named(type(self), options)
        if "t" in options:
            raise ArgumentError(
                f"{self.name}: an option is called t, expected another name: s.t is the number of "
                "the step."
            )
        self.defaults = checked_group(self.name, {}, {**common, **options})
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Tensor, dict[str, Any]] = {}
        self.names: dict[Tensor, str] = {}
        for group in _groups(self.name, params):
            self.add_param_group(group)

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Train more parameters: a dict with "params" and options of their own."""
        if not isinstance(group, dict) or "params" not in group:
            given = f"the keys {shortened(list(group))}" if isinstance(group, dict) else repr(group)
            raise ArgumentError(
                f"{self.name}: a group is {given}, expected a dict with 'params' and options. A "
                "dict of parameters by their names is given as its items()."
            )
        options = checked_group(self.name, group, self.defaults)
        self.check_group(options)
        entries = tensors_of(self.name, group["params"])
        for name, tensor in entries:
            if tensor in self.names:
                raise ArgumentError(
                    f"{self.name}: {name} is in another group already, expected each tensor in "
                    "one: which options would be right?"
                )
        self.names |= {tensor: name for name, tensor in entries}
        self.param_groups.append({"params": [tensor for _, tensor in entries], **options})

    # ----- what a subclass says -----

    def update(self, s: Any, x: Any) -> None:
        """The equations."""
        raise NotImplementedError(f"{self.name} has no method update, which holds its equations.")

    def check_group(self, options: dict[str, Any]) -> None:
        """Refuse options that do not go together."""

    def gradient(self, s: Any, x: Any) -> Any:
        """The gradient, after the decay of weights."""
        g = -x.g if s.maximize else x.g
        if s.decoupled_weight_decay:
            x.w = x.w * (1 - s.lr * s.weight_decay)
            return g
        # A weight that is infinite stays so: 0 times it is NaN.
        return g + s.weight_decay * x.w if s.weight_decay else g

    def initial(self, s: Mapping[str, Any], name: str, w: Array) -> Array:
        """What is kept for weights ``w`` under a name, before the first step; s: the options."""
        return zeros_like(w)

    # ----- what a user calls -----

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for group in self.param_groups:
            for tensor in group["params"]:
                tensor.grad = None

    def step(self) -> None:
        """Update every parameter that has a gradient and is not frozen.

        Where there is no memory left for what is kept, nothing is changed.
        """
        try:
            self._step()
        except MemoryError as error:
            weights = [tensor._data for tensor in self.names]
            raise out_of_memory(f"{self.name}.step", weights, error) from error

    def _step(self) -> None:
        items: list[Item] = []
        states: list[dict[str, Any]] = []
        tensors: list[Tensor] = []
        for group in self.param_groups:
            rules: dict[int, Equations] = {}
            for tensor in group["params"]:
                if tensor.grad is not None and tensor.requires_grad:
                    kept = self.state.get(tensor) or {"step": 0}
                    t = kept["step"] + 1
                    if t not in rules:
                        settings = SimpleNamespace(**group, t=t)
                        rules[t] = written(partial(self.update, settings))
                    with there(tensor._data):
                        items.append(self._item(tensor, rules[t], kept, group))
                    tensors.append(tensor)
                    states.append(kept)
        if not items:
            raise GradientError(
                f"{self.name}.step: none of the {len(self.names)} parameters has a gradient that "
                "is wanted; expected backward() to be called before. Are all of them frozen, or "
                "is the loss computed from others?"
            )
        with writing(tensors):
            update(items)
        for tensor, kept in zip(tensors, states, strict=True):
            kept["step"] += 1
            self.state[tensor] = kept

    def _item(
        self, tensor: Tensor, equations: Equations, kept: dict[str, Any], group: dict[str, Any]
    ) -> Item:
        w = weight_of(f"{self.name}.step", self.names[tensor], tensor)
        assert tensor.grad is not None
        g = tensor.grad._data
        if not g.flags.c_contiguous:
            g = g.copy(order="C")
        arrays = {"w": w, "g": g}
        if "step" in equations.names:
            raise ArgumentError(
                f"{self.name}: the equations keep x.step, expected another name: it is where the "
                "number of the step is kept, which they read as s.t."
            )
        for name in equations.names:
            if name not in arrays:
                if name not in kept:
                    kept[name] = self.initial(group, name, w)
                where = f"{self.name}.step"
                kept[name] = fitting(where, self.names[tensor], tensor, name, kept[name])
                arrays[name] = kept[name]
        return Item(equations, arrays, touched(g) if group["lazy"] and g.ndim > 1 else None)

    def state_dict(self) -> dict[str, Any]:
        """Options of the groups, and copies of all that is kept; parameters by their numbers."""
        return state.snapshot(self.param_groups, self.state)

    def load_state_dict(self, state_dict: Any) -> None:
        """Go on where another optimiser of this kind was; unless all fits, nothing changes."""
        self.state = state.load(self.name, self.param_groups, self.names, state_dict)

    def __repr__(self) -> str:
        lines = []
        for number, group in enumerate(self.param_groups):
            options = ", ".join(f"{k}={v!r}" for k, v in group.items() if k != "params")
            lines.append(f"  ({number}): {len(group['params'])} parameters, {options}\n")
        return f"{self.name}(\n{''.join(lines)})"


def _groups(where: str, params: Any) -> list[dict[str, Any]]:
    """What a caller gives, as groups."""
    if isinstance(params, dict):
        return [params]
    if isinstance(params, Iterable) and not isinstance(params, Tensor):
        params = list(params)
        if any(isinstance(entry, dict) for entry in params):
            if all(isinstance(entry, dict) for entry in params):
                return list(params)
            raise ArgumentError(f"{where}: params mixes dicts and tensors, expected one of both.")
    return [{"params": params}]
