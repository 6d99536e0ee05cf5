"""Recurrent layers in every configuration: which cell, how many layers, which options."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from itertools import product
from types import MappingProxyType
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tinygrad_rnn import nn
from tinygrad_rnn.arguments import flag
from tinygrad_rnn.nn.cell_options import CellKeywords
from tinygrad_rnn.nn.options import Options, check_options
from tinygrad_rnn.testing.strategies.given import Range, check_names, sizes
from tinygrad_rnn.testing.strategies.networks import build_module

__all__ = ["CELLS", "RecurrentConfig", "rnn_configs"]

MakeCell = Callable[..., nn.Cell]

# From simple to wild: a search shrinks to the left.
CELLS: Mapping[str, MakeCell] = MappingProxyType({
    "rnn": nn.RNNCell,
    "lstm": nn.LSTMCell,
    "gru": nn.GRUCell,
    "rnn_relu": partial(nn.RNNCell, nonlinearity="relu"),
    "rnn_sigmoid": partial(nn.RNNCell, nonlinearity="sigmoid"),
    "rnn_identity": partial(nn.RNNCell, nonlinearity="identity"),
    "rnn_first": partial(nn.RNNCell, nonlinearity_first=True),
    "indrnn": nn.IndRNNCell,
    "gru_before": partial(nn.GRUCell, reset_after=False),
    "mgu": nn.MGUCell,
    "naive_memory": nn.NaiveMemoryCell,
    "lstm_without_forget": nn.LSTMWithoutForgetCell,
    "lstm_peephole": nn.PeepholeLSTMCell,
    **{
        f"lstm_{variant}": partial(nn.LSTMVariantCell, variant=variant)
        for variant in ("V", "NIG", "NFG", "NOG", "NIAF", "NOAF", "CIFG", "NP", "FGR")
    },
    "mut1": nn.MUT1Cell,
    "mut2": nn.MUT2Cell,
    "mut3": nn.MUT3Cell,
    "nas": nn.NASCell,
    "rhn": nn.RHNCell,
    "autonomous": nn.AutonomousCell,
})  # fmt: skip

WITH_INPUT = tuple(name for name in CELLS if name != "autonomous")

# What is drawn unless a caller says otherwise; the first of each is what a search shrinks to.
# Dropout and states that are carried on make a layer another function at every call.
CHOICES: Mapping[str, tuple[Any, ...]] = MappingProxyType({
    "bidirectional": (False, True),
    "reverse": (False, True),
    "merge": ("concat", "sum", "mean", "mul", "none"),
    "batch_first": (False, True),
    "bias": (True, False),
    "connect": (None, "residual", "highway", "dense"),
    "unequal": (False, True),
    "initial_state": ("zero", "learned"),
    "output": ("all", "last"),
    "dropout": (0.0,),
    "output_dropout": (0.0,),
    "recompute": (False,),
    "stateful": (False,),
    "truncate": (None,),
    "fused": (None,),
    "of_cells": (None,),
})  # fmt: skip

_OF_LAYERS = frozenset(Options.__annotations__.keys() - CellKeywords.__annotations__.keys())


@dataclass(frozen=True, repr=False)
class RecurrentConfig:
    """What a recurrent layer is made of; ``build()`` makes it.

    Args:
        cell: One of ``CELLS``, or any name for what ``factory`` makes.
        input_size: None for a cell that reads no input.
        hidden_size: The width of every layer, or that of each.
        of_cells: The options of the cells, such as ``{"layer_norm": True}``.
        factory: Makes a cell from ``input_size`` and ``hidden_size``.

    The others are the options of ``nn.Recurrent``.
    """

    cell: str
    input_size: int | None
    hidden_size: int | tuple[int, ...]
    num_layers: int = 1
    bidirectional: bool = False
    reverse: bool = False
    merge: str = "concat"
    batch_first: bool = False
    bias: bool = True
    connect: str | None = None
    initial_state: str = "zero"
    output: str = "all"
    dropout: float = 0.0
    output_dropout: float = 0.0
    recompute: bool | int = False
    stateful: bool = False
    truncate: int | None = None
    fused: bool | str | None = None
    of_cells: Mapping[str, Any] | None = None
    factory: MakeCell | None = None

    def __post_init__(self) -> None:
        if self.factory is None:
            check_names("RecurrentConfig", "cell", [self.cell], tuple(CELLS))

    def build(self, seed: int = 0, dtype: Any = np.float64) -> nn.Recurrent:
        """The layer, with weights of ``build_module``: generic, equal for equal seeds."""
        layer: nn.Recurrent = build_module(self._layer, seed)
        return layer.astype(dtype)

    def _layer(self) -> nn.Recurrent:
        widths = self.hidden_size if isinstance(self.hidden_size, tuple) else None
        size = {"hidden_size": self.hidden_size if widths is None else widths[0]}
        if self.input_size is not None:
            size["input_size"] = self.input_size
        # Said only if it is not usual: a cell of somebody's own need not know of it.
        bias = {} if self.bias else {"bias": False}
        cell = (self.factory or CELLS[self.cell])(**size, **bias)
        options: Any = {name: getattr(self, name) for name in sorted(_OF_LAYERS)}
        options |= self.of_cells or {}
        return nn.Recurrent(cell, self.num_layers, hidden_sizes=widths, **options)

    def __repr__(self) -> str:
        given = []
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "factory" and value is not None:
                given.append(f"factory={getattr(value, '__qualname__', value)}")
            elif value != field.default:
                given.append(f"{field.name}={value!r}")
        return f"RecurrentConfig({', '.join(given)})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """How Hypothesis shows it: as above, without what is usual."""
        printer.text(repr(self))


def rnn_configs(
    cells: Iterable[str] | Mapping[str, MakeCell] = WITH_INPUT,
    layers: Range = (1, 3),
    input_size: Range = (1, 4),
    hidden_size: Range = (1, 4),
    **options: Any,
) -> st.SearchStrategy[RecurrentConfig]:
    """Configurations of recurrent layers; shrinks to one tanh RNN layer, 1 wide.

        gs.rnn_configs(("lstm", "gru"), layers=2, batch_first=False, merge=("concat", "sum"))
        gs.rnn_configs({"mine": MyCell, "lstm": gs.CELLS["lstm"]})

    Only what goes together is drawn: ``nn.Recurrent`` takes it.

    Args:
        cells: Names of ``CELLS``, or other names and what makes their cells: classes, or
            functions of ``input_size`` and ``hidden_size``. All that read an input unless
            given; "autonomous" reads none, and is run for a number of steps.
        layers, input_size, hidden_size: A number, or (smallest, largest).
        options: ``bias``, those of ``nn.Recurrent`` (its cells' ones in ``of_cells``), and
            ``unequal``, whether each layer has a width of its own: one value, or several to
            choose from, simplest first. All values of all options unless given, but no dropout,
            no options of cells, and no states carried on. ``of_cells`` may be a strategy, such as
            ``gs.cell_options()``; without an input there is no dropout of it.
    """
    where = "rnn_configs"
    of_cells: st.SearchStrategy[Any] | None = None
    if isinstance(options.get("of_cells"), st.SearchStrategy):
        of_cells = options.pop("of_cells")
    if isinstance(cells, Mapping):
        makers = dict(cells)
    else:
        names = (cells,) if isinstance(cells, str) else tuple(cells)
        check_names(where, "cells", names, tuple(CELLS))
        makers = {name: CELLS[name] for name in names}
    if not makers or not all(map(callable, makers.values())):
        raise ValueError(
            f"{where}: cells is {cells}, expected names, or names with the functions that make "
            "their cells."
        )
    check_names(where, "options", tuple(options) or tuple(CHOICES), tuple(CHOICES))
    count = sizes(where, "layers", layers, 1)
    blind = [name for name, make in makers.items() if not _reads_input(make)]
    if blind and (layers if isinstance(layers, int) else layers[0]) > 1:
        raise ValueError(
            f"{where}: layers is {layers}, expected 1 among them: nothing leads from layer to "
            f"layer of the cell {blind[0]!r}, which reads no input."
        )
    return _rnn_configs(
        makers,
        count,
        sizes(where, "input_size", input_size, 1),
        sizes(where, "hidden_size", hidden_size, 1),
        _Choices(options),
        of_cells,
    )


def _reads_input(make: MakeCell) -> bool:
    while isinstance(make, partial):
        make = make.func
    return getattr(make, "input", "I") is not None


class _Choices:
    """The values to choose each option from, and which of them go together."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.given = given
        options = {**CHOICES, **given}
        self.values = {k: v if isinstance(v, tuple | list) else (v,) for k, v in options.items()}
        for name, values in self.values.items():
            if not values:
                raise ValueError(f"rnn_configs: {name} is {values}, expected at least one value.")
            for value in values:
                _check({name: value})
        self.together: list[dict[str, Any]] = []
        refused = None
        for combination in product(*self.values.values()):
            chosen = dict(zip(self.values, combination, strict=True))
            try:
                _check(chosen)
            except ValueError as error:
                refused = refused or error
            else:
                self.together.append(chosen)
        if refused and not self.together:
            raise refused

    def drawn(self, draw: st.DrawFn, layers: int) -> dict[str, Any]:
        """One value for each, by as many draws in any case: shorter ones would be simpler."""
        chosen: dict[str, Any] = {}
        left = self.together
        for name, values in self.values.items():
            value = draw(st.sampled_from(values))
            fitting = [c[name] for c in left]
            unused = (name in ("connect", "unequal", "dropout") and layers == 1) or (
                name == "merge" and not chosen["bidirectional"]
            )
            chosen[name] = fitting[0] if unused or value not in fitting else value
            left = [c for c in left if c[name] == chosen[name]]
        return chosen

    def __repr__(self) -> str:
        return repr(self.given)


def _check(chosen: Mapping[str, Any]) -> None:
    """Whether options can be what they are, and go together."""
    options = {k: v for k, v in chosen.items() if k in _OF_LAYERS}
    check_options("rnn_configs", options | (chosen.get("of_cells") or {}))
    for name in ("bias", "unequal"):
        flag("rnn_configs", name, chosen.get(name, False))
    if chosen.get("unequal") and chosen.get("connect") in ("residual", "highway"):
        raise ValueError(
            f"rnn_configs: unequal is True and connect {chosen['connect']!r}, expected equal "
            "widths: what is added to a layer's output has to be as wide."
        )


@st.composite
def _rnn_configs(
    draw: st.DrawFn,
    cells: Mapping[str, MakeCell],
    layers: st.SearchStrategy[int],
    input_size: st.SearchStrategy[int | None],
    hidden_size: st.SearchStrategy[int],
    choices: _Choices,
    of_cells: st.SearchStrategy[Any] | None,
) -> RecurrentConfig:
    name, count, size = draw(st.sampled_from([*cells])), draw(layers), draw(input_size)
    make = cells[name]
    if not _reads_input(make):
        count, size = 1, None
    options = choices.drawn(draw, count)
    if of_cells is not None:
        given = {k: v for k, v in draw(of_cells).items() if size or k != "input_dropout"}
        options["of_cells"] = given or None
    widths = tuple(draw(hidden_size) for _ in range(count if options.pop("unequal") else 1))
    return RecurrentConfig(
        name,
        size,
        widths if len(set(widths)) > 1 else widths[0],
        count,
        factory=None if make is CELLS.get(name) else make,
        **options,
    )
