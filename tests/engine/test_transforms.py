"""vjp, jvp, hvp and jacobian agree with each other and with differences of the function."""

from collections import namedtuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn import ops
from tinygrad_rnn.errors import ArgumentError, DTypeError, ShapeError
from tinygrad_rnn.testing import numeric_gradient

Pair = namedtuple("Pair", "left right")


def draw(*shape):
    return tg.randn(*shape, dtype=np.float64)


W, B = np.linspace(-1, 1, 12).reshape(3, 4), np.linspace(0, 1, 4)


def layer(x):
    return (x @ W + B).tanh()


def dot(a, b):
    return float((a.numpy() * b.numpy()).sum())


# ----- what they compute -----


def test_vjp_gives_the_value_and_multiplies_by_the_jacobian_from_the_left():
    x, u = draw(2, 3), draw(2, 4)
    out, pullback = tg.vjp(layer, x)
    np.testing.assert_array_equal(out.numpy(), layer(x).numpy())
    (g,) = pullback(u)
    expected = numeric_gradient(layer, [x], [u.numpy()], 0)
    np.testing.assert_allclose(g.numpy(), expected, rtol=1e-12)
    np.testing.assert_array_equal(pullback(u)[0].numpy(), g.numpy())  # again


@given(st.integers(0, 99))
def test_jvp_and_vjp_are_adjoint(seed):
    tg.seed(seed)
    x, v, u = draw(2, 3), draw(2, 3), draw(2, 4)
    out, along = tg.jvp(layer, x, v)
    _, pullback = tg.vjp(layer, x)
    np.testing.assert_array_equal(out.numpy(), layer(x).numpy())
    np.testing.assert_allclose(dot(u, along), dot(pullback(u)[0], v), rtol=1e-12, atol=1e-12)


def test_jvp_is_the_derivative_along_the_tangent():
    x, v = draw(2, 3), draw(2, 3)
    _, along = tg.jvp(layer, (x,), (v,))
    step = 1e-6
    ahead, behind = layer(x + v * step), layer(x - v * step)
    np.testing.assert_allclose(
        along.numpy(), (ahead.numpy() - behind.numpy()) / (2 * step), atol=1e-8
    )


def test_hvp_is_the_derivative_of_the_gradient():
    def f(x):
        return (layer(x) ** 2).sum()

    x, v = draw(2, 3), draw(2, 3)
    step = 1e-6
    ahead, behind = (
        tg.vjp(f, x + v * s)[1](tg.tensor(1.0, dtype=np.float64))[0] for s in (step, -step)
    )
    expected = (ahead.numpy() - behind.numpy()) / (2 * step)
    np.testing.assert_allclose(tg.hvp(f, x, v).numpy(), expected, atol=1e-7)


def test_jacobian_holds_every_derivative():
    x, v = draw(2, 3), draw(2, 3)
    j = tg.jacobian(layer, x)
    assert j.shape == (2, 4, 2, 3)
    _, along = tg.jvp(layer, x, v)
    np.testing.assert_allclose(np.einsum("abij,ij->ab", j.numpy(), v.numpy()), along.numpy())


def test_a_jacobian_of_a_jacobian_is_a_hessian():
    def f(x):
        return (layer(x) ** 2).sum()

    x, v = draw(1, 3), draw(1, 3)
    hessian = tg.jacobian(lambda x: tg.jacobian(f, x, create_graph=True), x)
    assert hessian.shape == (1, 3, 1, 3)
    np.testing.assert_allclose(hessian.numpy(), hessian.numpy().transpose(2, 3, 0, 1), atol=1e-15)
    product = np.einsum("abij,ij->ab", hessian.numpy(), v.numpy())
    np.testing.assert_allclose(product, tg.hvp(f, x, v).numpy(), atol=1e-14)


def test_what_does_not_depend_gives_zeros():
    x, y = draw(2), draw(3)

    def f(x, y):
        return x * 2, tg.ones(2, dtype=np.float64)

    one = tg.ones(2, dtype=np.float64)
    _, pullback = tg.vjp(f, x, y)
    assert [g.tolist() for g in pullback((one, one))] == [[2, 2], [0, 0, 0]]
    assert [t.tolist() for t in tg.jvp(f, (x, y), (one, y))[1]] == [[2, 2], [0, 0]]
    assert tg.hvp(lambda x: x.sum(), x, one).tolist() == [0, 0]
    assert [j.shape for j in tg.jacobian(f, x, y)[1]] == [(2, 2), (2, 3)]
    assert not np.any([j.numpy().any() for j in tg.jacobian(f, x, y)[1]])


