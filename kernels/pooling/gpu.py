"""On the GPU: the definition, over CuPy's arrays."""

from tinygrad_rnn.kernels._cuda import require
from tinygrad_rnn.kernels.pooling.reference import added, largest


def max_pool(x, kernel, windows):
    return largest(require(__name__), x, kernel, windows)


def max_pool_input(g, places, sizes):
    return added(require(__name__), g, places, sizes)
