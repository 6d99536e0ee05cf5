"""Whatever a layer is made of and called with: its trace changes nothing, and adds up."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import random
from tinygrad_rnn.kernels._twin import use_reference
from tinygrad_rnn.testing import strategies as gs

OPTIONS = (
    None, {"layer_norm": True, "zoneout": 0.3}, {"state_clip": 0.5, "activation": "relu"},
    {"recurrent_dropout": 0.4, "input_dropout": 0.2, "locked": False}, {"weight_drop": 0.5},
)  # fmt: skip


def flat(given):
    """All tensors in what a layer returns."""
    if isinstance(given, tuple | list):
        return [t for each in given for t in flat(each)]
    return [given]


@given(
    config=gs.rnn_configs(
        of_cells=OPTIONS, truncate=(None, 2), recompute=(False, True), output_dropout=(0.0, 0.4)
    ),
    T=st.integers(0, 5),
    B=st.integers(1, 3),
    lengths=st.booleans(),
    resets=st.booleans(),
    seed=st.integers(0, 99),
)
def test_a_trace_changes_nothing_and_adds_up(config, T, B, lengths, resets, seed):
    layer = config.build(seed)
    rng = np.random.default_rng(seed)
    shape = (B, T) if config.batch_first else (T, B)
    x = tg.tensor(rng.standard_normal((*shape, config.input_size)), requires_grad=True)
    how = {"noise": random.noise()}
    if lengths:
        how["lengths"] = rng.integers(0, T + 1, B)
    if resets:
        how["resets"] = rng.random(shape) < 0.3
    with use_reference():
        y, state, trace = layer(x, return_trace=True, **how)
        outs = flat([y, state])
        gradients = [tg.tensor(rng.standard_normal(out.shape)) for out in outs]
        tg.backward(outs, gradients)
        mine = [x.grad, *(w.grad for w in layer.parameters())]
        x.grad = None
        layer.zero_grad()
        plain = flat(list(layer(x, **how)))
        tg.backward(plain, gradients)
        assert all(np.array_equal(a, b) for a, b in zip(outs, plain, strict=True))
        for a, b in zip(mine, [x.grad, *(w.grad for w in layer.parameters())], strict=True):
            np.testing.assert_allclose(a, b, atol=1e-12)
        for number, cells in enumerate(layer.layers):
            for direction, cell in cells.items():
                one = trace.layers[number][direction]
                for name, weight in cell.weights().items():
                    total = one.parts(name).numpy().sum(axis=0)
                    np.testing.assert_allclose(total, weight.grad, atol=1e-9)
                for name in one:
                    assert one[name].shape[:2] == shape
                    assert one.gradient(name).shape == one[name].shape
                    norms = one.gradient_norms(name, by_row=True).numpy()
                    total = np.sqrt((norms**2).sum(axis=1 if not config.batch_first else 0))
                    np.testing.assert_allclose(one.gradient_norms(name), total, atol=1e-12)
