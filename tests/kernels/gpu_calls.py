"""Every CUDA source, called: small arrays, all kernels, each way through them.

``CALLS`` is all that ``test_cuda_sources.py`` wants to know of a source: it is compiled by NVRTC as
these calls compile it, run under the address sanitizer, and has no kernel that they do not launch.
A ``.cu`` file stands here by its path, generated text by the name it is given.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np


def numbers(xp: Any, dtype: Any, *shape: int) -> Any:
    return xp.asarray(np.random.default_rng(shape).standard_normal(shape).astype(dtype))


def attention(xp: Any, dtype: Any) -> None:
    from tinygrad_rnn.kernels import attention

    for B, T, S, H in ((1, 1, 1, 1), (2, 5, 9, 40)):
        query, key = numbers(xp, dtype, B, T, H), numbers(xp, dtype, B, S, H)
        vector, value = numbers(xp, dtype, H), numbers(xp, dtype, B, S, 70)
        seen = xp.asarray(np.arange(B * T * S).reshape(B, T, S) % 3 > 0).astype(np.uint8)
        scores = attention.additive_scores(query, key, vector, seen)
        attention.additive_scores(query, key, vector, None)
        attention.additive_backward(scores, query, key, vector)
        of, there = xp.zeros(3, np.int64), xp.ascontiguousarray(seen[:, 0])
        for one in (None, vector):
            attention.attend(numbers(xp, dtype, 3, H), key, one, value, there, of)
        weights = attention.masked_softmax(scores, there[:, None] != 0)
        attention.softmax_slope(scores, weights)


def noise(xp: Any, dtype: Any) -> None:
    from tinygrad_rnn.kernels import noise

    noise.uniform(-7, 3, [5, 2**32 - 1], np.array([0, 9]), 9, numbers(xp, dtype, 1))


def normalization(xp: Any, dtype: Any) -> None:
    from tinygrad_rnn.kernels import normalization

    for width in (1, 40, 300):
        x = numbers(xp, dtype, 3, width)
        normalization.standardize_slope(normalization.standardize(x, 1e-5), x, 1e-5)


def pointwise(xp: Any, dtype: Any) -> None:
    from tinygrad_rnn.kernels import pointwise

    x = numbers(xp, dtype, 300)
    for one in (pointwise.exp, pointwise.tanh, pointwise.sigmoid, pointwise.rectify):
        one(x)
    for one in (pointwise.tanh_slope, pointwise.sigmoid_slope, pointwise.rectify_slope):
        one(x, x)


def pooling(xp: Any, dtype: Any) -> None:
    from tinygrad_rnn.kernels import pooling
    from tinygrad_rnn.kernels.convolution import Windows

    x, windows = numbers(xp, dtype, 2, 3, 9, 16), Windows((2, 1), ((1, 0), (0, 1)), (1, 1))
    y, places = pooling.max_pool(x, (3, 3), windows)
    pooling.max_pool_input(y, places, x.shape[2:])


def rows(xp: Any, dtype: Any) -> None:
    from tinygrad_rnn.kernels import rows

    ids = xp.asarray(np.array([2, 0, 2, 2, 3, 2, 2]))
    rows.add_rows(numbers(xp, dtype, 4, 30), ids, numbers(xp, dtype, 7, 30))


def update(xp: Any, dtype: Any) -> None:
    import tinygrad_rnn as tg
    from tinygrad_rnn import optim
    from tinygrad_rnn.kernels import update

    update.touched(numbers(xp, dtype, 9, 40))
    given = [tg.nn.Parameter(tg.tensor(np.ones(n, dtype)).to("gpu")) for n in (5000, 3)]
    for parameter in given:
        (parameter * parameter).sum().backward()
    update.clip([p.grad.data for p in given], 1.0)
    optim.Adam(given).step()


def softmax(xp: Any, dtype: Any) -> None:
    from tinygrad_rnn.kernels import softmax

    for width in (1, 33, 300):
        x, weights = numbers(xp, dtype, 3, width), numbers(xp, dtype, width)
        g, even = numbers(xp, dtype, 2, 3)
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
    "attention/attention.cu": attention,
    "noise/noise.cu": noise,
    "normalization/normalization.cu": normalization,
    "pointwise/pointwise.cu": pointwise,
    "pooling/pooling.cu": pooling,
    "rows/rows.cu": rows,
    "softmax/softmax.cu": softmax,
    "update/update.cu": update,
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
