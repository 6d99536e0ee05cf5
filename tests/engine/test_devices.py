"""Tensors on a GPU: how they get there and back, what they are beside NumPy, and what fails."""

import copy
import pickle

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn, ops, optim
from tinygrad_rnn.errors import (
    DeviceError,
    GradientError,
    IndexRangeError,
    OutOfMemoryError,
    ShapeError,
)
from tinygrad_rnn.testing import assert_gradients


@pytest.fixture
def x(on_gpu):
    return tg.tensor([[1.0, -2.0, 3.0], [4.0, 5.0, -6.0]], device="gpu", requires_grad=True)


# ----- there and back -----


def test_there_and_back(x):
    assert x.device == "gpu:0"
    assert x.to("gpu") is x
    back = x.to("cpu")
    assert (back.device, type(back.data)) == ("cpu", np.ndarray)
    (back * back).sum().backward()
    assert x.grad.device == "gpu:0"
    np.testing.assert_array_equal(x.grad.numpy(), 2 * x.numpy())
    assert type(x.numpy()) is np.ndarray
    assert not x.numpy().flags.writeable
    np.testing.assert_array_equal(np.asarray(x), x.numpy())
    assert x.tolist()[1] == [4, 5, -6]


@pytest.mark.parametrize(
    "make",
    [
        lambda **how: tg.zeros(2, 3, **how),
        lambda **how: tg.ones((2,), **how),
        lambda **how: tg.full((2, 2), 7.0, **how),
        lambda **how: tg.eye(3, **how),
        lambda **how: tg.arange(2, 9, 2, **how),
        lambda **how: tg.linspace(0, 1, 5, **how),
        lambda **how: tg.tensor([1, 2], **how),
        lambda **how: tg.rand(3, **how),
        lambda **how: tg.randn(3, **how),
    ],
)
def test_what_is_made_is_made_there(make, on_gpu):
    tg.seed(4)
    here = make()
    tg.seed(4)
    there = make(device="gpu")
    assert (there.device, there.dtype) == ("gpu:0", here.dtype)
    np.testing.assert_array_equal(there.numpy(), here.numpy())
    assert tg.zeros_like(there).device == tg.ones_like(there).device == "gpu:0"


def test_how_it_is_shown(x):
    assert repr(tg.ones(2, device="gpu")) == "tensor([1., 1.], device='gpu:0')"
    assert "requires_grad=True" in repr(x)
    assert f"{x.sum():.1f}" == "5.0"
    assert (x.sum().item(), int(x[0, 2]), float(x[0, 0]), bool(x[0, 0] > 0)) == (5, 3, 1, True)
    assert 5.0 in x
    assert 7.0 not in x


def test_copies_and_pickles(x):
    twin = copy.deepcopy(x)
    assert (twin.device, twin.requires_grad) == ("gpu:0", True)
    assert copy.copy(x)._data is x._data
    again = pickle.loads(pickle.dumps(x))
    np.testing.assert_array_equal(again.numpy(), x.numpy())
    assert again.device == "cpu"  # wherever it is read, there may be no GPU


def test_files_hold_numbers_of_the_cpu(tmp_path, on_gpu):
    module = nn.Linear(3, 2).to("gpu")
    tg.save(tmp_path / "weights.safetensors", module)
    read = tg.load(tmp_path / "weights.safetensors")
    assert {type(a) for a in read.values()} == {np.ndarray}
    other = nn.Linear(3, 2).to("gpu")
    other.load_state_dict(read)
    assert other.weight.device == "gpu:0"
    np.testing.assert_array_equal(other.weight.numpy(), module.weight.numpy())


def test_writing_a_leaf(x):
    x.assign_(np.ones((2, 3), np.float32))
    x.data = tg.zeros(2, 3)
    assert x.device == "gpu:0"
    assert not x.numpy().any()
    with pytest.raises(ShapeError):
        x.assign_([1.0, 2.0])


# ----- beside arrays -----


def test_comparisons_are_arrays_of_the_gpu(x):
    for found in (x > 0, x == x, x != 1, x <= x[0], 1 > x):  # noqa: SIM300
        assert (type(found).__module__, found.dtype) == ("cupy", np.bool_)
    with pytest.raises(DeviceError, match="gt: got arrays of cpu and gpu:0"):
        x.__gt__(np.ones(3))
    assert x != "a"


INDICES = [
    1, slice(0, 1), (0, slice(None), None), [1, 0, 1], ([1, 0], [2, 2]), np.array([[1], [0]]),
    (slice(None), np.array([2, 0])), [True, False], np.array([[True, False, True]] * 2), (..., -1),
]  # fmt: skip


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_an_index_may_come_from_anywhere(x, index):
    host = x.detach().to("cpu").requires_grad_()
    there = tuple(map(sent, index)) if isinstance(index, tuple) else sent(index)
    for given in (index, there):
        found, wanted = x[given], host[index]
        assert found.device == "gpu:0"
        np.testing.assert_array_equal(found.numpy(), wanted.numpy())
        g, w = tg.grad((found * found).sum(), [x]), tg.grad((wanted * wanted).sum(), [host])
        np.testing.assert_array_equal(g[0].numpy(), w[0].numpy())


