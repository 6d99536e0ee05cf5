"""The same weights, rates, clipped gradients and averages as PyTorch's.

Golden arrays stand in tests/golden/optim.npz; where PyTorch is installed, fresh cases are drawn
as well, with any of the options that both have.
"""

from inspect import signature

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.golden import make_optim
from tests.golden.make_optim import GOLDEN, METRICS, averaged, clipped, compute, rates, schedule_of
from tests.golden.stored import fresh, stored
from tinygrad_rnn import nn, optim
from tinygrad_rnn.kernels._twin import use_reference

SEEDS = st.integers(0, 99)


def close(got, want, what=None):
    np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12, err_msg=str(what))


# ----- optimisers -----


def trained_as(torch, kind, options, seed=0):
    """Hold our steps against PyTorch's, with the equations in NumPy: kernels have their bits."""
    weights, gradients = make_optim.draw(seed)
    parameters = [nn.Parameter(w) for w in weights]
    optimizer = getattr(optim, kind)(parameters, **options)
    with use_reference():
        for step in range(make_optim.STEPS):
            for number, parameter in enumerate(parameters):
                parameter.grad = tg.tensor(gradients[number][step])
            optimizer.step()
            for number, parameter in enumerate(parameters):
                close(parameter.numpy(), torch[str(number)][step], step)
    if kind == "ASGD":
        with optimizer.averaged():
            for number, parameter in enumerate(parameters):
                close(parameter.numpy(), torch[f"average{number}"])


@pytest.mark.parametrize("case", make_optim.CASES)
def test_golden_optimizers(case):
    trained_as(stored(GOLDEN, case), *make_optim.CASES[case])


flags, share = st.booleans(), st.floats(0.0, 0.99)
eps = st.sampled_from([1e-8, 1e-3, 0.5])
common = {"lr": st.floats(1e-3, 1), "weight_decay": st.floats(0, 1), "maximize": flags}
adam = common | {"betas": st.tuples(share, share), "eps": eps}
either = {"decoupled_weight_decay": flags}
momenta = st.fixed_dictionaries(
    common | {"momentum": share, "dampening": st.floats(-1, 1)}
) | st.fixed_dictionaries(
    common | {"momentum": st.floats(0.1, 0.99), "nesterov": st.just(True)}
)  # fmt: skip
# A variance near 0 that is a difference is rounding; where it is below, theirs is NaN, ours 0.
centered = st.fixed_dictionaries(common | {
    "alpha": st.floats(0.5, 0.99), "momentum": share, "centered": st.just(True),
    "eps": st.floats(1e-3, 1),
})  # fmt: skip
OPTIMIZERS = {"SGD": momenta} | {
    kind: st.fixed_dictionaries(options)
    for kind, options in {
        "Adagrad": common | {"lr_decay": share, "initial_accumulator_value": share, "eps": eps},
        "Adadelta": common | {"rho": share, "eps": eps},
        "RMSprop": common | {"alpha": share, "momentum": share, "eps": eps},
        "Adam": adam | either | {"amsgrad": flags},
        "AdamW": adam | {"amsgrad": flags},
        "NAdam": adam | either | {"momentum_decay": share},
        "RAdam": adam | either,
        "Adamax": adam,
        "ASGD": common | {"lambd": share, "alpha": share, "t0": st.floats(0, 9)},
    }.items()
}


@fresh
@pytest.mark.parametrize("kind", OPTIMIZERS)
@given(st.data(), SEEDS)
def test_fresh_optimizers(kind, data, seed):
    options = data.draw(OPTIMIZERS[kind] | centered if kind == "RMSprop" else OPTIMIZERS[kind])
    trained_as(compute(kind, options, seed), kind, options, seed)


# ----- schedules -----


def goes_as(torch, kind, options, steps):
    """Hold our rates and momenta against PyTorch's."""
    optimizer = optim.SGD([nn.Parameter(np.zeros(1))], lr=0.2, momentum=0.9)
    schedule = schedule_of(optim.schedules, optimizer, kind, options)
    for step in range(steps + 1):
        group = optimizer.param_groups[0]
        close([group["lr"], group["momentum"]], torch["rates"][step], step)
        if step < steps:
            schedule.step(*([METRICS[step]] if kind == "ReduceLROnPlateau" else []))


@pytest.mark.parametrize("case", make_optim.SCHEDULES)
def test_golden_schedules(case):
    goes_as(stored(GOLDEN, f"schedule/{case}"), *make_optim.SCHEDULES[case])


STEPS = len(METRICS)
counts, factors, least = st.integers(1, 12), st.floats(0.1, 0.9), st.sampled_from([0.0, 0.05])
parts = {
    "StepLR": st.fixed_dictionaries({"step_size": counts, "gamma": factors}),
    "MultiStepLR": st.fixed_dictionaries({
        "milestones": st.lists(st.integers(1, 20), max_size=4).map(sorted), "gamma": factors,
    }),
    "ExponentialLR": st.fixed_dictionaries({"gamma": factors}),
    "LinearLR": st.fixed_dictionaries(
        {"start_factor": factors, "end_factor": factors, "total_iters": counts}
    ),
    "PolynomialLR": st.fixed_dictionaries({"total_iters": counts, "power": st.floats(0.5, 3)}),
    "LambdaLR": st.just({"lr_lambda": lambda t: 1 / (1 + t)}),
}  # fmt: skip


