"""Every CUDA source, called: small arrays, all kernels, each way through them.

``CALLS`` is all that ``test_cuda_sources.py`` wants to know of a source: it is compiled by NVRTC as
these calls compile it, run under the address sanitizer, and has no kernel that they do not launch.
A ``.cu`` file stands here by its path, generated text by the name it is given.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np


def softmax(xp: Any, dtype: Any) -> None:
    from tinygrad_rnn.kernels import softmax

    rng = np.random.default_rng(0)
    for width in (1, 33, 300):
        x = xp.asarray(rng.standard_normal((3, width)).astype(dtype))
        g, even = (xp.asarray(rng.standard_normal(3).astype(dtype)) for _ in range(2))
        weights = xp.asarray(rng.random(width).astype(dtype))
        ids = xp.asarray(np.array([0, width - 1, width // 2]))
        top, total, _ = softmax.row_sums(x, weights, xp.empty_like(x))
        softmax.row_slopes(x, top, total, g)
        softmax.row_slopes(x, top, total, g, even, weights)
        for count in (1, 70):
            softmax.row_best(x, count)
        softmax.class_losses(x.copy(), ids, g)
        softmax.class_losses(x, ids, g, even, weights)


# Cells whose written kernels are looked at closely; those of others are compiled by NVRTC alone.
WRITTEN_FOR = {"gru": {}, "lstm": {"zoneout": 0.2, "input_dropout": 0.1, "layer_norm": True}}


def recurrence(xp: Any, dtype: Any) -> None:
    import tinygrad_rnn as tg
    from tests.nn.cell_list import make
    from tinygrad_rnn import nn

    for name, options in WRITTEN_FOR.items():
        layer = nn.Recurrent(make(name, 3, 5).configure(**options)).astype(dtype).to("gpu")
        x = tg.tensor(np.ones((70, 3, 3), dtype)).to("gpu").requires_grad_()
        y = layer(x, lengths=[70, 3, 0], noise=tg.random.noise())[0]
        (y * y).sum().backward()
        for rows in (3, 9):  # a row a thread of a product, and several
            layer(tg.tensor(np.ones((3, rows, 3), dtype)).to("gpu"))


CALLS: dict[str, Callable[[Any, Any], None]] = {
    "softmax/softmax.cu": softmax,
    "recurrence/gpu_steps.cu": recurrence,
    "recurrence.cu": recurrence,
}


def call_all(dtypes: tuple[str, ...] = ("float32", "float64"), names: Any = CALLS) -> None:
    """Make the calls on the machine that stands in for one with a GPU."""
    for name in names:
        for dtype in dtypes:
            CALLS[name](sys.modules["cupy"], np.dtype(dtype))


if __name__ == "__main__":  # in a process of its own, under the address sanitizer
    from tests.standin import installed

    with installed(devices=2):
        call_all(("float32",))
