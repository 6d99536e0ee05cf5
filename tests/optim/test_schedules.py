"""Schedules: formulas written out, resuming, and what they refuse."""

import math

import numpy as np
import pytest

from tests.golden import make_optim
from tinygrad_rnn import nn, optim
from tinygrad_rnn.errors import ArgumentError, StateDictError
from tinygrad_rnn.optim import schedules


def optimizer_at(lr=0.2, kind=optim.SGD, **options):
    return kind([nn.Parameter(np.zeros(1))], lr=lr, **options)


def rates(schedule, steps):
    found = []
    for step in range(steps + 1):
        found.append(schedule.get_last_lr()[0])
        if step < steps:
            schedule.step()
    return found


def plateau(mode="min", sign=1):
    schedule = schedules.ReduceLROnPlateau(optimizer_at(), mode, **make_optim.PLATEAU)
    found = []
    for metric in make_optim.METRICS:
        schedule.step(sign * metric)
        found += schedule.get_last_lr()
    return found


def test_a_step_that_is_refused_is_not_counted():
    schedule = schedules.OneCycleLR(optimizer_at(), 1.0, total_steps=5)
    rates(schedule, 5)
    for refused in (schedule.step, lambda: schedule.load_state_dict({"t": 9})):
        with pytest.raises(ArgumentError, match="total_steps=5"):
            refused()
        assert schedule.t == 5


def test_a_plateau_is_the_same_upside_down():
    assert plateau() == plateau("max", -1)
    assert len(set(plateau())) > 2


def test_an_absolute_threshold():
    schedule = schedules.ReduceLROnPlateau(
        optimizer_at(1.0), patience=0, factor=0.5, threshold=0.5, threshold_mode="abs"
    )
    found = []
    for metric in (3, 2, 1.6, 1.4):
        schedule.step(metric)
        found += schedule.get_last_lr()
    assert found == [1, 1, 0.5, 0.5]


def test_the_inverse_square_root_is_that_of_the_transformer():
    d, warmup = 64, 5
    schedule = schedules.InverseSquareRootLR(optimizer_at((d * warmup) ** -0.5), warmup)
    wanted = [d**-0.5 * min(n**-0.5, n * warmup**-1.5) for n in range(1, 22)]
    np.testing.assert_allclose(rates(schedule, 20), wanted, rtol=1e-13)


def test_a_change_of_the_rate_as_small_as_eps_is_not_made():
    for eps, rates in ((0.4, [0.5, 0.5]), (0.1, [0.5, 0.25])):
        schedule = schedules.ReduceLROnPlateau(optimizer_at(1.0), factor=0.5, patience=0, eps=eps)
        found = []
        for _ in range(3):
            schedule.step(1)
            found += schedule.get_last_lr()
        assert found[1:] == rates


def test_functions_and_sequences():
    optimizer = optimizer_at(2.0)
    assert rates(schedules.LambdaLR(optimizer, lambda t: 1 / (1 + t)), 2) == [2, 1, 2 / 3]
    optimizer = optimizer_at(2.0)
    parts = [
        schedules.LinearLR(optimizer, 0.5, total_iters=2),
        schedules.CosineAnnealingLR(optimizer, T_max=4),
        schedules.ExponentialLR(optimizer, 0.5),
    ]
    found = rates(schedules.SequentialLR(optimizer, parts, [2, 4]), 6)
    np.testing.assert_allclose(found, [1, 1.5, 2, 1 + math.cos(math.pi / 4), 2, 1, 0.5])


def test_one_cycle_moves_the_first_beta_of_adam():
    optimizer = optimizer_at(kind=optim.Adam)
    schedule = schedules.OneCycleLR(optimizer, 0.5, 10)
    assert optimizer.param_groups[0]["betas"] == (0.95, 0.999)
    schedule.step()
    schedule.step()
    assert optimizer.param_groups[0]["betas"] == pytest.approx((0.85, 0.999))
    for _ in range(7):
        schedule.step()
    last = dict(optimizer.param_groups[0])
    schedule.step()  # the tenth, behind the last of ten steps
    assert {k: v for k, v in optimizer.param_groups[0].items() if k != "params"} == {
        k: v for k, v in last.items() if k != "params"
    }
    with pytest.raises(ArgumentError, match="OneCycleLR: step 11 of a cycle of total_steps=10"):
        schedule.step()
    plain = optimizer_at(kind=optim.Adagrad)
    schedules.OneCycleLR(plain, 0.5, 10)
    assert plain.param_groups[0]["lr"] == pytest.approx(0.02)


