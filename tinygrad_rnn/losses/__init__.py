"""Losses: what training makes small.

Each takes ``reduction="none"``, ``"sum"`` or ``"mean"``, and ``mask=``, booleans that say what
counts. A mean over nothing is an error here, not NaN. For large vocabularies there are
``linear_cross_entropy``, and modules that hold the weights of the last layer.
"""

from tinygrad_rnn.losses.adaptive import AdaptiveSoftmax
from tinygrad_rnn.losses.classification import cross_entropy, kl_divergence, nll
from tinygrad_rnn.losses.elementwise import bce_with_logits, huber, l1, mse
from tinygrad_rnn.losses.hierarchical import HierarchicalSoftmax
from tinygrad_rnn.losses.linear import linear_cross_entropy
from tinygrad_rnn.losses.reinforcement import MovingBaseline, reinforce
from tinygrad_rnn.losses.sampled import NCE, NegativeSampling, SampledSoftmax
from tinygrad_rnn.losses.samplers import LogUniformSampler, Sampler, UnigramSampler

__all__ = [
    "NCE", "AdaptiveSoftmax", "HierarchicalSoftmax", "LogUniformSampler", "MovingBaseline",
    "NegativeSampling", "SampledSoftmax", "Sampler", "UnigramSampler", "bce_with_logits",
    "cross_entropy", "huber", "kl_divergence", "l1", "linear_cross_entropy", "mse", "nll",
    "reinforce",
]  # fmt: skip
