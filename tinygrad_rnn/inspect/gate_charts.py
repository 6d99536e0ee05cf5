"""Charts of what gates do: how often they are shut or open, and how long units remember."""

from tinygrad_rnn.errors import ArgumentError
from tinygrad_rnn.inspect.activations import Activations
from tinygrad_rnn.inspect.chart import Chart, Line, page_of_charts
from tinygrad_rnn.inspect.gates import memory, saturation

__all__ = ["draw_memory", "draw_saturation"]


def draw_saturation(activations: Activations) -> str:
    """An SVG image of ``saturation``: of each layer's gates, each unit a dot."""
    _check_gates("draw_saturation", activations)
    by_layer: dict[str, list[Line]] = {}
    for row, shares in saturation(activations).items():
        lines = by_layer.setdefault(row.place, [])
        lines.append(Line(row.name, shares.open, shares.shut, len(lines), dots=True))
    return page_of_charts(
        (
            Chart(
                f"Saturation of gates, {place}", "share of steps above 0.9",
                "share of steps below 0.1", lines, width=480,
                ends={"x": (-0.03, 1.03), "y": (-0.03, 1.03)},
            )
            for place, lines in by_layer.items()
        ),
        columns=2,
    )  # fmt: skip


def draw_memory(activations: Activations) -> str:
    """An SVG image of ``memory``: how long units remember, against the means of their gates."""
    _check_gates("draw_memory", activations)
    charts = []
    for row, found in memory(activations).items():
        lines = [
            Line(name, mean, found.lag, n, dots=True)
            for n, (name, mean) in enumerate(found.gates.items())
        ]
        if lines:
            charts.append(
                Chart(
                    f"Memory of {row.name}, {row.place}", "mean of the gate",
                    "steps until the autocorrelation is 1/e", lines, log_y=True, width=480,
                )
            )  # fmt: skip
    if not charts:
        raise ArgumentError(
            "draw_memory: no gate is as wide as a state of its layer, expected one that is: each "
            "dot is a unit of both."
        )
    return page_of_charts(charts, columns=2)


def _check_gates(where: str, activations: Activations) -> None:
    if not activations.gates:
        raise ArgumentError(
            f"{where}: no row lies in 0 to 1 throughout, expected activations of a cell with gates."
        )
