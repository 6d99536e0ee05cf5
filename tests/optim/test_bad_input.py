"""What an optimiser refuses, and in which words."""

import re

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn, optim
from tinygrad_rnn.errors import ArgumentError, DTypeError, GradientError, StateDictError

pytestmark = pytest.mark.usefixtures("reference")


def parameter(*shape, dtype="float32"):
    return nn.Parameter(np.zeros(shape, dtype))


def with_gradient(*shape):
    made = parameter(*shape)
    made.grad = tg.ones(*shape)
    return made


TWICE = parameter(1)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ([], "Adam: params is empty, expected at least one tensor. Is it an iterator"),
        (nn.Linear(2, 2), "params is a Linear, expected its parameters: write module.parameters()"),
        (3, "params is a int, expected tensors"),
        ([np.zeros(3)], "parameter 0 is a ndarray, expected a Tensor"),
        ([("w", parameter(1)), ("b", 3)], "b is a int, expected a Tensor"),
        ([tg.tensor([1, 2])], "parameter 0 holds int64, expected floating-point numbers"),
        ([TWICE, parameter(1), TWICE], "parameter 2 is parameter 0 again"),
        ([{"params": [TWICE]}, {"params": TWICE}], "parameter 0 is in another group already"),
        ([{"params": [TWICE]}, parameter(1)], "params mixes dicts and tensors"),
        ([{"params": []}], "params is empty"),
        ({"lr": 3}, "a group is the keys ['lr'], expected a dict with 'params'"),
        (dict(nn.Linear(2, 2).named_parameters()), "the keys ['weight', 'bias'], expected a dict"),
        ({"params": TWICE, "learning_rate": 3}, "unknown option 'learning_rate', expected some of"),
    ],
)  # fmt: skip
def test_parameters(params, message):
    with pytest.raises(ArgumentError, match=re.escape(message)):
        optim.Adam(params)


def test_results_of_operations():
    with pytest.raises(GradientError, match="is the result of an operation, expected a leaf"):
        optim.SGD([parameter(3) * 2])


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("SGD", {"lr": -1}, "SGD: lr is -1, expected a number from 0 up"),
        ("SGD", {"lr": "fast"}, "lr is 'fast', expected a number"),
        ("SGD", {"lr": float("nan")}, "lr is nan"),
        ("SGD", {"nesterov": True}, "nesterov=True with momentum=0.0 and dampening=0.0, expected"),
        ("Adam", {"betas": 0.9}, "betas is 0.9, expected two numbers from 0 to below 1"),
        ("Adam", {"betas": (0.9, 1.0)}, "betas is 1.0, expected a number from 0 to below 1"),
        ("Adam", {"eps": -1e-8}, "eps is -1e-08, expected a number from 0 up"),
        ("Adadelta", {"rho": 2}, "rho is 2, expected a number from 0 to below 1"),
        ("Lion", {"weight_decay": -1}, "weight_decay is -1"),
        ("NTASGD", {"n": -1}, "n is -1, expected a whole number from 0 up"),
        (
            "Adam",
            {"learning_rate": 1},
            "Adam: unknown option 'learning_rate', expected some of lr,",
        ),
        ("AdamW", {"rho": 1}, "AdamW: unknown option 'rho', expected some of lr, betas"),
        ("Adam", {"amsgrad": "no"}, "amsgrad is 'no', expected True or False"),
        ("Lion", {"lazy": 1}, "lazy is 1, expected True or False"),
    ],
)
def test_options(kind, options, message):
    with pytest.raises(ArgumentError, match=message.replace("(", r"\(")):
        getattr(optim, kind)([parameter(2)], **options)


def test_numbers_of_numpy_are_numbers():
    w = with_gradient(2)
    optim.SGD([w], lr=np.float64(0.5), momentum=np.float32(0.5)).step()
    np.testing.assert_array_equal(w.numpy(), [-0.5, -0.5])


def test_no_gradient_at_all():
    frozen = with_gradient(2)
    frozen.requires_grad = False
    optimizer = optim.SGD([parameter(2), frozen])
    with pytest.raises(GradientError, match=r"SGD.step: none of the 2 parameters has a gradient"):
        optimizer.step()
    assert not optimizer.state


