"""The same losses and gradients as PyTorch's.

Golden arrays stand in tests/golden/losses.npz; where PyTorch is installed, fresh cases are
drawn as well, with any of the options and reductions that both have.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.golden.make_losses import CASES, GOLDEN, D, N, V, compute
from tests.golden.stored import fresh, stored
from tinygrad_rnn import losses, ops
from tinygrad_rnn.device import normalize_device, to_device, to_host


def close(got, want):
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-10, atol=1e-12)


def agrees_with(torch, kind, options, reduction="mean", device="cpu", labels=np.asarray):
    """Hold our loss against the arrays of PyTorch's; ``labels`` says where those of ours are."""
    if kind == "AdaptiveSoftmax":
        adaptive_agrees_with(torch, options, reduction, device, labels)
        return
    loss, leaves = computed(torch, kind, options, reduction, device, labels)
    close(loss, torch["loss"])
    for name, leaf in leaves.items():
        assert leaf.grad.device == loss.device == normalize_device(device)
        close(leaf.grad, torch[f"d_{name}"])


def computed(torch, kind, options, reduction, device, labels):
    """The loss, and its operands with their gradients."""
    theirs = ("weights", "pos_weights", "soft", "lead", "ignored", "masked")
    options = {k: v for k, v in options.items() if k not in theirs}
    options |= {name: labels(torch[name]) for name in ("weights", "pos_weight") if name in torch}
    names = [name for name in ("x", "w", "bias", "y") if f"d_{name}" in torch]
    leaves = {name: tg.tensor(torch[name], device=device, requires_grad=True) for name in names}
    x, y = leaves["x"], leaves["y"] if "y" in leaves else labels(torch["y"])
    if kind == "linear_cross_entropy":
        inputs = x, leaves["w"], y, leaves["bias"]
    else:
        inputs = ops.log_softmax(x) if kind in ("nll", "kl_divergence") else x, y
    if not torch["mask"].all():
        options["mask"] = labels(torch["mask"])
    loss = getattr(losses, kind)(*inputs, reduction=reduction, **options)
    loss.sum().backward()
    return loss, leaves


def adaptive_agrees_with(torch, options, reduction, device, labels):
    layer = losses.AdaptiveSoftmax(D, V, **options).astype(np.float64).to(device)
    weights = dict(layer.named_parameters())
    names = {name: name.replace("tails", "tail").replace(".", "_") for name in weights}
    for name, weight in weights.items():
        weight.assign_(torch[names[name]].T)
    h = tg.tensor(torch["x"], device=device, requires_grad=True)
    loss = layer(h, labels(torch["y"]), reduction=reduction)
    loss.sum().backward()
    close(loss, torch["loss"])
    close(layer.log_prob(h), torch["log_prob"])
    np.testing.assert_array_equal(to_host(layer.predict(h)), torch["best"])
    close(h.grad, torch["d_x"])
    for name, weight in weights.items():
        want = torch[f"d_{names[name]}"].T
        close(tg.zeros_like(weight) if weight.grad is None else weight.grad, want)


@pytest.mark.parametrize("case", CASES)
def test_golden_losses(case):
    agrees_with(stored(GOLDEN, case), *CASES[case])


@pytest.mark.parametrize("where", ["cpu", "gpu"])
@pytest.mark.parametrize("case", CASES)
def test_golden_losses_on_a_gpu(case, where, on_gpu):
    """With labels, masks and weights of classes on the CPU, and on the GPU."""
    torch, (kind, options) = stored(GOLDEN, case), CASES[case]
    agrees_with(torch, kind, options, device="gpu", labels=lambda a: to_device(a, where))


@pytest.mark.parametrize("reduction", ["none", "mean"])
@pytest.mark.parametrize("case", [case for case in CASES if case != "adaptive"])
def test_nothing_waits_for_what_is_on_a_gpu(case, reduction, on_gpu):
    """But for an adaptive softmax: the rows of a cluster have to be known."""
    import cupyx

    torch, (kind, options) = stored(GOLDEN, case), CASES[case]
    with cupyx.allow_synchronize(False):
        computed(torch, kind, options, reduction, "gpu", lambda a: to_device(a, "gpu"))


# ----- fresh cases: our function -> a strategy of its options -----

flags, shares = st.booleans(), st.sampled_from([0.0, 0.1, 1.0])
places = st.lists(st.integers(0, N - 1), max_size=3)  # not all of them
rows = {"lead": st.sampled_from([(N,), (2, 3)]), "masked": places}
classes = rows | {"weights": flags, "ignored": places}


def options_of(**more):
    return st.fixed_dictionaries(rows | more)


labels = st.fixed_dictionaries(
    classes | {"label_smoothing": shares}, optional={"ignore_index": st.sampled_from([-1, 4])}
)
FRESH = {
    "cross_entropy": labels | options_of(weights=flags, label_smoothing=shares, soft=st.just(True)),
    "linear_cross_entropy": st.tuples(labels, st.integers(1, 7)).map(
        lambda both: {**both[0], "chunk": both[1]}
    ),
    "nll": st.fixed_dictionaries(classes),
    "mse": options_of(),
    "l1": options_of(),
    "huber": options_of(delta=st.floats(0.1, 3)),
    "bce_with_logits": options_of(pos_weights=flags) | options_of(pos_weight=st.floats(0, 3)),
    "kl_divergence": options_of(),
    "AdaptiveSoftmax": st.fixed_dictionaries({
        "cutoffs": st.sets(st.integers(1, V - 1), min_size=1, max_size=3).map(sorted),
        "div_value": st.sampled_from([0.5, 1.0, 2.0]), "head_bias": flags,
    }),
}  # fmt: skip


@fresh
@pytest.mark.parametrize("kind", FRESH)
@given(st.data(), st.sampled_from(["none", "sum", "mean"]), st.integers(0, 99))
def test_fresh_losses(kind, data, reduction, seed):
    options = data.draw(FRESH[kind])
    theirs = {name: value for name, value in options.items() if name != "chunk"}
    torch = compute(kind, theirs, reduction, seed)
    if np.isnan(torch["loss"]).any():  # a mean over nothing, which is an error here
        with pytest.raises(tg.errors.ArgumentError, match="there is nothing to take the mean of"):
            agrees_with(torch, kind, options, reduction)
    else:
        agrees_with(torch, kind, options, reduction)
