"""Products equal their definition to the bit, whatever shape, layout, start or thread."""

import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_rnn.errors import DTypeError, ShapeError
from tinygrad_rnn.kernels import _pool
from tinygrad_rnn.kernels import matmul as contract
from tinygrad_rnn.kernels._jit import DISABLED
from tinygrad_rnn.kernels._vector import lanes_of
from tinygrad_rnn.kernels.matmul import cpu, gpu, matmul, pack, reference
from tinygrad_rnn.kernels.matmul import cpu_block as block
from tinygrad_rnn.kernels.matmul.cpu_tile import ROW_VECTORS, TILE_ROWS, TILE_VECTORS

DTYPES = ["float32", "float64"]


def bits(array):
    return np.ascontiguousarray(array).view(f"u{array.itemsize}")


def assert_same_bits(result, expected):
    assert result.shape == expected.shape
    assert result.dtype == expected.dtype
    np.testing.assert_array_equal(bits(result), bits(expected))


def laid_out(rng, shape, order, steps, dtype):
    """Numbers in memory whose axes stand in ``order``; step 0 repeats one along an axis."""
    kept = [n * max(abs(step), 1) if step else 1 for n, step in zip(shape, steps, strict=True)]
    memory = rng.standard_normal([kept[axis] for axis in order]).astype(dtype)
    array = memory.transpose(np.argsort(order))
    array = array[tuple(slice(None, None, step) if step else slice(None) for step in steps)]
    return np.broadcast_to(array, shape)


@st.composite
def operands(draw):
    """A pair of factors, the right one sometimes without batch axes."""
    sizes = st.sampled_from([0, 1, 2, 3, 5, 8, 9, 17, 20, 33])
    M, K, N = draw(sizes), draw(sizes), draw(sizes)
    batch = draw(st.lists(st.integers(0, 3), max_size=2))
    batch_b = batch[draw(st.integers(0, len(batch))) :]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from(DTYPES))
    made = []
    for axes, matrix in ((batch, (M, K)), (batch_b, (K, N))):
        ones = [draw(st.booleans()) for _ in axes]
        shape = [1 if one else n for one, n in zip(ones, axes, strict=True)] + list(matrix)
        order = draw(st.permutations(range(len(shape))))
        steps = [draw(st.sampled_from([1, 1, 2, -1, -3, 0])) for _ in shape]
        made.append(laid_out(rng, shape, order, steps, dtype))
    return (*made, rng)


@given(operands(), st.sampled_from(["fresh", "bias", "out", "accumulate"]))
def test_every_layout_and_start_gives_the_bits_of_the_definition(pair, start):
    a, b, rng = pair
    expected = reference.matmul(a, b)
    if start == "fresh":
        assert_same_bits(matmul(a, b), expected)
        if b.ndim == 2:
            assert_same_bits(matmul(a, pack(b)), expected)
        return
    if start == "bias":
        bias = rng.standard_normal(2 * b.shape[-1]).astype(a.dtype)[::-2]
        assert_same_bits(matmul(a, b, bias=bias), reference.matmul(a, b, bias=bias))
        return
    order = rng.permutation(expected.ndim)
    out = laid_out(rng, expected.shape, order, [2] * expected.ndim, a.dtype).copy(order="K")
    kept = out.copy()
    result = matmul(a, b, out=out, accumulate=start == "accumulate")
    assert result is out
    if start == "accumulate":
        expected = reference.matmul(a, b, out=kept, accumulate=True)
    assert_same_bits(out, expected)


@pytest.fixture(params=["as it pays", "both", "only a", "only b"])
def packing(request, monkeypatch):
    """Which factors are packed, as far as they can be."""
    packed = {"both": "ab", "only a": "a", "only b": "b"}.get(request.param)
    if packed is not None:
        for factor, names in {"a": "COLUMNS", "b": "ROWS"}.items():
            for name in (f"_MANY_{names}", f"_SOME_{names}", f"_FEW_{names}"):
                limit = 0 if factor in packed else 10**9
                monkeypatch.setattr(cpu, name, limit, raising=False)


def ways(a, b):
    """The three ways in which tiles read B, and A as it is and transposed in memory."""
    yield a, b
    yield a, np.asfortranarray(b)
    yield a, pack(b)
    yield np.asfortranarray(a), b
    yield np.asfortranarray(a), pack(np.asfortranarray(b))