# ----- structures -----


def test_results_have_the_structure_of_what_they_belong_to():
    def f(pair, rest):
        return {"sum": pair.left + pair.right, "more": [rest[0] * 2, rest[1]["x"] * 3]}

    primals = Pair(draw(2), draw(2)), (draw(1), {"x": draw(1)})
    out, pullback = tg.vjp(f, *primals)
    assert list(out) == ["sum", "more"]
    grads = pullback(out)
    assert isinstance(grads[0], Pair)
    assert isinstance(grads[1][1], dict)
    np.testing.assert_allclose(grads[0].left.numpy(), out["sum"].numpy())
    np.testing.assert_allclose(grads[1][1]["x"].numpy(), 3 * out["more"][1].numpy())
    tangent = tg.jvp(f, primals, primals)[1]
    np.testing.assert_allclose(tangent["more"][0].numpy(), out["more"][0].numpy())
    h = tg.hvp(
        lambda p, r: (p.left * p.right * r[0]).sum() + (r[1]["x"] ** 2).sum(), primals, primals
    )
    assert isinstance(h[0], Pair)
    np.testing.assert_allclose(h[1][1]["x"].numpy(), 2 * primals[1][1]["x"].numpy())
    j = tg.jacobian(f, *primals)
    assert j["sum"][0].right.shape == (2, 2)
    assert j["more"][1][1][1]["x"].tolist() == [[3]]


def test_a_single_argument_may_stand_alone():
    x = draw(2)
    assert tg.jvp(ops.sin, x, x)[1].shape == (2,)
    alone, listed = (
        tg.hvp(lambda x: x.exp().sum(), x, x),
        tg.hvp(lambda x: x.exp().sum(), (x,), (x,)),
    )
    assert isinstance(listed, tuple)
    np.testing.assert_array_equal(alone.numpy(), listed[0].numpy())


# ----- graphs -----


def test_nothing_touches_the_arguments_or_any_grad():
    x, w = draw(2).requires_grad_(), draw(2).requires_grad_()

    def f(x):
        return (x * w).sin()

    for result in (
        tg.vjp(f, x)[1](draw(2))[0],
        tg.vjp(f, x)[0],
        tg.jvp(f, x, draw(2))[1],
        tg.hvp(lambda x: f(x).sum(), x, draw(2)),
        tg.jacobian(f, x),
    ):
        assert not result.requires_grad
    assert x.grad is None
    assert w.grad is None
    constant = draw(2)
    tg.jacobian(f, constant)
    assert not constant.requires_grad


def test_a_jacobian_of_nothing_is_empty():
    assert tg.jacobian(lambda x: x[:0] * 2.0, draw(2)).shape == (0, 2)
    assert tg.jacobian(lambda x: x.sum(), draw(0)).shape == (0,)


def test_with_create_graph_results_can_be_differentiated_by_anything():
    x, w = draw(3).requires_grad_(), draw(3).requires_grad_()

    def f(x):
        return (x * w).sin().sum()

    penalty = (tg.vjp(f, x, create_graph=True)[1](tg.tensor(1.0, dtype=np.float64))[0] ** 2).sum()
    gx, gw = tg.grad(penalty, [x, w])

    def penalty_of(x, w):
        return float(((np.cos(x * w) * w) ** 2).sum())

    for g, number in ((gx, 0), (gw, 1)):
        values = [x.numpy().copy(), w.numpy().copy()]
        for i in range(3):
            ends = []
            for step in (1e-6, -1e-6):
                moved = [v.copy() for v in values]
                moved[number][i] += step
                ends.append(penalty_of(*moved))
            np.testing.assert_allclose(g.numpy()[i], (ends[0] - ends[1]) / 2e-6, atol=1e-7)
    along = tg.jvp(f, x, tg.ones(3, dtype=np.float64), create_graph=True)[1]
    np.testing.assert_allclose(
        tg.grad(along, x)[0].numpy(), -np.sin(x.numpy() * w.numpy()) * w.numpy() ** 2
    )
    third = tg.hvp(f, x, tg.ones(3, dtype=np.float64), create_graph=True)
    np.testing.assert_allclose(
        tg.grad(third.sum(), x)[0].numpy(), -np.cos(x.numpy() * w.numpy()) * w.numpy() ** 3
    )


