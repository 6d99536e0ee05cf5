"""What ``compile`` says: a loss and metrics for each output, as the loss of a Trainer."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any

from tinygrad_rnn import nn, ops
from tinygrad_rnn.arguments import number, shortened
from tinygrad_rnn.errors import ArgumentError, ShapeError
from tinygrad_rnn.modes import no_grad
from tinygrad_rnn.nn import Module
from tinygrad_rnn.tensor import Tensor, as_array, as_tensor
from tinygrad_rnn.training.fields import taken
from tinygrad_rnn.training.named import Loss, Measure, loss_of, metric_of, saying_yes

__all__ = ["Compiled"]

_SQUASHING = {"softmax": ops.softmax, "sigmoid": ops.sigmoid}


class Compiled:
    """Losses and metrics by the names of outputs; called with a model and a batch.

    Where a model ends with the activation that a loss can do without, the loss is computed from
    what goes into it: log(softmax(x)) is -inf where softmax(x) is 0, but can be computed from x.
    """

    def __init__(
        self, names: Sequence[str], loss: Any, metrics: Any = (), loss_weights: Any = None
    ) -> None:
        self.names = list(names)
        self.losses: dict[str, Loss] = {
            name: loss_of(given) for name, given in self._each("loss", loss).items()
        }
        self.metrics: dict[str, list[tuple[str, Measure]]] = {
            name: _told_apart([metric_of(one) for one in given])
            for name, given in self._each_list(metrics).items()
        }
        weights = {} if loss_weights is None else self._each("loss_weights", loss_weights)
        self.weights = {n: number("compile", "loss_weights", w) for n, w in weights.items()}
        self.squashing: list[nn.Activation] = []

    def _each(self, what: str, given: Any) -> dict[str, Any]:
        """What is given for each output: one for all, a list in their order, or a dict."""
        if isinstance(given, Mapping):
            self._check_names(f"compile: {what}", given)
            return {name: given[name] for name in self.names}
        if isinstance(given, list | tuple):
            if len(given) != len(self.names):
                raise ArgumentError(
                    f"compile: {what} has {len(given)} entries, expected {len(self.names)}, one "
                    "for each output of the model."
                )
            return dict(zip(self.names, given, strict=True))
        return dict.fromkeys(self.names, given)

    def _check_names(self, what: str, given: Mapping[str, Any]) -> None:
        if sorted(given) != sorted(self.names):
            expected = ", ".join(map(repr, self.names)) + ", the outputs of the model"
            if self.names == [""]:
                expected = "no names, as the model has one output"
            names = ", ".join(map(repr, given))
            raise ArgumentError(f"{what} is given for {names}, expected {expected}.")

    def _each_list(self, metrics: Any) -> dict[str, list[Any]]:
        if metrics is None or isinstance(metrics, str) or callable(metrics):
            metrics = [] if metrics is None else [metrics]
        if not isinstance(metrics, Mapping | list | tuple):
            raise ArgumentError(f"compile: metrics is {shortened(metrics)}, expected a list.")
        if isinstance(metrics, Mapping):
            metrics = {name: metrics.get(name, []) for name in [*self.names, *metrics]}
        elif not (metrics and all(isinstance(one, list | tuple) for one in metrics)):
            return {name: list(metrics) for name in self.names}
        each = self._each("metrics", metrics)
        return {n: list(g) if isinstance(g, list | tuple) else [g] for n, g in each.items()}

    def look_at(self, model: Module) -> None:
        """Find the activations that losses may do without."""
        wanted = {loss.before for loss in self.losses.values()}
        self.squashing = [
            module
            for module in model.modules()
            if isinstance(module, nn.Activation) and _name_of(module) in wanted
        ]

    def __call__(self, model: Any, batch: Any) -> tuple[Tensor, dict[str, Any]]:
        """The sum of the losses of all outputs, and the values of metrics."""
        seen: list[tuple[Tensor, Any]] = []
        keep = lambda _module, given, result: seen.append((result, given[0]))
        hooks = [module.register_forward_hook(keep) for module in self.squashing]
        try:
            outputs = model._named_outputs(model._run(taken("x", batch)))
        finally:
            for hook in hooks:
                hook.remove()
        targets = self._targets(taken("y", batch), outputs)
        total: Any = 0.0
        values: dict[str, Any] = {}
        for name in self.names:
            scores = next((given for result, given in seen if result is outputs[name]), None)
            loss = self._loss(name, outputs[name], scores, targets[name])
            total = loss * self.weights.get(name, 1.0) + total
            prefix = f"{name}_" if name else ""
            if name:
                values[f"{name}_loss"] = loss.detach()
            with no_grad():
                threshold = self.losses[name].threshold if scores is None else 0.5
                for metric, measure in self.metrics[name]:
                    found = saying_yes(measure, threshold)(outputs[name], targets[name])
                    values[prefix + metric] = _mean(found)
        return total, values

    def _loss(self, name: str, outputs: Tensor, scores: Any, y: Any) -> Tensor:
        loss = self.losses[name]
        if scores is not None and loss.of_scores is not None:
            found = loss.of_scores(as_tensor(scores), y)
        else:
            found = loss.of_outputs(outputs, y)
        if not isinstance(found, Tensor):
            raise ArgumentError(
                f"fit: the loss {loss.name} returned {shortened(found)}, expected a Tensor."
            )
        return found if found.size == 1 else found.mean()

    def _targets(self, y: Any, outputs: Mapping[str, Tensor]) -> dict[str, Any]:
        """y by the names of outputs; fractions as the outputs hold them."""
        if isinstance(y, dict):
            self._check_names("fit: y", y)
        each = y if isinstance(y, list | tuple) else [y]
        if not isinstance(y, dict) and len(each) != len(self.names):
            raise ShapeError(
                f"fit: y holds {len(each)} arrays, expected {len(self.names)}, one for each output."
            )
        named = y if isinstance(y, dict) else dict(zip(self.names, each, strict=True))
        targets = {name: as_array(one, "fit") for name, one in named.items()}
        return {
            name: one.astype(outputs[name].dtype, copy=False) if one.dtype.kind == "f" else one
            for name, one in targets.items()
        }


def _told_apart(metrics: Sequence[tuple[str, Measure]]) -> list[tuple[str, Measure]]:
    """Metrics of the same name with a number behind it from the second on."""
    found: dict[str, Measure] = {}
    for name, measure in metrics:
        if name == "loss":
            raise ArgumentError(
                "compile: a metric is called 'loss', expected another name: it is that of the loss."
            )
        number = next(n for n in count(1) if (f"{name}_{n}" if n > 1 else name) not in found)
        found[f"{name}_{number}" if number > 1 else name] = measure
    return list(found.items())


def _name_of(module: nn.Activation) -> str:
    """softmax over the last axis, or sigmoid, or nothing."""
    function = module.function
    axis = -1
    if isinstance(function, partial):
        axis = function.keywords.get("axis", -1)
        function = function.func
    for name, known in _SQUASHING.items():
        if function in (name, known) and axis == -1:
            return name
    return ""


def _mean(value: Any) -> Any:
    """The mean, not looked at yet where it is that of an array."""
    return value.mean() if hasattr(value, "mean") else value
