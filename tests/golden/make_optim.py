"""Makes optim.npz: what PyTorch's optimisers and schedules do, in float64.

    python tests/golden/make_optim.py      # with PyTorch installed

``case/0``, ``case/1`` are two parameters after every step; ``draw`` gives what they were at first,
and their gradients. Under ``schedule/case`` stand the rates and momenta of every step, under
``clip/case`` the norm and the gradients after clipping.
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
SCHEDULES["plateau"] = ("ReduceLROnPlateau", PLATEAU, 19)
CLIPS = {"norm": ("clip_grad_norm", 1.5), "value": ("clip_grad_value", 0.5)}
# In which a plateau is found.
METRICS = [3, 2, 2.5, 2, 1.999, 2, 1.5, 1.6, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.4, 1.6, 1.6, 1.6, 1.6]


def draw(seed=0):
    """Two parameters, and their gradients at every step."""
    rng = np.random.default_rng(seed)
    weights = [rng.standard_normal(shape) for shape in SHAPES]
    return weights, [rng.standard_normal((STEPS, *shape)) for shape in SHAPES]


def compute(kind, options, seed=0):
    """The parameters after every step, and the averages of ASGD."""
    import torch

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
    found = {str(number): array for number, array in enumerate(after)}
    if kind == "ASGD":
        found |= {f"average{i}": optimizer.state[w]["ax"].numpy() for i, w in enumerate(weights)}
    return found


def rates(kind, options, steps):
    """Rates at every step, and momenta."""
    import torch

    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.2, momentum=0.9)
    schedule = schedule_of(torch.optim.lr_scheduler, optimizer, kind, options)
    found = []
    for step in range(steps + 1):
        group = optimizer.param_groups[0]
        found.append([group["lr"], group["momentum"]])
        if step < steps:
            optimizer.step()
            schedule.step(*([METRICS[step]] if kind == "ReduceLROnPlateau" else []))
    return {"rates": np.array(found)}


def schedule_of(module, optimizer, kind, options):
    """A schedule of theirs or ours; those of a sequence are (kind, options) themselves."""
    options = dict(options)
    if kind == "SequentialLR":
        parts = options.pop("schedulers")
        options["schedulers"] = [schedule_of(module, optimizer, *part) for part in parts]
    return getattr(module, kind)(optimizer, **options)


def clipped(kind, bound, seed=0):
    """The gradients that ``draw`` gives first, clipped, and their norm."""
    import torch

    weights, gradients = draw(seed)
    parameters = [torch.nn.Parameter(torch.tensor(w)) for w in weights]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = torch.tensor(gradient[0])
    norm = getattr(torch.nn.utils, f"{kind}_")(parameters, bound)
    found = {str(number): p.grad.numpy() for number, p in enumerate(parameters)}
    return found | ({} if norm is None else {"norm": norm.numpy()})


def averaged(decay, seed=0):
    """The average of a weight that was ``draw``'s first gradients; without decay, their mean."""
    import torch
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    how = {} if decay is None else {"multi_avg_fn": get_ema_multi_avg_fn(decay)}
    _, (history, _) = draw(seed)
    model = torch.nn.Linear(4, 3, bias=False).double()
    average = AveragedModel(model, **how)
    for numbers in history:
        model.weight.data[:] = torch.tensor(numbers)
        average.update_parameters(model)
    return average.module.weight.detach().numpy()


if __name__ == "__main__":
    arrays = {f"{c}/{name}": a for c in CASES for name, a in compute(*CASES[c]).items()}
    for place, makers, make in (("schedule", SCHEDULES, rates), ("clip", CLIPS, clipped)):
        arrays |= {f"{place}/{c}/{n}": a for c in makers for n, a in make(*makers[c]).items()}
    np.savez_compressed(GOLDEN, **arrays)
