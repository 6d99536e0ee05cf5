"""Small captioners of every kind, images, and captions that are said of them."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import models, nn

V, D, PLACES = 7, 5, (2, 3)
KINDS = {
    "first": {"cell": "RNN"},
    "every": {"cell": "RNN"},
    "input": {"cell": "GRU"},
    "state": {"num_layers": 2},
    "spatial": {},
    "spatial, one layer": {"mlp_size": 0},
    "spatial, projected": {"proj_size": 2},
    "soft": {},
    "hard": {"gate": False, "cell": "GRU"},
    "soft, two layers": {"num_layers": 2, "attention_size": 3},
    "soft, asked by a word, too": {"word_asks": True},
    "soft, around a layer": {"num_layers": 2, "connect": "residual"},
    "soft, through a gate": {"num_layers": 2, "connect": "highway"},
}
every_kind = pytest.mark.parametrize("kind", KINDS)
CAPTIONS = [[1, 2, 3], [], [4], [6, 6, 5, 0]]
OF = [0, 1, 1, 2]


def images(count=3):
    return np.random.default_rng(1).standard_normal((count, 2, 2, 3))


def model_of(kind="soft", vocabulary=V, **options):
    tg.seed(0)
    encoder = nn.Conv2d(2, D, 1)
    given = {"image": kind.split(",")[0], **KINDS[kind], **options}
    model = models.Captioner(vocabulary, encoder, 4, 6, features=(D, *PLACES), **given)
    return model.astype(tg.float64)
