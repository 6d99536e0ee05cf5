"""Where a module is called, on a machine with several GPUs: there it makes what it makes."""

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tinygrad_rnn.device import there
from tinygrad_rnn.errors import ModuleError
from tinygrad_rnn.kernels._cuda import several
from tinygrad_rnn.tensor import Tensor

if TYPE_CHECKING:
    from tinygrad_rnn.nn.module import Module

__all__ = ["called_there", "several"]


def called_there(module: "Module", args: Any, kwargs: Any) -> Any:
    """What ``forward`` returns, the device of an argument or else of a weight being current."""
    like = next((given for given in args if isinstance(given, Tensor)), None)
    if like is None:
        with suppress(ModuleError):  # weights that are still to be made
            like = next(module.parameters(), None)
    with there(None if like is None else like._data):
        return module.forward(*args, **kwargs)
