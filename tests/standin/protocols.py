"""What Python and NumPy ask of the arrays: operators, NumPy's functions, methods as NumPy's."""

import numpy as np

from tests.standin import functions
from tests.standin.arrays import SCALARS, ndarray, new
from tests.standin.names import METHODS

# The operators, and the functions behind them.
_BINARY = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide",
    "floordiv": "floor_divide", "mod": "remainder", "divmod": "divmod", "pow": "power",
    "lshift": "left_shift", "rshift": "right_shift", "and": "bitwise_and", "or": "bitwise_or",
    "xor": "bitwise_xor", "matmul": "matmul",
}  # fmt: skip
_COMPARING = {
    "lt": "less", "le": "less_equal", "eq": "equal", "ne": "not_equal", "gt": "greater",
    "ge": "greater_equal",
}  # fmt: skip
_UNARY = {"neg": "negative", "pos": "positive", "abs": "absolute", "invert": "invert"}


# ----- NumPy's functions -----


def _array_ufunc(self, ufunc, method, *inputs, **kwargs):
    inout = inputs
    if "out" in kwargs:
        if len(kwargs["out"]) != 1:
            raise ValueError("The 'out' parameter must have exactly one array value")
        inout += kwargs["out"]
        kwargs["out"] = kwargs["out"][0]
    function = functions.ALL.get(ufunc.__name__)
    if function is not None and method != "__call__":
        function = getattr(function, method, None)
    if function is None or not all(isinstance(x, (ndarray, np.ndarray, *SCALARS)) for x in inout):
        return NotImplemented  # of a tuple, too: CuPy takes np.add.at with a single array of places
    if ufunc.__name__ in _COMPARING.values():
        inputs = [x.item() if isinstance(x, np.ndarray) and not x.ndim else x for x in inputs]
    return function(*inputs, **kwargs)


def _array_function(self, function, types, args, kwargs):
    folder = functions.LINALG if function.__module__ == "numpy.linalg" else functions.ALL
    ours = folder.get(function.__name__)
    if ours is None or not all(issubclass(t, ndarray | np.ndarray) for t in types):
        return NotImplemented
    return ours(*args, **kwargs)


# ----- operators -----


def _gives_way(x, y):
    """Whether the other operand's own method is to be called."""
    try:
        return y.__array_ufunc__ is None
    except AttributeError:
        return x.__array_priority__ < getattr(y, "__array_priority__", 0)


def _binary(name, reflected):
    function = functions.ALL[name]

    def method(x, y):
        if not isinstance(y, ndarray) and _gives_way(x, y):
            return NotImplemented
        return function(y, x) if reflected else function(x, y)

    return method


def _in_place(name):
    function = functions.ALL[name]
    return lambda x, y: function(x, y, out=x)


def _comparing(name):
    function = functions.ALL[name]

    def method(x, y):
        if not isinstance(y, ndarray):
            if _gives_way(x, y):
                return NotImplemented
            if isinstance(y, np.ndarray) and not y.ndim:
                y = y.item()
            elif name in ("equal", "not_equal") and (y is None or type(y).__eq__ is object.__eq__):
                return new(np.full(x.shape, name == "not_equal"))
        return function(x, y)

    return method


def _unary(name):
    function = functions.ALL[name]
    return lambda x: function(x)


# ----- methods -----


def _method(line):
    name, _, parameters = line.partition("(")

    def method(self, *args, **kwargs):
        here = getattr(np.ndarray, name)
        return functions.checked(here, f"self, {parameters}", (self, *args), kwargs)

    method.__name__ = name
    return method


def bind():
    """Give the class what stands above."""
    ndarray.__array_ufunc__ = _array_ufunc
    ndarray.__array_function__ = _array_function
    ndarray.__reduce__ = lambda self: (functions.array, (self.get(),))
    for sign, name in _BINARY.items():
        setattr(ndarray, f"__{sign}__", _binary(name, False))
        setattr(ndarray, f"__r{sign}__", _binary(name, True))
        if sign not in ("divmod", "matmul"):
            setattr(ndarray, f"__i{sign}__", _in_place(name))
    for sign, name in _COMPARING.items():
        setattr(ndarray, f"__{sign}__", _comparing(name))
    for sign, name in _UNARY.items():
        setattr(ndarray, f"__{sign}__", _unary(name))
    for line in METHODS:
        setattr(ndarray, line.partition("(")[0], _method(line))


bind()
