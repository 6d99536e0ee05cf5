"""The stand-in is as CuPy is, wherever that is not as NumPy is."""

import copy
import json
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest

from tests.standin import installed, names
from tinygrad_rnn.errors import DeviceError
from tinygrad_rnn.kernels import _cuda


@pytest.fixture
def cupy(standin):
    return standin.cupy


@pytest.fixture
def x(cupy):
    return cupy.asarray(np.arange(6.0, dtype=np.float32).reshape(2, 3))


# ----- against CuPy itself, which needs no device for this -----

HAS = """
import inspect, cupy, json, sys
def parameters(f):
    try:
        return [p.name for p in inspect.signature(f).parameters.values()]
    except (TypeError, ValueError):
        return None
def seen(folder):
    return {n: parameters(getattr(folder, n)) for n in dir(folder) if not n.startswith("_")}
ufuncs = [n for n in dir(cupy) if isinstance(getattr(cupy, n), cupy.ufunc)]
print(json.dumps([ufuncs, seen(cupy), seen(cupy.ndarray), dir(cupy.linalg), dir(cupy.cuda)]))
"""


@pytest.fixture(scope="module")
def real():
    """What CuPy has; in a process of its own, as importing it takes seconds."""
    found = subprocess.run([sys.executable, "-c", HAS], capture_output=True, text=True)
    if found.returncode:
        pytest.skip("CuPy is not installed")
    return json.loads(found.stdout)


def listed(line):
    name, _, parameters = line.partition("(")
    given = [p.strip(" =*") for p in parameters.rstrip(")").split(",")]
    return name, [p for p in given if p]


def test_cupy_has_every_function_with_these_parameters(real):
    ufuncs, functions, methods, linalg, _ = real
    assert set(names.UFUNCS) <= set(ufuncs)
    mine = dict(map(listed, names.FUNCTIONS + names.CREATION))
    assert mine == {name: functions[name] for name in mine}
    assert {*names.ANSWERS, *names.WAITING, *names.TYPES, *names.CONSTANTS} <= set(functions)
    assert {listed(n)[0] for n in names.METHODS} <= set(methods)
    assert set(names.LINALG) <= set(linalg)


def test_the_module_has_what_cupy_has(real, cupy):
    for mine, theirs in ((cupy, real[1]), (cupy.linalg, real[3]), (cupy.cuda, real[4])):
        assert {n for n in vars(mine) if not n.startswith("_")} <= set(theirs)
    methods = {n for n in vars(cupy.ndarray) if not n.startswith("_")}
    assert methods <= set(real[2])


# ----- nothing becomes an array or a number of the host by accident -----


@pytest.mark.parametrize(
    "mixed",
    [
        lambda x: np.asarray(x),
        lambda x: x + np.ones(3, np.float32),
        lambda x: np.ones(3, np.float32) * x,
        lambda x: np.maximum(x, np.ones((2, 3), np.float32)),
        lambda x: x.__iadd__(np.ones(3, np.float32)),
        lambda x: np.where(x.get() > 1, x, 0.0),
        lambda x: np.concatenate([x, x.get()]),
        lambda x: np.matmul(x.get().T, x),
        lambda x: x < [1, 2, 3],
        lambda x: np.sum([x, x.get()]),
        lambda x: np.frompyfunc(abs, 1, 1)(x),
        lambda x: np.histogram(x),
        lambda x: [1, 2, 3][x[0, 1]],
        lambda x: np.add.at(x, (np.array([0]), 1), 1.0),
        lambda x: x.max(initial=0.0),
        lambda x: np.max(x, initial=0.0),
        lambda x: np.sum(x, where=x > 1),
        lambda x: np.add(x, 1, where=x > 1),
        lambda x: np.ones(3, np.float32).__setitem__(slice(None), x[0]),
    ],
)
def test_arrays_of_two_kinds_are_refused(x, mixed):
    with pytest.raises(TypeError):
        mixed(x)


def test_only_sums_and_products_are_reductions_of_a_ufunc(x, cupy):
    assert np.add.reduce(x, axis=(0, 1)).get() == 15
    assert np.multiply.reduce(x, axis=0).tolist() == [0, 4, 10]
    with pytest.raises(NotImplementedError, match=r"cupy_maximum\.reduce"):
        np.maximum.reduce(x)


def test_arrays_of_the_host_may_be_an_index_and_go_where_an_index_points(x):
    assert x[np.array([1, 0]), [2, 1]].tolist() == [5, 1]
    x[np.array([0])] = np.array([[7.0, 8.0, 9.0]])
    assert x.tolist() == [[7, 8, 9], [3, 4, 5]]
    with pytest.raises(ValueError, match="non-scalar"):
        x[0] = np.zeros(3)
    with pytest.raises(TypeError, match="Unsupported type"):
        x[0] = [1, 2, 3]


def test_a_place_out_of_range_is_another_one(x, cupy):
    assert x[:, cupy.asarray([3, -4, 7])].tolist() == [[0, 2, 1], [3, 5, 4]]
    assert cupy.take(x, cupy.asarray([8]), axis=1).tolist() == [[2], [5]]
    with pytest.raises(IndexError):
        x[2]


