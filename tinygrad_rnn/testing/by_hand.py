"""A NumPy function and the gradient that somebody wrote for it, as one operation on Tensors."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.primitive import Fused, run_fused
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.testing.faults import Untestable
from tinygrad_rnn.testing.numeric import Array

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
    every floating-point input: one array, a sequence, or a dict by argument name.
    """
    if vjp is None:
        vjp = _of_number(gradient, title)

    def call(*arguments: Any) -> Any:
        places = [i for i, x in enumerate(arguments) if isinstance(x, Tensor)]

        def filled(arrays: Sequence[Array]) -> list[Any]:
            values = list(arguments)
            for place, array in zip(places, arrays, strict=True):
                values[place] = array
            return values

        def forward(*arrays: Array) -> tuple[Any, None]:
            result = fn(*filled(arrays))
            if result is None:
                raise Untestable(title, "returns nothing", "it returned None")
            if isinstance(result, tuple | list):
                return tuple(np.asarray(part) for part in result), None
            return np.asarray(result), None

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
            parts = _one_each(found, title, labels, places, len(arguments))
            return [
                _fitting(part, array, title, labels[place])
                for part, array, place in zip(parts, arrays, places, strict=True)
            ]

        def reference(*tensors: Tensor) -> Any:
            raise Untestable(
                title,
                "has no second derivative",
                "a gradient written by hand in NumPy cannot be differentiated itself; "
                "check it with order=1",
            )

        op = Fused(title, forward, backward, reference)
        return run_fused(op, [arguments[i] for i in places], {})

    return call


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
        scale = np.reshape(g, ())
        if isinstance(found, dict):
            return {name: None if part is None else scale * part for name, part in found.items()}
        if isinstance(found, tuple | list):
            return [None if part is None else scale * part for part in found]
        return None if found is None else scale * found

    return vjp


def _one_each(
    found: Any, title: str, labels: Sequence[str], places: Sequence[int], count: int
) -> list[Any]:
    """A gradient for every floating-point input, in the order of the inputs."""
    if isinstance(found, dict):
        missing = [labels[place] for place in places if labels[place] not in found]
        if missing:
            raise Untestable(
                title,
                "has no gradient for an input",
                f"its gradient names {', '.join(found) or 'nothing'}, expected {missing[0]} too",
            )
        return [found[labels[place]] for place in places]
    parts = list(found) if isinstance(found, tuple | list) else [found]
    if len(parts) == count:
        return [parts[place] for place in places]
    if len(parts) != len(places):
        raise Untestable(
            title,
            "has the wrong number of gradients",
            f"it gave {len(parts)} for {len(places)} floating-point inputs",
        )
    return parts


def _fitting(part: Any, array: Array, title: str, label: str) -> Array:
    """A gradient as an array of its own, of the shape of its input."""
    if part is None:
        return np.zeros(array.shape, array.dtype)
    own = np.array(part, array.dtype)
    if own.shape != array.shape:
        raise Untestable(
            title,
            "has a gradient of the wrong shape",
            f"the gradient of {label} has shape {own.shape}, expected {array.shape}, like {label}",
        )
    return own
