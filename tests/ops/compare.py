"""How identities of operations compare their two sides."""

import numpy as np


def close(a, b):
    """Assert that two results agree to rounding."""
    np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-12, atol=1e-12)


def same(a, b):
    """Assert that two results agree to the bit."""
    np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
