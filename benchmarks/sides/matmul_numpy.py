"""The same products by NumPy's OpenBLAS."""

import numpy as np
from sides.sizes import FORMS, parse


def case(name):
    form, M, K, N, dtype = parse(name)
    shape_a, shape_b = FORMS[form](M, K, N)
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(shape).astype(dtype) for shape in (shape_a, shape_b))
    if form == "a bT":
        b = b.T
    if form == "aT b":
        a = a.T
    out = np.empty((a.shape[0], b.shape[1]), dtype)
    times = 50 if form == "fifty" else 1

    def work():
        for _ in range(times):
            np.matmul(a, b, out=out)

    return work
