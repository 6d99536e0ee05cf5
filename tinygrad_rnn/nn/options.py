"""The options of recurrent layers: which there are, their values, and what goes together."""

from collections.abc import Iterable, Mapping
from numbers import Integral
from typing import Any, Literal

from tinygrad_rnn.arguments import bounded, choice, flag, shortened
from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.nn.cell_options import CellKeywords
from tinygrad_rnn.nn.checks import check_size

__all__ = ["FUSED", "Options", "check_options"]

Fused = bool | Literal["require"]

FUSED = (True, False, "require")

_CHOICES = {
    "merge": ("concat", "sum", "mean", "mul", "none"),
    "connect": (None, "residual", "highway", "dense"),
    "initial_state": ("zero", "learned"),
    "output": ("all", "last"),
    "fused": (None, *FUSED),
}


class Options(CellKeywords, total=False):
    """What every recurrent layer takes; see ``Recurrent``."""

    bidirectional: bool
    reverse: bool
    merge: Literal["concat", "sum", "mean", "mul", "none"]
    batch_first: bool
    dropout: float
    output_dropout: float
    connect: Literal["residual", "highway", "dense"] | None
    initial_state: Literal["zero", "learned"]
    stateful: bool
    output: Literal["all", "last"]
    recompute: bool | int
    truncate: int | None
    fused: Fused | None


def check_options(where: str, options: Mapping[str, Any], besides: Iterable[str] = ()) -> None:
    """Whether the options are known, have values that they can have, and go together.

    ``besides`` names what the layer takes by keyword besides these.
    """
    if unknown := [name for name in options if name not in Options.__annotations__]:
        raise TypeError(
            f"{where}: {unknown[0]!r} is not an option, expected one of "
            f"{', '.join([*Options.__annotations__, *besides])}."
        )
    for name, choices in _CHOICES.items():
        if name in options:
            choice(where, name, options[name], choices)
    for name in ("bidirectional", "reverse", "batch_first", "stateful"):
        flag(where, name, options.get(name, False))
    if options.get("truncate") is not None:
        check_size(where, "truncate", options["truncate"])
    for name in ("dropout", "output_dropout"):
        bounded(where, name, options.get(name, 0.0), least=0, below=1)
    recompute = options.get("recompute", False)
    count = isinstance(recompute, Integral) and int(recompute) > 0
    if not count and recompute is not False:
        raise ArgumentError(
            f"{where}: recompute is {shortened(recompute)}, expected True, False, or the number of "
            "pieces that sequences are to be cut into, from 1 up."
        )
    _check_directions(where, options)


def _check_directions(where: str, options: Mapping[str, Any]) -> None:
    both, reverse, connect = map(options.get, ("bidirectional", "reverse", "connect"))
    if both and reverse:
        raise ValueError(f"{where}: given bidirectional and reverse, expected one of them.")
    if options.get("stateful") and (both or reverse):
        raise ValueError(
            f"{where}: stateful goes on from the steps before, but a backward direction starts "
            "at the other end; expected one or the other."
        )
    if both and connect in ("residual", "highway"):
        if options.get("merge") == "none":
            raise ValueError(
                f"{where}: connect={connect!r} adds to one output, but merge='none' gives two; "
                "choose another merge."
            )
        if options.get("output") == "last":
            raise ValueError(
                f"{where}: connect={connect!r} with output='last' in both directions, which end "
                "at different steps; take the steps from output='all'."
            )
