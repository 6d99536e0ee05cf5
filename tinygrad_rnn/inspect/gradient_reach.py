"""How far a gradient reaches: its norm against the lag in time, and against depth."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_rnn.arguments import whole
from tinygrad_rnn.engine import grad
from tinygrad_rnn.errors import ArgumentError, ShapeError
from tinygrad_rnn.inspect.activations import Row, model_inputs
from tinygrad_rnn.inspect.watching import cells_that_ran, recurrent_layers, watching
from tinygrad_rnn.modes import enable_grad
from tinygrad_rnn.tensor import Tensor, as_array, constant
from tinygrad_rnn.training.run_state import in_use

__all__ = ["gradient_by_depth", "gradient_by_lag"]

Array = NDArray[Any]


def gradient_by_lag(
    model: Any,
    inputs: Any,
    *,
    loss: Callable[[Any], Tensor] | None = None,
    at: int = -1,
    state: Any = None,
) -> dict[Row, Array]:
    """The norm of a loss's gradient by each state, against how many steps back that state is.

        norms = inspect.gradient_by_lag(nn.LSTM(8, 16), x)
        cells = norms[0, "forward", "c"]         # cells[k] = ‖∂L/∂c_{T-1-k}‖

    Between two steps it changes by the Jacobian of a step, ∂h_t/∂h_{t-1}: for a linear network
    by its recurrent matrix W, so that the log of the norm falls or grows, in the end, by the log of
    W's spectral radius a step. The largest singular value of W times the largest slope of
    the activation (1 for tanh, 1/4 for sigmoid) only bounds it from above: below 1 gradients have
    to vanish; above 1 they may explode.

    Nothing is dropped meanwhile, no ``grad`` is touched, and the model stays as it was.

    Args:
        model: A recurrent layer, or any Module built of them.
        inputs: As in ``activations``; x may also have several sequences, (T, B, I).
        loss: Makes of what the model returns the number whose gradient it is. If not given: of
            the (first) output (T, B, H), the step ``at``, along a direction drawn by chance.
        at: The step that the loss depends on; lags are counted from it, backwards, and forwards
            in the direction "reverse".
        state: What it starts from.
    """
    at = whole("gradient_by_lag", "at", at)
    layers = recurrent_layers("gradient_by_lag", model)
    given = model_inputs("gradient_by_lag", model, inputs)
    with in_use(model), enable_grad(), watching(layers) as calls:
        result = model(given) if state is None else model(given, state)
        first = getattr(model, "batch_first", False)
        number = _step(result, at, first) if loss is None else loss(result)
    norms: dict[Row, Array] = {}
    for ran in cells_that_ran(calls):
        ran.trace.go_back(number)
        for name in ran.cell.state_sizes:
            by_step = ran.trace.gradient_norms(name).numpy()
            place = at % len(by_step)
            back = by_step[place:] if ran.direction == "reverse" else by_step[place::-1]
            norms[Row(ran.number, ran.direction, name)] = back.astype(np.float64)
    return norms


def _step(result: Any, at: int, batch_first: bool) -> Tensor:
    """A number made of one step of an output, the same direction for all rows."""
    y = result[0] if isinstance(result, tuple) else result
    if not isinstance(y, Tensor) or y.ndim not in (2, 3):
        raise ArgumentError(
            f"gradient_by_lag: the model gives {type(y).__name__} first, expected outputs "
            "(T, B, H); pass loss= to say what is made of them."
        )
    steps = y.shape[1 if batch_first and y.ndim == 3 else 0]
    if not -steps <= at < steps:
        raise ShapeError(f"gradient_by_lag: at is {at}, expected one of {steps} steps.")
    one = y[:, at] if batch_first and y.ndim == 3 else y[at]
    direction = np.random.default_rng(0).standard_normal(y.shape[-1])
    direction /= np.sqrt((direction**2).sum())
    return (one * constant(direction, one)).sum()


def gradient_by_depth(
    layers: Iterable[Callable[[Any], Any]],
    x: Any,
    *,
    loss: Callable[[Tensor], Tensor] | None = None,
) -> Array:
    """The norm of a loss's gradient by what each layer of a stack reads, and by the last output.

        plain = [nn.Dense(32, 32, activation="tanh") for _ in range(20)]
        norms = inspect.gradient_by_depth(plain, x)      # (21,): norms[0] belongs to x

    Args:
        layers: Functions or modules, each of which reads what the one before gives: a residual
            block is ``lambda x: x + f(x)``, one with dense connections gives x and f(x) on.
            Of several outputs, as a recurrent layer has, the first goes on.
        loss: Makes a number of the last output; if not given, its mean square, halved.
    """
    layers = list(layers)
    if not layers:
        raise ArgumentError("gradient_by_depth: layers is empty, expected at least one.")
    values = [Tensor(as_array(x, "gradient_by_depth").copy(), requires_grad=True)]
    with enable_grad():
        for layer in layers:
            out = layer(values[-1])
            values.append(out[0] if isinstance(out, tuple) else out)
        last = values[-1]
        number = (last * last).mean() * 0.5 if loss is None else loss(last)
    gradients = grad(number, values, allow_unused=True)
    return np.array([0.0 if g is None else _norm(g) for g in gradients])


def _norm(gradient: Tensor) -> float:
    return float(np.sqrt(np.square(gradient.numpy(), dtype=np.float64).sum()))
