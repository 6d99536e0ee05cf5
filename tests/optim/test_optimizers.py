"""Every optimiser: its definition, and what must not change anything."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.optim.optimizer_list import CASES, expected, make
from tinygrad_rnn import nn, optim
from tinygrad_rnn.device import to_device
from tinygrad_rnn.kernels._twin import use_reference
from tinygrad_rnn.optim.adam import _Products

DTYPES = ["float32", "float64"]
EPS = {"float32": 1.2e-7, "float64": 2.3e-16}


def run(optimizer, parameters, gradients):
    """One step for each gradient of every parameter."""
    for step in range(len(gradients[0])):
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = tg.tensor(
                gradient[step].astype(parameter.dtype), device=parameter.device
            )
        optimizer.step()


def drawn(shapes, steps=9, seed=0):
    rng = np.random.default_rng(seed)
    return (
        [rng.standard_normal(shape) for shape in shapes],
        [rng.standard_normal((steps, *shape)) for shape in shapes],
    )


def parameters_of(weights, dtype="float32", device="cpu"):
    return [nn.Parameter(to_device(w.astype(dtype), device)) for w in weights]


def train(case, weights, gradients, dtype="float32", device="cpu", **more):
    parameters = parameters_of(weights, dtype, device)
    optimizer = make(case, parameters, **more)
    run(optimizer, parameters, gradients)
    return [p.numpy() for p in parameters], optimizer


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_it_is_its_definition(case, dtype):
    weights, gradients = drawn([(4, 5), (), (3,)])
    with use_reference():
        found, _ = train(case, weights, gradients, dtype)
    for w, g, result in zip(weights, gradients, found, strict=True):
        wanted, _ = expected(case, w.astype(dtype).astype("d"), g.astype(dtype).astype("d"))
        # 16 eps sqrt(n), n the operations of nine steps; divisions by small roots amplify.
        np.testing.assert_allclose(result, wanted, rtol=0, atol=16 * EPS[dtype] * np.sqrt(150) * 9)
        assert result.dtype == dtype


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_a_gpu_does_the_same(case, lazy, on_gpu):
    weights, gradients = drawn([(4, 5), (), (3,)], steps=4)
    gradients[0][:, 1] = 0  # of a row that is left alone by lazy steps
    with use_reference():
        wanted, here = train(case, weights, gradients, "float64", lazy=lazy)
    found, there = train(case, weights, gradients, "float64", "gpu", lazy=lazy)
    for w, result in zip(wanted, found, strict=True):
        np.testing.assert_allclose(result, w, rtol=1e-12, atol=1e-14)
    kept = [there.state[p] for p in there.param_groups[0]["params"]]
    assert all(a.device.id == 0 for own in kept for name, a in own.items() if name != "step")
    again = make(case, parameters_of(weights, "float64", "gpu"), lazy=lazy)
    again.load_state_dict(there.state_dict())
    for own, other in zip(here.state.values(), again.state.values(), strict=True):
        for name in own.keys() - {"step"}:
            np.testing.assert_allclose(other[name].get(), own[name], rtol=1e-12, atol=1e-14)


# In float64 those that have a root, a maximum, a size, a sign and a branch among them.
KERNELS = [(case, "float32") for case in CASES] + [
    (case, "float64") for case in ("amsgrad", "centered", "adamax", "lion", "radam")
]


@pytest.mark.parametrize(("case", "dtype"), KERNELS)
def test_the_kernel_gives_the_bits_of_the_equations_in_numpy(case, dtype):
    weights, gradients = drawn([(4, 5), (), (3,)], seed=1)
    found, _ = train(case, weights, gradients, dtype)
    with use_reference():
        wanted, _ = train(case, weights, gradients, dtype)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a, b)


@given(st.sampled_from(sorted(CASES)), st.permutations(range(3)), st.integers(0, 4))
def test_neither_order_nor_cuts_of_parameters_matter(case, order, cut):
    weights, gradients = drawn([(4,), (2, 3), (5,)], steps=3)
    with use_reference():
        found, _ = train(case, weights, gradients)
        moved, _ = train(case, [weights[i] for i in order], [gradients[i] for i in order])
        for place, i in enumerate(order):
            np.testing.assert_array_equal(moved[place], found[i])
        halves = [weights[0][:cut], weights[0][cut:]]
        cut_gradients = [gradients[0][:, :cut], gradients[0][:, cut:]]
        apart, _ = train(case, halves, cut_gradients)
        np.testing.assert_array_equal(np.concatenate(apart), found[0])


@pytest.mark.parametrize("case", CASES)
def test_resuming_gives_the_bits_of_an_uninterrupted_run(case):
    weights, gradients = drawn([(4, 5), (3,)])
    with use_reference():
        whole, _ = train(case, weights, gradients)
        parameters = parameters_of(weights)
        first = make(case, parameters)
        run(first, parameters, [g[:4] for g in gradients])
        saved = first.state_dict(), [p.numpy().copy() for p in parameters]
        run(first, parameters, [g[4:] for g in gradients])  # the snapshot is one
        again = parameters_of(saved[1])
        second = make(case, again, maximize=True)
        second.load_state_dict(saved[0])
        run(second, again, [g[4:] for g in gradients])
    for a, b, c in zip(whole, parameters, again, strict=True):
        np.testing.assert_array_equal(a, b.numpy())
        np.testing.assert_array_equal(a, c.numpy())


def test_groups_have_options_of_their_own():
    weights, gradients = drawn([(3,), (4,), (2,)])
    parameters = parameters_of(weights)
    groups = [
        {"params": parameters[:1], "weight_decay": 0.3},
        {"params": parameters[1:2], "lr": 0.5, "betas": (0.5, 0.5)},
    ]
    optimizer = make("adam", groups)
    optimizer.add_param_group({"params": [("last", parameters[2])], "amsgrad": True})
    run(optimizer, parameters, gradients)
    for i, options in enumerate(({"weight_decay": 0.3}, {"lr": 0.5, "betas": (0.5, 0.5)},
                                 {"amsgrad": True})):  # fmt: skip
        (alone,) = parameters_of(weights[i : i + 1])
        other = optim.Adam([alone], **{**CASES["adam"][1], **options})
        run(other, [alone], gradients[i : i + 1])
        np.testing.assert_array_equal(alone.numpy(), parameters[i].numpy())


def test_frozen_parameters_and_those_without_a_gradient_stay():
    weights, gradients = drawn([(3,), (4,), (2,)])
    parameters = parameters_of(weights)
    optimizer = optim.AdamW(parameters, lr=0.1)
    run(optimizer, parameters, [g[:1] for g in gradients])
    before = [p.numpy().copy() for p in parameters]
    parameters[0].requires_grad = False
    parameters[1].grad = None
    optimizer.step()
    for i in (0, 1):
        np.testing.assert_array_equal(parameters[i].numpy(), before[i])
    assert (parameters[2].numpy() != before[2]).all()
    assert [optimizer.state[p]["step"] for p in parameters] == [1, 1, 2]


@pytest.mark.parametrize("case", ["adam", "momentum", "adagrad"])
def test_lazy_leaves_rows_without_a_gradient_alone(case):
    weights, gradients = drawn([(5, 4), (3,)])
    gradients[0][:, [0, 3]] = 0
    gradients[0][1, 2] = 0
    lazily, optimizer = train(case, weights, gradients, lazy=True)
    fully, _ = train(case, weights, gradients)
    start = weights[0].astype("float32")
    np.testing.assert_array_equal(lazily[0][[0, 3]], start[[0, 3]])
    np.testing.assert_array_equal(lazily[0][[1, 4]], fully[0][[1, 4]])
    np.testing.assert_array_equal(lazily[1], fully[1])
    kept = next(iter(optimizer.state.values()))
    for name, array in kept.items():
        begin = optimizer.defaults.get("initial_accumulator_value", 0.0) if name == "v" else 0.0
        assert name == "step" or (array[[0, 3]] == begin).all()


def test_a_row_that_comes_late_begins_where_others_did():
    w = nn.Parameter(np.zeros((2, 1)))
    optimizer = optim.Adagrad([w], lr=1.0, eps=0.0, initial_accumulator_value=3.0, lazy=True)
    for gradient in ([[1.0], [0.0]], [[0.0], [1.0]]):
        w.grad = tg.tensor(np.array(gradient))
        optimizer.step()
    np.testing.assert_array_equal(w.numpy(), [[-0.5], [-0.5]])


def test_threads_that_meet_in_the_products_of_nadam_find_the_same():
    class Interrupted(float):
        def __mul__(self, other):
            if others:
                others.pop()
                met.append(shared.at(9))  # as another thread may just then
            return float(self) * other

    others, met = [1, 2, 3], []
    shared, alone = _Products(Interrupted(0.9), 4e-3), _Products(0.9, 4e-3)
    assert [shared.at(t) for t in range(20)] == [alone.at(t) for t in range(20)]
    assert met == [alone.at(9)] * 3


def test_a_lazy_embedding_trains_from_backward_on():
    table = nn.Embedding(6, 3)
    before = table.weight.numpy().copy()
    optimizer = optim.SGD(table.parameters(), lr=0.5, momentum=0.9, weight_decay=0.1, lazy=True)
    table(np.array([[1, 4], [4, 1]])).sum().backward()
    optimizer.step()
    changed = (table.weight.numpy() != before).any(axis=1)
    np.testing.assert_array_equal(changed, [False, True, False, False, True, False])


def test_a_step_is_noticed_by_graphs_that_saved_the_weights():
    w = nn.Parameter(np.ones((2, 2), "float32"))
    y = (w * w).sum()
    w.grad = tg.ones(2, 2)
    optim.SGD([w]).step()
    with pytest.raises(tg.errors.GradientError, match="changed"):
        y.backward()


def test_what_kernels_keep_of_weights_is_forgotten_by_a_step():
    w = nn.Parameter(np.ones((2, 2), "float32"))
    w.forms()["packed"] = "what they were"
    w.grad = tg.ones(2, 2)
    optim.SGD([w]).step()
    assert not w.forms()


def test_an_optimiser_of_ones_own_is_its_equations():
    class Signs(optim.Optimizer):
        def update(self, s, x):
            x.count = x.count + 1
            x.w = x.w - s.lr / s.t * np.sign(self.gradient(s, x))

    w = nn.Parameter(np.zeros(3, "float32"))
    optimizer = Signs([w], lr=1.0)
    for _ in range(2):
        w.grad = tg.tensor([2.0, -3.0, 0.0])
        optimizer.step()
    np.testing.assert_array_equal(w.numpy(), [-1.5, 1.5, 0])
    np.testing.assert_array_equal(optimizer.state[w]["count"], [2, 2, 2])


def test_scalars_half_precision_and_nothing_at_all():
    for shape, dtype in [((), "float32"), ((0, 3), "float32"), ((3,), "float16")]:
        w = nn.Parameter(np.ones(shape, dtype))
        w.grad = tg.ones(*shape, dtype=dtype)
        optim.SGD([w], lr=0.5, momentum=0.5).step()
        np.testing.assert_array_equal(w.numpy(), np.full(shape, 0.5, dtype))


def test_gradients_of_any_layout():
    w = nn.Parameter(np.zeros((2, 3), "float32"))
    w.grad = tg.tensor(np.arange(6, dtype="float32").reshape(3, 2)).T
    optim.SGD([w], lr=1.0).step()
    np.testing.assert_array_equal(w.numpy(), -np.arange(6).reshape(3, 2).T)


def test_a_variance_that_rounding_brings_below_0_is_0():
    (w,) = parameters_of(drawn([(200,)])[0])
    optimizer = optim.RMSprop([w], alpha=0.1, centered=True)
    gradient = tg.tensor(np.random.default_rng(0).standard_normal(200).astype("float32"))
    with use_reference():
        for _ in range(20):
            w.grad = gradient
            optimizer.step()
    v, a = (optimizer.state[w][name] for name in "va")
    assert (v < a * a).any()
    assert np.isfinite(w.numpy()).all()


@pytest.mark.usefixtures("reference")
@pytest.mark.parametrize("n", [0, 2])
def test_averaging_begins_when_the_loss_is_no_longer_the_best(n):
    weights, gradients = drawn([(3,)], steps=12)
    (w,) = parameters_of(weights)
    optimizer = optim.NTASGD([w], lr=0.1, n=n)
    losses = [5, 4, 4.5, 3, 3, 3, 3, 2, 9, 9, 9, 9] if n else [3, 3, 2, 9, 9, 9, 9, 9, 9, 9, 9, 9]
    history, seen = [], []
    for step, loss in enumerate(losses):
        run(optimizer, [w], [gradients[0][step : step + 1]])
        history.append(w.numpy().copy())
        began = len(seen) > n and loss > min(seen[: len(seen) - n]) and not optimizer.triggered
        assert optimizer.observe(loss) == began
        seen.append(loss)
        if began:
            start = step + 1
    assert start < 11
    _plain, _ = train("sgd", weights, gradients)
    with optimizer.averaged():
        mean = np.mean(history[start:], axis=0)
        np.testing.assert_allclose(w.numpy(), mean, rtol=1e-5)
    np.testing.assert_array_equal(w.numpy(), history[-1])
    other = optim.NTASGD([w], n=n)
    other.load_state_dict(optimizer.state_dict())
    assert other.losses == losses
    assert other.triggered


def test_averages_of_asgd_are_those_of_the_definition():
    weights, gradients = drawn([(3,)])
    found, optimizer = train("asgd", weights, gradients, "float64")
    _, wanted = expected("asgd", weights[0], gradients[0])
    (w,) = optimizer.state
    with optimizer.averaged():
        np.testing.assert_allclose(w.numpy(), wanted, rtol=1e-12)
    np.testing.assert_array_equal(w.numpy(), found[0])


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam, optim.RMSprop, optim.ASGD])
def test_an_infinite_weight_that_gets_no_gradient_stays(kind):
    w = nn.Parameter(np.array([1.0, -np.inf]))
    options = {"lambd": 0.0} if kind is optim.ASGD else {}
    optimizer = kind([w], lr=0.1, **options)
    for _ in range(2):
        w.grad = tg.tensor(np.array([1.0, 0.0]))
        optimizer.step()
    assert w.numpy()[1] == -np.inf
