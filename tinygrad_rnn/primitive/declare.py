"""Functions that declare operations, and what every call does around a forward function."""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from inspect import Parameter, Signature
from typing import Any

import numpy as np

from tinygrad_rnn import modes
from tinygrad_rnn.device import Array, there
from tinygrad_rnn.engine import ARRAYS, record, wrap
from tinygrad_rnn.errors import DTypeError, TraceError
from tinygrad_rnn.kernels import _cuda
from tinygrad_rnn.primitive.operands import array_of, of_one_type, raise_as_ours, show
from tinygrad_rnn.primitive.rows import AlongRule
from tinygrad_rnn.primitive.table import Primitive, Rule, register
from tinygrad_rnn.tensor import CONSTANT, Tensor, Version, as_tensor

__all__ = ["apply", "binary", "nary", "numbers_behind", "unary", "variadic"]

_ONE_OPERAND = Signature([Parameter("x", Parameter.POSITIONAL_OR_KEYWORD)])

ndarray = np.ndarray
mode = modes.recording.get


def apply(op: Primitive, inputs: tuple[Any, ...], attrs: dict[str, Any]) -> Tensor:
    """Run and record one call: the general way, for any operands.

    ``unary`` and ``binary`` have short ways of their own for the common cases: on small
    tensors half of the time would go into generality.
    """
    arrays = _plain_arrays(op, inputs)
    if arrays is None:
        try:
            arrays = of_one_type(op, [array_of(x, op.name) for x in inputs])
        except (DTypeError, TraceError):
            # A symbol of a cell that is being traced is no array: it writes the operation down.
            symbol = next((x for x in inputs if getattr(x, "traced", False)), None)
            if symbol is None:
                raise
            return symbol.apply(op.name, *inputs, **attrs)  # type: ignore[no-any-return]
    try:
        if _cuda.several():
            with there(next(a for a in arrays if hasattr(a, "dtype"))):
                out = op.forward(*arrays, **attrs)
        else:
            out = op.forward(*arrays, **attrs)
    except Exception as error:
        raise_as_ours(op, arrays, error)
        raise
    if isinstance(out, np.generic):  # NumPy gives a scalar for a result without axes
        out = np.asarray(out)
    result = _recorded(op, inputs, arrays, out, attrs) if mode() else None
    if result is None:
        result = wrap(out)
    if op.views:
        _share_version(result, inputs[0])
    show(op, (result,), inputs, attrs, result._node)
    return result


def _plain_arrays(op: Primitive, inputs: tuple[Any, ...]) -> list[Any] | None:
    """The arrays of the operands if they have nothing to be brought to, else None.

    They are of one floating-point type, and NumPy's or of the only GPU.
    """
    arrays: list[Any] = []
    dtype, kind = None, ndarray
    for x, rule in zip(inputs, op.rules, strict=True):
        array = x._data if isinstance(x, Tensor) else x
        if array.__class__ is kind:
            if rule is not None:
                if dtype is None:
                    dtype = array.dtype
                elif array.dtype is not dtype:
                    return None
        elif array.__class__ is not float and array.__class__ is not int:
            if array is x or arrays or rule is None or _cuda.several():
                return None
            kind, dtype = array.__class__, array.dtype  # of a GPU
        arrays.append(array)
    return arrays if dtype is not None and dtype.kind == "f" and dtype.isnative else None


def _recorded(
    op: Primitive, inputs: tuple[Any, ...], arrays: list[Any], out: Array, attrs: dict[str, Any]
) -> Tensor | None:
    """The result with its node, or None if no input wants a gradient."""
    wanted: list[bool] = []
    parents: list[Any] = []
    for x, rule in zip(inputs, op.rules, strict=True):
        if not isinstance(x, Tensor):
            wanted.append(False)
            parents.append(CONSTANT)
        elif rule is not None and x._requires_grad:
            wanted.append(True)
            parents.append(x._node or x)
        else:
            wanted.append(False)
            parents.append(x._version or x.shared_version())
    if True not in wanted:
        return None
    keep_out, *keep = op.kept[tuple(wanted)]
    saved = tuple([a if kept else None for a, kept in zip(arrays, keep, strict=True)])
    shapes = tuple([getattr(a, "shape", ()) for a in arrays]) if op.broadcasts else None
    return record(op, tuple(parents), saved, out if keep_out else None, out, attrs or None, shapes)


def _share_version(view: Tensor, base: Tensor) -> None:
    """Let a change of either be noticed by whoever saved the other."""
    view._version = version = base._version or base.shared_version()
    if view._node is not None:
        view._node.version = version


def unary(
    name: str,
    forward: Callable[..., Any],
    rule: Rule,
    *,
    view: bool = False,
    floats: bool = True,
    along: AlongRule | None = None,
    doc: str | None = None,
) -> Callable[..., Tensor]:
    """Declare an operation of one tensor; keyword arguments go to forward and rule alike.

    ``view=True`` says that the output shares the memory of the input; ``floats=False`` that
    integers stay integers. ``doc`` is what ``help()`` says of an operation without keywords;
    ``along`` belongs to operations whose input may be a weight (see ``rows.py``).
    """
    op = Primitive(name, forward, (rule,), views=view, floats=floats, along=along)
    keep_out, keep = op.kept[True,]

    def call(x: Any, **attrs: Any) -> Tensor:
        recording = mode()
        if isinstance(x, Tensor) and recording.__class__ is bool:
            a = x._data
            if a.__class__ is not ndarray and _cuda.several():
                return apply(op, (x,), attrs)
            wanted = x._requires_grad and recording
            if wanted or not floats or a.dtype.kind == "f":
                try:
                    out = forward(a, **attrs) if attrs else forward(a)
                except Exception as error:
                    raise_as_ours(op, (a,), error)
                    raise
                if out.__class__ is not ndarray and isinstance(out, np.generic):
                    out = np.asarray(out)
                if not wanted:
                    result = wrap(out)
                else:
                    result = record(
                        op,
                        (x._node or x,),
                        (a if keep else None,),
                        out if keep_out else None,
                        out,
                        attrs or None,
                    )
                if view:
                    _share_version(result, x)
                return result
        return apply(op, (as_tensor(x, name),), attrs)

    if doc is not None:
        call.__signature__ = _ONE_OPERAND  # type: ignore[attr-defined]
    return register(op, call, doc)


