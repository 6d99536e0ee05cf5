"""Looking into trained networks: where gradients come from, and how far they reach."""

from tinygrad_rnn.inspect.gradient_flow import gradient_map

__all__ = ["gradient_map"]
