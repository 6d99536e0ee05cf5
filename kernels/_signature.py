"""What a kernel's signature says: Numba's types of the arguments, ``T`` for the element type."""

from tinygrad_rnn.kernels._numba import types

__all__ = ["LOOP", "argument_types", "index_of_t", "is_sliced"]

# Of what NumPy calls: addresses, sizes and steps of the arrays, a number, and one of type T.
LOOP = "CPointer(intp), CPointer(intp), CPointer(intp), intp, T"


def argument_types(signature, dtype):
    """Return the types of the arguments where T is ``dtype``, a name or nothing."""
    names = {**vars(types), "T": getattr(types, dtype or "float32"), "const": _const}
    return tuple(eval(f"({signature},)" if signature.strip() else "()", {}, names))


def _const(array):
    return types.Array(array.dtype, array.ndim, array.layout, readonly=True)


def index_of_t(signature):
    """Return which argument tells what T is; None if the signature has no T."""
    single, double = (argument_types(signature, dtype) for dtype in ("float32", "float64"))
    candidates = [i for i, kind in enumerate(single) if kind != double[i]]
    arrays = [i for i in candidates if isinstance(single[i], types.Array)]
    return next(iter(arrays + candidates), None)


def is_sliced(signature):
    """Whether a kernel begins with two numbers: a slice's, or a worker's and how many there are."""
    return signature.replace(" ", "").startswith("intp,intp,")
