"""Every layer on a GPU: the numbers and gradients of the CPU."""

import pytest

from tests.devices import assert_same
from tests.nn import layer_list
from tests.nn.layer_list import LAYERS
from tinygrad_rnn import nn

pytestmark = pytest.mark.usefixtures("reference")

# What others are made of or derived from, and what makes no numbers.
BASES = {nn.Module, nn.Cell, nn.Score, nn.ModuleList, nn.WordDropout}


def test_the_list_has_every_layer():
    every = {kind for kind in vars(nn).values() if isinstance(kind, type)}
    every = {kind for kind in every if issubclass(kind, nn.Module)} - BASES
    made = {type(module) for name in LAYERS for module in layer_list.of(name)[0].modules()}
    assert not every - made


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer(on_gpu, name):
    layer, given, options = layer_list.of(name)
    assert_same(layer, given, lambda layer, *given: layer(*given, **options))
