"""The same on two devices: what tests of layers, models and training compare."""

import copy
from typing import Any

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn.device import host_array
from tinygrad_rnn.tensor import Tensor

TOLERANCE = 1e-10  # of float64, against the largest number, and 1


def leaves(tree: Any):
    """The Tensors in a tree, in its order."""
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, dict):
        for part in tree.values():
            yield from leaves(part)
    elif isinstance(tree, list | tuple):
        for part in tree:
            yield from leaves(part)


def placed(tree: Any, device: str) -> Any:
    """The arrays of floats in a tree as leaves on a device; ids, masks and others as they are."""
    if isinstance(tree, np.ndarray) and tree.dtype.kind == "f":
        return Tensor(tree.copy()).to(device).detach().requires_grad_()
    if isinstance(tree, dict):
        return {name: placed(part, device) for name, part in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(placed(part, device) for part in tree)
    return tree


def run(module, call, inputs, device: str):
    """Outputs and gradients of a copy of the module on a device, as arrays of the host."""
    module, given = copy.deepcopy(module).to(device), placed(inputs, device)
    tg.seed(7)
    outs = [out for out in leaves(call(module, *given)) if out.dtype.kind == "f"]
    assert outs, "nothing came out that could be compared"
    assert {out.device for out in outs} == {tg.zeros(1).to(device).device}
    rng = np.random.default_rng(0)
    recorded = [out for out in outs if out.requires_grad]
    weights = [Tensor(rng.standard_normal(out.shape).astype(out.dtype)) for out in recorded]
    if recorded:
        total = sum((out * w.to(device)).sum() for out, w in zip(recorded, weights, strict=True))
        total.backward()
    wanted = {f"input {n}": leaf for n, leaf in enumerate(leaves(given))}
    wanted |= dict(module.named_parameters())
    grads = {name: t.grad.numpy() for name, t in wanted.items() if t.grad is not None}
    assert {t.grad.device for t in wanted.values() if t.grad is not None} <= {outs[0].device}
    buffers = {name: t.numpy() for name, t in module.named_buffers()}
    return [out.numpy() for out in outs], grads | buffers


def assert_same(module, inputs, call=None) -> None:
    """A module gives the same numbers and gradients on the CPU and on a GPU, in float64.

    call(module, *inputs)  gives a tree of Tensors; None: the module itself is called
    """
    call = call or (lambda module, *given: module(*given))
    (outs, grads), (others, other_grads) = (run(module, call, inputs, d) for d in ("cpu", "gpu"))
    assert grads.keys() == other_grads.keys()
    assert len(outs) == len(others)
    named = {f"output {n}": pair for n, pair in enumerate(zip(outs, others, strict=True))}
    named |= {name: (grads[name], other_grads[name]) for name in grads}
    for name, (mine, theirs) in named.items():
        assert_alike(mine, theirs, name)


def assert_alike(mine: Any, theirs: Any, name: str = "it") -> None:
    """Two trees of arrays, Tensors, numbers and names are the same, numbers to rounding."""
    if isinstance(mine, dict):
        mine, theirs = (
            [tree[key] for key in sorted(tree)] + [[*sorted(tree)]] for tree in (mine, theirs)
        )
    if isinstance(mine, list | tuple):
        assert type(mine) is type(theirs)
        assert len(mine) == len(theirs), name
        for n, pair in enumerate(zip(mine, theirs, strict=True)):
            assert_alike(*pair, f"{name}[{n}]")
        return
    mine, theirs = (x.numpy() if isinstance(x, Tensor) else host_array(x) for x in (mine, theirs))
    assert mine.dtype == theirs.dtype, name
    if mine.dtype.kind != "f":
        np.testing.assert_array_equal(theirs, mine, err_msg=name)
        return
    room = TOLERANCE * max(1.0, np.abs(np.nan_to_num(mine)).max(initial=0))
    np.testing.assert_allclose(theirs, mine, rtol=0, atol=room, err_msg=name)
