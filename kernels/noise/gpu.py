"""On the GPU: the numbers themselves, in one kernel; nothing is stored but them."""

from pathlib import Path

import numpy as np

from tinygrad_rnn.kernels._cuda import THREEFRY, launch, load, require
from tinygrad_rnn.kernels.noise.reference import parted

__all__ = ["uniform"]

_SOURCE = Path(__file__).with_name("noise.cu")
_PARTS = 4  # numbers a thread, as in the source


def uniform(key, site, steps, rows, width, like):
    xp = require(__name__)
    steps = xp.asarray(np.asarray(steps, np.uint32))
    rows = xp.ascontiguousarray(xp.asarray(rows), np.uint32)
    out = xp.empty((len(steps), len(rows), width), like.real.dtype)
    places = len(steps) * len(rows)
    launch(
        load(THREEFRY, _SOURCE, Real=out.dtype).get_function("uniform"),
        places * -(-width // _PARTS),
        *map(np.uint32, (*parted(key), site)), steps, rows, out,
        *map(np.int64, (places, len(rows), width)),
    )  # fmt: skip
    return out
