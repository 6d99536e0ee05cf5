"""Losses, metrics and optimisers by the names that Keras gives them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from tinygrad_rnn import losses, ops, optim
from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.device import array_module, to_host
from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.tensor import Tensor, as_array
from tinygrad_rnn.training.targets import as_classes, as_numbers, as_probabilities

__all__ = [
    "LOSSES",
    "METRICS",
    "OPTIMIZERS",
    "Loss",
    "Measure",
    "loss_of",
    "metric_of",
    "optimizer_of",
    "saying_yes",
]

Measure = Callable[[Tensor, Any], Any]

_TINY = 1e-7  # what Keras keeps probabilities away from 0 and 1


@dataclass(frozen=True)
class Loss:
    """A loss of outputs and targets.

    of_outputs  computes it from what the model gives
    before      the activation that it can do without: where the model ends with it,
    of_scores   computes the same from what went into the activation, and overflows nowhere
    """

    name: str
    of_outputs: Measure
    before: str = ""
    of_scores: Measure | None = None
    threshold: float = 0.5  # outputs above it say yes


# ----- losses -----


def _log_probabilities(where: str, outputs: Tensor) -> Tensor:
    """The logarithms of what a model without a softmax of its own gives as probabilities."""
    if outputs.size:
        values = outputs._data
        low, high = to_host(np.stack([values.min(), values.max()])).tolist()  # one look at both
        if not (low >= 0 and high <= 1 + 1e-3):
            raise ArgumentError(
                f"{where}: the model gives {low:.3g} to {high:.3g}, expected probabilities. End it "
                "with Activation('softmax') or 'sigmoid', or take a loss of scores: "
                "'cross_entropy', 'bce_with_logits'."
            )
    return ops.log(ops.clip(outputs, _TINY, 1.0 - _TINY))


def _categorical(outputs: Tensor, y: Any) -> Any:
    where = "categorical_crossentropy"
    y = as_probabilities(where, y, outputs)
    return -(_log_probabilities(where, outputs) * y).sum(-1).mean()


def _sparse(outputs: Tensor, y: Any) -> Any:
    where = "sparse_categorical_crossentropy"
    y = as_classes(where, y, outputs)
    return losses.nll(_log_probabilities(where, outputs), y)


def _binary(outputs: Tensor, y: Any) -> Any:
    where = "binary_crossentropy"
    y = as_numbers(where, y, outputs)
    yes, no = _log_probabilities(where, outputs), _log_probabilities(where, 1.0 - outputs)
    return -(yes * y + no * (1.0 - y)).mean()


def _towards(where: str, as_targets: Callable[..., Any], loss: Measure) -> Measure:
    return lambda scores, y: loss(scores, as_targets(where, y, scores))


def _any_cross_entropy(scores: Tensor, y: Any) -> Any:
    vectors = as_array(y, "cross_entropy").shape == scores.shape
    as_targets = as_probabilities if vectors else as_classes
    return losses.cross_entropy(scores, as_targets("cross_entropy", y, scores))


_yes_scores = _towards("bce_with_logits", as_numbers, losses.bce_with_logits)


def _kl(outputs: Tensor, y: Any) -> Any:
    y = as_probabilities("kl_divergence", y, outputs)
    return losses.kl_divergence(_log_probabilities("kl_divergence", outputs), y)


def _of_numbers(name: str, loss: Measure) -> Loss:
    return Loss(name, _towards(name, as_numbers, loss))


_ALL = (
    Loss(
        "categorical_crossentropy", _categorical, "softmax",
        _towards("categorical_crossentropy", as_probabilities, losses.cross_entropy),
    ),
    Loss(
        "sparse_categorical_crossentropy", _sparse, "softmax",
        _towards("sparse_categorical_crossentropy", as_classes, losses.cross_entropy),
    ),
    Loss(
        "binary_crossentropy", _binary, "sigmoid",
        _towards("binary_crossentropy", as_numbers, losses.bce_with_logits),
    ),
    Loss("cross_entropy", _any_cross_entropy, "softmax", _any_cross_entropy),
    Loss("bce_with_logits", _yes_scores, "sigmoid", _yes_scores, threshold=0.0),
    Loss("kl_divergence", _kl),
    _of_numbers("mean_squared_error", losses.mse),
    _of_numbers("mean_absolute_error", losses.l1),
    _of_numbers("huber", losses.huber),
)  # fmt: skip
LOSSES = {loss.name: loss for loss in _ALL}
LOSSES |= {
    "mse": LOSSES["mean_squared_error"],
    "mae": LOSSES["mean_absolute_error"],
    "kullback_leibler_divergence": LOSSES["kl_divergence"],
}

# The library's own functions, given themselves, are to be as safe as their names.
_OF_FUNCTIONS = {
    losses.cross_entropy: LOSSES["cross_entropy"],
    losses.bce_with_logits: LOSSES["bce_with_logits"],
    losses.mse: LOSSES["mse"],
    losses.l1: LOSSES["mae"],
    losses.huber: LOSSES["huber"],
}


# ----- metrics, found where the outputs are: nobody looks at a number here -----


def _share(right: Any, y: Any) -> Any:
    """How many are right, of those that count: a class of -100 does not, as in the loss."""
    counts = y != -100
    with np.errstate(invalid="ignore"):  # NaN, where none does
        return (right & counts).sum() / counts.sum()


def _classes(where: str, outputs: Tensor, y: Any) -> Any:
    y = as_array(y, where)
    ids = y.argmax(-1) if y.shape == outputs.shape else as_classes(where, y, outputs)
    return array_module(outputs._data).asarray(ids)


def _class_accuracy(outputs: Tensor, y: Any) -> Any:
    ids = _classes("accuracy", outputs, y)
    return _share(outputs.data.argmax(-1) == ids, ids)


def _top(k: int, outputs: Tensor, y: Any) -> Any:
    ids = _classes("top_k_categorical_accuracy", outputs, y)
    best = np.argsort(-outputs.data, axis=-1, kind="stable")[..., :k]
    return _share((best == ids[..., None]).any(-1), ids)


def _yes_or_no(outputs: Tensor, y: Any, threshold: float = 0.5) -> Any:
    y = as_numbers("binary_accuracy", y, outputs)
    return ((outputs.data > threshold) == (y > 0.5)).mean()


def _accuracy(outputs: Tensor, y: Any, threshold: float = 0.5) -> Any:
    if outputs.shape[-1] == 1:
        return _yes_or_no(outputs, y, threshold)
    return _class_accuracy(outputs, y)


def _error(distance: Measure, outputs: Tensor, y: Any) -> Any:
    return distance(outputs, as_numbers("metrics", y, outputs))


METRICS: dict[str, Measure] = {
    "accuracy": _accuracy,
    "acc": _accuracy,
    "categorical_accuracy": _class_accuracy,
    "sparse_categorical_accuracy": _class_accuracy,
    "binary_accuracy": _yes_or_no,
    "top_k_categorical_accuracy": partial(_top, 5),
    "mean_squared_error": partial(_error, losses.mse),
    "mse": partial(_error, losses.mse),
    "mean_absolute_error": partial(_error, losses.l1),
    "mae": partial(_error, losses.l1),
}


# ----- optimisers: ours, with the learning rates that Keras begins with -----

OPTIMIZERS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "sgd": partial(optim.SGD, lr=0.01),
    "rmsprop": partial(optim.RMSprop, lr=0.001, alpha=0.9, eps=1e-7),
    "adagrad": partial(optim.Adagrad, lr=0.001),
    "adadelta": partial(optim.Adadelta, lr=0.001, rho=0.95, eps=1e-7),
    "adam": partial(optim.Adam, lr=0.001, eps=1e-7),
    "adamw": partial(optim.AdamW, lr=0.001, weight_decay=0.004, eps=1e-7),
    "adamax": partial(optim.Adamax, lr=0.001, eps=1e-7),
    "nadam": partial(optim.NAdam, lr=0.001, eps=1e-7),
    "radam": optim.RAdam,
    "lion": partial(optim.Lion, lr=0.001),
}


# ----- by name -----


def _named(kind: str, given: Any, known: Mapping[str, Any], other: str) -> Any:
    if isinstance(given, str) and given.lower() in known:
        return known[given.lower()]
    if not callable(given):
        raise ArgumentError(
            f"compile: {kind} is {shortened(given)}, expected one of {', '.join(known)}, or "
            f"{other}."
        )
    return given


def loss_of(given: Any) -> Loss:
    """A loss by its name, or of a function of (outputs, targets)."""
    found = _named("loss", given, LOSSES, "a function of (outputs, targets)")
    if isinstance(found, Loss) or found in _OF_FUNCTIONS:
        return found if isinstance(found, Loss) else _OF_FUNCTIONS[found]
    return Loss(getattr(found, "__name__", "loss"), found)


def metric_of(given: Any) -> tuple[str, Measure]:
    """A metric and its name, by its name or as a function of (outputs, targets)."""
    found = _named("metrics", given, METRICS, "a function of (outputs, targets)")
    if isinstance(given, str):
        return given.lower(), found
    return str(getattr(found, "__name__", type(found).__name__)), found


def saying_yes(measure: Measure, threshold: float) -> Measure:
    """A metric that takes outputs above the threshold for yes, if it asks for yes or no."""
    if measure in (_accuracy, _yes_or_no):
        return partial(measure, threshold=threshold)
    return measure


def optimizer_of(given: Any) -> Any:
    """An optimiser, or what makes one of parameters."""
    if isinstance(given, optim.Optimizer):
        return given
    return _named("optimizer", given, OPTIMIZERS, "one of optim, or a function that makes one")