def sent(part):
    return tg.tensor(part, device="gpu") if isinstance(part, list | np.ndarray) else part


@pytest.mark.parametrize(
    "read",
    [
        lambda x, i: x[i],
        lambda x, i: ops.embedding(x, i),
        lambda x, i: ops.gather(x, 0, i[:, None]),
        lambda x, i: ops.take_along_axis(x, i[:, None], 0),
        lambda x, i: ops.index_add(x, i, 1.0),
        lambda x, i: ops.scatter_add(x, 0, i[:, None], tg.ones(2, 1, device="gpu")),
        lambda x, i: ops.index_update(x, (slice(None), i), 1.0),
    ],
)
def test_places_out_of_range_are_found(x, read):
    """Those of the CPU at once, those of the GPU by a debug session."""
    bad = np.array([0, 3])
    with pytest.raises(IndexRangeError, match="3"):
        read(x, bad)
    with tg.debug(), pytest.raises(IndexRangeError, match="3"):
        read(x, tg.tensor(bad, device="gpu").data)


def test_ids_out_of_range_are_not_waited_for(x, on_gpu):
    import cupyx

    weight, ids = x.detach().requires_grad_(), tg.tensor([1, 7, -1], device="gpu")
    with cupyx.allow_synchronize(False):
        found = ops.embedding(weight, ids)
        found.sum().backward()
    assert np.isnan(found.numpy()).tolist() == [[False] * 3, [True] * 3, [True] * 3]
    loss = tg.losses.cross_entropy(x, tg.tensor([1, 3], device="gpu"))
    assert np.isnan(loss.item())
    with tg.debug(), pytest.raises(IndexRangeError, match="class 3"):
        tg.losses.cross_entropy(x, tg.tensor([1, 3], device="gpu"))


def test_the_way_back_to_the_cpu_is_never_silent(x):
    here, there = tg.ones(2, 3), tg.tensor([1, 0], device="gpu")
    for mixed in (
        lambda: here[there],
        lambda: here[there.data],
        lambda: ops.embedding(here, there),
        lambda: ops.where(x.data > 0, here, 0.0),
        lambda: ops.masked_softmax(here, x.data > 0),
        lambda: tg.losses.cross_entropy(here, there),
        lambda: here @ x.T,
        lambda: ops.concat([here, x]),
        lambda: x + np.ones(3, np.float32),
        lambda: np.ones(3, np.float32) * x,
    ):
        with pytest.raises(DeviceError, match="one device"):
            mixed()
    with pytest.raises(DeviceError, match="got a gradient of"):
        x.sum().backward(tg.tensor(1.0))
    with pytest.raises(DeviceError, match="expected"):
        x.grad = tg.ones(2, 3)


def test_numpy_functions_lose_no_gradient_here_either(x):
    with pytest.raises(GradientError, match=r"np\.exp"):
        np.exp(x)
    with tg.no_grad():
        assert type(np.exp(x)) is np.ndarray


# ----- modes, hooks and transforms -----


def test_modes_hooks_and_retained_gradients(x):
    with tg.no_grad():
        assert not (x * 2).requires_grad
    seen = []
    y = (x * 2).retain_grad()
    y.register_hook(lambda g: seen.append(g.device) or g * 3)
    y.register_hook(lambda g: seen.append(type(g.data).__module__))
    y.sum().backward()
    assert seen == ["gpu:0", "cupy"]
    assert x.grad.tolist() == [[6.0] * 3] * 2
    assert y.grad.device == "gpu:0"
    z = (x * 2).retain_grad()
    z.register_hook(lambda g: tg.ones(2, 3))
    with pytest.raises(ShapeError, match="returned a gradient of"):
        z.sum().backward()


def test_transforms(x):
    def f(a):
        return (a * a * a).tanh().sum()

    x = x.detach() * 0.3
    here = x.to("cpu")
    v = ops.to(tg.tensor([[1.0, 2.0, 0.5], [0.1, 0.2, 0.3]]), "gpu")
    for one, other in (
        (tg.jvp(f, x, v), tg.jvp(f, here, v.to("cpu"))),
        (tg.hvp(f, x, v), tg.hvp(f, here, v.to("cpu"))),
        ([tg.jacobian(lambda a: a.tanh(), x)], [tg.jacobian(lambda a: a.tanh(), here)]),
    ):
        for a, b in zip(flat(one), flat(other), strict=True):
            assert a.device == "gpu:0"
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-5, atol=1e-6)


def flat(found):
    return [t for part in found for t in (part if isinstance(part, tuple | list) else [part])]


