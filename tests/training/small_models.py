"""Models that tests describe, save and train, and what they ask of those that come back."""

import json

import numpy as np

from tinygrad_rnn import nn, training


def embedded():
    table = nn.Embedding(7, 4, padding_id=0, word_dropout=0.1)
    return nn.Sequential(table, nn.LSTM(4, 4), nn.TiedLinear(table, bias=False))


class Leaky(nn.Cell):
    state = ("h",)
    params = {"w_x": "I H", "w_h": "H H", "b": "H", "a": ""}

    def step(self, x, h, p):
        return p.a * h + (x @ p.w_x + h @ p.w_h + p.b).tanh()


class Net(nn.Module):
    """Arguments of several kinds, members in plain containers, one of them its own choice."""

    def __init__(self, size, cell, *names, scale=1.0, kind=nn.ReLU, **more):
        super().__init__()
        self.rnn = nn.Recurrent(cell)
        self.scale, self.names, self.more = scale, names, more
        self.parts = [nn.Linear(size, size), {"a": kind()}]
        self.head = nn.Linear(size, 3)


CUSTOM = {"Net": Net, "Leaky": Leaky}


def net(**more):
    return Net(4, Leaky(3, 4), "x", "y", scale=float("inf"), **more)


def test_modules_of_ones_own_come_back_by_their_names():
    module = net(limits=(1, 2.5, None), tables={3: [True], "k": -float("inf")}, every=slice(2))
    other = through_json(module, CUSTOM)
    check_equal(module, other)
    assert (other.scale, other.names, other.more) == (module.scale, module.names, module.more)
    assert type(other.more["limits"]) is tuple


def through_json(module, custom=None):
    description = json.loads(json.dumps(training.describe(module), allow_nan=False))
    return training.build(description, custom)


def check_equal(module, other):
    assert type(other) is type(module)
    assert repr(other) == repr(module)
    ours = [(name, type(part)) for name, part in module.named_modules()]
    assert [(name, type(part)) for name, part in other.named_modules()] == ours


def check_same_numbers(module, other):
    ours, theirs = module.state_dict(), other.state_dict()
    assert list(ours) == list(theirs)
    for name, array in ours.items():
        assert array.dtype == theirs[name].dtype
        assert np.array_equal(array, theirs[name])
