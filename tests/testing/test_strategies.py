"""The strategies reach what they name, stay dense at any size, and shrink to readable cases."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.testing.search import minimal, reaches
from tinygrad_rnn.testing import strategies as gs
from tinygrad_rnn.testing.arrays import LAYOUTS, STYLES, filled, folded, relayout


@pytest.mark.parametrize("style", STYLES[:-1])
@given(shape=gs.shapes(), seed=gs.seeds())
def test_a_style_and_a_seed_name_an_array(style, shape, seed):
    a, b = filled(shape, style, seed), filled(shape, style, seed)
    assert a.shape == shape
    assert a.dtype == np.float64
    np.testing.assert_array_equal(a, b)
    assert np.isfinite(a).all()


@pytest.mark.parametrize("style", ["gaussian", "saturating", "near_kink"])
def test_large_arrays_are_dense(style):
    array = filled((32, 128), style, 7)
    assert np.unique(array).size > 0.6 * array.size  # a third of near_kink is on the kink


@given(gs.arrays((50,)), st.floats(-3, 3), st.floats(0.1, 3))
def test_folding_keeps_bounds_and_what_was_inside(x, low, width):
    high = low + width
    y = folded(x, low, high)
    assert (y >= low - 1e-12).all()
    assert (y <= high + 1e-12).all()
    inside = (x >= low) & (x <= high)
    np.testing.assert_allclose(y[inside], x[inside], atol=1e-12)
    assert (folded(x, low, np.inf) >= low).all()
    assert (folded(x, -np.inf, high) <= high).all()


@given(gs.arrays(gs.shapes(), styles=("gaussian", "explicit"), low=0.5, high=2))
def test_elements_lie_in_the_domain(x):
    assert ((x >= 0.5) & (x <= 2)).all()


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "broadcast"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 1, 4), (0, 3), (1, 1)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.bool_])
def test_a_layout_holds_the_same_numbers_in_memory_of_its_own(layout, shape, dtype):
    x = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    y = relayout(x, layout)
    assert y.dtype == x.dtype
    np.testing.assert_array_equal(x, y)
    assert not np.shares_memory(x, y) or not x.size


def test_layouts_are_what_they_are_called():
    x = np.arange(12.0).reshape(3, 4)
    assert relayout(x, "C").strides == (32, 8)
    assert relayout(x, "F").strides == (8, 24)
    assert relayout(x, "transposed").strides == (8, 24)
    assert relayout(x, "strided").strides[1] == 16
    assert relayout(x, "negative").strides < (0, 0)
    assert relayout(x, "offset").base is not None
    assert relayout(x, "broadcast").strides[1] == 0
    assert not relayout(x, "read_only").flags.writeable
    assert not relayout(x, "unaligned").flags.aligned
    assert np.isnan(relayout(x, "strided").base).any()
    with pytest.raises(ValueError, match="layout is 'G', expected one of C, F, strided"):
        relayout(x, "G")


def test_arrays_shrink_to_zeros_and_to_the_first_style_that_will_do():
    shape = gs.shapes(2, 2, 1, 8)
    assert minimal(gs.arrays(shape), lambda x: True).tolist() == [[0.0]]
    found = minimal(gs.arrays(shape), lambda x: (x != x[:1]).any())
    assert found.shape in ((2, 1), (2, 2))
    assert set(np.unique(found)) == {0.0, 1.0}


def test_axes_and_permutations_shrink_to_the_first():
    assert minimal(gs.axis(3), lambda a: True) == 0
    assert minimal(gs.axes(3), lambda a: True) is None
    assert minimal(gs.permutations(3), lambda p: True) == (0, 1, 2)


@given(gs.shapes(0, 3).flatmap(lambda s: st.tuples(st.just(s), gs.axes(len(s)))))
def test_axes_are_ones_that_sum_takes(case):
    shape, axis = case
    np.zeros(shape).sum(axis=axis)


@given(gs.shapes(1, 3, 1).flatmap(lambda s: st.tuples(st.just(s), gs.indices(s))))
def test_indices_are_ones_that_numpy_takes(case):
    shape, index = case
    np.zeros(shape)[index]


@given(gs.broadcastable(3), gs.matmul_operands())
def test_operands_fit(shapes, pair):
    np.broadcast_shapes(*shapes)
    np.zeros(pair[0]) @ np.zeros(pair[1])


@given(gs.tensors((2, 3), dtype=np.float32, layout=gs.layouts()))
def test_tensors_are_leaves_of_the_type_asked_for(x):
    assert isinstance(x, tg.Tensor)
    assert x.requires_grad
    assert x.dtype == np.float32


def test_without_hypothesis_the_error_says_what_to_install():
    code = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "from tinygrad_rnn import testing\n"
        "try: testing.strategies\n"
        "except ModuleNotFoundError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "needs Hypothesis. Install it with: pip install 'tinygrad-rnn[test]'" in said.stdout


def test_tensors_have_any_shape_unless_one_is_given():
    tensors = gs.tensors(requires_grad=False)
    assert minimal(tensors, lambda x: not x.requires_grad).shape == ()
    assert reaches(tensors, lambda x: x.ndim == 4)
    assert reaches(tensors, lambda x: x.size == 0)
    assert reaches(tensors, lambda x: x.ndim == 2 and x.shape[0] != x.shape[1] and x.numpy().all())


def test_types_are_those_that_have_derivatives_and_shrink_to_the_most_exact():
    assert minimal(gs.dtypes()) == np.float64
    assert minimal(gs.dtypes((32, 64))) == np.float32
    for wanted in (np.float16, np.float32, np.float64):
        assert reaches(gs.dtypes(), lambda d, wanted=wanted: d == wanted)
    assert not reaches(gs.dtypes((32, 64)), lambda d: d == np.float16)
    assert minimal(gs.dtypes().flatmap(lambda d: gs.tensors((2,), d))).requires_grad


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: gs.arrays([2, 3]), "arrays: shape is [2, 3], expected a tuple of sizes"),
        (lambda: gs.arrays((2, -3)), "a size of shape is -3, expected a whole number from 0 up"),
        (lambda: gs.arrays((2,), styles=("wavy",)), "styles has 'wavy', expected some of zeros"),
        (lambda: gs.arrays((2,), styles=()), "styles has nothing, expected some of zeros"),
        (lambda: gs.arrays((2,), layout="G"), "arrays: layout has 'G', expected some of C, F"),
        (lambda: gs.arrays((2,), low=2, high=1), "low is 2 and high 1, expected low <= high"),
        (lambda: gs.tensors((2, 0.5)), "a size of shape is 0.5"),
        (lambda: gs.shapes(3, 2), "min_dims is 3 and max_dims 2, expected min_dims <= max_dims"),
        (lambda: gs.shapes(min_side=-1), "shapes: min_side is -1"),
        (lambda: gs.broadcastable(-1), "broadcastable: n is -1"),
        (lambda: gs.broadcastable(2, min_side=5), "min_side is 5 and max_side 4"),
        (lambda: gs.matmul_operands(max_side=0), "min_side is 1 and max_side 0"),
        (lambda: gs.axis(0), "axis: ndim is 0, expected a whole number from 1 up"),
        (lambda: gs.axes(-1), "axes: ndim is -1"),
        (lambda: gs.permutations(-1), "permutations: n is -1"),
        (lambda: gs.indices(3), "indices: shape is 3, expected a tuple"),
        (lambda: gs.indices((3, -1)), "indices: a size of shape is -1"),
    ],
)  # fmt: skip
def test_wrong_arguments_raise_at_the_call(call, says):
    with pytest.raises(ValueError) as raised:
        call()
    assert says in str(raised.value)
