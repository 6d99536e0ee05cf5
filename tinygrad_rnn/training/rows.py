"""Examples along the first axis: what fit, evaluate and predict cut into batches."""

from tinygrad_rnn import nn
from tinygrad_rnn.nn import Module

__all__ = ["rows_first"]

_AROUND = (nn.Sequential, nn.Residual, nn.Highway, nn.DenselyConnected)
_OVER_TIME = (nn.Recurrent, nn.LockedDropout, nn.Attention)


def rows_first(module: Module) -> Module:
    """Make a layer of the library read (B, T, ...), also inside of others; modules of one's own
    say themselves how they call theirs.
    """
    if isinstance(module, _OVER_TIME):
        module.batch_first = True
    elif type(module) in _AROUND:
        for inner in module.children():
            rows_first(inner)
    return module