@pytest.mark.usefixtures("packing")
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_remainder_of_rows_and_columns_is_right(dtype):
    rng = np.random.default_rng(0)
    rows, columns = 2 * TILE_ROWS + 1, (TILE_VECTORS + 1) * lanes_of(dtype) + 1
    a = rng.standard_normal((rows, 3)).astype(dtype)
    b = rng.standard_normal((3, columns)).astype(dtype)
    whole = reference.matmul(a, b)
    for N in range(1, columns + 1):
        for x, y in ways(a, b[:, :N]):
            assert_same_bits(matmul(x, y), whole[:, :N])
    for M in range(1, rows + 1):
        for N in (1, lanes_of(dtype), columns):
            for x, y in ways(a[:M], b[:, :N]):
                assert_same_bits(matmul(x, y), whole[:M, :N])


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_row_takes_panels_in_pairs_or_in_fours_and_what_is_left_alone(dtype):
    rng = np.random.default_rng(0)
    columns = (ROW_VECTORS + TILE_VECTORS + 1) * lanes_of(dtype) + 1
    a = rng.standard_normal((1, 5)).astype(dtype)
    b, bias = rng.standard_normal((5, columns)).astype(dtype), np.ones(columns, dtype)
    whole = reference.matmul(a, b, bias=bias)
    for N in range(TILE_VECTORS * lanes_of(dtype), columns + 1, 3):
        for x, y in ways(a, b[:, :N]):
            assert_same_bits(matmul(x, y, bias=bias[:N]), whole[:, :N])


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("dtype", DTYPES)
def test_thin_products_have_the_bits_of_the_definition(dtype, threads, monkeypatch):
    monkeypatch.setattr(cpu, "_SECONDS_WORTH_A_DISPATCH", 0.0)
    monkeypatch.setattr(_pool, "_threads", threads)
    rng = np.random.default_rng(0)
    longest = 2 * lanes_of(dtype) + 1
    a, b = rng.standard_normal((2, longest, longest)).astype(dtype)
    bias = rng.standard_normal(longest).astype(dtype)
    one_term = [((a[:M, :1], a[:1, :M].T), b[:1, :N]) for M in (1, 2, longest) for N in (1, 9, 20)]
    a_row = [np.array(a[:1]), a[:, :1].T]  # its numbers side by side, and apart
    one_row = [
        ([x[:, :K] for x in a_row], b[:N, :K].T)
        for K in range(longest + 1)
        for N in (2, 9, longest)
    ]
    for lefts, y in [*one_term, *one_row]:
        N = y.shape[1]
        for x in lefts:
            out, added = np.empty((2, len(x), N), dtype)
            assert_same_bits(matmul(x, y, out=out), reference.matmul(x, y))
            assert_same_bits(
                matmul(x, y, out=out, bias=bias[:N]), reference.matmul(x, y, bias=bias[:N])
            )
            added[...] = out
            matmul(x, y, out=out, accumulate=True)
            assert_same_bits(out, reference.matmul(x, y, out=added, accumulate=True))


def test_what_a_block_of_columns_does_not_reach_adds_nothing():
    a, b = np.full((1, 40), np.nan, np.float32), np.full((50, 40), np.inf, np.float32)
    a[0, :5], b[:7, :5] = 1.0, 2.0
    out = np.empty((1, 7), np.float32)  # without it NumPy would run through so small a product
    np.testing.assert_array_equal(matmul(a[:, :5], b[:7, :5].T, out=out), np.full((1, 7), 10.0))
    a[0, 4] = np.inf
    np.testing.assert_array_equal(matmul(a[:, :5], b[:7, :5].T, out=out), np.full((1, 7), np.inf))


