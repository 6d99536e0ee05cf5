"""Values as Python source: what a script needs to have the same arrays again."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygrad_rnn.tensor import Tensor

__all__ = ["literal"]


def literal(value: Any) -> str | None:
    """Source that makes an equal value, where ``np`` is NumPy; None where there is none.

    A Tensor becomes an array; a named tuple is called by the name of its class.
    """
    if isinstance(value, Tensor):
        value = value.numpy()
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, np.generic):
        return f"np.{value.dtype.type.__name__}({_plain(value.item())})"
    if isinstance(value, np.dtype):
        return f"np.dtype({value.str!r})"
    if isinstance(value, type) and issubclass(value, np.generic):
        return f"np.{value.__name__}"
    if isinstance(value, Mapping):
        return _joined("{%s}", [_pair(": ", literal(k), literal(v)) for k, v in value.items()])
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        fields = zip(value._fields, value, strict=True)
        return _joined(
            f"{type(value).__name__}(%s)", [_pair("=", name, literal(x)) for name, x in fields]
        )
    if isinstance(value, tuple | list | set | frozenset):
        ends = {list: "[%s]", tuple: "(%s,)" if len(value) == 1 else "(%s)", set: "{%s}"}
        if type(value) not in ends or value == set():
            return None
        return _joined(ends[type(value)], [literal(part) for part in value])
    if value is None or value is Ellipsis:
        return repr(value)
    return _plain(value) if isinstance(value, bool | int | float | complex | str | bytes) else None


def _plain(value: Any) -> str:
    """A number or text; an infinity and NaN have no literal of their own."""
    if isinstance(value, float) and not np.isfinite(value):
        return {"inf": "np.inf", "-inf": "-np.inf"}.get(str(value), "np.nan")
    return repr(value)


def _array(array: np.ndarray[Any, Any]) -> str | None:
    if array.dtype.kind not in "bifuc":
        return None
    kind = array.dtype.name
    if array.size == 0 or (array.ndim and array.tobytes().count(0) == array.nbytes):
        return (
            f"np.zeros({array.shape})"
            if kind == "float64"
            else f"np.zeros({array.shape}, {kind!r})"
        )
    usual = np.asarray(array.ravel()[:1].tolist()).dtype.name
    suffix = "" if kind == usual else f", {kind!r}"
    if array.dtype.kind == "c":
        return f"np.array({array.tolist()}{suffix})"
    return f"np.array({_nested(array.tolist())}{suffix})"


def _nested(value: Any) -> str:
    return f"[{', '.join(map(_nested, value))}]" if isinstance(value, list) else _plain(value)


def _pair(between: str, key: str | None, value: str | None) -> str | None:
    return None if key is None or value is None else f"{key}{between}{value}"


def _joined(around: str, parts: list[str | None]) -> str | None:
    known = [part for part in parts if part is not None]
    return around % ", ".join(known) if len(known) == len(parts) else None
