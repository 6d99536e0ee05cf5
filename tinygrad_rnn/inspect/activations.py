"""The states and gates of every layer and step of a model that reads a text."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinygrad_rnn.arguments import whole
from tinygrad_rnn.device import to_host
from tinygrad_rnn.errors import ArgumentError, ShapeError
from tinygrad_rnn.inspect.watching import Watched, cells_that_ran, recurrent_layers, watching
from tinygrad_rnn.tensor import Tensor
from tinygrad_rnn.training.run_state import in_use

__all__ = ["Activations", "Row", "activations"]

Array = NDArray[Any]


class Row(NamedTuple):
    """Where a row of units stands: the number of its layer, its direction, its name in the step."""

    layer: int
    direction: str
    name: str

    @property
    def place(self) -> str:
        """Its layer and direction in words."""
        return f"layer {self.layer}{' backwards' if self.direction == 'reverse' else ''}"

    def __str__(self) -> str:
        return f"{self.place} · {self.name}"


class Activations(Mapping[Row, Array]):
    """What every unit did at every step, as ``activations`` found it.

        found[0, "c"]                 (T, H)  the cells of the first layer
        found[1, "reverse", "f"]              one direction of two
        found["h"]                            where there is only one layer

    text       what was read, or "" where it is not known
    pieces     the text of each step, as the vocabulary cuts it, or None
    states     the rows that are carried from step to step; all others hold within one
    gates      the rows whose numbers all lie in 0 to 1, states apart
    retention  of each state, how much of it each step keeps: see ``Trace.retention``
    """

    def __init__(
        self,
        rows: Mapping[Row, Array],
        states: Sequence[Row],
        pieces: Sequence[str] | None = None,
        retention: Mapping[Row, Array] | None = None,
    ) -> None:
        self._rows, self.states = dict(rows), tuple(states)
        self.steps = next(iter(self._rows.values())).shape[0]
        self.pieces = None if pieces is None else list(pieces)
        self.text = "".join(self.pieces or ())
        self.retention = dict(retention or {})

    @property
    def gates(self) -> tuple[Row, ...]:
        """The rows whose numbers all lie in 0 to 1, states apart."""
        return tuple(
            row
            for row, values in self.items()
            if row not in self.states and values.size and values.min() >= 0 and values.max() <= 1
        )

    def row(self, key: Any) -> Row:
        """The one row that a name, or a layer, direction and name, stand for."""
        asked = (key,) if isinstance(key, str) else tuple(key)
        found = [row for row in self._rows if _stands_for(asked, row)]
        if len(found) == 1:
            return found[0]
        many = "several of them" if found else "none of them"
        listed = ", ".join(f"({r.layer}, {r.direction!r}, {r.name!r})" for r in self._rows)
        raise KeyError(f"activations: {key!r} is {many}, expected one: {listed}.")

    def part(self, where: str, start: Any, limit: Any) -> slice:
        """The steps from ``start`` on, ``limit`` at most."""
        start = whole(where, "start", start, least=0)
        stop = min(start + whole(where, "limit", limit, least=1), self.steps)
        if start >= self.steps:
            raise ArgumentError(
                f"{where}: start is {start}, expected less than {self.steps}, the number of steps."
            )
        return slice(start, stop)

    def by_step(self, name: str, values: Any) -> Array:
        """A feature, given for each step or for each character of the text, as one for each step.

        Of characters, the last one of a step's piece counts: it is what has been read by then.
        """
        array = np.asarray(values)
        if array.shape == (self.steps,):
            return array
        if self.pieces is not None and array.shape == (len(self.text),):
            ends = np.cumsum([len(piece) for piece in self.pieces]) - 1
            last: Array = array[np.maximum(ends, 0)]
            return last
        characters = f", or ({len(self.text)},), one for each character" if self.pieces else ""
        raise ShapeError(
            f"activations: feature {name!r} has shape {array.shape}, expected ({self.steps},), one "
            f"value for each step{characters}."
        )

    def __getitem__(self, key: Any) -> Array:
        return self._rows[self.row(key)]

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    __eq__ = object.__eq__  # comparing all numbers is not meant
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        shown = ", ".join(f"{row} {values.shape[1]}" for row, values in self.items())
        return f"<activations of {self.steps} steps: {shown}>"


def _stands_for(asked: tuple[Any, ...], row: Row) -> bool:
    if len(asked) == 1:
        return bool(asked[0] == row.name)
    if len(asked) == 2:
        return asked == (row.layer, row.name)
    return asked == tuple(row)


def activations(
    model: Any, inputs: Any, *, state: Any = None, text: str | Sequence[str] | None = None
) -> Activations:
    """Run a model over one sequence and keep what every unit of its recurrent layers does.

        found = inspect.activations(model, "to be, or not to be")     # with model.vocabulary
        found = inspect.activations(nn.LSTM(8, 16), x)                # x (T, 8) or (T, 1, 8)

    Nothing is dropped and nothing recorded meanwhile, and afterwards the model is as it was.
    Several recurrent layers are numbered through in the order in which they run.

    Args:
        model: A recurrent layer, or any Module that is built of them.
        inputs: A text, where the model has a vocabulary; token ids (T,), which the model gets
            as (T, 1); or whatever else it is called with, for one sequence.
        state: What it starts from; the model is called with it as the second argument.
        text: What stands for each step on a page: a text of T characters, or T pieces. Only
            where ``inputs`` do not tell.
    """
    layers = recurrent_layers("activations", model)
    vocabulary = getattr(model, "vocabulary", None)
    ids = _ids("activations", model, inputs)
    given = inputs if ids is None else ids[:, None]
    with in_use(model), watching(layers) as calls:
        model(given) if state is None else model(given, state)
    rows, states, retention = _rows(calls)
    steps = next(iter(rows.values())).shape[0] if rows else 0
    if not steps:
        raise ShapeError("activations: inputs have no steps, expected at least one.")
    pieces = None if text is None else list(text)
    if pieces is None and ids is not None and vocabulary is not None:
        pieces = _pieces(vocabulary, ids)
    if pieces is not None and len(pieces) != steps:
        raise ShapeError(
            f"activations: text has {len(pieces)} characters or pieces, expected {steps}, one for "
            "each step."
        )
    return Activations(rows, states, pieces, retention)


def model_inputs(where: str, model: Any, inputs: Any) -> Any:
    """What a model is called with: token ids as (T, 1), anything else as it is."""
    ids = _ids(where, model, inputs)
    return inputs if ids is None else ids[:, None]


def _ids(where: str, model: Any, inputs: Any) -> Array | None:
    """The token ids that the inputs are, or None if they are something else."""
    if isinstance(inputs, str):
        vocabulary = getattr(model, "vocabulary", None)
        if vocabulary is None:
            raise ArgumentError(
                f"{where}: inputs is a text, but {type(model).__name__} has no vocabulary; "
                "expected token ids or arrays, and the text as text=."
            )
        inputs = vocabulary.encode(inputs)
    if isinstance(inputs, Tensor) or not isinstance(inputs, np.ndarray | list | tuple):
        return None
    ids = np.asarray(inputs)
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        return None
    if not ids.size:
        raise ShapeError(f"{where}: inputs is empty, expected at least one token.")
    return ids


def _pieces(vocabulary: Any, ids: Array) -> list[str]:
    """What each token adds to the text: nothing, while a character lacks some of its bytes."""
    decoder = vocabulary.decoder()
    return [decoder.add(int(number)) for number in ids]


def _rows(calls: list[Watched]) -> tuple[dict[Row, Array], list[Row], dict[Row, Array]]:
    """All rows of all layers (T, H), which of them are states, and what is kept of those."""
    rows: dict[Row, Array] = {}
    states, retention = [], {}
    for ran in cells_that_ran(calls):
        for name in ran.trace.names:
            row = Row(ran.number, ran.direction, name)
            rows[row] = _alone(ran.trace[name], ran.layer.batch_first)
            if name in ran.cell.state_sizes:
                states.append(row)
                kept = ran.trace.retention(name)
                if kept is not None:
                    retention[row] = _alone(kept, ran.layer.batch_first)
    return rows, states, retention


def _alone(rows: Tensor, batch_first: bool) -> Array:
    """The rows of the only sequence, (T, H)."""
    array: Array = to_host(rows.data)
    if array.ndim == 2:
        return array
    sequences = array.shape[0 if batch_first else 1]
    if sequences != 1:
        raise ShapeError(f"activations: there are {sequences} sequences, expected one.")
    return array[0] if batch_first else array[:, 0]
