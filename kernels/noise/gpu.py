"""On the GPU: the definition, over CuPy's arrays."""

from tinygrad_rnn.kernels._cuda import require
from tinygrad_rnn.kernels.noise.reference import uniform_of, words


def uniform(key, site, steps, rows, width, like):
    return uniform_of(words(require(__name__), key, site, steps, rows, width), like.dtype)
