"""What a case needs at its peak: ``python sides/losses_memory.py losses_ours.py "..."``, in MiB.

Resident memory, before the first run and at most in three of them. What is kept between runs
(gradients, for one) counts as well.
"""

import runpy
import sys
from ctypes import CDLL
from pathlib import Path


def resident(field):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise OSError(f"/proc/self/status has no {field}")


def returned():
    """Give back what is free but still held: what a case was made with would hide what it needs."""
    if "tinygrad_rnn" in sys.modules:
        sys.modules["tinygrad_rnn"].empty_cache()
    CDLL(None).malloc_trim(0)


def main(file, small, name):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    case = runpy.run_path(str(Path(__file__).with_name(file)))["case"]
    case(small)()  # code is loaded, threads are started
    work = case(name)
    returned()
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    before = resident("VmRSS")
    for _ in range(3):
        work()
    sys.stdout.write(f"{resident('VmHWM') - before}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