def binary(
    name: str,
    forward: Callable[..., Any],
    rule_a: Rule,
    rule_b: Rule,
    *,
    paired: bool = True,
    floats: bool = False,
    along: AlongRule | None = None,
    doc: str | None = None,
) -> Callable[..., Tensor]:
    """Declare an operation of two operands that broadcast against each other.

    It is element-wise unless ``paired=False``, as a product of stacks of matrices.
    """
    op = Primitive(
        name, forward, (rule_a, rule_b),
        broadcasts=True, paired=paired, floats=floats, along=along,
    )  # fmt: skip
    first, second, both = op.kept[True, False], op.kept[False, True], op.kept[True, True]

    def call(x: Any, y: Any) -> Tensor:
        recording = mode()
        if y.__class__ is float or y.__class__ is int:
            y = _number(y, x)
        elif x.__class__ is float or x.__class__ is int:
            x = _number(x, y)
        try:
            a, b = x._data, y._data
        except AttributeError:  # arrays, lists
            return apply(op, (x, y), {})
        if a.dtype is not b.dtype or recording.__class__ is not bool:
            return apply(op, (x, y), {})
        if a.__class__ is not ndarray and _cuda.several():
            return apply(op, (x, y), {})
        if recording and x._requires_grad:
            p = x._node or x
            if y._requires_grad:
                q, kept = y._node or y, both
            else:
                q, kept = y._version or y.shared_version(), first
        elif recording and y._requires_grad:
            p, q, kept = x._version or x.shared_version(), y._node or y, second
        elif floats and a.dtype.kind != "f":
            return apply(op, (x, y), {})
        else:
            kept = None
        try:
            out = forward(a, b)
        except Exception as error:
            raise_as_ours(op, (a, b), error)
            raise
        if out.__class__ is not ndarray and isinstance(out, np.generic):
            out = np.asarray(out)
        if kept is None:
            return wrap(out)
        keep_out, keep_a, keep_b = kept
        return record(
            op,
            (p, q),
            (a if keep_a else None, b if keep_b else None),
            out if keep_out else None,
            out,
            None,
            None if a.shape == b.shape else (a.shape, b.shape),
        )

    return register(op, call, doc)


_numbers: dict[Any, dict[float | str, Tensor]] = {np.float32: {}, np.float64: {}}


def _number(x: Any, beside: Any) -> Any:
    """A Python number as a constant of the type of the floating-point tensor beside it.

    The constants are kept: making an array takes as long as the operation. Anything else
    comes back as it is.
    """
    if (x.__class__ is not float and x.__class__ is not int) or not isinstance(beside, Tensor):
        return x
    array = beside._data
    known = _numbers.get(array.dtype.type)
    if known is None or array.__class__ is not ndarray:
        return x
    key = x or repr(x)  # 0.0 and -0.0 are equal
    constant = known.get(key)
    if constant is None:
        if len(known) > 1000:
            known.clear()
        try:
            constant = known[key] = wrap(np.array(x, array.dtype))
        except OverflowError:  # which the operation says in its own words
            return x
    return constant


def numbers_behind() -> dict[Version, float]:
    """The Python numbers that constants were made of, to show them to people."""
    constants = [c for known in _numbers.values() for c in tuple(known.values())]
    return {c.shared_version(): c.item() for c in constants}


def nary(
    name: str,
    forward: Callable[..., Any],
    *rules: Rule | None,
    broadcasts: bool = False,
    floats: bool = False,
    along: AlongRule | None = None,
) -> Callable[..., Tensor]:
    """Declare an operation of a fixed number of operands, each tensor, number or array.

    An operand whose rule is None (an index, a mask) may have any type. With
    ``broadcasts=True`` the engine sums each gradient back to the shape of its input.
    """
    op = Primitive(name, forward, rules, broadcasts=broadcasts, floats=floats, along=along)
    count = len(rules)

    def call(*inputs: Any, **attrs: Any) -> Tensor:
        if len(inputs) != count:
            raise TypeError(f"{name}: got {len(inputs)} operands, expected {count}.")
        return apply(op, inputs, attrs)

    return register(op, call)


def variadic(name: str, forward: Callable[..., Any], rule: Rule) -> Callable[..., Tensor]:
    """Declare an operation of any number of tensors, given to its function as one sequence.

    The one rule serves every input: ``rule(F, g, out, *inputs, number, **attrs)``.
    """

    @lru_cache(maxsize=256)
    def of(count: int) -> Primitive:
        return Primitive(name, joined, [partial(rule, number=i) for i in range(count)])

    def joined(*arrays: Array, **attrs: Any) -> Array:
        return forward(arrays, **attrs)

    def call(inputs: Sequence[Any], **attrs: Any) -> Tensor:
        return apply(of(len(inputs)), tuple(inputs), attrs)

    register(of(2), call)
    setattr(ARRAYS, name, forward)
    return call
