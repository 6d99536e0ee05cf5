"""Updates: a rule in NumPy is the kernel, to the bit, whatever it is given."""

import inspect
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.on_gpu import fetched, in_all_orders, same_bits, sent, stands_in
from tests.standin import cuda
from tinygrad_rnn.errors import TraceError
from tinygrad_rnn.kernels import _jit
from tinygrad_rnn.kernels import update as contract
from tinygrad_rnn.kernels._pool import num_threads, set_num_threads
from tinygrad_rnn.kernels._twin import use_reference
from tinygrad_rnn.kernels.update import (
    Item,
    cpu,
    gpu,
    reference,
    sum_of_squares,
    touched,
    update,
    written,
)
from tinygrad_rnn.kernels.update.writer import BLOCK

DTYPES = ["float32", "float64"]
SMALL = _jit.DISABLED  # an element costs a thousand times as much


def everything(scale):
    """All that a rule can do."""

    def rule(x):
        x.m = 0.9 * x.m + (1 - 0.9) * (x.g / scale - 2)
        root = np.sqrt(np.square(x.m) + abs(x.w)) + x.w**2
        x.w = -np.sign(x.m) * np.minimum(root, np.maximum(x.w, scale)) + x.m

    return rule


def arrays_of(dtype, size, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(size).astype(dtype) for name in "wgm"}


def assert_same(found, wanted):
    for name in found:
        np.testing.assert_array_equal(found[name], wanted[name], err_msg=name)


@given(
    st.sampled_from(DTYPES),
    st.lists(st.tuples(st.sampled_from([0, 1, 7, 16, 33, 300]), st.sampled_from([0.5, 3.0])),
             min_size=1, max_size=4),
)  # fmt: skip
def test_the_kernel_gives_the_bits_of_the_rule(dtype, kinds):
    rules = {scale: written(everything(scale)) for scale in (0.5, 3.0)}
    pairs = [(rules[scale], arrays_of(dtype, size)) for size, scale in kinds]
    copies = [(equations, {k: a.copy() for k, a in arrays.items()}) for equations, arrays in pairs]
    update([Item(*pair) for pair in pairs])
    with use_reference():
        update([Item(*pair) for pair in copies])
    for (_, found), (_, wanted) in zip(pairs, copies, strict=True):
        assert_same(found, wanted)


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_elements_bits_depend_neither_on_threads_nor_on_cuts(dtype):
    size = 500 if SMALL else 40 * BLOCK + 5
    equations = written(everything(0.7))
    whole = arrays_of(dtype, size)
    pieces = {name: array.copy() for name, array in whole.items()}
    cuts = [0, 1, size // 3, size // 3 + 17, size]
    before = num_threads()
    try:
        set_num_threads(1)
        update([Item(equations, whole)])
        set_num_threads(2)
        update([
            Item(equations, {name: array[a:b] for name, array in pieces.items()})
            for a, b in itertools.pairwise(cuts)
        ])  # fmt: skip
    finally:
        set_num_threads(before)
    assert_same(pieces, whole)


def test_another_number_needs_no_other_kernel():
    texts = {cpu.text_of(written(everything(scale))) for scale in (0.1, 1.0, 7.0)}
    assert len(texts) == 1


@given(st.lists(st.integers(0, 5), max_size=4, unique=True), st.sampled_from(DTYPES))
def test_places_restrict_an_update_to_rows(places, dtype):
    equations = written(everything(2.0))
    arrays, wanted, plain = (arrays_of(dtype, (6, 5)) for _ in range(3))
    update([Item(equations, arrays, np.array(places, np.int64))])
    update([Item(equations, plain)])
    with use_reference():
        update([Item(equations, wanted, np.array(places, np.int64))])
    assert_same(arrays, wanted)
    others = [row for row in range(6) if row not in places]
    for name, start in arrays_of(dtype, (6, 5)).items():
        np.testing.assert_array_equal(arrays[name][others], start[others])
        np.testing.assert_array_equal(arrays[name][places], plain[name][places])


@pytest.mark.parametrize("dtype", DTYPES)
def test_touched_finds_rows_that_are_not_zero(dtype):
    x = np.zeros((700, 3, 11), dtype)
    x[[3, 698], 2, 10] = 1
    x[0, 0, 0], x[5, 0, 0], x[6] = np.nan, np.inf, -0.0
    for find in (touched, reference.touched):
        np.testing.assert_array_equal(find(x), [0, 3, 5, 698])
        assert len(find(x[:0])) == 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_sums_of_squares(dtype):
    sizes = [0, 1, 40, 3 * 16 + 1, BLOCK, 2 * BLOCK + 7]
    arrays = [np.random.default_rng(n).standard_normal(n).astype(dtype) for n in sizes]
    wide = np.concatenate(arrays).astype("longdouble")
    wanted = float((wide**2).sum())
    eps = float(np.finfo(dtype).eps)
    # A chain of additions over 1/16 of a block, at least, is what a block's sum is made of.
    assert sum_of_squares(arrays) == pytest.approx(wanted, rel=16 * eps)
    assert sum_of_squares(arrays[::-1]) == sum_of_squares(arrays)
    assert sum_of_squares(arrays, 0.5) == sum_of_squares(arrays) / 4
    with use_reference():
        assert sum_of_squares(arrays) == pytest.approx(wanted, rel=16 * eps)
    assert sum_of_squares([]) == 0
    assert sum_of_squares([np.full(3, np.sqrt(np.finfo(dtype).max), dtype)] * 4) == np.inf
    assert np.isnan(sum_of_squares([np.array([np.nan, np.inf], dtype)]))


def test_the_number_of_threads_does_not_change_a_sum():
    x = np.random.default_rng(0).standard_normal(300 if SMALL else 100 * BLOCK).astype("float32")
    before, found = num_threads(), []
    try:
        for count in (1, 2):
            set_num_threads(count)
            found.append(sum_of_squares([x, x[:100]]))
    finally:
        set_num_threads(before)
    assert found[0] == found[1]


@pytest.mark.parametrize("family", [contract, reference])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_norm_and_clipping(family, dtype):
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(n).astype(dtype) for n in (3, 0, 2 * BLOCK + 7)]
    root = float(np.sqrt((np.concatenate(arrays).astype("longdouble") ** 2).sum()))
    assert family.norm(arrays) == pytest.approx(root, rel=1e-6)
    for scale in (2.0**-70, 2.0**70) if dtype == "float32" else (2.0**-540, 2.0**540):
        small = [array * array.dtype.type(scale) for array in arrays]
        assert family.norm(small) == pytest.approx(root * scale, rel=1e-6)
    start = [array.copy() for array in arrays]
    assert family.clip(arrays, 1e6) == pytest.approx(root, rel=1e-6)
    assert all(map(np.array_equal, arrays, start))
    assert family.clip(arrays, 2.0) == pytest.approx(root, rel=1e-6)
    assert family.norm(arrays) == pytest.approx(2, rel=1e-6)
    assert np.isnan(family.clip([np.array([np.nan], dtype)], 1.0))
    assert family.clip([], 1.0) == 0


