"""What a model carries from call to call beside its state dict, and trees of states."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_rnn import random
from tinygrad_rnn.device import to_host
from tinygrad_rnn.modes import no_grad
from tinygrad_rnn.nn import Module
from tinygrad_rnn.tensor import Tensor

__all__ = ["carried_by", "detached", "evaluating", "in_use", "load_carried", "stateful_layers"]


def detached(state: Any) -> Any:
    """A state without the graph that made it: the gradient ends here."""
    if isinstance(state, Tensor):
        return state.detach()
    if isinstance(state, dict):
        return {name: detached(part) for name, part in state.items()}
    if isinstance(state, tuple) and hasattr(state, "_fields"):
        return type(state)(*map(detached, state))
    if isinstance(state, list | tuple):
        return type(state)(map(detached, state))
    return state


def stateful_layers(model: Module) -> list[Module]:
    """The layers that may pass a state on to their next call."""
    base = Module.passing_state
    return [module for module in model.modules() if type(module).passing_state is not base]


def carried_by(model: Module) -> dict[str, Any]:
    """Whatever a state dict lacks: states of stateful layers, buffers, what is frozen."""
    modules = {name: module.passing_state() for name, module in model.named_modules()}
    return {
        "modules": {name: state for name, state in modules.items() if state is not None},
        "buffers": {
            name: np.array(to_host(tensor._data), copy=True)
            for name, tensor, persistent in model._tensors()
            if not persistent
        },
        "frozen": [name for name, p in model.named_parameters() if not p.requires_grad],
    }


def load_carried(model: Module, state: dict[str, Any]) -> None:
    """Give a model back what it carried."""
    for name, module in model.named_modules():
        module.load_passing_state(state["modules"].get(name))
    for name, tensor, persistent in model._tensors():
        if not persistent and name in state["buffers"]:
            tensor.assign_(state["buffers"][name])
    for name, parameter in model.named_parameters():
        parameter.requires_grad = name not in state["frozen"]


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """In a with block, every module evaluates and records nothing; then it is in its mode again."""
    training = [module for module in model.modules() if module.training]
    if training:
        model.eval()
    try:
        with no_grad():
            yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def in_use(model: Module) -> Iterator[None]:
    """In a with block, a model as it is used: nothing is dropped, recorded or left behind.

    Stateful layers begin anew and go on afterwards where they were; draws of random numbers
    do not move the stream outside.
    """
    states = [(module, module.passing_state()) for module in model.modules()]
    for module, state in states:
        if state is not None:
            module.load_passing_state(None)
    try:
        with evaluating(model), random.fork():
            yield
    finally:
        for module, state in states:
            module.load_passing_state(state)
