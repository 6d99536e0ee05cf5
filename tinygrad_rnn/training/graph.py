"""Models as graphs: modules are called with nodes, which stand for values that come later."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from tinygrad_rnn import ops
from tinygrad_rnn.arguments import dtype_of, function_of, whole
from tinygrad_rnn.errors import ArgumentError, DTypeError, ModuleError, ShapeError
from tinygrad_rnn.nn import Module
from tinygrad_rnn.nn.symbol import Symbol
from tinygrad_rnn.tensor import Tensor, as_array
from tinygrad_rnn.training.rows import rows_first

__all__ = ["Input", "Node", "apply", "item", "nodes_in", "replaced", "sorted_nodes"]

Maker = Module | Callable[..., Any]


class Node(Symbol):
    """A value of a graph: what ``maker``, a module or a function, gives for its arguments.

    Arithmetic on nodes makes nodes, and so does ``node[...]``: of a Tensor a part of it, of
    several results, such as the y and the state of a recurrent layer, one of them. A module or
    function that is given a node with several results gets the first, as in ``Sequential``.
    """

    def __init__(
        self, maker: Maker | None, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> None:
        self.maker = maker
        self.args = tuple(args)
        self.kwargs = dict(kwargs or {})

    @property
    def inputs(self) -> "list[Node]":
        """The nodes among its arguments."""
        return nodes_in((self.args, self.kwargs))

    def called(self, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> "Node":
        """The node of a module's call."""
        return Node(rows_first(module), args, kwargs)

    def __add__(self, other: Any) -> "Node":
        return Node(ops.add, (self, other))

    def __radd__(self, other: Any) -> "Node":
        return Node(ops.add, (other, self))

    def __sub__(self, other: Any) -> "Node":
        return Node(ops.sub, (self, other))

    def __rsub__(self, other: Any) -> "Node":
        return Node(ops.sub, (other, self))

    def __mul__(self, other: Any) -> "Node":
        return Node(ops.mul, (self, other))

    def __rmul__(self, other: Any) -> "Node":
        return Node(ops.mul, (other, self))

    def __matmul__(self, other: Any) -> "Node":
        return Node(ops.matmul, (self, other))

    def __getitem__(self, index: Any) -> "Node":
        return Node(item, (self, index))

    def __iter__(self) -> NoReturn:
        raise TypeError(
            f"{self!r} was to be unpacked, but how many results there are is known only when the "
            "model runs; take node[0], node[1]."
        )

    def __array__(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise TypeError(
            f"{self!r} was to become an array, but it stands for numbers that come later; a "
            "function is called with training.apply(function, node)."
        )

    def __repr__(self) -> str:
        made = type(self.maker) if isinstance(self.maker, Module) else self.maker
        return f"<node of {getattr(made, '__name__', made)}>"


class Input(Node):
    """What a model is given: where a graph begins.

    Args:
        shape: Of one example, without the axis of the batch; None for an axis of any size.
        dtype: Its element type; None for any.
        name: What errors call it, and the key of its array where arrays are given in a dict.
    """

    def __init__(
        self,
        shape: int | Sequence[int | None] = (),
        dtype: Any = None,
        name: str = "input",
    ) -> None:
        super().__init__(None)
        sizes = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
        self.shape = tuple(n if n is None else whole("Input", "shape", n, 0) for n in sizes)
        self.dtype = None if dtype is None else dtype_of("Input", dtype).name
        if not isinstance(name, str):
            raise ArgumentError(f"Input: name is {name!r}, expected a text.")
        self.name = name

    def check(self, x: Any) -> None:
        """Raise unless it is a batch of such examples."""
        array = x if isinstance(x, Tensor) else as_array(x, self.name)
        fits = array.ndim == len(self.shape) + 1 and all(
            n is None or n == given for n, given in zip(self.shape, array.shape[1:], strict=True)
        )
        if not fits:
            sizes = "".join(f", {'any' if n is None else n}" for n in self.shape)
            raise ShapeError(f"Model: {self.name} has shape {array.shape}, expected (B{sizes}).")
        if self.dtype is not None and array.dtype != self.dtype:
            raise DTypeError(f"Model: {self.name} holds {array.dtype}, expected {self.dtype}.")

    def __repr__(self) -> str:
        return f"<{self.name} {self.shape}>"


def apply(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Node:
    """The node of a function's call, such as ``apply(ops.concat, [a, b], axis=-1)``."""
    function_of("apply", "function", function)
    if not nodes_in((args, kwargs)):
        raise ArgumentError("apply: given no node, expected one at least among the arguments.")
    return Node(function, args, kwargs)


def item(value: Any, index: Any) -> Any:
    """One of several results, or a part of a Tensor (of the first result)."""
    if isinstance(value, tuple) and not isinstance(index, int):
        value = value[0]
    return value[index]


def nodes_in(value: Any) -> list[Node]:
    """The nodes in arguments, however deep in lists, tuples and dicts."""
    found: list[Node] = []
    replaced(value, lambda node: found.append(node))
    return found


def replaced(value: Any, of_node: Callable[[Node], Any]) -> Any:
    """Arguments with something else in the place of every node."""
    if isinstance(value, Node):
        return of_node(value)
    if type(value) in (list, tuple):
        return type(value)(replaced(part, of_node) for part in value)
    if type(value) is dict:
        return {key: replaced(part, of_node) for key, part in value.items()}
    return value


def sorted_nodes(ends: Sequence[Node]) -> list[Node]:
    """All nodes that lead to the ends, each behind those it is made of."""
    order: list[Node] = []
    done: set[int] = set()
    open_: set[int] = set()  # on the way from an end to here
    stack = [(node, False) for node in reversed(ends)]
    while stack:
        node, made = stack.pop()
        if made:
            open_.discard(id(node))
            done.add(id(node))
            order.append(node)
        elif id(node) in open_:
            raise ModuleError(f"Model: {node!r} is made of itself; a graph has no cycles.")
        elif id(node) not in done:
            open_.add(id(node))
            stack.append((node, True))
            stack += [(part, False) for part in reversed(node.inputs)]
    return order