# ----- on a GPU -----


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_gpu_gives_the_bits_of_the_rule_in_one_launch(cupy, dtype):
    rules = {scale: written(everything(scale)) for scale in (0.5, 3.0)}
    kinds = [((3, 5), 0.5, None), ((2 * BLOCK + 3,), 3.0, None), ((0, 4), 0.5, None),
             ((1,), 3.0, None), ((7, 2), 0.5, np.array([5, 2])),
             ((4, 3), 3.0, np.zeros(0, int)), ((), 0.5, None),
             ((5, 3), 0.5, np.array([True, False, True, True, False]))]  # fmt: skip
    given = [arrays_of(dtype, size, seed) for seed, (size, _, _) in enumerate(kinds)]
    given[1]["m"][:3] = np.nan, np.inf, -np.inf
    start = [{name: array.copy() for name, array in arrays.items()} for arrays in given]
    numbers = [(rules[scale], places) for _, scale, places in kinds]

    def found():
        there = sent(start)
        with cuda.launches() as seen:
            update([
                Item(e, arrays, sent(p)) for arrays, (e, p) in zip(there, numbers, strict=True)
            ])  # fmt: skip
        assert len(seen) == stands_in()
        return [array for arrays in there for array in arrays.values()]

    result = in_all_orders(found)
    with use_reference():
        update([Item(e, arrays, p) for arrays, (e, p) in zip(given, numbers, strict=True)])
    same_bits(result, [np.asarray(array) for arrays in given for array in arrays.values()])


def test_both_element_types_and_other_rules_are_launches_of_their_own(cupy):
    def other(x):
        x.w = -x.w

    pairs = [(written(everything(0.5)), arrays_of(dtype, 40)) for dtype in DTYPES]
    pairs.append((written(other), {"w": arrays_of("float32", 3)["w"]}))
    there = [(equations, sent(arrays)) for equations, arrays in pairs]
    update([Item(*pair) for pair in there])
    update([Item(*pair) for pair in pairs])
    same_bits([fetched(list(a.values())) for _, a in there], [list(a.values()) for _, a in pairs])


