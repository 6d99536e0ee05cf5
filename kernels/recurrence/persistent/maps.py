"""Which number stands where in the persistent kernels: each map written once.

What the kernels compute themselves (which thread has which unit) they say in the same words;
weights are put in order by these maps alone. Arguments may be arrays.

The unit of everything is the block: what one 16-byte load of each of four lanes brings of a row,
K_BLOCK numbers, which two matrix instructions multiply. Sums run over all k, so k may stand
anywhere as long as both factors agree: a lane's 16 bytes are neighbours in memory.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = [
    "CELLS", "COLUMNS", "PRECISIONS", "TILE", "WORDS", "Cell", "Precision", "backward_places",
    "forward_places", "gate_place",
]  # fmt: skip

LANES = 32
WORDS = 8  # of 32 bits, that a lane holds of a tile's block: four for each instruction
TILE = 16  # rows of a tile
COLUMNS = 8  # rows of the batch in a tile


@dataclass(frozen=True)
class Cell:
    """A recurrent cell as the kernels know it.

    gates   how many, side by side in the weights
    states  h, or h and c
    groups  of 8 units that a set of warps computes, so that its tiles are full
    tiles   the rows of each tile: two (gate, group), 8 rows each
    """

    name: str
    macro: str
    gates: int
    states: int
    groups: int
    tiles: tuple[tuple[tuple[int, int], tuple[int, int]], ...]
    inner: bool = False  # whether the last gate's part from the state is kept by itself


CELLS = {
    "lstm": Cell("lstm", "CELL_LSTM", 4, 2, 1, (((0, 0), (1, 0)), ((2, 0), (3, 0)))),
    "gru": Cell(
        "gru", "CELL_GRU", 3, 1, 2,
        (((0, 0), (1, 0)), ((0, 1), (1, 1)), ((2, 0), (2, 1))), inner=True,
    ),
    "tanh": Cell("tanh", "CELL_TANH", 1, 1, 2, (((0, 0), (0, 1)),)),
    "relu": Cell("relu", "CELL_RELU", 1, 1, 2, (((0, 0), (0, 1)),)),
}  # fmt: skip


@dataclass(frozen=True)
class Precision:
    """How the factors of a product are rounded; sums are float32 in all."""

    name: str
    bytes: int

    @property
    def a_word(self) -> int:
        """Numbers in 32 bits."""
        return 4 // self.bytes

    @property
    def a_quad(self) -> int:
        """Numbers in 16 bytes."""
        return 16 // self.bytes

    @property
    def k_block(self) -> int:
        """Numbers of a row that four lanes load."""
        return 4 * self.a_quad


PRECISIONS = {"high": Precision("high", 4), "medium": Precision("medium", 2)}


# ----- a block of a tile of the left factor -----


def row_of(lane: Any, word: Any) -> Any:
    """The row of the tile that a lane's word belongs to."""
    return lane // 4 + 8 * (word % 2)


def k_of(lane: Any, word: Any, part: Any, precision: Precision) -> Any:
    """Which number of the block it is; ``part`` counts those that share a word."""
    instruction, half = word // 4, word % 4 // 2
    return lane % 4 * precision.a_quad + (2 * instruction + half) * precision.a_word + part


def gate_place(cell: Cell, gate: int, group: int) -> tuple[int, int]:
    """The tile and the half of it that hold a gate of a group of units."""
    ((tile, half),) = [
        (t, h) for t, rows in enumerate(cell.tiles) for h in (0, 1) if rows[h] == (gate, group)
    ]
    return tile, half


# ----- the places of weights -----


def forward_places(shape: Any) -> Any:
    """Of every word that ``forward`` loads, the place of its number in (H, gates H), or -1.

    (rank, warp, block, tile, instruction, lane, word of four, number in the word)
    """
    cell, precision = shape.cell, shape.precision
    gates = np.array([[gate for gate, _ in rows] for rows in cell.tiles])
    groups = np.array([[group for _, group in rows] for rows in cell.tiles])

    def row(rank: Any, warp: Any, tile: Any, lane: Any, word: Any) -> tuple[Any, Any]:
        half, within = word % 2, row_of(lane, word) % 8
        group = warp // shape.parts * cell.groups + groups[tile, half]
        return gates[tile, half], rank * shape.units + group * 8 + within

    def place(rank: Any, warp: Any, block: Any, tile: Any, lane: Any, word: Any, part: Any) -> Any:
        gate, unit = row(rank, warp, tile, lane, word)
        k = (warp % shape.parts * shape.blocks + block) * precision.k_block
        k = k + k_of(lane, word, part, precision)
        known = (unit < shape.hidden) & (k < shape.hidden)
        return np.where(known, (k * cell.gates + gate) * shape.hidden + unit, -1)

    return _over_all(shape, place)


def backward_places(shape: Any) -> Any:
    """The same for ``backward``: rows are units of all ranks, columns gates of one."""
    cell, precision = shape.cell, shape.precision
    owned = shape.units // TILE

    def place(rank: Any, warp: Any, block: Any, tile: Any, lane: Any, word: Any, part: Any) -> Any:
        number = warp // shape.parts * shape.tiles + tile
        turned = (number + rank * owned) % (shape.cluster * owned)
        row = row_of(lane, word)
        k = turned * TILE + 2 * (row % 8) + row // 8  # neighbours in a lane, so in memory
        column = (warp % shape.parts * shape.blocks + block) * precision.k_block
        column = column + k_of(lane, word, part, precision)
        gate, unit = column // shape.units, rank * shape.units + column % shape.units
        known = (number < shape.cluster * owned) & (gate < cell.gates)
        known = known & (unit < shape.hidden) & (k < shape.hidden)
        return np.where(known, (k * cell.gates + gate) * shape.hidden + unit, -1)

    return _over_all(shape, place)


def _over_all(shape: Any, place: Callable[..., Any]) -> Any:
    """The places, in the order in which they stand in memory."""
    sizes = (
        shape.cluster, shape.warps, shape.blocks, shape.tiles,
        WORDS // 4, LANES, 4, shape.precision.a_word,
    )  # fmt: skip
    rank, warp, block, tile, instruction, lane, word, part = np.ogrid[tuple(map(slice, sizes))]
    whole = np.broadcast_to(
        place(rank, warp, block, tile, lane, 4 * instruction + word, part), sizes
    )
    return np.ascontiguousarray(whole, np.int32)
