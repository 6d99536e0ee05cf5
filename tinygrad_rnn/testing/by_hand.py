"""A NumPy function and the gradient that somebody wrote for it, as one operation on Tensors."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.primitive import Fused, run_fused
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.testing.faults import Untestable
from tinygrad_rnn.testing.numeric import Array
from tinygrad_rnn.testing.structures import Path, leaves_in, path_name, rebuilt

__all__ = ["over_tensors"]


def over_tensors(
    fn: Callable[..., Any],
    title: str,
    labels: Sequence[str],
    vjp: Callable[..., Any] | None,
    gradient: Callable[..., Any] | None,
) -> Callable[..., Any]:
    """The function over Tensors; its backward is the one written by hand.

    ``vjp(g, *inputs)`` gets the cotangent of the result, a tuple of them for several results;
    ``gradient(*inputs)`` is for functions that return one number. Either returns a gradient for
    every floating-point input: one array, a sequence, or a dict by argument name; that of a tuple,
    list or dict of arrays is such a structure, too.
    """
    if vjp is None:
        vjp = _of_number(gradient, title)

    def call(*arguments: Any) -> Any:
        found_in = list(leaves_in(arguments, lambda x: isinstance(x, Tensor)))
        paths = [path for path, _ in found_in]

        def filled(arrays: Sequence[Array]) -> tuple[Any, ...]:
            values: tuple[Any, ...] = rebuilt(arguments, (), dict(zip(paths, arrays, strict=True)))
            return values

        def forward(*arrays: Array) -> tuple[Any, None]:
            return _results(fn(*filled(arrays)), title), None

        def backward(
            _: Any, gs: Sequence[Any], needs: Sequence[bool], *arrays: Array
        ) -> list[Array]:
            values = filled(arrays)
            outs, _ = forward(*arrays)
            given = outs if isinstance(outs, tuple) else (outs,)
            cotangents = tuple(
                np.zeros(o.shape) if g is None else np.array(g)  # its own, to be written to
                for o, g in zip(given, gs, strict=True)
            )
            found = vjp(cotangents if isinstance(outs, tuple) else cotangents[0], *values)
            if found is None:
                raise Untestable(
                    title, "has no gradient", "its gradient is None; is there a return missing"
                )
            parts = _one_each(
                found, title, labels, list(dict.fromkeys(p[0] for p in paths)), values
            )
            return [
                _fitting(
                    _inside(parts[path[0]], path, title, labels),
                    array,
                    title,
                    path_name(labels, path),
                )
                for path, array in zip(paths, arrays, strict=True)
            ]

        def reference(*tensors: Tensor) -> Any:
            raise Untestable(
                title,
                "has no second derivative",
                "a gradient written by hand in NumPy cannot be differentiated itself; "
                "check it with order=1",
            )

        op = Fused(title, forward, backward, reference)
        return run_fused(op, [x for _, x in found_in], {})

    return call


def _results(result: Any, title: str) -> Any:
    """What a function returned as an array, or a tuple of them."""
    if result is None:
        raise Untestable(title, "returns nothing", "it returned None")
    if isinstance(result, Mapping):
        raise Untestable(
            title,
            "returns a dict",
            f"with {', '.join(map(str, result)) or 'nothing'}; return an array or a tuple of "
            "arrays, so that g is one, too",
        )
    if isinstance(result, tuple | list):
        return tuple(np.asarray(part) for part in result)
    return np.asarray(result)


def _of_number(gradient: Callable[..., Any] | None, title: str) -> Callable[..., Any]:
    """The vjp of a function that returns one number."""
    assert gradient is not None

    def vjp(g: Any, *inputs: Any) -> Any:
        if isinstance(g, tuple) or np.size(g) != 1:
            shown = f"{len(g)} results" if isinstance(g, tuple) else f"shape {np.shape(g)}"
            raise Untestable(
                title,
                "returns no single number",
                f"it returned {shown}; gradient= is for functions of one number, vjp= for others",
            )
        found = gradient(*inputs)
        scale, parts = np.reshape(g, ()), list(leaves_in(found, lambda part: part is not None))
        return rebuilt(found, (), {path: scale * part for path, part in parts})

    return vjp


def _one_each(
    found: Any, title: str, labels: Sequence[str], places: Sequence[int], values: Sequence[Any]
) -> dict[int, Any]:
    """A gradient for every argument that holds floating-point numbers, by its number."""
    only = values[places[0]] if len(places) == 1 else None
    if isinstance(only, Mapping | tuple | list) and _like(found, only):
        return {places[0]: found}
    if isinstance(found, Mapping):
        missing = [labels[place] for place in places if labels[place] not in found]
        if missing:
            raise Untestable(
                title,
                "has no gradient for an input",
                f"its gradient names {', '.join(map(str, found)) or 'nothing'}, "
                f"expected {missing[0]} too",
            )
        return {place: found[labels[place]] for place in places}
    parts = list(found) if isinstance(found, tuple | list) else [found]
    if len(parts) == len(values):
        return {place: parts[place] for place in places}
    if len(parts) != len(places):
        raise Untestable(
            title,
            "has the wrong number of gradients",
            f"it gave {len(parts)} for {len(places)} floating-point inputs",
        )
    return dict(zip(places, parts, strict=True))


def _like(found: Any, argument: Any) -> bool:
    """Whether a gradient is that of the one argument, and not a sequence of one gradient."""
    if isinstance(argument, Mapping):
        return isinstance(found, Mapping) and set(found) == set(argument)
    if not isinstance(found, tuple | list) or len(found) != len(argument):
        return False
    return len(found) != 1 or not isinstance(found[0], tuple | list)


def _inside(part: Any, path: Path, title: str, labels: Sequence[str]) -> Any:
    """The gradient of one array in a structure; None for the whole is None for each."""
    for depth, key in enumerate(path[1:], start=1):
        if part is None:
            return None
        around = path_name(labels, path[:depth])
        try:
            part = part[key]
        except (KeyError, IndexError, TypeError):
            raise Untestable(
                title,
                "has no gradient for an input",
                f"there is none of {path_name(labels, path)}: the gradient of {around} is a "
                f"{type(part).__name__}, expected one with the key {key!r}, like {around}",
            ) from None
    return part


def _fitting(part: Any, array: Array, title: str, label: str) -> Array:
    """A gradient as an array of its own, of the shape of its input."""
    if part is None:
        return np.zeros(array.shape, array.dtype)
    if np.iscomplexobj(part) and np.any(np.imag(part)):
        raise Untestable(
            title,
            "has a complex gradient",
            f"the gradient of {label} has imaginary parts, expected real numbers, like {label}",
        )
    own = np.array(part, array.dtype)
    if own.shape != array.shape:
        raise Untestable(
            title,
            "has a gradient of the wrong shape",
            f"the gradient of {label} has shape {own.shape}, expected {array.shape}, like {label}",
        )
    return own
