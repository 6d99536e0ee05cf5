"""Nonlinearities by name, for rows and for Tensors."""

from collections.abc import Callable, Iterable
from typing import Any

from tinygrad_rnn import ops

__all__ = ["FUNCTIONS", "Function", "check_nonlinearity", "nonlinearity_of"]

Function = Callable[[Any], Any]

FUNCTIONS: dict[str, Function] = {
    "tanh": lambda z: z.tanh(),
    "relu": lambda z: z.relu(),
    "sigmoid": lambda z: z.sigmoid(),
    "identity": lambda z: z,
    "hard_tanh": lambda z: ops.clip(z, -1.0, 1.0),
    "hard_sigmoid": lambda z: ops.clip(z * (1 / 6) + 0.5, 0.0, 1.0),
    "softsign": lambda z: z / (1 + z.abs()),
    "softplus": ops.softplus,
    "silu": ops.silu,
    "gelu": ops.gelu,
    "elu": ops.elu,
}


def nonlinearity_of(chosen: str | Function) -> Function:
    """The nonlinearity that a name, or a function itself, stands for."""
    return chosen if callable(chosen) else FUNCTIONS[chosen]


def check_nonlinearity(where: str, name: str, chosen: Any, beside: Iterable[str] = ()) -> None:
    """ValueError unless it is the name of a nonlinearity, or of those beside, or a function."""
    known = (*FUNCTIONS, *beside)
    if callable(chosen) or (isinstance(chosen, str) and chosen in known):
        return
    raise ValueError(
        f"{where}: {name} is {chosen!r}, expected {', '.join(known)}, or a function of a row, "
        "such as ops.softplus."
    )
