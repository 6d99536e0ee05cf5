"""What tests share that run kernels on a GPU, or on the machine that stands in for one."""

import numpy as np

from tests.standin import cuda


def stands_in():
    """Whether there is no GPU."""
    import cupy

    return hasattr(cupy.ndarray, "_host")


def sent(value):
    """Arrays, also those inside of lists and dicts, as arrays of the GPU; all else as it is."""
    import cupy

    if isinstance(value, np.ndarray):
        return cupy.asarray(value)
    if isinstance(value, dict):
        return {name: sent(part) for name, part in value.items()}
    return type(value)(map(sent, value)) if isinstance(value, list | tuple) else value


def fetched(value):
    """The other way; and nothing is there that lived on the host already."""
    if isinstance(value, list | tuple):
        return [fetched(part) for part in value]
    if isinstance(value, dict):
        return {name: fetched(part) for name, part in value.items()}
    assert type(value).__module__ == "cupy", f"a {type(value)} came from the GPU"
    return value.get()


def in_all_orders(call):
    """What ``call`` returns, fetched: the same bits, whichever thread comes first."""
    found = []
    for order in cuda.ORDERS:  # of the stand-in; a GPU just does it several times
        with cuda.orders(order):
            found.append(fetched(call()))
    for other in found[1:]:
        same_bits(found[0], other)
    return found[0]


def same_bits(one, other):
    if isinstance(one, list):
        for a, b in zip(one, other, strict=True):
            same_bits(a, b)
    else:
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype


def close(found, expected, dtype, terms):
    """Within the error of sums of so many terms, as DESIGN has it."""
    room = 16 * np.finfo(dtype).eps * np.sqrt(max(1, terms))
    assert found.dtype == dtype
    assert found.shape == expected.shape
    largest = max(1.0, np.abs(expected).max(initial=0))
    np.testing.assert_allclose(found, expected, rtol=0, atol=room * largest)
