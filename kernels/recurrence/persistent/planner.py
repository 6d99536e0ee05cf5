"""Whether and how a recurrence is run by one kernel for all steps.

``plan`` gives a Plan, or the reason in words why there is none. It knows nothing of CuPy: what
a GPU offers comes as numbers. Everything that a kernel is made with comes from its shape.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from tinygrad_rnn.kernels.recurrence.persistent.maps import (
    CELLS,
    COLUMNS,
    PRECISIONS,
    TILE,
    WORDS,
    Cell,
    Precision,
)
from tinygrad_rnn.kernels.recurrence.persistent.shape import WARP, FullShape, Shape

__all__ = ["Device", "Plan", "plan"]

_NAMED_BARRIERS = 15
_EXCHANGE = 540  # clocks until what is sent to other blocks has arrived


@dataclass(frozen=True)
class Device:
    """What a GPU offers: the figures of an H100, but for what is said.

    shared      bytes of shared memory that a block may have
    registers   of a multiprocessor, and so of a block
    """

    capability: int
    processors: int = 132
    shared: int = 232_448
    registers: int = 65_536
    threads: int = 1024


@dataclass(frozen=True)
class Plan:
    """How a recurrence is run.

    way   "cluster": blocks that exchange h through distributed shared memory;
          "cta": a block has all units
    """

    way: str
    precision: str
    forward: Shape | FullShape
    backward: Shape | FullShape
    rows: int  # of the batch that a block, or a cluster of them, takes

    @property
    def needs(self) -> int:
        """The least compute capability."""
        return 90 if self.way == "cluster" else 80 if self.precision != "highest" else 75


# ----- choosing -----


def plan(
    kind: str,
    T: int,
    B: int,
    I: int,
    H: int,
    dtype: str,
    precision: str,
    device: Device,
    *,
    ways: tuple[str, ...] = ("cta", "cluster"),
) -> Plan | str:
    """A plan, or why there is none.

    Args:
        kind: "lstm", "gru" (reset after), "tanh" or "relu".
        dtype: "float32" or "float64".
        precision: "highest" (float32 or float64 throughout), "high" (factors of the recurrent
            product rounded to tf32) or "medium" (to bfloat16); all sum in float32 at least.
        ways: Those that are asked for.
    """
    if reason := _unfit(kind, T, B, I, H, dtype, precision):
        return reason
    return _plan(kind, B, H, dtype, precision, device, ways)


def _unfit(kind: str, T: int, B: int, I: int, H: int, dtype: str, precision: str) -> str:
    """What is wrong with the request itself, or nothing."""
    if kind not in CELLS:
        return f"no persistent kernel is written for {kind!r}, only for {', '.join(CELLS)}"
    if precision not in ("highest", *PRECISIONS):
        return f"precision is 'highest', 'high' or 'medium', not {precision!r}"
    if dtype not in ("float32", "float64"):
        return f"elements are float32 or float64, not {dtype}"
    if dtype == "float64" and precision != "highest":
        return f"precision {precision!r} is of float32; float64 has 'highest'"
    if min(T, B, H) < 1 or I < 0:
        return f"there is nothing to run in T={T}, B={B}, H={H}"
    return ""


@lru_cache(maxsize=256)
def _plan(
    kind: str, B: int, H: int, dtype: str, precision: str, device: Device, ways: tuple[str, ...]
) -> Plan | str:
    cell = CELLS[kind]
    if precision == "highest":
        if "cta" not in ways:
            return "full precision has a kernel for one block alone, 'cta'"
        return _in_full(cell, B, H, 4 if dtype == "float32" else 8, device)
    found: list[tuple[float, Plan]] = []
    reasons = []
    for way in ways:
        needs = 90 if way == "cluster" else 80
        if device.capability < needs:
            reasons.append(
                f"{way} needs compute capability {needs / 10}, not {device.capability / 10}"
            )
            continue
        for cluster in (8, 16) if way == "cluster" else (1,):
            there = _best(cell, precision, H, False, cluster, device)
            back = _best(cell, precision, H, True, cluster, device)
            if there and back:
                clocks = there.clocks + back.clocks + 2 * _EXCHANGE * (cluster > 1)
                waves = -(-cluster * -(-B // COLUMNS) // device.processors)
                found.append((clocks * waves, Plan(way, precision, there, back, COLUMNS)))
        if not any(p.way == way for _, p in found):
            reasons.append(f"{way}: {_size(cell, PRECISIONS[precision], H, way)}")
    return min(found, key=lambda pair: pair[0])[1] if found else "; ".join(reasons)


def _size(cell: Cell, precision: Precision, H: int, way: str) -> str:
    """Why weights do not fit."""
    size = H * H * cell.gates * precision.bytes / 1024
    places = "16 blocks" if way == "cluster" else "one block"
    return f"the recurrent weights, {size:.0f} KiB, do not fit into {places}"


def _best(
    cell: Cell, precision: str, H: int, backward: bool, cluster: int, device: Device
) -> Shape | None:
    """The shape that is estimated to be fastest, of those that fit."""
    every = _backward_shapes if backward else _forward_shapes
    fitting = [
        fitted
        for shape in every(cell, PRECISIONS[precision], H, cluster)
        if shape.threads <= device.threads
        and (fitted := _with_registers(shape, device)) is not None
        and fitted.shared <= device.shared
    ]
    return min(fitting, key=lambda shape: shape.clocks, default=None)


def _forward_shapes(cell: Cell, precision: Precision, H: int, cluster: int) -> Iterator[Shape]:
    units = -(-H // (TILE * cluster)) * TILE
    sets = units // (8 * cell.groups)
    for parts in (1, 2, 4):
        if parts == 1 or sets <= _NAMED_BARRIERS:
            blocks = -(-H // (precision.k_block * parts))
            warps, tiles = sets * parts, len(cell.tiles)
            yield Shape(cell, precision, H, False, cluster, units, warps, parts, tiles, blocks, 0)


def _backward_shapes(cell: Cell, precision: Precision, H: int, cluster: int) -> Iterator[Shape]:
    units = -(-H // (TILE * cluster)) * TILE
    blocks, total = -(-cell.gates * units // precision.k_block), cluster * units // TILE
    # Among blocks each part of a sum is sent; within one, two warps may as well share it.
    parts = 1 if cluster > 1 else 2
    blocks = -(-blocks // parts)
    for warps in range(units // 8, 33):
        tiles = -(-total * parts // warps)
        if warps % parts == 0 and tiles * warps == total * parts:
            yield Shape(cell, precision, H, True, cluster, units, warps, parts, tiles, blocks, 0)


def _with_registers(shape: Shape, device: Device) -> Shape | None:
    """The shape with as many weights in registers as there is room for."""
    room = _registers_of(shape.threads, device) - shape.registers
    if room < shape.fragments * WORDS:
        room -= _passing(shape)
    return replace(shape, resident=min(shape.fragments, room // WORDS)) if room >= 0 else None


def _passing(shape: Shape) -> int:
    """Registers for weights on their way from shared memory, as NVRTC has them."""
    if shape.backward:
        return 8
    return 40 if shape.parts == 1 else 16


def _registers_of(threads: int, device: Device) -> int:
    """What a thread may have: a quarter of the processor serves every fourth warp."""
    warps = -(-threads // (4 * WARP))
    return min(255, device.registers // (4 * WARP * warps) // 8 * 8)


def _in_full(cell: Cell, B: int, H: int, number: int, device: Device) -> Plan | str:
    """The plan in full precision: as few rows a block as there are processors for."""
    for rows in (8, 4, 2, 1):
        if rows > 1 and -(-B // (rows // 2)) <= device.processors:
            continue
        there = _full_shape(cell, H, False, rows, number, device)
        back = _full_shape(cell, H, True, rows, number, device)
        if there and back:
            return Plan("cta", "highest", there, back, rows)
    size = H * H * cell.gates * number / 1024
    return f"cta: the recurrent weights, {size:.0f} KiB, do not fit into one block"


def _full_shape(
    cell: Cell, H: int, backward: bool, rows: int, number: int, device: Device
) -> FullShape | None:
    shape = FullShape(cell, H, backward, rows, number, 0)
    if shape.threads > device.threads:
        return None
    room = _registers_of(shape.threads, device) - shape.registers
    shape = replace(shape, resident=min(shape.fragments, max(0, room) // number))
    return shape if room >= 0 and shape.shared <= device.shared else None
