"""Where a number that is none comes from: a second look at the batch that made it."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_rnn import random
from tinygrad_rnn.device import to_host
from tinygrad_rnn.modes import no_grad
from tinygrad_rnn.nn import Module
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.training.run_state import carried_by, load_carried

if TYPE_CHECKING:
    from tinygrad_rnn.training.trainer import Trainer

__all__ = ["bad_gradients", "bad_parameters", "first_bad"]


def first_bad(trainer: "Trainer", batch: Any, state: Any, stream: dict[str, Any]) -> str:
    """What was not finite first: weights, the batch, the state, a layer, or the loss alone."""
    if bad := bad_parameters(trainer.model):
        return f"of the weights, {_listed(bad)} were not finite before"
    for name, tree in (("the batch", batch), ("the state that was carried", state)):
        if found := next(_bad(tree), None):
            return f"{name} holds {found}"
    return _first_layer(trainer, batch, state, stream)


def _first_layer(trainer: "Trainer", batch: Any, state: Any, stream: dict[str, Any]) -> str:
    """Run the batch again, with the same random numbers and an ear at every layer."""
    model = trainer.model
    first: list[str] = []

    def listener(name: str) -> Any:
        def hook(module: Module, inputs: tuple[Any, ...], output: Any) -> None:
            if not first and (found := next(_bad(output), None)):
                first.append(f"the first bad output is that of {name}: {found}")

        return hook

    numbers, carried = model.state_dict(), carried_by(model)
    hooks = []
    for name, module in model.named_modules():
        title = f"layer {name!r} ({type(module).__name__})" if name else type(module).__name__
        hooks.append(module.register_forward_hook(listener(title)))
    try:
        with suppress(Exception), no_grad(), random.fork(stream):
            trainer._outcome(batch, state)
    finally:
        for handle in hooks:
            handle.remove()
        model.load_state_dict(numbers)
        load_carried(model, carried)
    return first[0] if first else "all layers gave finite numbers, it is the loss function"


def bad_parameters(model: Module) -> list[str]:
    """The names of parameters that hold NaN or infinity."""
    return [name for name, p in model.named_parameters() if not _finite(p._data)]


def bad_gradients(model: Module, batches: Sequence[Any]) -> str:
    """What was not finite in the batches, or the parameters whose gradients are not."""
    if found := next(_bad(batches), None):
        return f"the batch holds {found}"
    bad = [
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is not None and not _finite(parameter.grad._data)
    ]
    return f"that of {_listed(bad)}" if bad else "all numbers are, but the norm is not"


def _bad(tree: Any) -> Iterator[str]:
    """How much is not finite in each array of a tree."""
    if isinstance(tree, Tensor):
        tree = tree._data
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, list | tuple):
        for part in tree:
            yield from _bad(part)
    elif hasattr(tree, "dtype") and hasattr(tree, "shape") and not _finite(tree):
        count = int((~np.isfinite(to_host(tree))).sum())
        yield f"{count} NaN or infinity among {tree.size} numbers of shape {tree.shape}"


def _finite(array: Any) -> bool:
    return array.dtype.kind not in "fc" or bool(np.isfinite(array).all())


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
