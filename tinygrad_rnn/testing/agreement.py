"""Two ways to compute the same thing agree: another function, another device, another type."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_rnn.errors import DeviceError
from tinygrad_rnn.modes import enable_grad
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.testing.closeness import worst_place
from tinygrad_rnn.testing.comparison import generic_like, gradients_of
from tinygrad_rnn.testing.faults import GradientCheckError, Untestable
from tinygrad_rnn.testing.numeric import Array, differentiable
from tinygrad_rnn.testing.structures import leaves_in
from tinygrad_rnn.testing.subject import Subject, of_function

__all__ = [
    "Disagreement",
    "assert_devices_agree",
    "assert_dtype_laws",
    "assert_equivalent",
    "check_dtypes",
]


class Disagreement(GradientCheckError):
    """Two computations of the same thing that differ."""


def assert_equivalent(
    fn: Callable[..., Any],
    reference: Callable[..., Any],
    *inputs: Any,
    forward_rtol: float = 1e-10,
    grad_rtol: float = 1e-10,
    order: int = 1,
    seed: int = 0,
) -> None:
    """Raise unless two functions have the same values and gradients at ``inputs``.

    Differences are measured against the largest element, and 1; with ``order=0`` only values
    are compared, and ``reference`` may be a function of NumPy arrays. Results that hold no
    floating-point numbers, such as indices, truth values and None, have to be equal.
    """
    if order not in (0, 1):
        raise ValueError(f"assert_equivalent: order is {order}, expected 0 (values) or 1.")
    ours = of_function(fn, inputs)
    plain = [x.numpy() if isinstance(x, Tensor) else x for x in inputs]
    theirs = of_function(reference, inputs if order else plain)
    title = f"{ours.title} and {theirs.title}"
    point: Sequence[Any] = theirs.constants() if order else [x.copy() for x in theirs.primals]
    _agree(title, "result", _results(ours, ours.constants()), _results(theirs, point), forward_rtol)
    if not order:
        return
    a, b = _gradients(ours, ours.leaves(), seed), _gradients(theirs, theirs.leaves(), seed)
    _agree(title, "gradient of", a, b, grad_rtol, ours.names)


def assert_devices_agree(
    fn: Callable[..., Any],
    *inputs: Any,
    devices: Sequence[str] = ("cpu", "gpu"),
    rtol: float = 1e-9,
    seed: int = 0,
) -> None:
    """Raise unless values and gradients in float64 are the same on every device.

    A device that cannot be had raises DeviceError: what was not compared must not pass.
    """
    if len(set(devices)) < 2:
        raise DeviceError(
            f"assert_devices_agree: devices is {tuple(devices)}, expected at least two to compare."
        )
    check_devices(of_function(fn, inputs), devices=devices, rtol=rtol, seed=seed)


def check_devices(
    subject: Subject, *, devices: Sequence[str], rtol: float = 1e-9, seed: int = 0
) -> None:
    """``assert_devices_agree`` of a subject."""
    results = []
    for device in devices:
        leaves = [Tensor(x.copy()).to(device).detach().requires_grad_() for x in subject.primals]
        results.append((_results(subject, leaves), _gradients(subject, leaves, seed)))
    for device, (values, gradients) in zip(devices[1:], results[1:], strict=True):
        title = f"{subject.title} on {devices[0]} and {device}"
        _agree(title, "result", results[0][0], values, rtol)
        _agree(title, "gradient of", results[0][1], gradients, rtol, subject.names)


def assert_dtype_laws(
    fn: Callable[..., Any],
    *inputs: Any,
    low: Any = np.float32,
    high: Any = np.float64,
    factor: float = 16.0,
    seed: int = 0,
) -> None:
    """Raise unless ``fn`` in a low precision stays in it and tracks the high one.

    Values and gradients may differ by ``factor`` times the rounding of ``low``, the root of
    the number of elements that may have been summed, and the largest number on the way: an
    input, a result or a gradient.
    """
    check_dtypes(of_function(fn, inputs), low=low, high=high, factor=factor, seed=seed)


def check_dtypes(
    subject: Subject,
    *,
    low: Any = np.float32,
    high: Any = np.float64,
    factor: float = 16.0,
    seed: int = 0,
) -> None:
    """``assert_dtype_laws`` for a subject."""
    points = [x.astype(low) for x in subject.primals]
    if not all(np.isfinite(x).all() for x in points):
        raise Untestable(subject.title, "is not finite here", f"inputs overflow in {low}")
    found = []
    for dtype in (low, high):
        leaves = [Tensor(x.astype(dtype), requires_grad=True) for x in points]
        values = _values(subject, leaves)
        for value in values:
            if value.dtype != dtype:
                raise Disagreement(
                    f"{subject.title}: gave {value.dtype} for inputs of {np.dtype(dtype)}, "
                    f"expected {np.dtype(dtype)}: a constant of another type on the way?"
                )
        found.append((values, _gradients(subject, leaves, seed)))
    terms = max((x.size for x in [*points, *found[1][0]]), default=1) or 1
    sizes = [*points, *found[1][0], *found[1][1]]
    largest = max((float(np.abs(x).max(initial=0)) for x in sizes), default=1.0)
    room = factor * float(np.finfo(low).eps) * terms**0.5 * max(largest, 1.0)
    title = f"{subject.title} in {np.dtype(low)} and {np.dtype(high)}"
    _agree(title, "result", found[0][0], found[1][0], room, absolute=True)
    _agree(title, "gradient of", found[0][1], found[1][1], room, subject.names, absolute=True)


# ----- what they share -----


def _results(subject: Subject, moving: Sequence[Any]) -> list[Array]:
    """All that it returns, also what has no derivative."""
    return [_host(part) for _, part in leaves_in(subject(*moving), lambda _: True)]


def _values(subject: Subject, moving: Sequence[Tensor]) -> list[Array]:
    return [_host(out) for out in differentiable(subject(*moving))]


def _gradients(subject: Subject, leaves: Sequence[Tensor], seed: int) -> list[Array]:
    with enable_grad():
        outputs = differentiable(subject(*leaves))
    rng = np.random.default_rng(seed)
    cotangents = [generic_like(rng, out).astype(out.dtype) for out in outputs]
    placed = [
        Tensor(w).to(o.device) if isinstance(o, Tensor) else w
        for o, w in zip(outputs, cotangents, strict=True)
    ]
    return gradients_of(outputs, leaves, placed)


def _host(x: Any) -> Array:
    return x.numpy() if isinstance(x, Tensor) else np.asarray(x)


def _agree(
    title: str,
    what: str,
    a: Sequence[Array],
    b: Sequence[Array],
    rtol: float,
    names: Sequence[str] | None = None,
    *,
    absolute: bool = False,
) -> None:
    """Raise Disagreement at the worst element of the first pair that differs."""
    if len(a) != len(b):
        raise Disagreement(f"{title}: {len(a)} and {len(b)} {what}s, expected as many.")
    for number, (x, y) in enumerate(zip(a, b, strict=True)):
        called = f"{what} {names[number] if names else number}"
        if x.shape != y.shape:
            raise Disagreement(f"{title}: {called} has the shapes {x.shape} and {y.shape}.")
        kinds = {x.dtype.kind, y.dtype.kind}
        if not kinds & set("fc") or not kinds <= set("biufc"):
            if not np.array_equal(x, y):
                raise Disagreement(f"{title} differ: {called} is {x} and {y}, expected the same.")
            continue
        room = rtol if absolute else rtol * max(1.0, float(np.abs(np.nan_to_num(y)).max(initial=0)))
        index = worst_place(x, y, room)
        if index is not None:
            raise Disagreement(
                f"{title} differ: {called}{list(index) if index else ''} is {float(x[index]):.12g} "
                f"and {float(y[index]):.12g}, apart by {float(abs(x[index] - y[index])):.3g}, "
                f"allowed {room:.3g}."
            )
