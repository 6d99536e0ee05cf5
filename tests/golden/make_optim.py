"""Makes optim.npz: what PyTorch's optimisers and schedules do, in float64.

    python tests/golden/make_optim.py      # with PyTorch installed

``case/0``, ``case/1`` are two parameters after every step; ``draw`` gives what they were at first,
and their gradients. Under ``schedule/case`` stand the rates and momenta of every step.
"""

from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).with_name("optim.npz")
STEPS = 8
SHAPES = [(3, 4), (5,)]

# name -> class of torch.optim, options
CASES = {
    "sgd": ("SGD", {"lr": 0.1}),
    "sgd_decay": ("SGD", {"lr": 0.1, "weight_decay": 0.3}),
    "sgd_momentum": ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.2}),
    "sgd_nesterov": ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "maximize": True}),
    "adagrad": ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.2}),
    "adadelta": ("Adadelta", {"lr": 0.5, "weight_decay": 0.1}),
    "rmsprop": ("RMSprop", {"lr": 0.1, "weight_decay": 0.1}),
    "rmsprop_centered": ("RMSprop", {"lr": 0.1, "momentum": 0.9, "centered": True}),
    "adam": ("Adam", {"lr": 0.1, "weight_decay": 0.1}),
    "amsgrad": ("Adam", {"lr": 0.1, "betas": (0.5, 0.7), "amsgrad": True}),
    "adamw": ("AdamW", {"lr": 0.1, "weight_decay": 0.3}),
    "nadam": ("NAdam", {"lr": 0.1, "weight_decay": 0.1}),
    "nadam_decoupled": (
        "NAdam", {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True}
    ),
    "radam": ("RAdam", {"lr": 0.1, "betas": (0.9, 0.99)}),
    "adamax": ("Adamax", {"lr": 0.1, "weight_decay": 0.1}),
    "asgd": ("ASGD", {"lr": 0.1, "lambd": 0.01, "t0": 3, "weight_decay": 0.1}),
}  # fmt: skip

KINDS = (
    "SGD", "Adagrad", "Adadelta", "RMSprop", "Adam", "AdamW", "NAdam", "RAdam", "Adamax", "ASGD",
)  # fmt: skip
CASES |= {f"{kind}_as_it_comes": (kind, {}) for kind in KINDS}

# name -> class of torch.optim.lr_scheduler, options, how many steps
SCHEDULES = {
    "step": ("StepLR", {"step_size": 3, "gamma": 0.5}, 10),
    "multi_step": ("MultiStepLR", {"milestones": [2, 5, 5], "gamma": 0.3}, 10),
    "exponential": ("ExponentialLR", {"gamma": 0.9}, 10),
    "linear": ("LinearLR", {"start_factor": 0.1, "end_factor": 0.9, "total_iters": 6}, 10),
    "polynomial": ("PolynomialLR", {"total_iters": 6, "power": 2.0}, 10),
    "cosine": ("CosineAnnealingLR", {"T_max": 8, "eta_min": 0.01}, 20),
    "restarts": ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2, "eta_min": 0.01}, 24),
    "restarts_same": ("CosineAnnealingWarmRestarts", {"T_0": 3}, 10),
    "one_cycle": ("OneCycleLR", {"max_lr": 0.5, "total_steps": 20}, 19),
    "one_cycle_three": (
        "OneCycleLR",
        {"max_lr": 0.5, "total_steps": 21, "three_phase": True, "anneal_strategy": "linear"},
        20,
    ),
}
PLATEAU = {"factor": 0.5, "patience": 2, "cooldown": 1, "threshold": 0.01, "min_lr": 0.02}
METRICS = [3, 2, 2.5, 2, 1.999, 2, 1.5, 1.6, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.4, 1.6, 1.6, 1.6, 1.6]


def draw(seed=0):
    """Two parameters, and their gradients at every step."""
    rng = np.random.default_rng(seed)
    weights = [rng.standard_normal(shape) for shape in SHAPES]
    return weights, [rng.standard_normal((STEPS, *shape)) for shape in SHAPES]


def compute(case, seed=0):
    """The parameters after every step."""
    import torch

    kind, options = CASES[case]
    first, gradients = draw(seed)
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # in which it keeps the numbers of a step
    weights = [torch.nn.Parameter(torch.tensor(w)) for w in first]
    optimizer = getattr(torch.optim, kind)(weights, **options)
    after = [np.zeros_like(g) for g in gradients]
    for step in range(STEPS):
        for number, weight in enumerate(weights):
            weight.grad = torch.tensor(gradients[number][step])
        optimizer.step()
        for number, weight in enumerate(weights):
            after[number][step] = weight.detach().numpy()
    torch.set_default_dtype(default)
    return after


def rates(case):
    """Rates at every step, and momenta."""
    import torch

    kind, options, steps = SCHEDULES[case]
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.2, momentum=0.9)
    schedule = getattr(torch.optim.lr_scheduler, kind)(optimizer, **options)
    found = []
    for step in range(steps + 1):
        group = optimizer.param_groups[0]
        found.append([group["lr"], group["momentum"]])
        if step < steps:
            optimizer.step()
            schedule.step()
    return np.array(found)


def plateau():
    """Rates after every metric."""
    import torch

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.2)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **PLATEAU)
    found = []
    for metric in METRICS:
        schedule.step(metric)
        found.append(optimizer.param_groups[0]["lr"])
    return np.array(found)


if __name__ == "__main__":
    arrays = {f"{case}/{i}": a for case in CASES for i, a in enumerate(compute(case))}
    arrays |= {f"schedule/{case}": rates(case) for case in SCHEDULES}
    np.savez_compressed(GOLDEN, **arrays, **{"schedule/plateau": plateau()})
