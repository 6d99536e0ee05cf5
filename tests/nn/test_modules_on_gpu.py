"""Modules that move between devices: what moves with them, and what is refused."""

import copy
import pickle

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.devices import assert_alike, leaves, placed, run
from tests.nn import layer_list
from tests.nn.layer_list import LAYERS, B, H, I, T
from tinygrad_rnn import models, nn, ops
from tinygrad_rnn.errors import DeviceError

pytestmark = pytest.mark.usefixtures("reference")


def small():
    tg.seed(1)
    table = nn.Embedding(7, H)
    return nn.Sequential(table, nn.LSTM(H, H), nn.TiedLinear(table), nn.BatchNorm(7))


def test_everything_moves_and_weights_stay_tied(on_gpu):
    model = small()
    parameters = list(model.parameters())
    parameters[0].grad = tg.ones(*parameters[0].shape)
    before = model.state_dict()
    assert model.to("gpu") is model
    assert list(model.parameters()) == parameters
    assert model[0].weight is model[2].weight
    assert {t.device for t in (*model.parameters(), *model.buffers())} == {"gpu:0"}
    assert parameters[0].grad.device == "gpu:0"
    assert_alike(before, model.state_dict())
    assert all(isinstance(array, np.ndarray) for array in model.state_dict().values())
    model.to("cpu")
    assert_alike(before, model.state_dict())
    assert {t.device for t in leaves([p.grad for p in parameters])} == {"cpu"}


def test_copies_stay_on_the_device_and_pickles_come_back_on_the_cpu(on_gpu):
    model = small().to("gpu")
    assert {p.device for p in copy.deepcopy(model).parameters()} == {"gpu:0"}
    again = pickle.loads(pickle.dumps(model))
    assert {p.device for p in again.parameters()} == {"cpu"}
    assert again[0].weight is again[2].weight
    assert_alike(again.state_dict(), model.state_dict())


def test_what_kernels_keep_of_weights_is_forgotten_with_a_move(on_gpu):
    layer, x = nn.Linear(80, 80), tg.ones(2, 80)
    with tg.no_grad():
        for _ in range(3):
            expected = layer(x).numpy()
        layer.weight.forms()["a packed copy"] = object()
        layer.to("gpu")
        assert not layer.weight.forms()
        np.testing.assert_allclose(layer(x.to("gpu")).numpy(), expected, atol=1e-6)
        layer.to("cpu")
        np.testing.assert_array_equal(layer(x).numpy(), expected)


@pytest.mark.parametrize("name", [n for n in LAYERS if n not in ("Embedding", "no sequences")])
def test_what_is_elsewhere_than_the_weights_is_refused(on_gpu, name):
    layer, given, options = layer_list.of(name)
    floats = list(leaves(placed(given, "cpu")))
    if not floats or not list(layer.parameters()):
        return
    layer.to("gpu")
    with pytest.raises(DeviceError, match=r"cpu.*gpu:0|gpu:0.*cpu") as caught:
        layer(*placed(given, "cpu"), **options)
    assert "mov" in str(caught.value)


def test_the_layer_and_the_argument_are_named(on_gpu):
    layer = nn.LSTM(I, H).to("gpu")
    with pytest.raises(DeviceError, match=r"^LSTM: x is on 'cpu', but the weights on 'gpu:0'"):
        layer(np.ones((T, B, I), np.float32))
    state = tg.zeros(1, B, H), tg.zeros(1, B, H)
    with pytest.raises(DeviceError, match=r"^LSTM: h is on 'cpu'.*give h.to\('gpu:0'\)"):
        layer(tg.ones(T, B, I, device="gpu"), state)
    with pytest.raises(DeviceError, match=r"^Linear: x is on 'gpu:0', but the weights on 'cpu'"):
        nn.Linear(3, 2)(tg.ones(2, 3, device="gpu"))
    with pytest.raises(DeviceError, match="cpu and gpu:0"):
        nn.Attention("dot")(tg.ones(2, 3), tg.ones(2, 4, 3, device="gpu"))