@pytest.mark.parametrize("dtype", [*DTYPES, "int64"])
def test_a_gpu_finds_rows_that_are_not_zero_without_a_wait(cupy, dtype):
    x = np.zeros((70, 3, 11), dtype)
    x[[3, 68], 2, 10] = x[6, 0, 1] = 1
    if dtype != "int64":
        x[0, 0, 0], x[5, 0, 0], x[7] = np.nan, np.inf, -0.0
    (found,) = in_all_orders(lambda: [touched(sent(x))])
    assert found.dtype == bool
    np.testing.assert_array_equal(found.nonzero()[0], reference.touched(x))
    for shape in ((0, 4), (2, 0), (3,)):
        assert not fetched(touched(sent(np.zeros(shape, dtype)))).any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_sums_of_squares_and_norms_of_a_gpu(cupy, dtype):
    sizes = [0, 1, 40, BLOCK, 2 * BLOCK + 7]
    arrays = [np.random.default_rng(n).standard_normal(n).astype(dtype) for n in sizes]
    arrays.append(np.asfortranarray(arrays[-1][:210].reshape(3, 70)))
    wanted = float((np.concatenate([a.ravel() for a in arrays]).astype("longdouble") ** 2).sum())
    there = sent(arrays)
    for sums in ([there, 1.0], [there[::-1], 1.0], [there, 0.5]):
        assert sum_of_squares(*sums) == pytest.approx(wanted * sums[1] ** 2, rel=1e-14)
    assert sum_of_squares(there) == sum_of_squares(there[::-1])
    in_all_orders(lambda: [contract.norm(there)])
    scales = (1.0, 2.0**-70, 2.0**70) if dtype == "float32" else (1.0, 2.0**-540, 2.0**540)
    for scale in scales:
        norm = contract.norm([array * array.dtype.type(scale) for array in there])
        assert float(norm) == pytest.approx(np.sqrt(wanted) * scale, rel=1e-14)
    huge = sent([np.full(3, np.sqrt(np.finfo(dtype).max), dtype)] * 4)
    assert (sum_of_squares(huge) == np.inf) == (dtype == "float64")  # a double holds the other
    for value in (np.inf, np.nan):
        strange = sent([np.array([value, 1], dtype), np.zeros(3, dtype)])
        assert not np.isfinite(float(contract.norm(strange)))
    assert float(contract.norm(sent([np.zeros(0, dtype)]))) == 0


def test_a_gpu_clips_as_the_cpu_does_and_nobody_waits(machine):
    rng = np.random.default_rng(0)
    arrays = [np.asarray(rng.standard_normal(n)) for n in (3, 2 * BLOCK + 7, 0, ())]
    arrays += [rng.standard_normal(50).astype("float32")]
    for most in (1e6, 2.0):
        there, before = sent(arrays), machine.synchronised
        norm = contract.clip(there, most)
        assert machine.synchronised == before
        copies = [array.copy() for array in arrays]
        assert float(norm) == pytest.approx(contract.clip(copies, most), rel=1e-7)
        for one, other in zip(fetched(there), copies, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-7 if most == 2 else 0)
    bad = sent([np.array([np.nan, 1.0])])
    assert np.isnan(float(contract.clip(bad, 1.0)))
    assert np.isnan(fetched(bad[0])).all()


def test_arrays_of_several_devices_are_updated_and_clipped_together(machine):
    rng = np.random.default_rng(0)
    host = [rng.standard_normal(40) for _ in range(3)]
    with machine.cupy.cuda.Device(1):
        other = sent(host[1])
    arrays = [sent(host[0]), other, host[2].copy()]
    root = np.sqrt((np.concatenate(host) ** 2).sum())
    for some in (arrays, arrays[:2]):
        length = np.sqrt((np.concatenate(host[: len(some)]) ** 2).sum())
        assert float(contract.norm(some)) == pytest.approx(length)
    assert contract.clip(arrays, 1.0) == pytest.approx(root)
    with machine.cupy.cuda.Device(1):
        np.testing.assert_allclose(other.get(), host[1] / root)
    np.testing.assert_allclose(arrays[2], host[2] / root)


def test_the_lines_of_a_rule():
    def rule(x):
        x.m = 0.5 * x.m + x.g
        x.w = x.w - 3 * x.m

    equations = written(rule)
    assert equations.names == ("m", "g", "w")
    assert equations.lines == ("mul(n0, x_m)", "add(v0, x_g)", "mul(n1, v1)", "sub(x_w, v2)")
    assert equations.writes == (("m", "v1"), ("w", "v3"))
    assert equations.numbers == (0.5, 3.0)


def assign(x, value):
    x.w = value(x.w)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (lambda w: np.exp(w), "the equations use exp, which has no place in a kernel"),
        (lambda w: w**3, "the equations use power"),
        (lambda w: w if w > 0 else 0, "the equations use greater"),
        (lambda w: w if w else 0, "a branch on the numbers of an array"),
        (lambda w: np.where(w, w, 0), "the equations use where; expected ufuncs"),
        (lambda w: np.add.reduce(w), r"add.reduce is no element-wise operation"),
        (lambda w: w + np.ones(3), "a ndarray among the operands"),
        (lambda w: w + "a", "a str among the operands"),
        (lambda w: np.asarray(w), "not there while it is traced"),
    ],
)
def test_what_has_no_place_in_an_update_is_named(value, message):
    with pytest.raises(TraceError, match=message):
        written(lambda x: assign(x, value))


def test_changes_in_place_are_refused():
    def rule(x):
        x.m *= 2

    with pytest.raises(TraceError, match=r"x_m is changed in place.*write x.m = x.m \* b"):
        written(rule)


@pytest.mark.parametrize("twin", [cpu, gpu, reference])
def test_twins_take_the_arguments_of_the_contract(twin):
    for name in ("update", "touched", "sum_of_squares", "norm", "clip"):
        expected = inspect.signature(getattr(contract, name)).parameters
        assert list(inspect.signature(getattr(twin, name)).parameters) == list(expected)
