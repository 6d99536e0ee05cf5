"""Model: a graph of nodes as a module."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.errors import ArgumentError, ModuleError
from tinygrad_rnn.nn import Module
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.training.compilable import Compilable
from tinygrad_rnn.training.graph import Input, Node, item, nodes_in, replaced, sorted_nodes

__all__ = ["Model"]

Ends = Node | Sequence[Node] | dict[str, Node]


@dataclass(frozen=True)
class _Value:
    """Stands in a step for the value of an earlier one."""

    place: int


@dataclass(frozen=True)
class _Step:
    """One node: what is called, a layer by its number, and with what; an input has nothing."""

    call: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Model(Compilable):
    """A graph of layers, with any number of inputs and outputs.

        left, right = training.Input(8, name="left"), training.Input(8, name="right")
        shared = nn.Dense(16, activation="tanh")
        both = shared(left) * shared(right)
        model = training.Model([left, right], nn.Dense(1)(both))
        y = model(x_left, x_right)

    A layer that is called several times is one layer, with one set of weights. ``layers`` holds
    them in the order in which they are first used, ``nodes`` their results: the part of a model
    up to some node is ``Model(model.inputs, node)``, with the same layers.

    Args:
        inputs: One ``Input``, or several in a list.
        outputs: One node, several in a list, or a dict; results come as a Tensor, a tuple, a dict.
    """

    def __init__(self, inputs: Node | Sequence[Node], outputs: Ends) -> None:
        super().__init__()
        starts = [inputs] if isinstance(inputs, Node) else list(inputs)
        self.inputs: list[Input] = [_checked_input(node) for node in starts]
        self.outputs = outputs
        ends = nodes_in([outputs] if isinstance(outputs, Node) else outputs)
        if not ends:
            raise ArgumentError(
                f"Model: outputs is {shortened(outputs)}, expected a node, or several in a list "
                "or a dict."
            )
        self.nodes = sorted_nodes(ends)
        self._check_connected()
        places = {id(node): k for k, node in enumerate(self.nodes)}
        numbers: dict[int, int] = {}
        self.layers: list[Module] = []
        for node in self.nodes:
            if isinstance(node.maker, Module) and id(node.maker) not in numbers:
                numbers[id(node.maker)] = len(self.layers)
                self.layers.append(node.maker)

        def value(node: Node) -> _Value:
            return _Value(places[id(node)])

        self._starts = [places[id(node)] for node in self.inputs]
        self._ends = replaced(outputs, value)
        self._steps = [
            _Step(
                numbers[id(node.maker)] if isinstance(node.maker, Module) else node.maker,
                replaced(node.args, value),
                replaced(node.kwargs, value),
            )
            for node in self.nodes
        ]

    def _check_connected(self) -> None:
        reached = [node for node in self.nodes if isinstance(node, Input)]
        for node in self.inputs:
            if node not in reached:
                raise ModuleError(
                    f"Model: the input {node!r} is not connected to an output; leave it out, or "
                    "make an output of it."
                )
        for node in reached:
            if node not in self.inputs:
                raise ModuleError(
                    f"Model: the outputs are made of the input {node!r}, which is not among inputs."
                )

    def forward(self, *inputs: Any) -> Any:
        """An array for each input, or all in one list, or in a dict by name -> the outputs."""
        values: list[Any] = [None] * len(self._steps)
        for node, place, x in zip(self.inputs, self._starts, self._given(inputs), strict=True):
            node.check(x)
            values[place] = x
        for place, step in enumerate(self._steps):
            if step.call is None:
                continue
            of = values.__getitem__ if step.call is item else (lambda k: _first(values[k]))
            args, kwargs = _filled(step.args, of), _filled(step.kwargs, of)
            call = self.layers[step.call] if isinstance(step.call, int) else step.call
            try:
                values[place] = call(*args, **kwargs)
            except Exception as error:
                error.add_note(f"Model: this is {self.nodes[place]!r}, number {place} of nodes.")
                raise
        results = _filled(self._ends, lambda k: _first(values[k]))
        return tuple(results) if isinstance(results, list) else results

    def _given(self, inputs: tuple[Any, ...]) -> Sequence[Any]:
        """The arrays in the order of inputs."""
        names = [node.name for node in self.inputs]
        one = inputs[0] if len(inputs) == 1 else None
        if isinstance(one, dict):
            if sorted(one) != sorted(names):
                raise ArgumentError(
                    f"Model: given the inputs {', '.join(map(str, one))}, expected "
                    f"{', '.join(names)}."
                )
            return [one[name] for name in names]
        if isinstance(one, list | tuple) and len(names) > 1:
            inputs = tuple(one)
        if len(inputs) != len(names):
            raise ArgumentError(
                f"Model: given {len(inputs)} inputs, expected {len(names)}: {', '.join(names)}."
            )
        return inputs

    def _output_names(self) -> list[str]:
        if isinstance(self.outputs, Node):
            return [""]
        if isinstance(self.outputs, dict):
            return list(self.outputs)
        return [f"output_{k}" for k in range(len(self.outputs))]

    def _named_outputs(self, result: Any) -> dict[str, Tensor]:
        if isinstance(result, dict):
            return result
        results = result if isinstance(result, tuple) else [result]
        return dict(zip(self._output_names(), results, strict=True))

    def _formed(self, named: dict[str, Any]) -> Any:
        if isinstance(self.outputs, Node):
            return named[""]
        return named if isinstance(self.outputs, dict) else tuple(named.values())

    def extra_repr(self) -> str:
        """Inputs."""
        return ", ".join(map(repr, self.inputs))


def _checked_input(node: Any) -> Input:
    if not isinstance(node, Input):
        raise ArgumentError(f"Model: inputs holds {shortened(node)}, expected training.Input(...).")
    return node


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) else value


def _filled(value: Any, of: Any) -> Any:
    """Arguments with values in the place of their stand-ins."""
    if isinstance(value, _Value):
        return of(value.place)
    if type(value) in (list, tuple):
        return type(value)(_filled(part, of) for part in value)
    if type(value) is dict:
        return {key: _filled(part, of) for key, part in value.items()}
    return value
