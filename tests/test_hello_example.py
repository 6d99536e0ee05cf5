"""What the lecture says of "hello"."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.loaded_example import loaded
from tinygrad_rnn import ops


def test_the_lecture_s_scores_become_its_probabilities():
    found = ops.softmax(tg.tensor([1.0, 2.2, -3.0, 4.1])).numpy()
    np.testing.assert_allclose(found, [0.03, 0.13, 0.00, 0.84], atol=0.01)  # it cuts .038
    assert found.sum() == pytest.approx(1)


def test_the_network_has_the_lecture_s_shape():
    hello = loaded("hello")
    assert sorted(hello.LETTERS) == sorted("helo")
    assert hello.HIDDEN == 3