def test_checkpoints_debugging_and_rows(x):
    y = tg.checkpoint(lambda a: (a * a).exp(), x * 0.1)
    with tg.debug():
        (y.sum() + (x * x).sum()).backward()
    assert np.isfinite(x.grad.numpy()).all()
    w = tg.ones(3, 2, device="gpu", requires_grad=True)
    found = tg.per_sample_grads((x.detach() @ w).sum(-1), [w])
    assert found[0].shape == (2, 3, 2)
    assert found[0].device == "gpu:0"


def test_checks_of_gradients(on_gpu):
    assert_gradients(lambda a: (a.to("gpu") * 2).tanh().to("cpu"), np.ones((2, 2)), order=2)


# ----- what there is not -----


def test_a_gpu_that_is_not_there(x):
    with pytest.raises(DeviceError, match=r"'gpu:7' was asked for, but this machine has \d+ GPU"):
        x.to("gpu:7")
    with pytest.raises(DeviceError, match=r'expected "cpu", "gpu" or "gpu:N"'):
        tg.zeros(2, device="cuda")


def test_two_gpus_do_not_mix(standin):
    a, b = tg.ones(3, device="gpu:0"), tg.ones(3, device="gpu:1", requires_grad=True)
    assert (b * 2).device == "gpu:1"
    with pytest.raises(DeviceError, match="got arrays of gpu:0 and gpu:1"):
        a + b
    with pytest.raises(DeviceError, match="expected both on one device"):
        b[tg.tensor([0]).to("gpu").data]
    moved = b.to("gpu:0") * a
    moved.sum().backward()
    assert (moved.device, b.grad.device) == ("gpu:0", "gpu:1")
    assert copy.deepcopy(b).device == "gpu:1"


@pytest.fixture
def full(standin):
    """Run out of memory: nothing more may be made than what there is, and so many bytes."""
    standin.devices = 1

    def limit(room):
        standin.limits[0] = standin.used[0] + room if room else 0

    return limit


def test_out_of_memory_says_how_much_of_what(full):
    x = tg.ones(1000, 100, device="gpu", requires_grad=True)
    full(2 << 10)
    with pytest.raises(OutOfMemoryError, match=r"tanh: .*float32\[1000, 100\] \(400,000 bytes\)"):
        x.tanh()
    with pytest.raises(OutOfMemoryError, match="Out of memory allocating 400,384 bytes"):
        x * x
    with pytest.raises(MemoryError, match=r"to 'gpu:0': .*float32\[500, 500\]"):
        tg.zeros(500, 500).to("gpu")
    with pytest.raises(OutOfMemoryError, match="embedding"):
        ops.embedding(x, np.arange(10))
    full(0)
    y = x.tanh().sum()
    full(1 << 10)
    with pytest.raises(OutOfMemoryError, match="backward: there is no memory left"):
        y.backward()
    assert x.grad is None


def test_a_step_without_memory_changes_nothing(full):
    module = nn.Linear(50, 60).to("gpu")
    (module(tg.ones(4, 50, device="gpu"))).sum().backward()
    before = [p.numpy().copy() for p in module.parameters()]
    optimizer = optim.Adam(module.parameters())
    full(20_000)  # enough for some of what is kept
    with pytest.raises(OutOfMemoryError, match=r"Adam\.step: .*float32\[50, 60\]"):
        optimizer.step()
    assert not optimizer.state
    for p, old in zip(module.parameters(), before, strict=True):
        np.testing.assert_array_equal(p.numpy(), old)
    full(0)
    optimizer.step()
    assert all(kept["step"] == 1 for kept in optimizer.state.values())


def test_a_module_moves_as_a_whole_or_not_at_all(full):
    module = nn.LSTM(20, 30)
    full(8_000)
    with pytest.raises(OutOfMemoryError):
        module.to("gpu")
    assert {p.device for p in module.parameters()} == {"cpu"}


@pytest.mark.parametrize("labels_on", ["cpu", "gpu"])
def test_a_training_step_waits_for_nothing(labels_on, on_gpu):
    import cupyx

    tg.seed(1)
    embedding = nn.Embedding(7, 6).to("gpu")
    layers = nn.LSTM(6, 8, batch_first=True).to("gpu")
    out = nn.Linear(8, 7).to("gpu")
    parameters = [p for module in (embedding, layers, out) for p in module.parameters()]
    optimizer = optim.Adam(parameters, lr=0.05)
    rng = np.random.default_rng(0)
    ids, targets = (tg.tensor(rng.integers(0, 7, (3, 5)), device=labels_on) for _ in range(2))
    seen = []
    for _ in range(3):
        with cupyx.allow_synchronize(False):
            y, _ = layers(embedding(ids))
            loss = tg.losses.cross_entropy(out(y), targets)
            loss.backward()
            optim.clip_grad_norm(parameters, 1.0)
            optimizer.step()
            optimizer.zero_grad()
        seen.append(loss.item())
    assert seen[0] > seen[1] > seen[2]
