"""Modules of any configuration, with weights that hide nothing."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tinygrad_rnn import random
from tinygrad_rnn.arguments import function_of, whole
from tinygrad_rnn.nn import init
from tinygrad_rnn.nn.module import Module
from tinygrad_rnn.testing.comparison import generic_like
from tinygrad_rnn.testing.strategies.values import seeds

__all__ = ["build_module", "modules"]


def modules(factory: Callable[..., Any], /, **config: Any) -> st.SearchStrategy[Any]:
    """Modules ``factory(**config)`` in float64, every weight of them away from 0.

        @given(gs.modules(nn.Linear, in_features=st.integers(1, 4), out_features=3))

    In a failing example each stands as the call of ``build_module`` that makes it again.

    Args:
        config: The factory's keyword arguments: strategies, or values that are not drawn.
    """
    function_of("modules", "factory", factory)
    drawn = {
        name: given if isinstance(given, st.SearchStrategy) else st.just(given)
        for name, given in config.items()
    }
    return st.builds(_drawn, st.just(factory), seeds(), st.fixed_dictionaries(drawn))


def _drawn(factory: Callable[..., Any], seed: int, config: dict[str, Any]) -> Any:
    module = build_module(factory, seed, **config)
    name = getattr(factory, "__qualname__", repr(factory))
    arguments = [name, str(seed), *(f"{key}={value!r}" for key, value in config.items())]
    # Hypothesis asks an object for this before its repr, which knows of no seed.
    module._repr_pretty_ = partial(_show, f"build_module({', '.join(arguments)})")
    return module


def _show(text: str, printer: Any, cycle: bool) -> None:
    printer.text(text)


def build_module(factory: Callable[..., Any], seed: int = 0, /, **config: Any) -> Any:
    """The module ``factory(**config)`` in float64, with generic weights; equal seeds, equal ones.

    Whatever the initialisers say, biases and learned states too are away from 0, of both
    signs: on zeros, mistakes do not show. Matrices are scaled so that signals keep their size.
    The library's stream of random numbers goes on as if nothing had been drawn.
    """
    seed = whole("build_module", "seed", seed, least=0)
    with random.fork():
        random.seed(seed)
        module = function_of("build_module", "factory", factory)(**config)
    if not isinstance(module, Module):
        raise TypeError(
            f"build_module: the factory returned a {type(module).__name__}, expected a Module."
        )
    module.astype(np.float64)
    rng = np.random.default_rng(seed)
    for weight in module.parameters():
        inputs = init.fans(weight.shape)[0] if weight.ndim > 1 else 1
        weight.assign_(generic_like(rng, weight) / max(1, inputs) ** 0.5)
    return module