@pytest.mark.parametrize("mode", [tg.no_grad, tg.inference_mode])
def test_they_work_in_every_mode(mode):
    x = draw(2)
    with mode():
        assert tg.vjp(ops.square, x)[1](x)[0].tolist() == (2 * x.numpy() ** 2).tolist()
        np.testing.assert_allclose(tg.jvp(ops.square, x, x)[1].numpy(), 2 * x.numpy() ** 2)
        np.testing.assert_allclose(tg.hvp(lambda x: (x**3).sum(), x, x).numpy(), 6 * x.numpy() ** 2)


# ----- per sample -----


def test_per_sample_gradients_are_those_of_each_row_alone():
    x, w, b, unused = draw(5, 3), draw(3, 2).requires_grad_(), draw(2).requires_grad_(), draw(2)
    unused.requires_grad = True
    losses = ((x @ w + b).tanh() ** 2).sum(axis=1)
    found = tg.per_sample_grads(losses, [w, b, unused])
    assert [g.shape for g in found] == [(5, 3, 2), (5, 2), (5, 2)]
    for row in range(5):
        alone = tg.grad(((x[row : row + 1] @ w + b).tanh() ** 2).sum(), [w, b])
        for g, expected in zip(found, alone, strict=False):
            np.testing.assert_allclose(g.numpy()[row], expected.numpy(), rtol=1e-12)
    assert not found[2].numpy().any()
    losses.sum().backward()  # the graph is still there
    np.testing.assert_allclose(found[0].numpy().sum(axis=0), w.grad.numpy(), rtol=1e-12)


# ----- refusals -----


def test_per_sample_gradients_need_a_loss_a_row():
    with pytest.raises(ShapeError) as caught:
        tg.per_sample_grads(draw(2, 2).requires_grad_(), [])
    assert str(caught.value) == (
        "per_sample_grads(): the losses have shape (2, 2), expected (B,): one number for every row "
        'of the batch. Losses give it with reduction="none".'
    )


def test_arguments_have_to_be_tensors_of_floats():
    with pytest.raises(TypeError) as caught:
        tg.vjp(ops.sin, (draw(1), 3))
    assert str(caught.value) == (
        "vjp(): primals holds a int, expected Tensors in tuples, lists and dicts: only they have "
        "derivatives. Close over other values, for example with a lambda."
    )
    with pytest.raises(TypeError, match="the output holds a ndarray"):
        tg.jacobian(lambda x: x.numpy(), draw(1))
    with pytest.raises(DTypeError) as integers:
        tg.jvp(ops.square, tg.tensor([1]), tg.tensor([1]))
    assert str(integers.value) == (
        "jvp(): an argument holds int64, expected floating-point numbers: only they have "
        "derivatives. Close over the others, for example with a lambda."
    )


def test_cotangents_tangents_and_vectors_have_to_fit():
    x = draw(2)
    with pytest.raises(ShapeError) as caught:
        tg.vjp(ops.sin, x)[1](draw(3))
    assert str(caught.value) == (
        "pullback(): cotangents are float64[3], expected float64[2], as the output: there is one "
        "for each."
    )
    with pytest.raises(DTypeError, match="tangents are float32"):
        tg.jvp(ops.sin, x, tg.ones(2))
    with pytest.raises(ShapeError, match=r"vectors are none, expected float64\[2\], as primals"):
        tg.hvp(lambda x: x.sum(), (x,), ())


def test_only_a_number_has_a_hessian():
    with pytest.raises(ShapeError) as caught:
        tg.hvp(ops.sin, draw(2), draw(2))
    assert str(caught.value) == (
        "hvp(): the function returned shape (2,), expected a single number: only of one is there a "
        "Hessian. Reduce the output first, with .sum() or .mean()."
    )


def test_dicts_belong_together_by_their_keys():
    a, b, one, none = (tg.tensor([value]) for value in (3.0, 4.0, 1.0, 0.0))
    outer = {"deep": [{"b": none, "a": one}]}
    mixed = lambda d: d["deep"][0]["a"] * 2 + d["deep"][0]["b"] * d["deep"][0]["b"] * 10
    primals = {"deep": [{"a": a, "b": b}]}
    assert tg.jvp(mixed, primals, outer)[1].tolist() == [2]
    assert tg.hvp(lambda d: mixed(d).sum(), primals, outer)["deep"][0]["b"].tolist() == [0]
    _, pullback = tg.vjp(lambda x: {"a": x * 2, "b": x * 10}, a)
    assert pullback({"b": none, "a": one})[0].tolist() == [2]
    for wrong in ({"zz": one, "yy": none}, {"a": one}, {"a": one, "b": one, "c": one}):
        with pytest.raises(
            ArgumentError, match=r"cotangents have the keys .*expected \['a', 'b'\]"
        ):
            pullback(wrong)