@pytest.mark.usefixtures("packing")
@pytest.mark.parametrize("dtype", DTYPES)
def test_blocks_of_rows_of_k_and_of_columns_continue_the_chain(dtype, monkeypatch):
    monkeypatch.setattr(_pool, "_threads", 1)
    rng = np.random.default_rng(0)
    deep, high = block.DEPTH, block.HEIGHT
    sizes = [(3, 2 * deep + 9, 5), (9, deep + 9, 70), (9, deep // 2 + 9, 30)]
    sizes += [(high + 12, 5, 70), (high + 12, 5, 30), (5, 3, 2 * block.WIDTH + 9)]
    if not DISABLED:  # it takes seconds
        sizes += [(4 * high + 3, 3, block.WIDTH // 2)]  # C is far
    for M, K, N in sizes:
        a = rng.standard_normal((M, K)).astype(dtype)
        b = rng.standard_normal((K, N)).astype(dtype)
        bias = rng.standard_normal(N).astype(dtype)
        expected = reference.matmul(a, b, bias=bias)
        for x, y in ways(a, b):
            assert_same_bits(matmul(x, y, bias=bias), expected)


def test_a_product_in_parts_of_k_is_the_product():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((7, 40)), rng.standard_normal((40, 30))
    out = matmul(a[:, :13], b[:13])
    matmul(a[:, 13:], b[13:], out=out, accumulate=True)
    assert_same_bits(out, matmul(a, b))


@pytest.mark.parametrize(("apart", "most"), [(1000, 511), (512, 299), (1024, 95)])
def test_what_collides_in_a_cache_is_packed_sooner(apart, most):
    wide = np.random.default_rng(0).standard_normal((5, apart)).astype("float32")
    a, b = wide[:, :9].T, wide[:, :70]
    assert cpu._is_read_in_place(b, most)
    assert not cpu._is_read_in_place(b, most + 1)
    assert cpu._is_packed(a, 70) == (apart == 1024)
    assert not cpu._is_packed(a, 64)
    assert cpu._is_packed(a, 257)
    assert_same_bits(matmul(a, b), reference.matmul(a, b))


def test_rows_of_a_piece_count_not_those_of_all(monkeypatch):
    monkeypatch.setattr(cpu, "_SECONDS_WORTH_A_DISPATCH", 0.0)
    seen = []
    monkeypatch.setattr(cpu, "parallel", lambda kernel, pieces, *more: seen.append(more[-3]))
    before = _pool.num_threads()
    a, b = np.ones((600, 3), "float32"), np.ones((3, 9), "float32")
    try:
        for threads in (1, 2):
            _pool.set_num_threads(threads)
            matmul(a, b)
    finally:
        _pool.set_num_threads(before)
    assert seen == [block.PACK, block.DIRECT]


def test_sums_of_nothing_in_a_batch_are_zeros():
    found = matmul(np.zeros((2, 3, 0), "float32"), np.zeros((0, 5), "float32"))
    assert_same_bits(found, np.zeros((2, 3, 5), "float32"))


# So large that threads do meet, unless Python computes it.
LARGE = ((25, 30), (30, 33)) if DISABLED else ((250, 300), (300, 330))


@pytest.mark.usefixtures("packing")
@pytest.mark.parametrize("shapes", [LARGE, ((9, 40, 20), (9, 20, 30))])
def test_bits_do_not_depend_on_the_number_of_threads(shapes, monkeypatch):
    monkeypatch.setattr(cpu, "_SECONDS_WORTH_A_DISPATCH", 0.0)
    rng = np.random.default_rng(0)
    before = _pool.num_threads()
    a, b = (rng.standard_normal(shape).astype("float32") for shape in shapes)
    pairs = [(a, b), (a[..., :5, :], b), (a[:2], b[:2])] if a.ndim == 3 else list(ways(a, b))
    pairs += [(np.tile(a, (3, 1)), b[:, :20])] if a.ndim == 2 else []
    try:
        for x, y in pairs:
            _pool.set_num_threads(1)
            expected = matmul(x, y)
            for threads in (2, 4):
                _pool.set_num_threads(threads)
                assert_same_bits(matmul(x, y), expected)
    finally:
        _pool.set_num_threads(before)


@pytest.mark.parametrize("shapes", [((4, 1, 3, 5), (2, 5, 6)), ((2, 3, 5), (2, 5, 6))])
def test_stacks_are_accumulated_and_broadcast(shapes):
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(shape) for shape in shapes)
    expected = reference.matmul(a, b)
    out = rng.standard_normal(expected.shape)
    expected = reference.matmul(a, b, out=out.copy(), accumulate=True)
    assert_same_bits(matmul(a, b, out=out, accumulate=True), expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_alone_is_the_row_in_any_batch(dtype):
    rng = np.random.default_rng(0)
    a = rng.standard_normal((150, 50)).astype(dtype)
    b = rng.standard_normal((50, 70)).astype(dtype)
    whole = matmul(a, b)
    for i in (0, 8, 77, 149):
        assert_same_bits(matmul(a[i : i + 1], b), whole[i : i + 1])
        assert_same_bits(matmul(a[None, i : i + 1], b[None]), whole[None, i : i + 1])
    for j in (0, 40, 69):
        assert_same_bits(matmul(a, b[:, j : j + 1]), whole[:, j : j + 1])


def test_nan_and_infinities_travel_as_in_the_definition():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((9, 11)), rng.standard_normal((11, 19))
    a[3, 4], a[5, 2], b[7, 8], b[0, 0], b[1, 1] = np.inf, np.nan, -np.inf, 0.0, -0.0
    for dtype in DTYPES:
        x, y = a.astype(dtype), b.astype(dtype)
        np.testing.assert_array_equal(matmul(x, y), reference.matmul(x, y))
    zeros = matmul(np.array([[-1.0]]), np.array([[0.0]]))
    assert not np.signbit(zeros[0, 0])  # 0 + (-1) 0


@pytest.mark.skipif(DISABLED, reason="nothing is flushed under NUMBA_DISABLE_JIT=1")
def test_denormals_are_flushed_and_the_callers_mode_is_left_alone():
    tiny = np.full((1, 1), 1e-40, np.float32)
    one = np.ones((1, 1), np.float32)
    assert matmul(tiny, one)[0, 0] == 0  # an input taken as zero
    assert matmul(one * 1e-30, one * 1e-10)[0, 0] == 0  # a result
    assert tiny[0, 0] * np.float32(0.5) > 0
    tiny = np.full((1, 1), 1e-310)
    assert matmul(tiny, np.ones((1, 1)))[0, 0] == 0


def test_read_only_factors_are_left_as_they_were():
    a, b = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
    bias = np.ones(4)
    for array in (a, b, bias):
        array.flags.writeable = False
    assert_same_bits(matmul(a, b, bias=bias), reference.matmul(a, b, bias=bias))
    assert_same_bits(matmul(a, pack(b)), reference.matmul(a, b))


def test_a_packed_matrix_is_a_copy_and_can_be_unpacked():
    b = np.random.default_rng(0).standard_normal((5, 90)).astype("float32")
    packed, before = pack(b), b.copy()
    b[:] = 0
    assert packed.shape == (5, 90)
    assert packed.dtype == np.float32
    assert_same_bits(reference.unpack(packed), before)


def test_complex_numbers_go_to_the_definition():
    a, b = np.array([[1.0, 1j]]), np.array([[2.0], [3j]])
    assert matmul(a, b)[0, 0] == -1


def test_what_does_not_fit_is_refused():
    a, b = np.ones((2, 3), np.float32), np.ones((4, 5), np.float32)
    with pytest.raises(ShapeError, match=r"a has shape \(2, 3\) and b \(4, 5\)"):
        matmul(a, b)
    with pytest.raises(ShapeError, match=r"expected \(..., M, K\) and \(..., K, N\)"):
        matmul(a, pack(b))
    with pytest.raises(ShapeError):
        matmul(a[0], b[:3])
    with pytest.raises(ShapeError, match=r"bias has shape \(3,\), expected \(5,\)"):
        matmul(a, b[:3], bias=np.ones(3, np.float32))
    with pytest.raises(ShapeError, match=r"out has shape \(2, 4\), expected \(2, 5\)"):
        matmul(a, b[:3], out=np.ones((2, 4), np.float32))
    with pytest.raises(ShapeError, match=r"expected \(K, N\)"):
        pack(np.ones((2, 3, 4)))
    with pytest.raises(ValueError, match="broadcast"):
        matmul(np.ones((2, 3, 4)), np.ones((3, 4, 5)))


def test_element_types_that_differ_or_are_not_compiled_are_refused():
    a, b = np.ones((2, 3), np.float32), np.ones((3, 5), np.float32)
    for x, y in [(a, b.astype("f8")), (a.astype("i4"), b.astype("i4")), (a, b.astype(">f4"))]:
        with pytest.raises(DTypeError, match="expected float32 or float64 for both"):
            matmul(x, y)
    with pytest.raises(DTypeError):
        matmul(a, b, bias=np.ones(5))
    with pytest.raises(DTypeError):
        matmul(a, b, out=np.ones((2, 5)))
    with pytest.raises(DTypeError):
        pack(b.astype("i4"))


@pytest.mark.parametrize("twin", [cpu, reference])
def test_starts_that_make_no_sense_are_refused(twin):
    a, b = np.ones((2, 3), np.float32), np.ones((3, 5), np.float32)
    with pytest.raises(ValueError, match="out was not given"):
        twin.matmul(a, b, accumulate=True)
    out = np.ones((2, 5), np.float32)
    with pytest.raises(ValueError, match="one of them at most"):
        twin.matmul(a, b, out=out, bias=out[0].copy(), accumulate=True)


def test_an_array_that_is_read_only_is_no_place_for_a_product():
    a, b = np.ones((2, 3), np.float32), np.ones((3, 5), np.float32)
    out = np.ones((2, 5), np.float32)
    out.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        matmul(a, b, out=out)


@pytest.mark.parametrize("twin", [cpu, gpu, reference])
def test_twins_take_the_arguments_of_the_contract(twin):
    for name in ("matmul", "pack"):
        expected = inspect.signature(getattr(contract, name)).parameters.values()
        given = inspect.signature(getattr(twin, name)).parameters.values()
        assert [(p.name, p.kind, p.default) for p in given] == [
            (p.name, p.kind, p.default) for p in expected
        ]
