"""On the GPU: CuPy, and through it cuBLAS. Equal to the definition to rounding, not to the bit."""

from tinygrad_rnn.kernels._cuda import require
from tinygrad_rnn.kernels.matmul import PackedMatrix
from tinygrad_rnn.kernels.matmul.checks import check_product


def matmul(a, b, *, out=None, bias=None, accumulate=False):
    xp = require(__name__)
    if isinstance(b, PackedMatrix):
        b = b.panels
    check_product(a, b, out, bias, accumulate)
    product = xp.matmul(a, b)
    if bias is not None:
        product += bias
    if out is None:
        return product
    if accumulate:
        out += product
    else:
        out[...] = product
    return out


def pack(b):
    return PackedMatrix(b.shape, b.copy())
