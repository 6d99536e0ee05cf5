"""What this process may use of the machine: CPUs and memory, control groups included.

A container sees all CPUs and all memory of its host. Threads beyond its quota are put to
sleep while they hold a barrier, and memory beyond its limit ends the process.
"""

import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["cpus", "memory"]

ROOT = Path("/")


def cpus(root: Path = ROOT) -> int:
    """Return how many CPUs this process may keep busy: affinity and quotas allow no more."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows
        count = os.cpu_count() or 1
    for group in _groups(root, "cpu"):
        quota, period = (
            _numbers(group, "cpu.max")
            or _numbers(group, "cpu.cfs_quota_us", "cpu.cfs_period_us")
            or (0, 0)
        )
        if quota > 0 and period > 0:  # -1 stands for no limit
            count = min(count, quota // period)
    return max(1, count)


def memory(root: Path = ROOT) -> int:
    """Return how many bytes of memory this process may fill."""
    try:
        size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows
        size = 4 << 30
    for group in _groups(root, "memory"):
        limit = _numbers(group, "memory.max") or _numbers(group, "memory.limit_in_bytes")
        if limit and limit[0] > 0:
            size = min(size, limit[0])
    return size


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the control groups of this process, from its own up to the outermost."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0":  # version 2: one tree for all
            top = root / "sys/fs/cgroup"
        elif controller in controllers.split(","):
            top = root / "sys/fs/cgroup" / controller
        else:
            continue
        group = top / path.lstrip("/")
        yield group
        while group != top:
            group = group.parent
            yield group


def _numbers(group: Path, *names: str) -> list[int] | None:
    """Return the numbers in a group's files; None for "max", or if it is not seen from here."""
    try:
        return [int(word) for name in names for word in (group / name).read_text().split()]
    except (OSError, ValueError):
        return None