@st.composite
def sequences(draw):
    """Schedules that PyTorch's, which go step by step, begin anew as formulas do."""
    kinds = draw(st.lists(st.sampled_from(sorted(parts)), min_size=1, max_size=3))
    schedulers = [(kind, draw(parts[kind])) for kind in kinds]
    ends = st.lists(st.integers(1, STEPS), min_size=len(kinds) - 1, max_size=len(kinds) - 1,
                    unique=True)  # fmt: skip
    return {"schedulers": schedulers, "milestones": sorted(draw(ends))}


SCHEDULES = parts | {
    "SequentialLR": sequences(),
    "CosineAnnealingLR": st.fixed_dictionaries({"T_max": counts, "eta_min": least}),
    "CosineAnnealingWarmRestarts": st.fixed_dictionaries(
        {"T_0": counts, "T_mult": st.integers(1, 3), "eta_min": least}
    ),
    "OneCycleLR": st.fixed_dictionaries({
        "max_lr": st.floats(0.1, 1), "total_steps": st.integers(STEPS + 1, 40),
        "pct_start": st.floats(0.1, 0.45), "anneal_strategy": st.sampled_from(["cos", "linear"]),
        "cycle_momentum": flags, "base_momentum": share, "max_momentum": share,
        "div_factor": st.floats(1, 30), "final_div_factor": st.floats(1, 1e4),
        "three_phase": flags,
    }),
    "ReduceLROnPlateau": st.fixed_dictionaries({
        "mode": st.sampled_from(["min", "max"]), "factor": factors, "patience": st.integers(0, 4),
        "threshold": st.floats(0, 1), "threshold_mode": st.sampled_from(["rel", "abs"]),
        "cooldown": st.integers(0, 3), "min_lr": least, "eps": st.sampled_from([1e-8, 0.05]),
    }),
}  # fmt: skip


@fresh
@pytest.mark.parametrize("kind", SCHEDULES)
@given(st.data())
def test_fresh_schedules(kind, data):
    options = data.draw(SCHEDULES[kind])
    goes_as(rates(kind, options, STEPS), kind, options, STEPS)


# ----- names -----

# Which of several equal implementations, where to go on, and other ways to say total_steps.
THEIRS = {
    "foreach", "capturable", "differentiable", "fused", "last_epoch", "params", "epochs",
    "steps_per_epoch", "total_steps",
}  # fmt: skip


@fresh
@pytest.mark.parametrize("kind", [*OPTIMIZERS, *SCHEDULES])
def test_options_and_defaults_are_those_of_pytorch(kind):
    import torch

    theirs = getattr(torch.optim, kind, None) or getattr(torch.optim.lr_scheduler, kind)
    ours = getattr(optim, kind, None) or getattr(optim.schedules, kind)
    known = {**signature(optim.Optimizer).parameters, **signature(ours).parameters}
    wanted = {n: o for n, o in signature(theirs).parameters.items() if n not in THEIRS}
    for name, option in wanted.items():
        assert name in known, name
        assert known[name].default == option.default, name
    in_order = [name for name, option in wanted.items() if option.kind != option.KEYWORD_ONLY]
    mine = [name for name in signature(ours).parameters if name in in_order]
    assert mine == in_order[: len(mine)]


# ----- clipping, averages -----


def clips_as(torch, kind, bound, seed=0):
    """Hold our clipped gradients and their norm against PyTorch's.

    Theirs are divided by the norm and 1e-6, and so end a little below the bound.
    """
    weights, gradients = make_optim.draw(seed)
    parameters = [nn.Parameter(w) for w in weights]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = tg.tensor(gradient[0])
    norm = getattr(optim, kind)(parameters, bound)
    scale = 1.0
    if kind == "clip_grad_norm":
        close(norm, torch["norm"])
        scale = (norm + 1e-6) / norm if norm + 1e-6 > bound else 1.0
    for number, parameter in enumerate(parameters):
        close(parameter.grad.numpy(), torch[str(number)] * scale)


@pytest.mark.parametrize("case", make_optim.CLIPS)
def test_golden_clipping(case):
    clips_as(stored(GOLDEN, f"clip/{case}"), *make_optim.CLIPS[case])


@fresh
@given(st.sampled_from(["clip_grad_norm", "clip_grad_value"]), st.floats(0.1, 8), SEEDS)
def test_fresh_clipping(kind, bound, seed):
    clips_as(clipped(kind, bound, seed), kind, bound, seed)


@fresh
@given(st.none() | share, SEEDS)
def test_fresh_averages(decay, seed):
    _, (history, _) = make_optim.draw(seed)
    w = nn.Parameter(np.zeros(history.shape[1:]))
    ema = optim.EMA([w], decay=decay)
    with use_reference():
        for numbers in history:
            w.assign_(numbers)
            ema.update()
    close(ema.averages[0], averaged(decay, seed))
