"""What is checked: a function at a point, whichever way its gradient is given.

Everything becomes a function of Tensors, one for each array that moves: functions of Tensors,
modules with their parameters, and NumPy functions with a gradient written by hand.
"""

import inspect
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.errors import ArgumentError, DTypeError, ModuleError
from tinygrad_rnn.nn.module import Module
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.testing.by_hand import over_tensors
from tinygrad_rnn.testing.numeric import Array
from tinygrad_rnn.testing.structures import Path, leaves_in, path_name, rebuilt
from tinygrad_rnn.testing.substitution import substituted

__all__ = ["Subject", "of_function", "of_module"]


@dataclass(frozen=True)
class Subject:
    """A function of the arrays that move, and the point at which it is looked at.

    title     what reports call it
    fn        over Tensors, one for each of ``primals``; whatever else it takes is bound
    names     of the primals
    primals   the point, in float64
    by_hand   its gradient was written by hand, so there is no second derivative
    origin    the callable and the inputs that the caller gave, to reproduce a failure
    """

    title: str
    fn: Callable[..., Any]
    names: tuple[str, ...]
    primals: tuple[Array, ...]
    by_hand: bool = False
    origin: tuple[Any, tuple[Any, ...], dict[str, Any]] | None = field(default=None, repr=False)

    def __call__(self, *moving: Any) -> Any:
        """The results where the moving arrays have these values."""
        return self.fn(*moving)

    def leaves(self) -> list[Tensor]:
        """The point as Tensors of its own that want a gradient."""
        return [Tensor(x.copy(), requires_grad=True) for x in self.primals]

    def constants(self) -> list[Tensor]:
        """The point as Tensors of its own."""
        return [Tensor(x.copy()) for x in self.primals]


def of_function(
    fn: Callable[..., Any],
    inputs: Sequence[Any],
    *,
    wrt: Iterable[int | str] | None = None,
    names: Sequence[str] | None = None,
    title: str | None = None,
    vjp: Callable[..., Any] | None = None,
    gradient: Callable[..., Any] | None = None,
) -> Subject:
    """A function at ``inputs``: arrays and Tensors, also inside tuples, lists and dicts.

    Those that hold floating-point numbers move, all or those in ``wrt``; the others and plain
    numbers reach the function as they are.
    """
    title = title or str(getattr(fn, "__name__", None) or type(fn).__name__)
    if vjp is not None and gradient is not None:
        raise TypeError(
            f"{title}: given vjp= and gradient=, expected one of them: gradient= is for functions "
            "that return one number, vjp= for all others."
        )
    labels = _labels(title, names, fn, len(inputs))
    paths = [
        (path, _float64(x)) for i, x in enumerate(inputs) for path, x in _arrays(inputs[i], (i,))
    ]
    called = [path_name(labels, path) for path, _ in paths]
    moving = _chosen(title, wrt, labels, paths, inputs)
    if not moving:
        raise DTypeError(
            f"assert_gradients: no input of {title} holds floating-point numbers, so there is "
            "nothing to differentiate; expected NumPy arrays or Tensors of floats (plain Python "
            "numbers and lists count as settings: np.asarray(...) makes arrays of them)."
        )
    hand = vjp is not None or gradient is not None
    call = over_tensors(fn, title, labels, vjp, gradient) if hand else fn

    def of_moving(*values: Any) -> Any:
        given = dict(zip((paths[i][0] for i in moving), values, strict=True))
        for path, array in paths:  # those that stay, in the element type of those that move
            if path not in given:
                given[path] = Tensor(array.astype(values[0].dtype))
        return call(*(rebuilt(x, (i,), given) for i, x in enumerate(inputs)))

    options = {"vjp": vjp, "gradient": gradient, "wrt": None if wrt is None else list(wrt)}
    return Subject(
        title,
        of_moving,
        tuple(called[i] for i in moving),
        tuple(paths[i][1] for i in moving),
        hand,
        (fn, tuple(inputs), {key: value for key, value in options.items() if value is not None}),
    )


