"""``cupy.ndarray``, with the memory of a NumPy array behind it."""

import operator

import numpy as np

from tests.standin import machine

TYPES = frozenset("?bhilqBHILQefdFD")
SCALARS = (bool, int, float, complex, np.bool_, np.number)
NOT_IMPLICITLY = (
    "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy"
    " array explicitly."
)


class ndarray:  # CuPy's name
    """An array of the GPU. ``_host`` is the NumPy array behind it, for tests alone.

    Its operators, and those methods that are NumPy's, are bound by ``protocols.py``.
    """

    __module__ = "cupy"
    __slots__ = ("__weakref__", "_host", "_memory", "base")
    __array_priority__ = 100
    __hash__ = None

    def __new__(cls, shape, dtype=float, memptr=None, strides=None, order="C"):
        if memptr is not None or strides is not None:
            raise NotImplementedError("the stand-in makes no arrays of given memory.")
        host = np.empty(shape, known(dtype), order=order)
        spoil(host)
        return new(host)

    # ----- what it is -----

    dtype = property(lambda self: self._host.dtype)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    strides = property(lambda self: self._host.strides)
    itemsize = property(lambda self: self._host.itemsize)
    nbytes = property(lambda self: self._host.nbytes)
    device = property(lambda self: machine.Device(self._memory.device))
    data = property(lambda self: machine.Pointer(self._host.ctypes.data, self._memory.device))
    flags = property(lambda self: Flags(self))
    T = property(lambda self: view_of(self, self._host.T))
    mT = property(lambda self: view_of(self, self._host.mT))

    @property
    def shape(self):
        return self._host.shape

    @shape.setter
    def shape(self, shape):
        self._host = without_copy(self._host, shape)

    @property
    def real(self):
        return self if self.dtype.kind != "c" else view_of(self, self._host.real)

    @real.setter
    def real(self, value):
        self.real[...] = value

    @property
    def imag(self):
        if self.dtype.kind != "c":
            return give(np.zeros(self.shape, self.dtype), [self])
        return view_of(self, self._host.imag)

    @imag.setter
    def imag(self, value):
        if self.dtype.kind != "c":
            raise TypeError("cupy.ndarray does not have imaginary part to set")
        self.imag[...] = value

    @property
    def __cuda_array_interface__(self):
        pointer = (self.data.ptr, False)
        strides = None if self.flags.c_contiguous else self.strides
        return {
            "shape": self.shape, "typestr": self.dtype.str, "descr": self.dtype.descr,
            "stream": 1, "version": 3, "strides": strides, "data": pointer,
        }  # fmt: skip

    def __dlpack_device__(self):
        return 2, self._memory.device

    # ----- to the host; all of it waits for the device -----

    def get(self, stream=None, order="C", out=None, blocking=True):
        if blocking:
            machine.here().wait("get")
        if out is None:
            return np.array(self._host, order=order)
        if not isinstance(out, np.ndarray) or out.dtype != self.dtype:
            raise TypeError(f"{getattr(out, 'dtype', type(out))} cannot be had of {self.dtype}")
        if out.shape != self.shape:
            raise ValueError(f"Shape mismatch. Expected shape: {self.shape}, actual: {out.shape}")
        out[...] = self._host
        return out

    def _fetch(self, how):
        machine.here().wait(how)
        return self._host.copy()

    def set(self, arr, stream=None):
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if arr.dtype != self.dtype:
            raise TypeError(f"{arr.dtype} array cannot be set to {self.dtype} array")
        if arr.shape != self.shape:
            raise ValueError(f"Shape mismatch. Old shape: {self.shape}, new shape: {arr.shape}")
        if not self.flags.forc:
            raise RuntimeError("Cannot set to non-contiguous array")
        machine.here().uploads += 1
        self._host[...] = arr

    def item(self):
        return self._fetch("item").item()

    def tolist(self):
        return self._fetch("tolist").tolist()

    def tobytes(self, order="C"):
        return self._fetch("tobytes").tobytes(order)

    def __bool__(self):
        if self.size > 1:
            raise ValueError(
                "The truth value of an array with more than one element is ambiguous. Use a.any()"
                " or a.all()"
            )
        return bool(self._fetch("bool").any())

    def __int__(self):
        return int(self._fetch("int"))

    def __float__(self):
        return float(self._fetch("float"))

    def __complex__(self):
        return complex(self._fetch("complex"))

    def __repr__(self):
        return repr(self._fetch("repr"))

    def __str__(self):
        return str(self._fetch("str"))

    def __format__(self, spec):
        return format(self._fetch("format"), spec)

    def __array__(self, dtype=None, copy=None):
        raise TypeError(NOT_IMPLICITLY)

    # ----- copies and views -----

    def __copy__(self):
        return self.copy()

    def __deepcopy__(self, memo):
        with self.device:
            return self.copy()

    def copy(self, order="C"):
        return give(self._host.copy(order), [self], elsewhere=True)

    def astype(self, dtype, order="K", casting=None, subok=None, copy=True):
        if not copy and known(dtype) == self.dtype:
            return self
        with np.errstate(all="ignore"):
            host = self._host.astype(known(dtype), order, casting or "unsafe")
        return give(host, [self])

    def view(self, dtype=None, type=None):
        return view_of(self, self._host.view() if dtype is None else self._host.view(dtype))

    def fill(self, value):
        check_device(self)
        if isinstance(value, np.ndarray) and value.ndim:
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        self._host.fill(scalar(value.item() if isinstance(value, np.ndarray) else value))

    # ----- parts -----

    def __len__(self):
        if not self.ndim:
            raise TypeError("len() of unsized object")
        return len(self._host)

    def __iter__(self):
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index):
        index, arrays = place(index, self.shape)
        if any(array.dtype == bool and array.ndim for array in arrays):
            machine.here().wait("a mask as an index")
        return give(self._host[index], [self])

    def __setitem__(self, index, value):
        check_device(self)
        index, arrays = place(index, self.shape)
        if isinstance(value, ndarray):
            check_device(value)
            value = value._host
        elif arrays and isinstance(value, np.ndarray | list | tuple):
            machine.here().uploads += 1
            value = np.asarray(value, self.dtype)
        elif isinstance(value, np.ndarray) and value.ndim:
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        elif not isinstance(value, np.ndarray):
            value = scalar(value)
        with np.errstate(all="ignore"):
            self._host[index] = value

    def take(self, indices, axis=None, out=None):
        if out is not None:
            raise NotImplementedError("the stand-in's take() has no out.")
        indices = on_device(indices)
        host, axis = (self._host.reshape(-1), 0) if axis is None else (self._host, axis)
        return give(host.take(indices._host, axis, mode="wrap"), [self, indices])


