"""Parameter: the kind of tensor that a module trains."""

from typing import Any, SupportsIndex

import numpy as np

from tinygrad_rnn.device import Array, there, to_host
from tinygrad_rnn.errors import GradientError
from tinygrad_rnn.kernels import _memory
from tinygrad_rnn.nn.allowance import claim
from tinygrad_rnn.tensor import Tensor, Version, as_operand

__all__ = ["Parameter", "own", "replace"]


class Parameter(Tensor):
    """A leaf that requires a gradient; modules find it by its type.

    The numbers are copied, so that the steps of an optimiser never reach an array that
    somebody else holds. Python floats become float32; arrays and tensors keep their type.
    """

    __slots__ = ("_forms",)

    _trained = True

    _forms: tuple[Version, int, dict[Any, Any]]

    def __init__(self, data: Any, *, requires_grad: bool = True) -> None:
        super().__init__(own(as_operand(data)), requires_grad=requires_grad)
        # Made now: threads that use the parameter at once must not each make their own.
        self._version = Version()

    def forms(self) -> dict[Any, Any]:
        """What kernels keep about the numbers while they stand, such as a packed copy."""
        version = self.shared_version()
        known = getattr(self, "_forms", None)
        if known is None or known[0] is not version or known[1] != version.changed:
            known = self._forms = version, version.changed, {}
        return known[2]

    def _copy_state(self, copy: Tensor, data: Array) -> Tensor:
        copy = super()._copy_state(copy, own(data))
        copy._version = Version()
        return copy

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        if self._node is not None:
            raise GradientError("pickle: detach() a recorded tensor before pickling it.")
        return _restored, (type(self), to_host(self._data), self._requires_grad)


def _restored(kind: type[Parameter], data: Array, requires_grad: bool) -> Parameter:
    # Past the constructors of subclasses, which may take other arguments.
    parameter = kind.__new__(kind)
    Parameter.__init__(parameter, data, requires_grad=requires_grad)
    return parameter


def own(array: Array, dtype: Any = None) -> Array:
    """A contiguous copy that starts on a 64-byte line, as the kernels want their weights."""
    claim(array.size)
    dtype = array.dtype if dtype is None else np.dtype(dtype)
    if not isinstance(array, np.ndarray):
        with there(array):
            return array.astype(dtype, order="C", copy=True)
    copy = _memory.empty(array.shape, dtype)
    copy[...] = array
    return copy


def replace(tensor: Tensor, array: Array) -> None:
    """Put another array in the place of a leaf's own; whoever holds the leaf sees it.

    The version is a new one, stamped now: a graph recorded before finds its input changed,
    while views of the old memory keep the old version, which is still true for them.
    """
    tensor._data = array
    tensor._version = Version()
    tensor._version.bump()
