"""Convolution: the compiled kernels hold what the definition says, whatever the sizes."""

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.kernels.on_gpu import fetched, sent
from tinygrad_rnn.kernels import _memory, convolution
from tinygrad_rnn.kernels._jit import DISABLED
from tinygrad_rnn.kernels._pool import num_threads, set_num_threads
from tinygrad_rnn.kernels._twin import use_reference
from tinygrad_rnn.kernels.convolution import Windows, cpu, reference
from tinygrad_rnn.testing import strategies as gs

CHANNELS = st.sampled_from([1, 3, 5] if DISABLED else [1, 3, 16, 17, 40])


@st.composite
def calls(draw):
    """Shapes of x and w, and windows that leave one place at least."""
    axes, groups = draw(st.integers(1, 2)), draw(st.sampled_from([1, 1, 2]))
    kernel, stride, dilation = (
        tuple(draw(st.integers(1, most)) for _ in range(axes)) for most in (3, 3, 2)
    )
    padding = tuple((draw(st.integers(0, 3)), draw(st.integers(0, 3))) for _ in range(axes))
    windows = Windows(stride, padding, dilation, groups)
    sizes = tuple(
        max(1, (k - 1) * d + 1 - sum(p)) + draw(st.sampled_from([0, 1, 6, 20]))
        for k, d, p in zip(kernel, dilation, padding, strict=True)
    )
    c, o = draw(CHANNELS), draw(CHANNELS)
    return (draw(st.integers(0, 3)), c * groups, *sizes), (o * groups, c, *kernel), windows


def drawn(x, w, windows, dtype, seed=0):
    rng = np.random.default_rng(seed)
    y = (x[0], w[0], *windows.places(x[2:], w[2:]))
    return [rng.standard_normal(shape).astype(dtype) for shape in (x, w, w[:1], y)]


def results(x, w, b, g, windows):
    return [
        convolution.convolve(x, w, b, windows), convolution.convolve(x, w, None, windows),
        convolution.convolve_input(g, w, x.shape[2:], windows),
        convolution.convolve_weight(g, x, w.shape[2:], windows),
    ]  # fmt: skip


def close(found, expected, dtype, terms):
    room = 16 * np.finfo(dtype).eps * np.sqrt(max(1, terms))
    largest = max(1.0, np.abs(expected).max(initial=0))
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=0, atol=room * largest)


def all_close(found, arrays, windows, dtype):
    wide = [a.astype(np.float64) for a in arrays]
    with use_reference():
        expected = results(*wide, windows)
    _, w, _, g = arrays
    terms = w[0].size, w[0].size, w[:, :1].size, g.size // max(1, g.shape[1])
    for one, other, count in zip(found, expected, terms, strict=True):
        close(one, other, dtype, count)