def of_module(
    module: Module,
    inputs: Sequence[Any],
    *,
    params: str | Sequence[str] = "all",
    inputs_too: bool = True,
    names: Sequence[str] | None = None,
    title: str | None = None,
) -> Subject:
    """A module at ``inputs``, differentiated by its parameters and, unless told otherwise, inputs.

    A copy of the module in float64 is used; the one given is left alone.
    """
    if not isinstance(module, Module):
        raise ArgumentError(
            f"assert_module_gradients: module is {shortened(module)}, expected a Module."
        )
    title = title or type(module).__name__
    copy = deepcopy(module).astype(np.float64)
    own = dict(copy.named_parameters())
    chosen = list(own) if isinstance(params, str) and params == "all" else list(params)
    unknown = [name for name in chosen if name not in own]
    if isinstance(params, str) and params != "all":
        raise ModuleError(f"{title}: params is {params!r}, expected 'all' or a list of names.")
    if unknown:
        raise ModuleError(
            f"{title}: has no parameter {unknown[0]!r}, expected one of {', '.join(own) or 'none'}."
        )
    labels = _labels(title, names, copy.forward, len(inputs))
    moves = list(_arrays(tuple(inputs), ())) if inputs_too else []
    if not moves and not chosen:
        raise DTypeError(f"{title}: neither parameters nor inputs hold anything to differentiate.")
    alone = threading.RLock()  # while tensors stand in for the copy's parameters
    frozen = [] if inputs_too else [(path, _float64(x)) for path, x in _arrays(tuple(inputs), ())]

    def of_moving(*values: Any) -> Any:
        weights, rest = values[: len(chosen)], values[len(chosen) :]
        given = dict(zip((path for path, _ in moves), rest, strict=True))
        given |= {path: Tensor(x.astype(values[0].dtype)) for path, x in frozen}
        stand_ins = dict(zip(chosen, weights, strict=True))
        with alone, substituted(copy, stand_ins, values[0].dtype):
            return copy(*(rebuilt(x, (i,), given) for i, x in enumerate(inputs)))

    return Subject(
        title,
        of_moving,
        (*chosen, *(path_name(labels, path) for path, _ in moves)),
        tuple(_float64(x) for x in [*(own[name] for name in chosen), *(x for _, x in moves)]),
        origin=(module, tuple(inputs), {}),
    )


# ----- inputs -----


def _labels(
    title: str, names: Sequence[str] | None, fn: Callable[..., Any], count: int
) -> tuple[str, ...]:
    """What the inputs are called."""
    if names and len(names) != count:
        raise ArgumentError(
            f"assert_gradients: names is {shortened(names)}, expected a list of {count}, one for "
            f"each input of {title}."
        )
    return tuple(names or _argument_names(fn, count))


def _argument_names(fn: Callable[..., Any], count: int) -> list[str]:
    """The names of the first arguments, or "input 0" and so on."""
    try:
        found = [
            p.name
            for p in inspect.signature(fn).parameters.values()
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
    except (TypeError, ValueError):  # builtins without a signature
        found = []
    return found[:count] + [f"input {i}" for i in range(len(found), count)]


def _arrays(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """The floating-point arrays in a structure, and the keys that lead to them."""
    return leaves_in(value, _moves, path)


def _moves(x: Any) -> bool:
    return isinstance(x, Tensor | np.ndarray | np.generic) and bool(x.dtype.kind == "f")


def _float64(x: Any) -> Array:
    return np.array(x.numpy() if isinstance(x, Tensor) else x, np.float64)


def _chosen(
    title: str,
    wrt: Iterable[int | str] | None,
    labels: Sequence[str],
    paths: Sequence[tuple[Path, Array]],
    inputs: Sequence[Any],
) -> list[int]:
    """Which of the floating-point arrays move."""
    if wrt is None:
        return list(range(len(paths)))
    if isinstance(wrt, str) or not isinstance(wrt, Iterable):
        raise ArgumentError(
            f"assert_gradients: wrt is {shortened(wrt)}, expected a list of inputs of {title}, by "
            f"number or name, such as [{wrt!r}]."
        )
    chosen = []
    for place in wrt:
        number = labels.index(place) if place in labels else place
        if not isinstance(number, int) or not -len(inputs) <= number < len(inputs):
            raise ValueError(
                f"assert_gradients: wrt names {place!r}, expected one of the inputs of {title}: "
                f"{', '.join(labels)}, or its number."
            )
        found = [i for i, (path, _) in enumerate(paths) if path[0] == number % len(inputs)]
        if not found:
            raise DTypeError(
                f"assert_gradients: {labels[number]} of {title} holds no floating-point numbers."
            )
        chosen += found
    return chosen
