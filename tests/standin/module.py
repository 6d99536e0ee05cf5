"""The module ``cupy`` itself, and ``cupyx`` beside it, of a pretended machine."""

import importlib.util
import sys
import threading
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType

import numpy as np

from tests.standin import functions, names
from tests.standin.arrays import ndarray
from tests.standin.machine import (
    CUDARuntimeError,
    Device,
    DeviceSynchronized,
    Machine,
    OutOfMemoryError,
    here,
    standing_in,
)


class Event:
    """``cupy.cuda.Event``. All that comes before it is done at once."""

    def __init__(self, block=False, disable_timing=False, interprocess=False):
        self.done = True

    def record(self, stream=None):
        pass

    def synchronize(self):
        here().wait("Event.synchronize")


class Stream:
    """``cupy.cuda.Stream``: the current one inside a with block; work on it is done at once."""

    captured = None  # launches that are recorded, and not done

    def __init__(self, null=False, non_blocking=False, ptds=False, priority=None):
        self.ptr, self.done = 0 if null else id(self), True

    def __enter__(self):
        _streams().append(self)
        return self

    def __exit__(self, *error):
        _streams().remove(self)

    def synchronize(self):
        here().wait("Stream.synchronize")

    def record(self, event=None):
        return event or Event()

    def wait_event(self, event):
        pass

    def begin_capture(self, mode=None):
        if self.ptr == 0:
            raise RuntimeError("cannot capture on the default stream")
        self.captured = []

    def end_capture(self):
        graph, self.captured = Graph(self.captured), None
        return graph

    def is_capturing(self):
        return self.captured is not None


class Graph:
    """``cupy.cuda.Graph``: launches with the addresses that they had, done again and again."""

    def __init__(self, launches):
        self.launches = launches

    def launch(self, stream=None):
        for launch in self.launches:
            launch()


Stream.null = Stream(null=True)
_local = threading.local()


def _streams():
    """The streams that have been entered: of each thread and device its own."""
    of_devices = _local.__dict__.setdefault("streams", {})
    current = sys.modules["cupy"].cuda.runtime.getDevice() if "cupy" in sys.modules else 0
    return of_devices.setdefault(current, [Stream.null])


def current_stream():
    return _streams()[-1]


class PinnedMemory(bytearray):
    """``cupy.cuda.PinnedMemoryPointer``: memory of the host that a device can read by itself."""

    @property
    def ptr(self):
        return np.frombuffer(self, np.uint8).ctypes.data

    def size(self):
        return len(self)


class MemoryPool:
    """``cupy.cuda.MemoryPool``, of the current device."""

    def set_limit(self, size=None, fraction=None):
        here().limits[here().current] = size or 0

    def get_limit(self):
        return here().limits[here().current]

    def used_bytes(self):
        return here().used[here().current]

    def total_bytes(self):
        return here().used[here().current]

    def free_bytes(self):
        return 0

    def n_free_blocks(self):
        return 0

    def free_all_blocks(self, stream=None):
        pass


class PinnedMemoryPool:
    """``cupy.cuda.PinnedMemoryPool``."""

    def free_all_blocks(self):
        pass

    def n_free_blocks(self):
        return 0


def _module(name, members):
    module = ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)
    vars(module).update(members)
    return module


def _compiling(name):
    """RawModule and RawKernel, where CUDA's sources can be run on the CPU."""
    if name not in ("RawModule", "RawKernel"):
        raise AttributeError(f"module 'cupy' has no attribute {name!r}")
    if importlib.util.find_spec("tests.standin.cuda") is None:
        raise NotImplementedError(f"the stand-in has no cupy.{name} yet.")
    from tests.standin import cuda

    return getattr(cuda, name)


def _cuda():
    runtime = _module("cupy.cuda.runtime", {
        "CUDARuntimeError": CUDARuntimeError,
        "getDeviceCount": lambda: here().devices,
        "getDevice": lambda: here().current,
        "setDevice": lambda device: Device(device).use(),
        "deviceSynchronize": lambda: here().wait("deviceSynchronize"),
        "memGetInfo": lambda: Device().mem_info,
        "driverGetVersion": lambda: 13000,
        "runtimeGetVersion": lambda: 13000,
        "getDeviceProperties": lambda device: {
            "name": b"Stand-in", "major": 9, "minor": 0, "multiProcessorCount": 132,
            "sharedMemPerBlock": 49152, "sharedMemPerBlockOptin": 232448,
            "maxThreadsPerBlock": 1024, "regsPerBlock": 65536, "warpSize": 32,
        },
    })  # fmt: skip
    memory = _module("cupy.cuda.memory", {"OutOfMemoryError": OutOfMemoryError})
    return _module("cupy.cuda", {
        "runtime": runtime, "memory": memory, "Device": Device, "Stream": Stream, "Event": Event,
        "MemoryPool": MemoryPool, "PinnedMemoryPool": PinnedMemoryPool,
        "PinnedMemoryPointer": PinnedMemory, "alloc_pinned_memory": PinnedMemory,
        "get_current_stream": lambda device_id=-1: current_stream(),
        "get_device_id": lambda: here().current,
        "is_available": lambda: bool(here().devices),
        "get_elapsed_time": lambda start, end: 0.0,
    })  # fmt: skip


def _cupy():
    pool, pinned = MemoryPool(), PinnedMemoryPool()
    members = {name: getattr(np, name) for name in (*names.TYPES, *names.CONSTANTS)}
    return _module("cupy", members | functions.ALL | {
        "ndarray": ndarray, "ufunc": functions.ufunc, "cuda": _cuda(),
        "linalg": _module("cupy.linalg", functions.LINALG),
        "get_array_module": functions.get_array_module,
        "get_default_memory_pool": lambda: pool,
        "get_default_pinned_memory_pool": lambda: pinned,
        "is_available": lambda: bool(here().devices),
        "__version__": "14.0.0",
        "__path__": [],
        "__getattr__": _compiling,
    })  # fmt: skip


def _cupyx(machine):
    def pinned(shape, dtype=float, order="C"):
        return np.zeros(shape, dtype, order)

    return _module("cupyx", {
        "allow_synchronize": machine.allow_synchronize,
        "DeviceSynchronized": DeviceSynchronized,
        "empty_pinned": pinned,
        "zeros_pinned": pinned,
        "__path__": [],
    })  # fmt: skip


@contextmanager
def installed(devices=1):
    """Let ``import cupy`` find the stand-in, on a machine with so many devices."""
    machine = Machine(devices)
    cupy, cupyx = _cupy(), _cupyx(machine)
    modules = {
        module.__name__: module
        for module in (cupy, cupyx, cupy.cuda, cupy.linalg, cupy.cuda.runtime, cupy.cuda.memory)
    }
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    forget()
    try:
        with standing_in(machine):
            machine.cupy = cupy
            yield machine
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
        forget()


def forget():
    """Let the library look for CuPy anew, and compile its sources again."""
    from tinygrad_rnn.kernels import _cuda

    for kept in vars(_cuda).values():
        if hasattr(kept, "cache_clear"):
            kept.cache_clear()
