"""What NumPy's functions make of Tensors: arrays of their numbers, and no gradient lost unseen.

A Tensor is its array to NumPy. Where a gradient is wanted and recorded, and the result would
be floating-point numbers without it, the call is an error that names the operation of ours.
What has no derivative anyway (comparisons, places, shapes, texts) is answered, and so are
``np.asarray(x)`` and ``x.numpy()``, which ask for the numbers alone.

Operators are Tensor's own, in whatever order: ``array + x`` reaches us as ``np.add(array, x)``.
"""

from typing import Any

import numpy as np

from tinygrad_rnn import modes
from tinygrad_rnn.errors import GradientError
from tinygrad_rnn.operators import Operators

__all__ = ["Override", "call_function"]

# The functions behind NumPy's operators: ours where the Tensor is on the left, on the right.
_OPERATORS = {
    "add": ("__add__", "__radd__"),
    "subtract": ("__sub__", "__rsub__"),
    "multiply": ("__mul__", "__rmul__"),
    "divide": ("__truediv__", "__rtruediv__"),
    "power": ("__pow__", "__rpow__"),
    "matmul": ("__matmul__", "__rmatmul__"),
    "equal": ("__eq__", "__eq__"),
    "not_equal": ("__ne__", "__ne__"),
    "less": ("__lt__", "__gt__"),
    "less_equal": ("__le__", "__ge__"),
    "greater": ("__gt__", "__lt__"),
    "greater_equal": ("__ge__", "__le__"),
}
_METHODS = {getattr(np, name): methods for name, methods in _OPERATORS.items()}

# Where NumPy's name is not that of the operation of ours, or no method has it.
_OURS = {
    "absolute": "abs", "add": "add", "amax": "max", "amin": "min", "array_split": "split",
    "concatenate": "concat", "copy": "clone", "divide": "div", "dot": "matmul",
    "einsum": "einsum", "expand_dims": "unsqueeze", "hstack": "concat", "moveaxis": "permute",
    "multiply": "mul", "negative": "neg", "power": "pow", "ravel": "reshape", "stack": "stack",
    "subtract": "sub", "tensordot": "einsum", "vstack": "concat", "where": "where",
}  # fmt: skip


class Override:
    """``__array_ufunc__``: a function for NumPy, which asks the type, and None for CuPy.

    CuPy asks the object, and leaves ``array + tensor`` to the Tensor only if it finds None.
    """

    def __get__(self, tensor: Any, owner: Any) -> Any:
        return _call_ufunc if tensor is None else None


def _call_ufunc(_tensor: Any, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
    if method == "__call__" and not kwargs and ufunc in _METHODS:
        left, right = _METHODS[ufunc]
        a, b = inputs
        ours = isinstance(a, Operators)
        answer = getattr(type(a), left)(a, b) if ours else getattr(type(b), right)(b, a)
        if answer is not NotImplemented:
            return answer
    result = getattr(ufunc, method)(*_as_arrays(inputs), **_as_arrays(kwargs))
    name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
    return _without_loss(name, (inputs, kwargs), result)


def call_function(function: Any, args: Any, kwargs: Any) -> Any:
    """Call a function of NumPy; it would call our methods with its own arguments otherwise."""
    result = function(*_as_arrays(args), **_as_arrays(kwargs))
    return _without_loss(function.__name__, (args, kwargs), result)


def _as_arrays(x: Any) -> Any:
    """Arguments with arrays in the place of Tensors."""
    if isinstance(x, Operators):
        return x.numpy()  # type: ignore[attr-defined]
    if type(x) in (list, tuple):
        return type(x)([_as_arrays(item) for item in x])
    return {key: _as_arrays(item) for key, item in x.items()} if type(x) is dict else x


def _without_loss(name: str, given: Any, result: Any) -> Any:
    """The result, unless a gradient should have come with it."""
    tensor = _wanting(given) if modes.recording.get() else None
    if tensor is None or not _holds_floats(result):
        return result
    ours = _OURS.get(name, name if hasattr(tensor, name) else None)
    instead = f"Use tg.ops.{ours}()" if ours else "Use functions of tg.ops"
    raise GradientError(
        f"np.{name}: got a tensor that requires a gradient ({tensor.dtype}{list(tensor.shape)}), "
        "expected numbers alone: NumPy's functions know no derivatives, so the gradient would be "
        f"lost. {instead}; or, where no gradient is wanted, give it x.detach()."
    )


def _wanting(x: Any) -> Any:
    """The first tensor among arguments that wants a gradient."""
    if isinstance(x, Operators):
        return x if x._requires_grad else None  # type: ignore[attr-defined]
    if type(x) is dict:
        x = x.values()
    elif type(x) not in (list, tuple):
        return None
    return next((found for found in map(_wanting, x) if found is not None), None)


def _holds_floats(result: Any) -> bool:
    if isinstance(result, list | tuple):
        return any(map(_holds_floats, result))
    dtype = getattr(result, "dtype", None)
    return isinstance(result, float) or (isinstance(dtype, np.dtype) and dtype.kind in "fc")
