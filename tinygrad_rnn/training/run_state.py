"""What a model carries from call to call beside its state dict, and trees of states."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import RLock, get_ident
from typing import Any

import numpy as np

from tinygrad_rnn import random
from tinygrad_rnn.device import to_host
from tinygrad_rnn.modes import no_grad
from tinygrad_rnn.nn import Module
from tinygrad_rnn.tensor import Tensor

__all__ = [
    "at_home", "carried_by", "detached", "evaluating", "in_use", "load_carried", "stateful_layers",
]  # fmt: skip


def detached(state: Any) -> Any:
    """A state without the graph that made it: the gradient ends here."""
    return _mapped(Tensor.detach, state)


def _mapped(change: Callable[[Tensor], Tensor], state: Any) -> Any:
    """The same tree with other Tensors."""
    if isinstance(state, Tensor):
        return change(state)
    if isinstance(state, dict):
        return {name: _mapped(change, part) for name, part in state.items()}
    if isinstance(state, list | tuple):
        parts = [_mapped(change, part) for part in state]
        return type(state)(*parts) if hasattr(state, "_fields") else type(state)(parts)
    return state


def at_home(state: Any, model: Module) -> Any:
    """A state that was read from a file, its Tensors where the weights of the model are."""
    home = next((parameter.device for parameter in model.parameters()), "cpu")
    return _mapped(lambda tensor: tensor.to(home), state)


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


# Modules that evaluate while blocks of ``evaluating`` last, by id: the threads of these blocks; and
# those that are to train again when no other thread needs them as they are.
_held: dict[int, list[int]] = {}
_owed: set[int] = set()
_lock = RLock()


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """In a with block, every module evaluates and records nothing; then it is in its mode again.

    Several threads may use one model so: it is in its mode again when the last one is done.
    """
    thread = get_ident()
    with _lock:
        modules = [one for one in model.modules() if one.training or id(one) in _held]
        training = [module for module in modules if module.training]
        for module in modules:
            _held.setdefault(id(module), []).append(thread)
            module.training = False
    try:
        with no_grad():
            yield
    finally:
        with _lock:
            found = set(map(id, training))
            for module in modules:
                threads = _held[id(module)]
                threads.remove(thread)
                if id(module) in found and any(other != thread for other in threads):
                    _owed.add(id(module))
                elif id(module) in found or (id(module) in _owed and not threads):
                    _owed.discard(id(module))
                    module.training = True
                if not threads:
                    del _held[id(module)]


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
