"""One kernel's shape: how its work is divided, what it needs, and its source's constants."""

from dataclasses import dataclass
from functools import cached_property

from tinygrad_rnn.kernels.recurrence.persistent.maps import (
    COLUMNS,
    WORDS,
    Cell,
    Precision,
    gate_place,
)

__all__ = ["WARP", "FullShape", "Shape"]

WARP = 32
_FRAGMENT = 1024  # bytes of weights that a warp holds of a tile's block
_PATIENCE = 10_000_000_000  # nanoseconds that a block waits for another before it gives up

# Of an H100, for choosing among shapes; in clocks.
_PER_MULTIPLY = 6.4  # of one of four tensor cores
_LATENCY = 33  # of a product that waits for the last
_SHARED_BYTES = 128  # that shared memory gives a clock


@dataclass(frozen=True)
class Shape:
    """One kernel: how its work is divided, and what it needs.

    cluster   blocks that exchange h, each with ``units`` units
    warps     of a block
    parts     warps that share sums: those of a set of units, or backward those of a tile
    tiles     of weights, 16 rows each, that a warp multiplies with
    blocks    of columns that it multiplies (maps.py)
    resident  how many of its tiles' blocks a warp keeps in registers
    """

    cell: Cell
    precision: Precision
    hidden: int
    backward: bool
    cluster: int
    units: int
    warps: int
    parts: int
    tiles: int
    blocks: int
    resident: int

    @property
    def threads(self) -> int:
        """Of a block."""
        return self.warps * WARP

    @property
    def fragments(self) -> int:
        """Blocks of tiles that a warp multiplies."""
        return self.tiles * self.blocks

    @property
    def depth(self) -> int:
        """Columns, those that fill the last block included."""
        return self.parts * self.blocks * self.precision.k_block

    @property
    def stride(self) -> int:
        """Bytes from one row of the right factor to the next; 8 lanes meet all banks."""
        size = self.depth * self.precision.bytes
        return size if size % 128 else size + 64

    @property
    def arriving(self) -> int:
        """Bytes that a block receives each step."""
        if self.backward:
            return self.cluster * self.parts * self.units * COLUMNS * 4
        return min(self.cluster * self.units, self.depth) * COLUMNS * self.precision.bytes

    @property
    def registers(self) -> int:
        """What a thread needs; the compiler may take more, up to what there is."""
        return self.resident * WORDS + _others(self)

    @cached_property
    def places(self) -> dict[str, int]:
        """Where in shared memory everything begins, and its end."""
        exchanged = self.cluster > 1
        sets = self.warps // self.parts
        sizes = {"AT_OPERAND": 2 * COLUMNS * self.stride}
        if self.backward:
            sizes["AT_ARRIVING"] = 2 * self.arriving
        else:
            values = 2 * len(self.cell.tiles)
            sizes["AT_PARTIAL"] = (self.parts > 1) * sets * self.parts * 2 * values * WARP * 4
            finished = COLUMNS if self.parts == 1 else COLUMNS // 2
            sent = self.cell.groups * finished * 8 * self.precision.bytes
            sizes["AT_OUTGOING"] = exchanged * self.warps * sent
        sizes["AT_WEIGHTS"] = self.warps * (self.fragments - self.resident) * _FRAGMENT
        sizes["AT_BARRIERS"] = exchanged * 16
        places, end = {}, 0
        for name, size in sizes.items():
            places[name] = end
            end += size
        return {**places, "SHARED_BYTES": end}

    @property
    def shared(self) -> int:
        """Bytes of shared memory."""
        return self.places["SHARED_BYTES"]

    @property
    def file(self) -> str:
        """The source."""
        return "tile_backward.cu" if self.backward else "tile_forward.cu"

    def definitions(self, *, packed: bool = False) -> dict[str, int | str]:
        """All constants of the source."""
        cell = self.cell
        groups = [(g, s) for g in range(cell.gates) for s in range(cell.groups)]
        tiles, halves = zip(*[gate_place(cell, *place) for place in groups], strict=True)
        return {
            cell.macro: 1, "FAST_MATH": 1, "GATES": cell.gates, "STATES": cell.states,
            "INNER": int(cell.inner), "GROUPS": cell.groups,
            "TILE_OF": ",".join(map(str, tiles)), "HALF_OF": ",".join(map(str, halves)),
            "HIDDEN": self.hidden, "ELEMENT_BYTES": self.precision.bytes, "CLUSTER": self.cluster,
            "UNITS": self.units, "THREADS": self.threads, "PARTS": self.parts,
            "TILES": self.tiles, "BLOCKS": self.blocks, "DEPTH": self.depth, "STRIDE": self.stride,
            "RESIDENT": self.resident, "ARRIVING": self.arriving, "PATIENCE": f"{_PATIENCE}ull",
            "PACKED": int(packed), "Real": "float", **self.places,
        }  # fmt: skip

    @property
    def clocks(self) -> float:
        """An estimate of a step's, for comparing shapes: multiplying, or what it waits for."""
        work = self.warps * self.fragments * 2 * _PER_MULTIPLY / min(4, self.warps)
        chain = 2 * self.fragments / min(2 * self.tiles, 8) * _LATENCY
        spilled = self.places["AT_BARRIERS"] - self.places["AT_WEIGHTS"]
        meeting = 60 * (self.parts > 1) + 20 * self.cluster
        return max(work, chain) + spilled / _SHARED_BYTES + meeting + 2 * self.warps


