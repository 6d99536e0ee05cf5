"""Initialisers: fill a tensor in place, from the library's seeded generator, and return it.

Equal seeds give equal numbers, on any number of threads and any device.

A weight of two axes is (in, out), as in ``x @ w``: it has as many inputs as ``w.shape[0]``.
One of more axes is read as a convolution's, (out, in, *kernel). ``fans`` says what follows;
``fan_in=`` and ``fan_out=`` overrule it. ``gain`` is a number, or the name of the function
that the weight feeds (see ``calculate_gain``). ``gates=G`` says that the last axis is G
weights side by side, as in the (H, 4H) of an LSTM: each is initialised as one of its own.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from tinygrad_rnn import random
from tinygrad_rnn.arguments import bounded, choice, number, whole
from tinygrad_rnn.device import Array
from tinygrad_rnn.errors import DTypeError, ShapeError
from tinygrad_rnn.nn.orthogonal import orthonormal_rows
from tinygrad_rnn.tensor import FLOATS, Tensor

__all__ = [
    "calculate_gain", "constant_", "fans", "he_normal_", "he_uniform_", "identity_",
    "kaiming_normal_", "kaiming_uniform_", "lecun_normal_", "lecun_uniform_", "normal_", "ones_",
    "orthogonal_", "sparse_", "uniform_", "xavier_normal_", "xavier_uniform_", "zeros_",
]  # fmt: skip

Gain = float | str

_GAINS = {
    "linear": 1.0,
    "identity": 1.0,
    "sigmoid": 1.0,
    "tanh": 5.0 / 3.0,
    "relu": math.sqrt(2.0),
    "selu": 0.75,
}


def calculate_gain(nonlinearity: str, negative_slope: float = 0.01) -> float:
    """The factor that keeps the variance of activations through a nonlinearity.

    The values are PyTorch's: 1 for "linear", "identity" and "sigmoid", 5/3 for "tanh", √2
    for "relu", 3/4 for "selu", and √(2 / (1 + slope²)) for "leaky_relu".
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2.0 / (1.0 + negative_slope**2))
    if nonlinearity not in _GAINS:
        known = ", ".join([*_GAINS, "leaky_relu"])
        raise ValueError(
            f"calculate_gain: there is no gain for {nonlinearity!r}; expected one of {known}, "
            "or give gain= as a number."
        )
    return _GAINS[nonlinearity]


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """How many inputs each output has, and how many outputs each input.

    Of (in, out): in and out. Of a convolution's (out, in, *kernel): in and out times the
    size of the kernel.
    """
    if len(shape) < 2:
        raise ShapeError(
            f"fans: shape {tuple(shape)} has {len(shape)} axes, expected (in, out) or "
            "(out, in, *kernel); initialise a bias with zeros_, or pass fan_in= and fan_out=."
        )
    if len(shape) == 2:
        return int(shape[0]), int(shape[1])
    kernel = math.prod(shape[2:])
    return int(shape[1]) * kernel, int(shape[0]) * kernel


# ----- numbers -----