class Flags:
    """How an array stands in memory; CuPy knows no read-only arrays."""

    def __init__(self, array):
        flags = array._host.flags
        self.c_contiguous, self.f_contiguous = flags.c_contiguous, flags.f_contiguous
        self.forc, self.fnc = flags.forc, flags.fnc
        self.owndata = array.base is None


# ----- from arrays of NumPy and back -----


def known(dtype):
    """An element type that CuPy has."""
    found = np.dtype(dtype)
    if found.char not in TYPES:
        raise ValueError(f"Unsupported dtype {found}")
    return found


def scalar(value):
    """A number, or the error of CuPy's kernels."""
    if not isinstance(value, SCALARS):
        raise TypeError(f"Unsupported type {type(value)}")
    return value


def spoil(host):
    """Fill what has no numbers yet with NaN, or with -1, or the largest where there is none."""
    whole = -1 if host.dtype.kind == "i" else True if host.dtype == bool else None
    host[...] = np.nan if host.dtype.kind in "fc" else whole or np.iinfo(host.dtype).max


def new(host):
    """An array on the current device."""
    array = object.__new__(ndarray)
    array._host, array.base = host, None
    pretended = machine.here()
    known(host.dtype)
    array._memory = machine.Allocation(pretended, pretended.current, host.nbytes)
    return array


def view_of(array, host):
    """Another array of the same memory."""
    view = object.__new__(ndarray)
    view._host, view._memory = host, array._memory
    view.base = array if array.base is None else array.base
    return view


def check_device(array):
    """What runs on the current device reads the memory of no other."""
    device, current = array._memory.device, machine.here().current
    if device != current:
        raise ValueError(
            f"The device where the array resides ({device}) is different from the current device "
            f"({current}). Peer access is unavailable between these devices."
        )


def give(result, inputs, elsewhere=False):
    """What NumPy has found, as an array: a view of an input where it is one, else a new one."""
    if isinstance(result, tuple | list):
        return type(result)([give(r, inputs) for r in result])
    host = np.asarray(result)
    for array in inputs:
        if result is array._host:
            return array
        if host.size and np.may_share_memory(host, array._host):
            return view_of(array, host)
    if not elsewhere:
        for array in inputs:
            check_device(array)
    if not host.size:  # maybe a view that repeats nothing, which warns of being asked
        host = host.copy()
    return new(host if host.flags.writeable else host.copy())


def on_device(value):
    """An index, which may come from the host."""
    if isinstance(value, ndarray):
        return value
    host = np.asarray(value)
    if not host.size and host.dtype.kind == "f":
        host = host.astype(np.int32)
    machine.here().uploads += 1
    return new(host)


def place(index, shape):
    """An index for NumPy, and the arrays in it; places that are out of range wrap."""
    items = list(index) if isinstance(index, tuple) else [index]
    arrays = []
    for i, item in enumerate(items):
        if item is None or item is Ellipsis or isinstance(item, slice):
            continue
        if np.isscalar(item) and not isinstance(item, bool | np.bool_):
            items[i] = operator.index(item)
            continue
        array = on_device(item)
        if array.dtype.kind not in "iub":
            raise IndexError(
                "arrays used as indices must be of integer or boolean type. (actual: "
                f"{array.dtype.type})"
            )
        check_device(array)
        arrays.append(array)
        items[i] = array._host
    if not any(item is Ellipsis for item in items):
        items.append(Ellipsis)  # so that NumPy gives a view of one element, no scalar
    return tuple(_wrapped(items, shape)), arrays


def _wrapped(items, shape):
    spans = [_axes(item) for item in items]
    rest, axis = len(shape) - sum(spans), 0
    if rest < 0:
        raise IndexError(
            f"too many indices for array: array is {len(shape)}-dimensional, but {sum(spans)} were"
            " indexed"
        )
    for item, span in zip(items, spans, strict=True):
        if isinstance(item, np.ndarray) and item.dtype != bool and shape[axis]:
            item = item % np.int64(shape[axis])  # as CuPy's kernels do
        yield item
        axis += rest if item is Ellipsis else span


def _axes(item):
    if item is None or item is Ellipsis:
        return 0
    return item.ndim if isinstance(item, np.ndarray) and item.dtype == bool else 1


def without_copy(host, shape):
    view = host.view()
    view.shape = shape
    return view