@dataclass(frozen=True)
class FullShape:
    """One kernel in full precision: four threads a unit, and ``rows`` rows of the batch a block.

    resident  how many times four of its weights a thread keeps in registers
    """

    cell: Cell
    hidden: int
    backward: bool
    rows: int
    number: int  # bytes of a number
    resident: int
    cluster: int = 1

    @property
    def threads(self) -> int:
        """Of a block."""
        return -(-self.hidden // 8) * WARP

    @property
    def quads(self) -> int:
        """How often four threads take four columns each."""
        return -(-self.hidden * (self.cell.gates if self.backward else 1) // 16)

    @property
    def fragments(self) -> int:
        """How many times four weights a thread has."""
        return self.quads * (1 if self.backward else self.cell.gates)

    @property
    def registers(self) -> int:
        """What a thread needs; the compiler may take more, up to what there is."""
        return self.resident * self.number + _others_in_full(self)

    @property
    def shared(self) -> int:
        """Bytes of shared memory."""
        spilled = (self.fragments - self.resident) * self.threads
        return (2 * self.rows * self.quads * 4 + spilled) * 4 * self.number

    @property
    def file(self) -> str:
        """The source."""
        return "fma_backward.cu" if self.backward else "fma_forward.cu"

    def definitions(self, *, packed: bool = False) -> dict[str, int | str]:
        """All constants of the source."""
        cell = self.cell
        return {
            cell.macro: 1, "GATES": cell.gates, "STATES": cell.states, "INNER": int(cell.inner),
            "HIDDEN": self.hidden, "THREADS": self.threads, "ROWS": self.rows,
            "QUADS": self.quads, "RESIDENT": self.resident, "PACKED": int(packed),
            "Real": "float" if self.number == 4 else "double",
        }  # fmt: skip


def _others(shape: Shape) -> int:
    """Registers of a thread beside its weights: at least what NVRTC needs for any such shape."""
    cell = shape.cell
    if shape.backward:
        return min(126, 46 + 8 * shape.tiles + 12 * (cell.gates + cell.inner))
    finished = cell.groups * (2 if shape.parts == 1 else 1)
    return 40 + 8 * shape.tiles + 8 * finished * cell.gates


def _others_in_full(shape: FullShape) -> int:
    """The same in full precision, where it is mostly sums and what is loaded ahead."""
    own, gates = -(-shape.rows // 4), shape.cell.gates
    if shape.backward:
        numbers = shape.rows + own * (2 * (gates + 4) + 3)
    else:
        numbers = gates * (shape.rows + 4) + own * (2 * gates + 2) + 4
    return 72 + numbers * shape.number // 4
