"""Print digests of what the compiled kernels compute: a script, to be run as another CPU."""

import hashlib

import numpy as np

from tinygrad_rnn.kernels.matmul import matmul, pack
from tinygrad_rnn.kernels.pointwise import exp, sigmoid, tanh


def results(dtype):
    """Yield products of all kinds, and functions of numbers of all sizes."""
    rng = np.random.default_rng(0)
    for M, K, N in [(1, 8, 8), (9, 17, 53), (20, 300, 70), (150, 40, 30)]:
        a = rng.standard_normal((M, K)).astype(dtype)
        b = rng.standard_normal((K, N)).astype(dtype)
        for y in (b, np.asfortranarray(b), pack(b)):
            yield matmul(a, y, bias=b[0] if M > 1 else None)
        yield matmul(np.asfortranarray(a), b)
    x = np.concatenate([rng.standard_normal(3001) * 10.0**e for e in range(-9, 4)])
    edges = [0.0, -0.0, np.inf, -np.inf, np.nan]
    for function in (exp, tanh, sigmoid):
        yield function(np.concatenate([edges, x]).astype(dtype))


if __name__ == "__main__":
    for dtype in (np.float32, np.float64):
        digest = hashlib.sha256()
        for result in results(dtype):
            result[np.isnan(result)] = np.nan  # which NaN it is says nothing
            digest.update(result.tobytes())
        print(np.dtype(dtype).name, digest.hexdigest())  # noqa: T201
