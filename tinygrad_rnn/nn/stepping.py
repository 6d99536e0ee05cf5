"""Steps of cells, one above the other, by kernels that are called as one.

A step of a decoder reads each weight once, in a fraction of a millisecond, and what stands around
its kernels would take as long: Tensors, checks, arrays, calls. Around a short sequence it would
take a third of the time. A Stepper makes all that ready once, and again when a weight has
changed. It records nothing.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tinygrad_rnn.device import Array
from tinygrad_rnn.kernels import recurrence as kernel
from tinygrad_rnn.kernels._pool import num_threads
from tinygrad_rnn.kernels.recurrence.steps import Layer, Product
from tinygrad_rnn.kernels.softmax import log_rows
from tinygrad_rnn.nn.module import Module
from tinygrad_rnn.nn.parameter import Parameter
from tinygrad_rnn.nn.step_mark import NO_MARK, Mark, mark_of
from tinygrad_rnn.ops.recurrence import RULES, unfusable

if TYPE_CHECKING:
    from weakref import ref

    from tinygrad_rnn.nn.cell import Cell
    from tinygrad_rnn.nn.recurrent import Recurrent

__all__ = ["Outcome", "Stepper", "Weights", "stacked", "stepper_of", "still_of"]

Outcome = tuple[Array, list[list[Array]]]  # what comes out, and each cell's new states
Weights = tuple[Parameter, Parameter | None, bool]  # of a product: weight, bias, whether transposed

_MOST_ROWS = 256  # from then on what surrounds the kernels hardly counts
_MOST_NUMBERS = 1 << 19  # of states after the steps of a sequence: nor does it from then on
_MOST_SIZES = 16  # numbers of steps and rows for which they are kept ready
_MOST_SEQUENCES = 4  # of these with several steps: what they keep is larger

_Stocks = dict[tuple[int, int], list[Any]]  # steps that nobody uses: how many of how many rows


class _Ready(NamedTuple):
    """What is ready, and the mark of it all."""

    mark: Mark
    steps: _Stocks


class Stepper:
    """Runs steps of cells that it has made ready; copies of it know nothing yet."""

    def __init__(self) -> None:
        self._ready = _Ready(NO_MARK, {})
        self.answered: Any = None  # what ``ready_layers`` has asked about the last sequence
        self.answered_recorded: tuple[int, dict[Any, Any]] = -1, {}  # ``recorded_layers``, and when

    def __reduce__(self) -> Any:  # what copies and pickles are made by
        return Stepper, ()

    def __call__(
        self,
        cells: Sequence["Cell"],
        x: Array,
        states: Sequence[Sequence[Array]],
        *,
        table: Parameter | None = None,
        products: Sequence[Weights] = (),
        log_probs: bool = False,
    ) -> Outcome | None:
        """What comes out (rows, width), and the new states; None where that is not done this way.

        The first call with as many rows is not: making a step ready takes longer than doing one.

        Args:
            cells: The cells of all layers, from the first on.
            x: (rows, I), or with a table (V, I) the numbers of its rows, checked.
            states: Of each cell (rows, width) each.
            products: What is multiplied with the last layer's outputs, one after the other.
            log_probs: Whether what comes out are scores, to be log-probabilities instead.
        """
        steps, stock = self._taken(cells, 1, len(x), states[0][0], table, products, log_probs)
        if steps is None:
            return None
        found = None
        if _written(steps, states) and (table is not None or _put(steps.x, x)):
            if table is not None:
                steps.read(x)
            steps.run()
            out = log_rows(steps.out, *steps.sums[:2]) if log_probs else steps.out.copy()
            found = out, _copied(steps.after)
        stock.append(steps)
        return found

    def states(
        self, cells: Sequence["Cell"], x: Array, states: Sequence[Sequence[Array]]
    ) -> list[list[Array]] | None:
        """The new states alone, of x (rows, I); None where that is not done this way."""
        steps, stock = self._taken(cells, 1, len(x), states[0][0])
        if steps is None:
            return None
        found = None
        if _written(steps, states) and _put(steps.x, x):
            steps.run()
            found = _copied(steps.after)
        stock.append(steps)
        return found

    def sequence(
        self, cells: Sequence["Cell"], x: Array, states: Sequence[Sequence[Array]] | None
    ) -> tuple[Outcome | None, list[Any]]:
        """What comes out of x (T, B, I), and the final states; None as of a step.

        What comes out is (T, B, width). Also where steps are that nobody uses, for ``again``.

        Args:
            states: Of each cell (B, width) each, or None for zeros.
        """
        T, B, width = x.shape
        if T == 1:  # a step like those of decoders, which may be ready
            before = _zeros(cells, B, x.dtype) if states is None else states
            one = self(cells, x[0], before)
            return one and (one[0][None], one[1]), []
        if T == 0 or width != cells[0].input_size:
            return None, []
        steps, stock = self._taken(cells, T, B, x)
        if steps is None:
            return None, stock
        return _over(steps, stock, x, states), stock

    def again(self, stock: list[Any], x: Array) -> Outcome | None:
        """What ``sequence`` gives from zeros, by steps that are known to be right for it."""
        try:
            steps = stock.pop()
        except IndexError:
            return None
        return _over(steps, stock, x, None)

    def _taken(
        self, cells: Sequence["Cell"], count: int, rows: int, like: Array,
        table: Parameter | None = None, products: Sequence[Weights] = (), log_probs: bool = False,
    ) -> tuple[Any, list[Any]]:  # fmt: skip
        """Steps that nobody else uses, or None, and where they go after use."""
        if not 0 < rows <= _MOST_ROWS or not kernel.has_steps(like):
            return None, []
        others = [num_threads(), table, like.dtype.type, log_probs]  # equal dtypes may be several
        for weight, bias, _ in products:
            others += [weight, bias]
        mark, ready = self._ready  # both at once: another thread may change them
        if not mark.holds(cells, others):
            found = mark_of(cells, others)
            if found is None:
                return None, []
            ready, self.answered = {}, None
            self._ready = _Ready(found, ready)
        stock = ready.get((count, rows))
        if stock is None:
            _make_room(cells, count, rows, ready)
            return None, []
        try:
            return stock.pop(), stock  # at once: of several threads each has its own
        except IndexError:
            return _made(cells, count, rows, like, table, products, log_probs), stock


def _make_room(cells: Sequence["Cell"], count: int, rows: int, ready: _Stocks) -> None:
    """Let steps be made the next time that as many of as many rows are wanted, if that pays."""
    if count == 1:
        if len(ready) >= _MOST_SIZES:
            ready.clear()
    else:
        width = sum(sum(cell.state_sizes.values()) for cell in cells)
        if count * rows * width > _MOST_NUMBERS:
            return
        others = [key for key in list(ready) if key[0] > 1]
        if len(others) >= _MOST_SEQUENCES:
            for key in others:
                ready.pop(key, None)
    ready[count, rows] = []


def _zeros(cells: Sequence["Cell"], rows: int, dtype: Any) -> list[list[Array]]:
    return [[np.zeros((rows, n), dtype) for n in cell.state_sizes.values()] for cell in cells]


def _over(
    steps: Any, stock: list[Any], x: Array, states: Sequence[Sequence[Array]] | None
) -> Outcome | None:
    """Run steps over a sequence, if they are made for it, and put them back."""
    found: Outcome | None = steps.over(x, states) if _fit(steps, x, states) else None
    stock.append(steps)
    return found


def _fit(steps: Any, x: Array, states: Sequence[Sequence[Array]] | None) -> bool:
    """Whether steps are made for these, and can read x where it is."""
    if not (x.flags.c_contiguous and x.flags.aligned):
        return False
    return states is None or all(
        _fits(place, state)
        for given, before in zip(states, steps.before, strict=True)
        for state, place in zip(given, before, strict=True)
    )


def _written(steps: Any, states: Sequence[Sequence[Array]]) -> bool:
    """Write the states before a step; False where they are others than it is made for."""
    for given, before in zip(states, steps.before, strict=True):
        if len(given) != len(before) or not all(map(_put, before, given)):
            return False
    return True


def _put(place: Array, array: Array) -> bool:
    """Write an array where it fits."""
    if not _fits(place, array):
        return False
    place[...] = array
    return True


def _fits(place: Array, array: Array) -> bool:
    """Whether an array is on the CPU, with the shape and the type of a place."""
    if array.__class__ is not np.ndarray or array.shape != place.shape:
        return False
    same: bool = array.dtype == place.dtype
    return same


def _copied(states: Sequence[Sequence[Array]]) -> list[list[Array]]:
    return [[state.copy() for state in cell] for cell in states]


def stacked(layers: "Recurrent") -> list["Cell"] | None:
    """The cells of layers that do nothing but read each other's outputs, forwards; else None.

    They give all outputs, and start from zeros unless they are told.
    """
    plain = layers.directions == ["forward"] and layers.connect is None and not layers.stateful
    plain = plain and layers.output == "all" and not layers.initial and layers.truncate is None
    quiet = not layers.training or not (layers.dropout or layers.output_dropout)
    return layers.cells() if plain and quiet and not layers._forward_hooks else None


def still_of(known: Sequence["ref[Cell]"], layers: "Recurrent") -> list["Cell"] | None:
    """The cells of layers that were stacked, if they are and have these: both may change."""
    if layers.initial or layers.connections or layers.directions != ["forward"]:
        return None
    cells = layers.cells()
    return cells if [one() for one in known] == cells else None


def stepper_of(module: Module) -> Stepper:
    """The one that a module keeps, made when it is wanted first."""
    found: Stepper | None = vars(module).get("_stepper")
    return vars(module).setdefault("_stepper", Stepper()) if found is None else found


def _made(
    cells: Sequence["Cell"],
    count: int,
    rows: int,
    like: Array,
    table: Parameter | None,
    products: Sequence[Weights],
    log_probs: bool,
) -> Any:
    """New steps, or None where there are no kernels, or weights are of other kinds."""
    weights = [weight for cell in cells for weight in cell.weights().values()]
    weights += [weight for weight, _, _ in products] + ([] if table is None else [table])
    if not all(w.dtype == like.dtype and kernel.has_steps(w._data) for w in weights):
        return None
    if any(unfusable(cell.program) for cell in cells):
        return None
    layers = []
    for cell in cells:
        named, options = cell.weights(), cell.options
        arrays = {name: weight._data for name, weight in named.items()}
        forms = {name: weight.forms() for name, weight in named.items()}
        settings = options.settings() if options else None
        widths = list(cell.state_sizes.values())
        layers.append(Layer(cell.program, widths, arrays, forms, settings))
    factors = []
    for weight, bias, turned in products:
        array = weight._data.T if turned else weight._data
        factors.append(Product(array, weight.forms(), None if bias is None else bias._data))
    return kernel.steps(
        layers, rows, like, rules=RULES, width=cells[0].input_size or 0, count=count,
        table=None if table is None else table._data, products=factors, sums=log_probs,
    )  # fmt: skip
