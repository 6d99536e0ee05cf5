"""Every general law holds for a right function, and finds the one that breaks exactly it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_rnn import ops
from tinygrad_rnn.testing import LawViolation, laws
from tinygrad_rnn.testing.subject import of_function


def _overwrites(x):
    x._data[...] = 1.0
    return x * 2.0


@given(st.data())
def test_a_change_of_the_inputs_is_found(data):
    subject = of_function(lambda x: ops.tanh(x), [np.ones((2, 3)) / 2])
    laws.no_mutation(subject, data.draw)
    with pytest.raises(LawViolation, match="breaks the law no_mutation: x afterwards"):
        laws.no_mutation(of_function(_overwrites, [np.ones((2, 3)) / 2]), data.draw)
