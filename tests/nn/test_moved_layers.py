"""Layers that were converted, and inputs that were not: the error names the layer."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import losses, nn
from tinygrad_rnn.errors import ArgumentError, DTypeError, ShapeError

X, IDS = tg.ones(3, 2), np.array([0, 1, 2])
LAYERS = [  # and what each is called with
    (nn.Linear(2, 3), X), (nn.Dense(3, 2), X), (nn.TiedLinear(nn.Embedding(4, 2)), X),
    (nn.LayerNorm(2), X), (nn.BatchNorm(2), X), (nn.Highway(nn.Identity(), 2), X),
    (nn.Conv1d(2, 3, 1), tg.ones(1, 2, 3)), (nn.Conv2d(2, 3, 1), tg.ones(1, 2, 3, 3)),
    (nn.LSTM(2, 3), tg.ones(4, 1, 2)), (nn.GRUCell(2, 3), X),
    (nn.Attention("general", 2, 2), X, tg.ones(3, 1, 2)),
    (losses.AdaptiveSoftmax(2, 9, [3]), X, IDS), (losses.HierarchicalSoftmax(2, 9), X, IDS),
    (losses.SampledSoftmax(2, 9, 3), X, IDS), (losses.NCE(2, 9, 3), X, IDS),
]  # fmt: skip


@pytest.mark.parametrize(
    ("layer", "inputs"), [pytest.param(m, x, id=type(m).__name__) for m, *x in LAYERS]
)
def test_an_input_of_another_type_is_refused_by_the_layer(layer, inputs):
    before = layer.state_dict()
    layer.astype(np.float64)
    with pytest.raises(DTypeError, match=rf"^{type(layer).__name__}\b.*float32.*float64"):
        layer(*inputs)
    layer.astype(np.float32)
    np.testing.assert_equal(layer.state_dict(), before)


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: nn.Attention("dot")(X, np.ones((3, 1, 2))), DTypeError,
         "Attention: query holds float32, but keys float64"),
        (lambda: nn.Highway(nn.Identity(), 3)(X), ShapeError, r"Highway: x has shape \(3, 2\)"),
        (lambda: nn.Linear(2, 3, bias="no"), TypeError, "bias is 'no', expected True or False"),
        (lambda: nn.LayerNorm(2, eps=-1), ArgumentError, "LayerNorm: eps is -1, expected a number"),
        (lambda: nn.LeakyReLU("a"), ArgumentError, "LeakyReLU: slope is 'a', expected a number"),
        (lambda: nn.ELU(None), ArgumentError, "ELU: alpha is None, expected a number"),
        (lambda: losses.NCE(2, 9, 3, bias="no"), TypeError, "NCE: bias is 'no', expected True or"),
        (lambda: losses.NCE(2, 9, 3, sampler=5), ArgumentError, "sampler is 5, expected a losses"),
        (lambda: losses.cross_entropy(X, np.eye(2)[[0, 1, 1]]), DTypeError,
         "cross_entropy: scores holds float32, the targets float64, expected one type"),
        (lambda: losses.mse(X, np.ones((3, 2))), DTypeError, "mse: x holds float32, the targets"),
        (lambda: losses.cross_entropy(X, [0, 1, 1], weights=tg.ones(2, requires_grad=True)),
         ArgumentError, "weights requires a gradient, expected constants"),
        (lambda: losses.bce_with_logits(X, tg.ones(3, 2), pos_weight=-1.0), ArgumentError,
         "pos_weight holds -1.0, expected numbers from 0 up"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(call, kind, words):
    with pytest.raises(kind, match=words):
        call()