def uniform_(tensor: Tensor, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Evenly distributed from low to high."""
    _check("uniform_", tensor)
    low, high = number("uniform_", "low", low), number("uniform_", "high", high)
    drawn = random.uniform(tensor.shape, tensor.dtype)
    return _write(tensor, low + (high - low) * drawn)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Normally distributed."""
    _check("normal_", tensor)
    mean, std = number("normal_", "mean", mean), number("normal_", "std", std)
    return _write(tensor, mean + std * random.standard_normal(tensor.shape, tensor.dtype))


def constant_(tensor: Tensor, value: float) -> Tensor:
    """The same number everywhere."""
    return _filled("constant_", tensor, number("constant_", "value", value))


def zeros_(tensor: Tensor) -> Tensor:
    """All zeros."""
    return _filled("zeros_", tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """All ones."""
    return _filled("ones_", tensor, 1.0)


# ----- variances that keep a signal's size -----


def xavier_uniform_(
    tensor: Tensor,
    gain: Gain = 1.0,
    *,
    gates: int = 1,
    fan_in: int | None = None,
    fan_out: int | None = None,
) -> Tensor:
    """Variance 2 gain² / (fan_in + fan_out), evenly distributed (Glorot & Bengio 2010)."""
    std = _xavier("xavier_uniform_", tensor, gain, gates, fan_in, fan_out)
    return uniform_(tensor, -math.sqrt(3.0) * std, math.sqrt(3.0) * std)


def xavier_normal_(
    tensor: Tensor,
    gain: Gain = 1.0,
    *,
    gates: int = 1,
    fan_in: int | None = None,
    fan_out: int | None = None,
) -> Tensor:
    """Variance 2 gain² / (fan_in + fan_out), normally distributed (Glorot & Bengio 2010)."""
    return normal_(tensor, 0.0, _xavier("xavier_normal_", tensor, gain, gates, fan_in, fan_out))


def he_uniform_(
    tensor: Tensor,
    *,
    gain: Gain = "relu",
    mode: str = "fan_in",
    gates: int = 1,
    fan_in: int | None = None,
    fan_out: int | None = None,
) -> Tensor:
    """Variance gain² / fan, evenly distributed (He et al. 2015).

    Args:
        mode: "fan_in" keeps the size of activations, "fan_out" that of gradients.
    """
    std = _he("he_uniform_", tensor, gain, mode, gates, fan_in, fan_out)
    return uniform_(tensor, -math.sqrt(3.0) * std, math.sqrt(3.0) * std)


def he_normal_(
    tensor: Tensor,
    *,
    gain: Gain = "relu",
    mode: str = "fan_in",
    gates: int = 1,
    fan_in: int | None = None,
    fan_out: int | None = None,
) -> Tensor:
    """Variance gain² / fan, normally distributed (He et al. 2015); see ``he_uniform_``."""
    return normal_(tensor, 0.0, _he("he_normal_", tensor, gain, mode, gates, fan_in, fan_out))


# PyTorch's names. All options go by keyword, so that its positional slope is an error here,
# not a gain.
kaiming_uniform_ = he_uniform_
kaiming_normal_ = he_normal_


def lecun_uniform_(tensor: Tensor, gain: Gain = 1.0, *, fan_in: int | None = None) -> Tensor:
    """Variance gain² / fan_in, evenly distributed (LeCun et al. 1998)."""
    std = _he("lecun_uniform_", tensor, gain, "fan_in", 1, fan_in, 1)
    return uniform_(tensor, -math.sqrt(3.0) * std, math.sqrt(3.0) * std)


def lecun_normal_(tensor: Tensor, gain: Gain = 1.0, *, fan_in: int | None = None) -> Tensor:
    """Variance gain² / fan_in, normally distributed (LeCun et al. 1998)."""
    return normal_(tensor, 0.0, _he("lecun_normal_", tensor, gain, "fan_in", 1, fan_in, 1))


# ----- matrices with a structure -----


def orthogonal_(tensor: Tensor, gain: Gain = 1.0, *, gates: int = 1) -> Tensor:
    """``gain`` times a random orthogonal matrix (Saxe et al. 2014), or one per gate.

    Of (M, N) with M >= N, the columns are orthonormal, else the rows; drawn evenly among all
    such matrices. Of more axes, (out, in, *kernel) is read as (out, in times kernel).
    """
    rows, columns = _matrix("orthogonal_", tensor, gates)
    scale = _gain(gain)
    count, length = min(rows, columns), max(rows, columns)
    blocks = []
    for _ in range(gates):
        vectors = orthonormal_rows(random.standard_normal((count, length), np.float64))
        blocks.append(scale * (vectors.T if rows >= columns else vectors))
    return _write(tensor, np.concatenate(blocks, axis=1).reshape(tensor.shape))


def identity_(tensor: Tensor, gain: Gain = 1.0, *, gates: int = 1) -> Tensor:
    """``gain`` times the identity matrix, or one per gate; cut or padded with 0 if not square.

    A recurrent weight that starts so carries its state along (Le et al. 2015).
    """
    rows, columns = _only_matrix("identity_", tensor, gates)
    return _write(tensor, np.tile(_gain(gain) * np.eye(rows, columns), (1, gates)))


def sparse_(tensor: Tensor, sparsity: float, *, std: float = 0.01) -> Tensor:
    """Normally distributed, but 0 in a share of every column (Martens 2010).

    Each output keeps the same number of inputs: of M, ceil(sparsity M) are cut.
    """
    rows, columns = _only_matrix("sparse_", tensor)
    sparsity = bounded("sparse_", "sparsity", sparsity, least=0, most=1)
    std = number("sparse_", "std", std)
    cut = math.ceil(sparsity * rows)
    values = std * random.standard_normal((rows, columns), np.float64)
    order = np.argsort(random.uniform((rows, columns), np.float64), axis=0, kind="stable")
    np.put_along_axis(values, order[:cut], 0.0, axis=0)
    return _write(tensor, values)


# ----- what they share -----


def _check(where: str, tensor: Tensor, floats: bool = True) -> None:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{where}: given a {type(tensor).__name__}, expected a Tensor to fill.")
    if floats and tensor.dtype not in FLOATS:
        raise DTypeError(
            f"{where}: the tensor holds {tensor.dtype}, expected floating-point numbers."
        )


def _filled(where: str, tensor: Tensor, value: float) -> Tensor:
    _check(where, tensor, floats=False)
    return _write(tensor, np.full(tensor.shape, value))


def _write(tensor: Tensor, values: Array) -> Tensor:
    return tensor.assign_(values.astype(tensor.dtype))


def _gain(gain: Gain) -> float:
    return calculate_gain(gain) if isinstance(gain, str) else number("calculate_gain", "gain", gain)


def _gate(where: str, shape: tuple[int, ...], gates: int) -> tuple[int, ...]:
    """The shape of one gate's weight."""
    gates = whole(where, "gates", gates)
    if gates == 1:
        return shape
    if gates < 1 or len(shape) != 2 or shape[1] % gates:
        raise ShapeError(
            f"{where}: shape {shape} cannot be cut into gates={gates} equal parts, expected a "
            "matrix whose last axis is a multiple of gates."
        )
    return shape[0], shape[1] // gates


def _matrix(where: str, tensor: Tensor, gates: int) -> tuple[int, int]:
    """The rows and columns of one gate's weight, the axes behind the first read as one."""
    _check(where, tensor)
    shape = _gate(where, tensor.shape, gates)
    if len(shape) < 2:
        raise ShapeError(f"{where}: shape {shape} has {len(shape)} axes, expected 2 or more.")
    return shape[0], math.prod(shape[1:])


def _only_matrix(where: str, tensor: Tensor, gates: int = 1) -> tuple[int, int]:
    _check(where, tensor)
    if tensor.ndim != 2:
        raise ShapeError(f"{where}: shape {tensor.shape} has {tensor.ndim} axes, expected 2.")
    return _matrix(where, tensor, gates)


def _xavier(
    where: str, tensor: Tensor, gain: Gain, gates: int, fan_in: int | None, fan_out: int | None
) -> float:
    inputs, outputs = _fans(where, tensor, gates, fan_in, fan_out)
    return _gain(gain) * math.sqrt(2.0 / max(1, inputs + outputs))


def _he(
    where: str,
    tensor: Tensor,
    gain: Gain,
    mode: str,
    gates: int,
    fan_in: int | None,
    fan_out: int | None,
) -> float:
    choice(where, "mode", mode, ("fan_in", "fan_out"))
    inputs, outputs = _fans(where, tensor, gates, fan_in, fan_out)
    return _gain(gain) / math.sqrt(max(1, inputs if mode == "fan_in" else outputs))


def _fans(
    where: str, tensor: Tensor, gates: int, fan_in: int | None, fan_out: int | None
) -> tuple[int, int]:
    """The fans of one gate, as given or as ``fans`` finds them."""
    _check(where, tensor)
    fan_in = None if fan_in is None else whole(where, "fan_in", fan_in, least=0)
    fan_out = None if fan_out is None else whole(where, "fan_out", fan_out, least=0)
    if fan_in is not None and fan_out is not None:
        return fan_in, fan_out
    found = fans(_gate(where, tensor.shape, gates))
    return found[0] if fan_in is None else fan_in, found[1] if fan_out is None else fan_out


# ----- for the biases of cells -----


def per_gate(*values: float) -> Callable[[Tensor], Tensor]:
    """An initialiser that gives each gate of a bias a number of its own."""
    return partial(_fill, values)  # not a closure, which could not be pickled


def _fill(values: Sequence[float], tensor: Tensor) -> Tensor:
    return tensor.assign_(np.repeat(np.asarray(values, tensor.dtype), tensor.size // len(values)))