def test_reductions_and_elements_are_arrays_without_axes(x, cupy):
    for number in (x.sum(), x.max(), np.mean(x), x[0, 1], cupy.exp(1.0), x.any(), np.argmax(x)):
        assert type(number) is cupy.ndarray
        assert number.shape == ()
    one = x[0, 1]
    one[...] = 9
    assert x.tolist()[0] == [0, 9, 2]  # a view


def test_element_types_are_those_of_numpy_2(x, cupy):
    assert (x * 2.0).dtype == np.float32
    assert (x * np.float64(2)).dtype == np.float64
    assert np.where(x > 0, x, 0.0).dtype == np.float32
    assert (cupy.arange(3, dtype=np.int8) + 1).dtype == np.int8
    assert (cupy.arange(3) / 2).dtype == np.float64
    with pytest.raises(ValueError, match="Unsupported dtype"):
        cupy.zeros(3, np.longdouble)


def test_what_numpy_warns_of_passes_in_silence(cupy):
    zero = cupy.zeros(2)
    assert np.isnan((zero / zero).get()).all()


def test_empty_arrays_hold_nothing_that_could_pass_for_a_number(cupy):
    assert np.isnan(cupy.empty(3).get()).all()


# ----- waiting -----


def test_waiting_is_counted(standin, x):
    before = standin.synchronised
    _ = x.sum() > 3, x[0], x[np.array([1])], x.astype(np.float64), x.shape, x.device
    assert standin.synchronised == before
    for wait in (
        bool, int, float, repr, str, lambda n: n.item(), lambda n: n.get(), lambda n: f"{n}"
    ):  # fmt: skip
        wait(x[0, 1])
    x[x > 1]
    np.nonzero(x)
    assert standin.synchronised == before + 10
    assert standin.waits["float"] == 1


def test_waiting_can_be_forbidden(standin, x):
    import cupyx

    with cupyx.allow_synchronize(False):
        _ = x + 1
        with pytest.raises(cupyx.DeviceSynchronized, match="item waits"):
            x.sum().item()
    x.sum().item()


# ----- devices and memory -----


def test_arrays_live_on_the_current_device(cupy, x):
    with cupy.cuda.Device(1):
        y = cupy.ones(3, np.float32)
        assert cupy.asarray(x).device.id == 1
        assert (y + 1).device.id == 1
    assert (x.device.id, y.device.id) == (0, 1)
    for mixed in (lambda: x + y, lambda: y + 1, lambda: np.sum(y), lambda: x.__setitem__(0, y)):
        with pytest.raises(ValueError, match="different from the current device"):
            mixed()
    assert y[1:].get().tolist() == [1, 1]
    with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match="invalid device"):
        cupy.cuda.Device(2).use()


def test_memory_is_counted_and_can_run_out(standin, cupy):
    pool = cupy.get_default_memory_pool()
    a = cupy.zeros(1000)
    b = a[10:].reshape(10, 99)
    assert pool.used_bytes() == 8192
    del a
    assert pool.used_bytes() == 8192  # b sees it
    assert b.base.shape == (1000,)
    pool.set_limit(10_000)
    with pytest.raises(cupy.cuda.memory.OutOfMemoryError, match=r"Out of memory allocating 8,192"):
        b + 1
    del b
    assert pool.used_bytes() == 0
    assert standin.peak[0] == 8192


def test_views_are_views_and_results_stand_by_rows(cupy, x):
    for view in (x.T, x[:, 1:], x.reshape(3, 2), x.ravel(), np.swapaxes(x, 0, 1), x.view()):
        assert view.base is x
        assert np.shares_memory(view._host, x._host)
    assert (x.T + 1).flags.c_contiguous
    assert not x.T.flags.c_contiguous
    assert cupy.ascontiguousarray(x) is x
    assert x.copy().base is None


def test_copies_and_pickles(cupy, x):
    with cupy.cuda.Device(1):
        y = cupy.ones(2)
    assert copy.deepcopy(y).device.id == 1
    again = pickle.loads(pickle.dumps(x))
    assert type(again) is cupy.ndarray
    assert again.tolist() == x.tolist()


def test_what_cupy_makes_of_other_objects_operators(cupy, x):
    class Mine:
        __array_ufunc__ = None

        def __radd__(self, other):
            return "mine"

        __eq__ = __hash__ = None

    assert x + Mine() == "mine"
    assert not (x == None).any()  # noqa: E711
    assert (x != object()).all()


def test_a_stream_is_current_for_its_thread_and_device(cupy):
    current, seen = cupy.cuda.get_current_stream, []
    with cupy.cuda.Stream(non_blocking=True) as stream:
        thread = threading.Thread(target=lambda: seen.append(current()))
        thread.start()
        thread.join()
        with cupy.cuda.Device(1):
            seen.append(current())
        assert current() is stream
    assert seen == [cupy.cuda.Stream.null, cupy.cuda.Stream.null]
    assert current() is cupy.cuda.Stream.null


def test_it_is_gone_afterwards():
    before = sys.modules.get("cupy")
    with installed() as machine:
        import cupy

        assert cupy is machine.cupy
        assert _cuda.require() is cupy
        with installed(devices=0), pytest.raises(DeviceError, match="shows no CUDA device"):
            _cuda.require()
        assert _cuda.require() is cupy
    assert sys.modules.get("cupy") is before
