"""Persistent kernels through CuPy: all steps of a run by one launch, forward or backward."""

from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from tinygrad_rnn.errors import DeviceError
from tinygrad_rnn.kernels import _cuda
from tinygrad_rnn.kernels.recurrence.persistent import sources
from tinygrad_rnn.kernels.recurrence.persistent.maps import backward_places, forward_places
from tinygrad_rnn.kernels.recurrence.persistent.planner import Device, Plan
from tinygrad_rnn.kernels.recurrence.persistent.recognised import recognised
from tinygrad_rnn.kernels.recurrence.persistent.shape import FullShape, Shape

__all__ = ["check", "device_of", "walk"]

_PORTABLE = 8  # blocks of a cluster that every GPU with clusters can run
_LARGER_CLUSTERS = 14  # CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED

_offsets: "WeakKeyDictionary[Any, Any]" = WeakKeyDictionary()  # of schedules, on their device


def device_of(number: int) -> Device:
    """What a GPU offers."""
    return _device_of(number)


@lru_cache
def _device_of(number: int) -> Device:
    cupy = _cuda.require(__name__)
    attributes = cupy.cuda.Device(number).attributes
    return Device(
        capability=int(cupy.cuda.Device(number).compute_capability),
        processors=attributes["MultiProcessorCount"],
        shared=attributes["MaxSharedMemoryPerBlockOptin"],
        registers=attributes["MaxRegistersPerBlock"],
        threads=attributes["MaxThreadsPerBlock"],
    )


def walk(plan: Plan, run: Any, values: Any, *, backwards: bool) -> None:
    """Do all steps of a run, or go back through them, as run.Device.walk says."""
    layout, schedule = run.sized.layout, run.schedule
    roles = recognised(layout.lowered.program)
    if roles is None or not schedule.size:
        return  # a plan is made of roles
    shape = plan.backward if backwards else plan.forward
    packed = schedule.order is not None
    h, c = (*layout.states, None)[:2]
    gru = shape.cell.inner
    steps = [
        _offsets_of(schedule, run.like) if packed else None, schedule.places if packed else None,
        *([] if plan.precision == "highest" else [_fault(run.like)]),
        np.int64(schedule.steps), np.int64(schedule.rows), np.int32(run.reverse),
    ]  # fmt: skip
    if backwards:
        arrays = [
            values["z0"], values["z1"] if gru else None, values[h], values.get(c),
            values["dy"] if values["dy_row"] else None,
            values["dz0"], values["dz1"] if gru else None, values[f"d{h}"], values.get(f"d{c}"),
            np.int64(schedule.steps % values["kept"] * schedule.rows),
        ]  # fmt: skip
    else:
        b_h = run.params[roles.b_h] if roles.b_h else None
        arrays = [
            values["z0"], values["z1"] if gru else None, b_h, values[h], values.get(c),
            values["y"] if packed else None,
        ]  # fmt: skip
    weight = _weights(shape, run, roles.w_h)
    function = _function(shape, "backward" if backwards else "forward", packed)
    grid, block, shared = _extent(shape, -(-schedule.rows // plan.rows))
    _cuda.launch(function, grid, weight, *arrays, *steps, block=block, shared=shared)


def _extent(shape: Shape | FullShape, tiles: int) -> tuple[tuple[int], int, int]:
    """Blocks, the threads of each, and its bytes of shared memory."""
    return (shape.cluster * tiles,), shape.threads, shape.shared


@lru_cache(maxsize=256)
def _function(shape: Shape | FullShape, name: str, packed: bool) -> Any:
    """A kernel, compiled for a shape."""
    needs = 75 if isinstance(shape, FullShape) else 90 if shape.cluster > 1 else 80
    text = sources.text_of(shape.file)
    definitions = shape.definitions(packed=packed)
    function = _cuda.module(text, shape.file, needs, **definitions).get_function(name)
    if shape.cluster > _PORTABLE:
        _allow_larger_clusters(function)
    return function


def _allow_larger_clusters(function: Any) -> None:
    from cupy_backends.cuda.api import driver

    driver.funcSetAttribute(function.raw.kernel.ptr, _LARGER_CLUSTERS, 1)


# ----- weights -----


def _weights(shape: Shape | FullShape, run: Any, name: str) -> Any:
    """The recurrent weights as a kernel loads them, made once for numbers that stay."""
    weight = run.params[name]
    if isinstance(shape, FullShape):
        return _cuda.require(__name__).ascontiguousarray(weight)
    forms = run.forms.get(name)
    key = "persistent", shape
    if forms is None:
        return _ordered(shape, weight)
    if key not in forms:
        forms[key] = _ordered(shape, weight)
    return forms[key]


def _ordered(shape: Shape, weight: Any) -> Any:
    """Weights in the order of maps.py, rounded."""
    xp = _cuda.require(__name__)
    places = _places(shape, weight.device.id)
    out = xp.empty(places.shape, np.uint16 if shape.precision.bytes == 2 else np.uint32)
    _cuda.launch(
        _pack_function(shape), places.size,
        xp.ascontiguousarray(weight), places, out, np.int64(places.size),
    )  # fmt: skip
    return out.view(np.uint32)


@lru_cache(maxsize=64)
def _places(shape: Shape, device: int) -> Any:
    places = backward_places(shape) if shape.backward else forward_places(shape)
    return _cuda.require(__name__).asarray(places.reshape(-1))


@lru_cache(maxsize=64)
def _pack_function(shape: Shape) -> Any:
    text = sources.text_of("pack.cu")
    return _cuda.module(text, "pack.cu", 80, **sources.packing(shape)).get_function("pack")


# ----- steps, and what went wrong in them -----


def _offsets_of(schedule: Any, like: Any) -> Any:
    """The offsets of a schedule on its device; they are made for it once."""
    found = _offsets.get(schedule)
    if found is None:
        found = _offsets[schedule] = _cuda.require(__name__).asarray(schedule.offsets)
    return found


@lru_cache
def _fault_of(device: int) -> Any:
    cupy = _cuda.require(__name__)
    with cupy.cuda.Device(device):
        return cupy.zeros(1, np.int32)


def _fault(like: Any) -> Any:
    """The word that a kernel writes when it has waited in vain: 1 and the block's rank."""
    return _fault_of(like.device.id)


def check(device: int) -> None:
    """Raise DeviceError if a kernel on this GPU has waited for another block in vain.

    This waits for the GPU. Such a kernel has come to an end, and given NaN.
    """
    word = _fault_of(device)
    found = int(word.get()[0])
    if found:
        word.fill(0)
        raise DeviceError(
            f"a persistent recurrence on gpu:{device} waited in vain for what the other blocks of"
            f" its cluster send (block {found - 1} said so first): its results are NaN. Run it by"
            " steps, and please report this."
        )
