"""CuPy's functions, made of NumPy's of the same name."""

import numpy as np

from tests.standin import machine, names
from tests.standin.arrays import SCALARS, check_device, give, known, ndarray, new, place


def taken(value, met):
    """An argument for NumPy. Arrays of the host are refused: nothing converts them in silence."""
    if isinstance(value, ndarray):
        met.append(value)
        return value._host
    if isinstance(value, list | tuple):
        return type(value)([taken(item, met) for item in value])
    if hasattr(value, "__array__") and not isinstance(value, np.generic | type):
        raise TypeError(f"Unsupported type {type(value)}")
    return value


def fits(name, parameters, args, kwargs):
    """Refuse what CuPy's function does not take."""
    listed = [p.strip() for p in parameters.rstrip(")").split(",") if p.strip()]
    keywords = {p.rstrip("=") for p in listed if not p.startswith("*")}
    many = any(p.startswith("*") and p != "*" and p[1] != "*" for p in listed)
    most = len(listed if "*" not in listed else listed[: listed.index("*")])
    unknown = set() if any(p.startswith("**") for p in listed) else kwargs.keys() - keywords
    if unknown:
        raise TypeError(f"{name}() got an unexpected keyword argument {min(unknown)!r}")
    if len(args) > most and not many:
        raise TypeError(f"{name}() takes {most} positional arguments but {len(args)} were given")


def checked(function, parameters, args, kwargs):
    """Call a function of NumPy with arrays, if CuPy takes what it is given."""
    fits(function.__name__, parameters, args, kwargs)
    met = []
    args, kwargs = taken(tuple(args), met), {k: taken(v, met) for k, v in kwargs.items()}
    if not met:
        raise TypeError(f"{function.__name__}: Unsupported type {type(args[0])}, expected cupy's")
    if function.__name__ in names.WAITING:
        machine.here().wait(function.__name__)
    with np.errstate(all="ignore"):
        result = function(*args, **kwargs)
    return None if result is None else give(result, met)


class ufunc:
    """``cupy.ufunc``: element by element, with the element types of NumPy 2."""

    __module__ = "cupy"

    def __init__(self, name):
        self.name, self.__name__ = f"cupy_{name}", name
        self._numpy = getattr(np, name)
        self.nin, self.nout, self.nargs = self._numpy.nin, self._numpy.nout, self._numpy.nargs

    def __repr__(self):
        return f"<ufunc '{self.name}'>"

    def __call__(self, *args, out=None, dtype=None, casting="same_kind", **kwargs):
        if kwargs:
            raise TypeError(f"Wrong arguments {kwargs}")
        if len(args) > self.nin:
            args, out = args[: self.nin], args[self.nin]
        met = []
        for x in args if out is None else (*args, out):
            if isinstance(x, ndarray):
                check_device(x)
            elif not isinstance(x, SCALARS) or x is out:
                raise TypeError(f"Unsupported type {type(x)}")
        args = taken(args, met)
        options = {} if dtype is None else {"dtype": dtype}
        with np.errstate(all="ignore"):
            if out is not None:
                self._numpy(*args, out=out._host, casting=casting, **options)
                return out
            found = self._numpy(*args, casting=casting, **options)
        plain = [new(_by_rows(x)) for x in (found if isinstance(found, tuple) else (found,))]
        return tuple(plain) if self.nout > 1 else plain[0]

    def outer(self, A, B, **kwargs):
        met = []
        shape = (*A.shape, *[1] * B.ndim), B.shape
        a, b = (give(taken(x, met).reshape(s), met) for x, s in zip((A, B), shape, strict=True))
        return self(a, b, **kwargs)

    def at(self, a, indices, b=None):
        if self.__name__ not in names.AT:
            raise NotImplementedError(f"`{self.name}.at` is not supported yet")
        if a.dtype.char not in "iILQlefdFD" or (a.dtype.char == "l" and self.__name__ == "add"):
            raise TypeError(f"scatter_{self.__name__} does not support {a.dtype}.")
        check_device(a)
        index, _ = place(indices, a.shape)
        met = []
        self._numpy.at(a._host, index, taken(b, met))

    def reduce(self, array, axis=0, dtype=None, out=None, keepdims=False):
        if self.__name__ not in names.REDUCE:
            raise NotImplementedError(f"`{self.name}.reduce` is not supported yet")
        name = {"add": "sum", "multiply": "prod"}[self.__name__]
        return getattr(array, name)(axis=axis, dtype=dtype, out=out, keepdims=keepdims)

    def accumulate(self, array, axis=0, dtype=None, out=None):
        if self.__name__ not in names.REDUCE:
            raise NotImplementedError(f"`{self.name}.accumulate` is not supported yet")
        name = {"add": "cumsum", "multiply": "cumprod"}[self.__name__]
        return getattr(array, name)(axis=axis, dtype=dtype, out=out)


def _by_rows(host):
    """As CuPy lays out what it computes."""
    host = np.asarray(host)
    return host if host.flags.c_contiguous else host.copy()


def _function(line):
    name, _, parameters = line.partition("(")

    def function(*args, **kwargs):
        return checked(getattr(np, name), parameters, args, kwargs)

    function.__name__ = function.__qualname__ = name
    return function


