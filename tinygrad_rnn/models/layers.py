"""Recurrent layers by the name of a cell, by a cell, or by whatever makes them; their states."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from tinygrad_rnn import nn
from tinygrad_rnn.arguments import shortened
from tinygrad_rnn.device import Array, array_module, there
from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.tensor import Tensor

__all__ = [
    "CellChoice", "are_plain", "arrays_of", "check_none_needed", "in_order", "nothing",
    "recurrent_layers", "state_of",
]  # fmt: skip

CellChoice = str | type[nn.Cell] | Callable[..., nn.Recurrent]


def are_plain(
    layers: nn.Recurrent, parts: Iterable[nn.Module | None], kinds: Collection[type[nn.Module]]
) -> bool:
    """Whether layers and other parts do what modules of these very kinds do, and nobody looks on.

    A quick way that passes over them would not notice what else they do.
    """
    known = all(part is None or (type(part) in kinds and not part._forward_hooks) for part in parts)
    return known and type(layers).forward is nn.Recurrent.forward


def recurrent_layers(
    where: str,
    cell: CellChoice,
    input_size: int,
    hidden_size: Any,
    num_layers: int,
    options: Any,
    *,
    ahead: bool = False,
) -> nn.Recurrent:
    """Layers that read a text in its order, unless they may look ``ahead``.

    cell          "LSTM", "GRU", "RNN", or any cell of ``nn``; a class of cells; or a function of
                  (input_size, hidden_size, num_layers, **options), such as ``nn.AWDLSTM``
    hidden_size   the width, or a list with that of each layer
    """
    _check_begins_anew(where, options.get("stateful"))
    made: Any
    kind: Any = _cells().get(cell.removesuffix("Cell")) if isinstance(cell, str) else cell
    is_cell = isinstance(kind, type) and issubclass(kind, nn.Cell)
    if is_cell and kind.input is not None:
        widths = list(hidden_size) if isinstance(hidden_size, list | tuple) else None
        first = widths[0] if widths else hidden_size
        made = nn.Recurrent(kind(input_size, first), num_layers, hidden_sizes=widths, **options)
    elif callable(kind) and not is_cell:
        made = kind(input_size, hidden_size, num_layers, **options)
    else:
        raise ArgumentError(
            f"{where}: cell is {shortened(cell)}, expected a class of cells that read an input, a "
            f"function that makes recurrent layers, or one of {', '.join(_cells())}."
        )
    if not isinstance(made, nn.Recurrent) or made.output != "all":
        raise ArgumentError(
            f"{where}: cell made {shortened(made)}, expected recurrent layers that give out all "
            "steps."
        )
    if ahead and (made.batch_first or made.merge == "none"):
        raise ArgumentError(
            f"{where}: the layers are to read x (T, B, I) and give out one y; expected neither "
            'batch_first nor merge="none".'
        )
    if not ahead and (made.batch_first or made.directions != ["forward"]):
        raise ArgumentError(
            f"{where}: the layers are to read x (T, B, I) forwards; expected neither batch_first "
            "nor reverse nor bidirectional, which sees the tokens that are to be predicted."
        )
    _check_begins_anew(where, made.stateful)
    return made


def _check_begins_anew(where: str, stateful: Any) -> None:
    if stateful:
        raise ArgumentError(
            f"{where}: stateful is {shortened(stateful)}, expected layers that begin anew: a call "
            "goes on from the state it is given, not from the call before."
        )


def check_none_needed(where: str, num_layers: int, options: Mapping[str, Any]) -> None:
    """Raise for what is said of recurrent layers where, with cell=None, there are none."""
    said = dict(options) if num_layers == 1 else {"num_layers": num_layers, **options}
    for name, value in said.items():
        raise ArgumentError(
            f"{where}: {name} is {shortened(value)} and cell None, expected a cell: it is said of "
            "recurrent layers."
        )


def arrays_of(layers: nn.Recurrent, state: Any, rows: int) -> list[list[Array]]:
    """A state of layers as ``decoding`` takes it: arrays (rows, width), by cell and name.

    They stay where they are: a search has the rows picked there that it goes on with.
    """
    return [[part.data for part in parts] for parts in layers.layout.unpack(state, (rows,))]


def state_of(layers: nn.Recurrent, arrays: Any) -> Any:
    """The other way round: a state as the layers take it."""
    cells = [[Tensor(part) for part in parts] for parts in arrays]
    return layers.layout.pack(cells, batched=True)


def in_order(x: Tensor) -> Array:
    """The numbers row by row, for what every step of a search reads."""
    with there(x._data):
        return array_module(x._data).ascontiguousarray(x.data)


def nothing(*shape: int, like: Tensor) -> Tensor:
    """Zeros of the type of another tensor and where that is: before a beginning, or as padding."""
    with there(like._data):
        return Tensor(array_module(like._data).zeros(shape, like.dtype))


def _cells() -> dict[str, type[nn.Cell]]:
    """The cells of the library that read an input, by name."""
    kinds = {name: getattr(nn, name) for name in nn.__all__ if name.endswith("Cell")}
    return {
        name.removesuffix("Cell"): kind
        for name, kind in kinds.items()
        if name != "Cell" and kind.input is not None
    }
