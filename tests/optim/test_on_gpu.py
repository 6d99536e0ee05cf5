"""Optimisers on a GPU, or on what stands in for one: the CPU's numbers, and nobody waits."""

import copy

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.optim.optimizer_list import CASES, make
from tests.standin import cuda
from tinygrad_rnn import nn, optim
from tinygrad_rnn.errors import DeviceError, GradientError
from tinygrad_rnn.kernels._twin import use_reference

SHAPES = ((3, 5), (5,), (2, 3, 4), (700, 9), ())
# Bits are the CPU's, but for the norm, which in float32 is summed in float64 on a GPU.
ROOM = {"float32": 1e-5, "float64": 1e-12}

BY_AGE = ("radam", "asgd")  # whose equations are others after some steps

pytestmark = pytest.mark.skipif(bool(cuda.missing()), reason=cuda.missing() or "-")


def parameters(device, dtype, seed=0):
    rng = np.random.default_rng(seed)
    made = [nn.Parameter(rng.standard_normal(shape).astype(dtype)) for shape in SHAPES]
    return [nn.Parameter(p.to(device)) for p in made] if device != "cpu" else made


def give_gradients(made, dtype, step):
    rng = np.random.default_rng(100 + step)
    for number, parameter in enumerate(made):
        g = rng.standard_normal(parameter.shape).astype(dtype)
        if number == 3:
            g[rng.random(len(g)) < 0.9] = 0  # an embedding, of which few rows were read
        if number != 2 or step:  # once, one has none
            parameter.grad = tg.tensor(g, device=parameter.device)


def trained(case, device, dtype, machine=None):
    made = parameters(device, dtype)
    groups = [{"params": made[:3]}, {"params": made[3:], "lr": 0.02, "lazy": True}]
    optimizer = make(case, groups)
    for step in range(3):
        give_gradients(made, dtype, step)
        before = machine and machine.synchronised
        norm = optim.clip_grad_norm(made, 1.5)
        with cuda.launches() as seen:
            optimizer.step()
        if machine:
            assert machine.synchronised == before
            names = sorted(launch.name for launch in seen)
            # The equations of one that begins later may be others than those of all else.
            assert names[:1] == ["touched"]
            assert names[1:] == ["update"] or case in BY_AGE
        if device != "cpu":
            assert isinstance(norm, tg.Tensor)
            assert norm.device == "gpu:0"
    kept = optimizer.state_dict()["state"]
    arrays = [a for number in kept for name, a in kept[number].items() if name != "step"]
    return [float(norm), *[parameter.numpy() for parameter in made], *arrays]


def compare(found, expected, dtype):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=ROOM[dtype], atol=ROOM[dtype])


@pytest.mark.parametrize(
    ("case", "dtype"), [*((case, "float64") for case in CASES), ("adam", "float32")]
)
def test_steps_with_clipping_are_those_of_the_cpu(on_gpu, case, dtype):
    with use_reference():  # the bits of the compiled kernels
        expected = trained(case, "cpu", dtype)
    compare(trained(case, "gpu", dtype, on_gpu), expected, dtype)


def test_an_optimiser_goes_on_where_one_on_the_cpu_was(on_gpu):
    def two_steps(first, second):
        made, optimizer = parameters(first, "float64"), None
        for step, device in enumerate((first, second)):
            made = [nn.Parameter(parameter.to(device)) for parameter in made]
            fresh = optim.Adam(made, lr=0.1)
            if optimizer:
                fresh.load_state_dict(optimizer.state_dict())
            optimizer = fresh
            give_gradients(made, "float64", step + 1)
            optimizer.step()
        return [parameter.numpy() for parameter in made]

    expected = two_steps("cpu", "cpu")
    compare(two_steps("cpu", "gpu"), expected, "float64")
    compare(two_steps("gpu", "cpu"), expected, "float64")


def test_other_things_that_are_done_to_gradients_and_weights(on_gpu):
    def results(device):
        made = parameters(device, "float64")
        give_gradients(made, "float64", 1)
        norm = optim.grad_norm(made)
        assert isinstance(norm, float)
        optim.clip_grad_value(made, 0.5)
        accumulation = optim.Accumulation(made, every=2)
        average = optim.EMA(made, decay=0.9)
        average.update()
        assert not accumulation.complete()
        assert accumulation.complete()
        optim.SGD(made, lr=1.0).step()
        average.update()
        with average.averaged():
            averaged = [parameter.numpy().copy() for parameter in made]
        return [norm, *[p.numpy() for p in made], *[p.grad.numpy() for p in made], *averaged]

    compare(results("gpu"), results("cpu"), "float64")


def test_a_norm_that_is_not_finite_is_refused_on_request(on_gpu):
    made = parameters("gpu", "float32")
    give_gradients(made, "float32", 1)
    made[0].grad = made[0].grad * np.inf
    with pytest.raises(GradientError, match=r"the norm of the gradients is (inf|nan)"):
        optim.clip_grad_norm(made, 1.0, error_if_nonfinite=True)
    assert np.isfinite(made[1].grad.numpy()).all()
    assert not np.isfinite(float(optim.clip_grad_norm(made, 1.0)))


def test_parameters_of_two_gpus_are_trained_together(standin):
    """Whichever is the current one: made, copied, begun, clipped, updated and averaged there."""
    for make_optimizer in (optim.Adagrad, optim.Adam):
        made = [nn.Parameter(tg.tensor(np.ones(3), device=d)) for d in ("gpu", "gpu:1")]
        made.append(copy.deepcopy(made[1]))
        made[0].grad = tg.ones(3, dtype="float64").to("gpu")
        for parameter in made[1:]:  # a view
            parameter.grad = tg.tensor(np.ones((3, 1)), device="gpu:1").expand(3, 2)[:, 0]
        optimizer, average = make_optimizer(made, lr=0.1), optim.EMA(made, 0.5)
        optim.clip_grad_value(made, 0.5)
        optimizer.step()
        average.update()
        with average.averaged():
            pass
        assert [p.device for p in made] == ["gpu:0", "gpu:1", "gpu:1"]
        for parameter in made:
            np.testing.assert_array_equal(parameter.numpy(), made[0].numpy())
            assert parameter.numpy()[0] < 1


def test_classes_on_another_gpu_are_refused_by_name(standin):
    scores = tg.zeros(2, 3).to("gpu")
    targets = tg.tensor(np.array([0, 1]), device="gpu:1")
    with pytest.raises(DeviceError, match=r"cross_entropy: got an array of gpu:1 .* of gpu:0"):
        tg.losses.cross_entropy(scores, targets)