def _creating(line):
    name, _, parameters = line.partition("(")

    def function(*args, **kwargs):
        fits(name, parameters, args, kwargs)
        if kwargs.get("dtype") is not None:
            known(kwargs["dtype"])
        met = []
        args, kwargs = taken(args, met), {k: taken(v, met) for k, v in kwargs.items()}
        return new(_by_rows(getattr(np, name)(*args, **kwargs)))

    function.__name__ = function.__qualname__ = name
    return function


def _answering(name):
    def function(*args, **kwargs):
        return getattr(np, name)(*taken(args, []), **kwargs)

    function.__name__ = function.__qualname__ = name
    return function


# ----- those that are not as NumPy's -----


def array(obj, dtype=None, copy=True, order="K", subok=False, ndmin=0, *, blocking=False):
    """An array on the current device, of one there, elsewhere, or on the host."""
    if isinstance(obj, ndarray):
        there = obj._memory.device != machine.here().current
        if not there and not copy and (dtype is None or known(dtype) == obj.dtype):
            return obj
        return new(np.array(obj._host, dtype, order=order, ndmin=ndmin))
    if isinstance(obj, list | tuple):
        obj = _nested(obj)
    host = np.array(obj, dtype, order=order, ndmin=ndmin)
    machine.here().uploads += 1
    return new(host)


def _nested(value):
    if isinstance(value, ndarray):
        return value._host
    return [_nested(v) for v in value] if isinstance(value, list | tuple) else value


def asarray(a, dtype=None, order=None, *, copy=None, blocking=False):
    return array(a, dtype, copy=bool(copy), order=order or "K")


def ascontiguousarray(a, dtype=None):
    if isinstance(a, ndarray):
        right = a.flags.c_contiguous and (dtype is None or known(dtype) == a.dtype)
        if right and a.ndim and a._memory.device == machine.here().current:
            return a
    host = a._host if isinstance(a, ndarray) else a
    return new(np.array(host, dtype, order="C", ndmin=1))


def asnumpy(a, stream=None, order="C", out=None, *, blocking=True):
    if isinstance(a, ndarray):
        return a.get(stream=stream, order=order, out=out, blocking=blocking)
    return np.asarray(a, order=order)


def empty(shape, dtype=float, order="C"):
    return ndarray(shape, dtype, order=order)


def where(condition, x=None, y=None):
    if x is None and y is None:
        return ALL["nonzero"](condition)
    if not isinstance(condition, ndarray):
        raise TypeError(f"Unsupported type {type(condition)}")
    met = []
    for value in (x, y):
        if not isinstance(value, (ndarray, *SCALARS)):
            raise TypeError(f"Unsupported type {type(value)}")
    found = np.where(*taken((condition, x, y), met))
    for given in met:
        check_device(given)
    return new(_by_rows(found))


def take(a, indices, axis=None, out=None):
    return a.take(indices, axis, out)


def take_along_axis(a, indices, axis):
    if indices.dtype.kind not in "iu":
        raise IndexError("`indices` must be an integer array")
    wrapped = indices._host % np.int64(max(a.shape[axis], 1))
    return give(np.take_along_axis(a._host, wrapped, axis), [a, indices])


def repeat(a, repeats, axis=None):
    if isinstance(repeats, ndarray):
        raise ValueError("cupy.ndaray cannot be specified as `repeats` argument.")
    return give(np.repeat(a._host, repeats, axis), [a])


def _joining(name):
    def function(tup, *args, **kwargs):
        for item in tup:
            if not isinstance(item, ndarray):
                raise TypeError("Only cupy arrays can be concatenated")
        return checked(getattr(np, name), PARAMETERS[name], (list(tup), *args), kwargs)

    function.__name__ = function.__qualname__ = name
    return function


def get_array_module(*args):
    import cupy

    return cupy if any(isinstance(x, ndarray) for x in args) else np


PARAMETERS = dict(line.split("(", 1) for line in names.FUNCTIONS)
ALL = {name: ufunc(name) for name in names.UFUNCS}
ALL |= {line.partition("(")[0]: _function(line) for line in names.FUNCTIONS}
ALL |= {line.partition("(")[0]: _creating(line) for line in names.CREATION}
ALL |= {name: _answering(name) for name in names.ANSWERS}
ALL |= {name: _joining(name) for name in ("concatenate", "stack", "hstack", "vstack")}
OWN = (array, asarray, ascontiguousarray, asnumpy, empty, where, take, take_along_axis, repeat)
ALL |= {function.__name__: function for function in OWN}
for _given in ALL.values():
    _given.__module__ = "cupy"


def _linear(name):
    function = getattr(np.linalg, name)

    def wrapped(*args, **kwargs):
        met = []
        args, kwargs = taken(args, met), {k: taken(v, met) for k, v in kwargs.items()}
        found = function(*args, **kwargs)
        return give(tuple(found) if isinstance(found, tuple) else found, met)

    wrapped.__name__, wrapped.__module__ = name, "cupy.linalg"
    return wrapped


LINALG = {name: _linear(name) for name in names.LINALG}
