"""Laws of every function: what calls and backward passes leave alone, and how gradients add up."""

import numpy as np

from tinygrad_rnn.modes import enable_grad
from tinygrad_rnn.testing.comparison import generic_like, gradients_of
from tinygrad_rnn.testing.laws.common import Draw, expect_same
from tinygrad_rnn.testing.numeric import differentiable
from tinygrad_rnn.testing.strategies import seeds
from tinygrad_rnn.testing.subject import Subject

__all__ = ["no_mutation"]


def no_mutation(subject: Subject, draw: Draw) -> None:
    """Neither a call nor backward changes the inputs, or the cotangents it is given."""
    rng = np.random.default_rng(draw(seeds()))
    leaves = subject.leaves()
    with enable_grad():
        outputs = differentiable(subject(*leaves))
    cotangents = [generic_like(rng, out) for out in outputs]
    before = [w.copy() for w in cotangents]
    gradients_of(outputs, leaves, cotangents)
    for name, leaf, primal in zip(subject.names, leaves, subject.primals, strict=True):
        expect_same("no_mutation", subject, f"{name} afterwards", leaf.numpy(), primal)
    for number, (found, given) in enumerate(zip(cotangents, before, strict=True)):
        expect_same("no_mutation", subject, f"cotangent {number} afterwards", found, given)