@pytest.fixture(scope="module", params=[cpu._ROOM, 1], ids=["room", "no room"])
def room(request):
    """Scratch memory for whole images, or for one row at a time; all threads, and it is NaN."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpu, "_ROOM", request.param)
        patch.setattr(cpu, "_WORTH", 0)
        cpu._plan.cache_clear()
        _memory.empty_cache()
        _memory.poison()
        yield
    _memory.poison(False)
    cpu._plan.cache_clear()


# Everything at once: strides, dilations and padding that differ, and images of several vectors.
ALL = (3, 6, 23, 19), (34, 3, 3, 2), Windows((2, 3), ((1, 3), (0, 2)), (3, 2), 2)


@given(calls(), gs.seeds(), st.sampled_from(["float32", "float64"]))
@example(ALL, 0, "float32")
@example(((2, 3, 9, 8), (5, 3, 2, 2), Windows((1, 1), ((1, 1), (0, 0)), (3, 1))), 0, "float32")
@settings(max_examples=20 if DISABLED else 100)
def test_kernels_give_what_the_definition_says(room, call, seed, dtype):
    arrays = drawn(*call, dtype, seed)
    before = [a.copy() for a in arrays]
    all_close(results(*arrays, call[2]), arrays, call[2], dtype)
    assert all(map(np.array_equal, arrays, before))


@given(calls(), gs.seeds())
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_gpu_finds_the_same(cupy, call, seed):
    arrays = drawn(*call, "float64", seed)
    found = fetched(results(*sent(arrays), call[2]))
    all_close(found, arrays, call[2], "float64")


def test_nothing_is_written_around_memory_that_is_taken(monkeypatch):
    taken = []

    def empty(shape, dtype):
        memory = np.full(np.prod(shape, dtype=int) + 2048, 7, dtype)
        taken.append(memory)
        return memory[1024:-1024].reshape(shape)

    monkeypatch.setattr(cpu, "_ROOM", 1)
    monkeypatch.setattr(cpu, "empty", empty)
    cpu._plan.cache_clear()
    before = num_threads()
    set_num_threads(1)
    try:
        plain = (2, 5, 6, 40), (19, 5, 3, 3), Windows((1, 1), ((1, 1), (1, 1)), (1, 1))
        for call in (ALL, plain):
            results(*drawn(*call, "float64"), call[2])
    finally:
        set_num_threads(before)
        cpu._plan.cache_clear()
    for memory in taken:
        assert (memory[:1024] == 7).all()
        assert (memory[-1024:] == 7).all()


def test_bits_depend_neither_on_threads_nor_on_other_images(room):
    call = (6, 17, 9, 7), (33, 17, 3, 3), Windows((1, 2), ((1, 1), (0, 2)), (1, 1))
    x, w, b, g = drawn(*call, "float32")
    before, found = num_threads(), []
    try:
        for count in (1, 2, 4):
            set_num_threads(count)
            found.append(results(x, w, b, g, call[2]))
    finally:
        set_num_threads(before)
    for one, *others in zip(*found, strict=True):
        assert all(np.array_equal(one, other) for other in others)
    alone = results(x[2:3], w, b, g[2:3], call[2])
    assert all(np.array_equal(found[0][n][2:3], alone[n]) for n in range(3))


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 0, 4), (2, 3, 0), (2, 3, 4)])
@pytest.mark.parametrize("outputs", [0, 2])
def test_sums_of_nothing_are_zero_and_have_a_bias(shape, outputs):
    windows = Windows((1,), ((1, 1),), (1,))
    x, w, b, g = drawn(shape, (outputs, shape[1], 2), windows, "float32")
    found = results(x, w, b, g, windows)
    with use_reference():
        expected = results(x, w, b, g, windows)
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        close(one, other, "float32", 6)
    if 0 in shape[1:]:
        assert np.array_equal(found[0], np.broadcast_to(b[:, None], g.shape))


def test_what_is_not_a_number_reaches_what_reads_it_and_nothing_else():
    call = (2, 3, 8, 8), (4, 3, 3, 3), Windows((1, 1), ((1, 1), (1, 1)), (1, 1))
    x, w, b, g = drawn(*call, "float32")
    x[1, 2, 0, 5] = g[0, 3, 7, 0] = np.nan
    y, _, dx, dw = results(x, w, b, g, call[2])
    touched = np.zeros(y.shape, bool)
    touched[1, :, :2, 4:7] = True
    assert np.array_equal(np.isnan(y), touched)
    touched = np.zeros(x.shape, bool)
    touched[0, :, 6:, :2] = True
    assert np.array_equal(np.isnan(dx), touched)
    with use_reference():
        assert np.array_equal(np.isnan(dw), np.isnan(results(x, w, b, g, call[2])[3]))


def test_the_definition_takes_complex_numbers():
    call = (1, 2, 4), (2, 2, 2), Windows((1,), ((0, 1),), (1,))
    arrays = drawn(*call, "complex128")
    found = reference.convolve(*arrays[:3], call[2])
    np.testing.assert_allclose(found, 1j * reference.convolve(
        -1j * arrays[0], arrays[1], -1j * arrays[2], call[2]
    ))  # fmt: skip
