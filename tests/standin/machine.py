"""The pretended machine: its devices, their memory, and how often the host has waited for them."""

import threading
from collections import Counter
from contextlib import contextmanager

ROUNDING = 512  # CuPy's pool hands out multiples of it


class CUDARuntimeError(RuntimeError):
    """What the CUDA runtime refuses."""


class OutOfMemoryError(MemoryError):
    """CuPy's own, in its words."""

    def __init__(self, size, total, limit=0):
        text = f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes"
        super().__init__(text + (f", limit set to: {limit:,} bytes)." if limit else ")."))


class DeviceSynchronized(RuntimeError):
    """The host has waited where ``cupyx.allow_synchronize(False)`` forbids it."""


class Machine:
    """Some devices. One at a time is the current one of a thread; new arrays live there."""

    def __init__(self, devices=1):
        self.devices = devices
        self.waits = Counter()  # how the host has waited for a device, and how often
        self.uploads = 0  # arrays copied from the host
        self.used = [0] * devices  # bytes
        self.peak = [0] * devices
        self.limits = [0] * devices  # of their pools; 0 for none
        self._local = threading.local()

    @property
    def synchronised(self):
        """How often the host has waited for a device, in whatever way."""
        return self.waits.total()

    def wait(self, how):
        """Count that the host waits for what a device computes."""
        if not getattr(self._local, "may_wait", True):
            raise DeviceSynchronized(f"{how} waits for the device.")
        self.waits[how] += 1

    @contextmanager
    def allow_synchronize(self, allow):
        """As ``cupyx.allow_synchronize``: with False, whoever waits is told so at that place."""
        before = getattr(self._local, "may_wait", True)
        self._local.may_wait = allow
        try:
            yield
        finally:
            self._local.may_wait = before

    @property
    def current(self):
        """The number of this thread's current device."""
        return getattr(self._local, "device", 0)

    @current.setter
    def current(self, number):
        if not 0 <= number < self.devices:
            raise CUDARuntimeError("cudaErrorInvalidDevice: invalid device ordinal")
        self._local.device = number


_installed = None


def here():
    """The machine that stands in now."""
    if _installed is None:
        raise RuntimeError("the stand-in for CuPy is not installed: ask for the fixture.")
    return _installed


@contextmanager
def standing_in(machine):
    """Let arrays live on this machine."""
    global _installed
    before, _installed = _installed, machine
    try:
        yield machine
    finally:
        _installed = before


class Allocation:
    """Memory of a device, which is given back with the last array that views it."""

    def __init__(self, machine, device, size):
        self.size, self.device, self._machine = 0, device, machine
        rounded = -(-size // ROUNDING) * ROUNDING
        limit, used = machine.limits[device], machine.used[device]
        if limit and used + rounded > limit:
            raise OutOfMemoryError(rounded, used, limit)
        self.size = rounded
        machine.used[device] = used + rounded
        machine.peak[device] = max(machine.peak[device], used + rounded)

    def __del__(self):
        self._machine.used[self.device] -= self.size


class Device:
    """``cupy.cuda.Device``: the current one inside a with block."""

    def __init__(self, device=None):
        self.id = here().current if device is None else int(device)
        self._before = []

    def __enter__(self):
        pretended = here()
        self._before.append(pretended.current)
        pretended.current = self.id
        return self

    def __exit__(self, *error):
        here().current = self._before.pop()

    def use(self):
        here().current = self.id

    def synchronize(self):
        here().wait("Device.synchronize")

    def __eq__(self, other):
        return isinstance(other, Device) and other.id == self.id

    def __hash__(self):
        return hash(self.id)

    def __int__(self):
        return self.id

    def __repr__(self):
        return f"<CUDA Device {self.id}>"

    compute_capability = "90"

    @property
    def mem_info(self):
        total = here().limits[self.id] or 1 << 34
        return total - here().used[self.id], total

    @property
    def attributes(self):
        return {
            "MultiProcessorCount": 132, "MaxSharedMemoryPerBlockOptin": 232448,
            "MaxRegistersPerBlock": 65536, "MaxThreadsPerBlock": 1024,
        }  # fmt: skip


class Pointer:
    """Where an array stands in memory."""

    def __init__(self, ptr, device):
        self.ptr, self.device_id, self.device = ptr, device, Device(device)
