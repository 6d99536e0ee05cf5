"""A summary counts what there is, and what a call costs, without changing anything."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn, random


def model():
    return nn.Sequential(nn.Embedding(50, 16), nn.LSTM(16, 32), nn.Dropout(), nn.Linear(32, 50))


def test_it_is_a_table_of_shapes_parameters_and_multiply_adds():
    m = model()
    m[0].freeze()
    assert str(m.summary(np.zeros((7, 3), int))) == (
        "                                    output  parameters  multiply-adds\n"
        "Sequential                      (7, 3, 50)       8,722        162,624\n"
        "  0: Embedding                  (7, 3, 16)         800              0\n"
        "  1: LSTM                       (7, 3, 32)       6,272        129,024\n"
        "    layers.0.forward: LSTMCell                   6,272\n"
        "  2: Dropout                    (7, 3, 32)           0              0\n"
        "  3: Linear                     (7, 3, 50)       1,650         33,600\n"
        "8,722 parameters, 800 of them frozen"
    )


def test_without_inputs_it_counts_parameters():
    found = nn.Linear(3, 2).summary()
    assert (found.parameters, found.trainable, found.multiply_adds) == (8, 8, None)
    assert str(found) == "        parameters\nLinear           8\n8 parameters, 0 of them frozen"


@pytest.mark.parametrize(
    ("module", "inputs", "expected"),
    [
        (nn.Linear(3, 2), [(5, 4, 3)], 5 * 4 * 3 * 2),
        (nn.GRU(3, 4, fused=False), [(5, 2, 3)], 5 * 2 * 12 * (3 + 4)),
        (nn.Conv2d(4, 6, (3, 2), groups=2), [(2, 4, 5, 5)], 2 * 6 * 3 * 4 * 2 * 3 * 2),
        (nn.Attention("dot"), [(2, 3, 4), (2, 5, 4)], 2 * 2 * 3 * 5 * 4),
        (nn.Attention("additive", 4, 4, 6), [(2, 3, 4), (2, 5, 4)],
         2 * (3 + 5) * 4 * 6 + 2 * 3 * 5 * 6 + 2 * 3 * 5 * 4),
    ],
)  # fmt: skip
def test_every_product_is_counted(module, inputs, expected):
    assert module.summary(*(tg.zeros(*shape) for shape in inputs)).multiply_adds == expected


def test_a_module_that_is_called_twice_costs_twice_and_is_counted_once():
    shared = nn.Linear(3, 3)
    found = nn.Sequential(shared, shared).summary(tg.ones(2, 3))
    assert (found.parameters, found.multiply_adds) == (12, 2 * 2 * 9)


def test_nothing_is_changed_by_looking():
    m = nn.Sequential(nn.Dense(2), nn.BatchNorm(3), nn.GRU(2, 2, stateful=True))
    x, before = tg.ones(4, 3, 1), str(random.get_state())
    found = m.summary(x)
    assert [row.shape for row in found.rows][:4] == [(4, 3, 2)] * 4
    assert m[0].weight is None
    assert not m[1].running_mean.numpy().any()
    assert m[2].carried is None
    assert m.training
    assert str(random.get_state()) == before