@pytest.mark.parametrize("case", make_optim.SCHEDULES)
def test_resuming_gives_the_same_bits(case):
    def begin():
        optimizer = optimizer_at(momentum=0.5)
        kind, options, _ = make_optim.SCHEDULES[case]
        return optimizer, getattr(schedules, kind)(optimizer, **options)

    def go(optimizer, schedule, steps):
        found = []
        for step in steps:
            schedule.step(*([make_optim.METRICS[step]] if case == "plateau" else []))
            found.append({k: v for k, v in optimizer.param_groups[0].items() if k != "params"})
        return found

    whole = go(*begin(), range(9))
    optimizer, schedule = begin()
    start = go(optimizer, schedule, range(5))
    other_optimizer, other = begin()
    other_optimizer.load_state_dict(optimizer.state_dict())
    other.load_state_dict(schedule.state_dict())
    assert start + go(other_optimizer, other, range(5, 9)) == whole


def test_groups_keep_the_proportion_of_their_rates():
    a, b, c = (nn.Parameter(np.zeros(1)) for _ in range(3))
    optimizer = optim.SGD([{"params": [a], "lr": 1.0}, {"params": [b], "lr": 0.1}])
    schedule = schedules.ExponentialLR(optimizer, 0.5)
    schedule.step()
    optimizer.add_param_group({"params": [c], "lr": 4.0})
    schedule.step()
    assert schedule.get_last_lr() == [0.25, 0.025, 1.0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda o: schedules.StepLR(3, 1), "StepLR: optimizer is a int, expected one of"),
        (lambda o: schedules.StepLR(o, 0), "StepLR: step_size is 0, expected a whole number"),
        (lambda o: schedules.MultiStepLR(o, [3, 1]), r"milestones are \[3, 1\], expected them to"),
        (lambda o: schedules.MultiStepLR(o, 3), "milestones is 3, expected a sequence"),
        (lambda o: schedules.OneCycleLR(o, 1, 9, div_factor=0), "div_factor is 0, expected a num"),
        (lambda o: schedules.OneCycleLR(o, 1, 9, 0.6, three_phase=True), "pct_start is 0.6 with"),
        (lambda o: schedules.OneCycleLR(o, 1, 9, base_momentum="a"), "base_momentum is 'a', exp"),
        (lambda o: schedules.ReduceLROnPlateau(o, min_lr=None), "min_lr is None, expected a nu"),
        (lambda o: schedules.ReduceLROnPlateau(o).step("a"), "step: metric is 'a', expected a num"),
        (lambda o: schedules.LambdaLR(o, lambda t: -1), "LambdaLR: lr is -0.2, expected a num"),
        (lambda o: schedules.SequentialLR(o, None, [1]), "schedulers is None, expected a seq"),
        (lambda o: schedules.SequentialLR(o, [3], []), "schedulers is a int, expected a schedule"),
        (lambda o: schedules.SequentialLR(o, [schedules.StepLR(optimizer_at(), 1)], []),
         "expected a schedule of the same optimizer"),
        (lambda o: schedules.LambdaLR(o, 3), "lr_lambda is 3, expected a function"),
        (lambda o: schedules.LambdaLR(o, lambda t: "a"), "what lr_lambda returned is 'a'"),
        (lambda o: schedules.OneCycleLR(o, 1, 10, 1.5), "pct_start is 1.5, expected a number"),
        (lambda o: schedules.OneCycleLR(o, 1, 9, anneal_strategy="up"), "is 'up', expected one"),
        (lambda o: schedules.ReduceLROnPlateau(o, "low"), "mode is 'low', expected one of"),
        (lambda o: schedules.ReduceLROnPlateau(o, factor=1.0), "factor is 1.0, expected a"),
        (lambda o: schedules.ReduceLROnPlateau(o).step(), "no metric was given"),
        (lambda o: schedules.SequentialLR(o, [], [1]), "0 schedules and 1 milestones"),
        (lambda o: schedules.SequentialLR(o, [schedules.ReduceLROnPlateau(o)], []),
         "ReduceLROnPlateau is no formula of the step"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(ArgumentError, match=message):
        make(optimizer_at())


def test_a_schedule_without_a_formula_and_states_of_something_else():
    with pytest.raises(NotImplementedError, match="no method rate"):
        schedules.Schedule(optimizer_at())
    for schedule in (
        schedules.ExponentialLR(optimizer_at(), 0.5), schedules.ReduceLROnPlateau(optimizer_at())
    ):  # fmt: skip
        with pytest.raises(StateDictError, match="expected what state_dict"):
            schedule.load_state_dict({"last_epoch": 3})
        for change in ({"t": "x"}, {"t": -1}, {"t": 1, "best": None}):
            if set(change) <= set(schedule.state_dict()):
                with pytest.raises(StateDictError, match="expected what state_dict"):
                    schedule.load_state_dict(schedule.state_dict() | change)
    with pytest.raises(StateDictError, match="a dict with 't'"):
        schedules.ExponentialLR(optimizer_at(), 0.5).load_state_dict({"t": -1})