def test_parameters_that_were_converted_after_the_first_step():
    model = nn.Linear(2, 3)
    optimizer = optim.Adam(model.named_parameters())
    model(tg.ones(1, 2)).sum().backward()
    optimizer.step()
    model.astype("float64")
    before = model.state_dict()
    with pytest.raises(DTypeError, match=r"weight is float64\[2, 3\], but its 'm' was kept"):
        optimizer.step()
    np.testing.assert_array_equal(before["weight"], model.state_dict()["weight"])
    optimizer = optim.Adam(model.parameters())
    optimizer.step()


def test_arrays_that_cannot_be_written():
    shared = np.zeros((2, 3), "float32")
    shared.flags.writeable = False
    for array in (shared, np.zeros((3, 2), "float32").T):
        w = tg.Tensor(array, requires_grad=True)
        w.grad = tg.ones(*array.shape)
        with pytest.raises(ArgumentError, match="w stands on an array that is read-only or not"):
            optim.SGD([("w", w)]).step()


def test_a_base_without_equations_and_equations_that_are_no_kernel():
    with pytest.raises(NotImplementedError, match="Optimizer has no method update"):
        optim.Optimizer([with_gradient(1)], lr=1.0).step()

    class Wrong(optim.Optimizer):
        def update(self, s, x):
            x.w = np.exp(x.w)

    with pytest.raises(tg.errors.TraceError, match="the equations use exp"):
        Wrong([with_gradient(1)], lr=1.0).step()


def trained(shapes=((2, 3), (3,)), kind=optim.Adam):
    optimizer = kind([with_gradient(*shape) for shape in shapes])
    optimizer.step()
    return optimizer


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.clear(), "without 'state' and 'param_groups'"),
        (lambda d: d["param_groups"][0]["params"].append(9), r"hold \[3\] parameters, expected"),
        (lambda d: d["state"].update({7: {}}), "there is no parameter 7"),
        (lambda d: d["state"][0].pop("step"), "parameter 0 has no 'step'"),
        (
            lambda d: d["state"][0].update(step="x"),
            "'step' of parameter 0 is 'x', expected a whole",
        ),
        (lambda d: d["state"][1].update(m=np.zeros(4)), r"'m' of parameter 1 is float64\[4\], exp"),
        (lambda d: d["param_groups"][0].update(rho=3), "unknown option 'rho'"),
        (lambda d: d["param_groups"][0].update(lr=-3), "lr is -3"),
    ],
)
def test_states_that_do_not_fit_are_named_all_at_once_and_change_nothing(change, message):
    optimizer = trained()
    before = optimizer.state_dict()
    wrong = trained().state_dict()
    wrong["param_groups"][0]["lr"] = 0.5
    change(wrong)
    with pytest.raises(StateDictError, match=message):
        optimizer.load_state_dict(wrong)
    after = optimizer.state_dict()
    assert after["param_groups"] == before["param_groups"]
    np.testing.assert_equal(after["state"], before["state"])


def test_several_problems_are_said_together():
    wrong = trained().state_dict()
    wrong["state"][0]["m"] = np.zeros(1)
    wrong["state"][1].pop("step")
    with pytest.raises(StateDictError, match=r"'m' of .*; parameter 1 has no 'step'\. Nothing was"):
        trained().load_state_dict(wrong)


def test_numbers_of_parameters_may_have_become_text():
    source, target = trained(), trained()
    saved = source.state_dict()
    saved["state"] = {str(number): kept for number, kept in saved["state"].items()}
    target.load_state_dict(saved)
    np.testing.assert_equal(target.state_dict(), source.state_dict())
    assert "0" not in target.state_dict()["state"]


def test_repr_shows_groups():
    text = repr(optim.SGD([parameter(1), parameter(2)], lr=0.5))
    assert text.startswith("SGD(\n  (0): 2 parameters, lr=0.5, ")


class CountsSteps(optim.Optimizer):
    def update(self, s, x):
        x.step = x.step + x.g
        x.w = x.w - s.lr * x.step


def test_names_that_stand_for_the_number_of_the_step():
    with pytest.raises(ArgumentError, match=r"the equations keep x\.step, expected another name"):
        CountsSteps([with_gradient(2)], lr=1.0).step()
    with pytest.raises(ArgumentError, match="an option is called t, expected another name"):
        CountsSteps([with_gradient(2)], lr=1.0, t=3)