def test_ids_lengths_and_masks_may_be_on_either_side(on_gpu):
    tg.seed(1)
    table, layer = nn.Embedding(7, I, padding_id=0), nn.GRU(I, H, bidirectional=True)
    attention = nn.Attention("additive", 2 * H, 2 * H, 3)
    table.word_dropout, layer.dropout = 0.4, 0.0
    for module in (table, layer, attention):
        module.to("gpu")
    ids, lengths = np.array([[1, 0, 3]] * T), np.array([4, 0, 2])
    mask = np.arange(T)[:, None] < lengths
    words = nn.WordDropout(0.5, 6, keep=(0,))
    found = []
    for where in (lambda array: array, lambda array: tg.tensor(array, device="gpu")):
        tg.seed(3)
        vectors = table(where(ids))
        y, _ = layer(vectors, lengths=where(lengths))
        y2, _ = layer(vectors, mask=where(mask), resets=where(~mask))
        keys = y.swapaxes(0, 1)
        context, weights = attention(keys[:, 0], keys, keys, where(mask.T))
        dropped = words(where(ids))
        found.append([vectors, y, y2, context, weights, dropped])
    assert_alike(*found)


def test_dense_makes_its_weights_where_its_first_input_is(on_gpu):
    layer = nn.Dense(3)
    layer(tg.ones(2, 4, device="gpu"))
    assert {p.device for p in layer.parameters()} == {"gpu:0"}


def test_weights_that_an_option_adds_are_made_beside_the_others(on_gpu):
    cell = nn.LSTMCell(3, 4).to("gpu").configure(layer_norm=True, proj_size=2)
    assert {p.device for p in cell.parameters()} == {"gpu:0"}


def test_initialisers_draw_the_same_numbers_on_every_device(on_gpu):
    found = []
    for device in ("cpu", "gpu"):
        tg.seed(4)
        weights = [tg.zeros(6, 8, device=device) for _ in range(6)]
        nn.init.xavier_uniform_(weights[0])
        nn.init.orthogonal_(weights[1], gates=2)
        nn.init.sparse_(weights[2], 0.5)
        nn.init.identity_(weights[3])
        nn.init.he_normal_(weights[4])
        nn.init.constant_(weights[5], 3.0)
        found.append(weights)
    assert_alike(*found)


def test_stateful_layers_go_on_where_they_are_moved(on_gpu):
    found = []
    for way in (["cpu"] * 3, ["cpu", "gpu", "cpu"]):
        tg.seed(1)
        layer = nn.GRU(I, H, stateful=True).astype(tg.float64)
        rows = [layer.to(d)(placed(layer_list.X, d))[0] for d in way]
        found.append(rows)
    assert_alike(*found)


# ----- the second GPU -----


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_runs_on_a_gpu_that_is_not_the_current_one(standin, name):
    layer, given, options = layer_list.of(name)
    call = lambda layer, *given: layer(*given, **options)
    (outs, grads), (others, other_grads) = (run(layer, call, given, d) for d in ("cpu", "gpu:1"))
    assert_alike([outs, grads], [others, other_grads])


# ----- nothing waits -----


@pytest.mark.parametrize("name", LAYERS)
def test_no_layer_waits_for_the_device(on_gpu, name):
    if on_gpu is None:
        pytest.skip("waits are counted by the stand-in")
    layer, given, options = layer_list.of(name)
    layer, given = layer.to("gpu"), placed(given, "gpu")
    outs = [out for out in leaves(layer(*given, **options)) if out.requires_grad]
    total = sum(
        (ops.square(out).sum() for out in outs), tg.zeros((), dtype=tg.float64, device="gpu")
    )
    if total.requires_grad:
        total.backward()
    assert not on_gpu.waits, name


def test_a_language_model_waits_for_nothing_in_a_step(on_gpu):
    if on_gpu is None:
        pytest.skip("waits are counted by the stand-in")
    tg.seed(0)
    model = models.LanguageModel(7, 4, 5, 2, hidden_dropout=0.2, word_dropout=0.1).to("gpu")
    optimizer = tg.optim.Adam(model.parameters(), lr=0.1)
    ids = np.random.default_rng(0).integers(0, 7, (5, 3))
    for _ in range(2):
        loss, _, values = model.loss(ids[:-1], ids[1:])
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert not on_gpu.waits
    assert values["nats"].device == "gpu:0"
