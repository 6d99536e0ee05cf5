"""Wrong CUDA sources, which the checks of their family notice: on the machine that stands in."""

import textwrap
from pathlib import Path

import numpy as np
import pytest

from tests.kernels.on_gpu import close, fetched, in_all_orders, same_bits, sent
from tests.standin import cuda
from tinygrad_rnn.errors import DeviceError
from tinygrad_rnn.kernels import _cuda, attention, noise, normalization, pooling, rows, update
from tinygrad_rnn.kernels.attention import reference as of_attention
from tinygrad_rnn.kernels.convolution import Windows
from tinygrad_rnn.kernels.normalization import reference as of_rows
from tinygrad_rnn.kernels.pooling import reference as of_pooling

ROOT = Path(_cuda.__file__).parent


def numbers(*shape):
    return np.random.default_rng(shape).standard_normal(shape)


def all_close(found, expected, terms):
    for one, other in zip(found, expected, strict=True):
        close(one, other, "float64", terms)


def scores():
    given = [numbers(2, 5, 40), numbers(2, 3, 40), numbers(40), np.array([[[1, 0, 1]]] * 2, "u1")]
    found = in_all_orders(lambda: [attention.additive_scores(*sent(given))])
    all_close(found, [of_attention.additive_scores(*given)], 40)


def gradients():
    given = [numbers(2, 9, 3), numbers(2, 9, 40), numbers(2, 3, 40), numbers(40), numbers(2, 3, 40)]
    found = in_all_orders(lambda: attention.additive_backward(*sent(given)))
    all_close(found, of_attention.additive_backward(*given), 100)


def single():
    seen = np.tile(np.array([1, 0, 1, 1, 1], "u1"), (2, 10))
    for vector in (numbers(40), 1000 * numbers(40)):  # at last, exp of a fit is infinite
        given = [numbers(3, 40), numbers(2, 50, 40), vector, numbers(2, 50, 300), seen,
                 np.array([1, 0, 1])]  # fmt: skip
        found = in_all_orders(lambda given=given: attention.attend(*sent(given)))
        all_close(found, of_attention.attend(*given), 50)


def weights():
    given = [numbers(3, 2, 40), np.arange(120).reshape(3, 1, 40) % 3 > 0]
    found = in_all_orders(lambda: [attention.masked_softmax(*sent(given))])
    all_close(found, [of_attention.masked_softmax(*given)], 40)
    given = list(numbers(2, 3, 40))
    found = in_all_orders(lambda: [attention.softmax_slope(*sent(given))])
    all_close(found, [of_attention.softmax_slope(*given)], 40)


def standardized():
    g, x = numbers(2, 3, 300)
    found = in_all_orders(lambda: [
        normalization.standardize(sent(x), 1e-5),
        normalization.standardize_slope(*sent([g, x]), 1e-5),
    ])  # fmt: skip
    all_close(found, [of_rows.standardize(x, 1e-5), of_rows.standardize_slope(g, x, 1e-5)], 3000)


def added():
    total, ids, more = numbers(4, 30), np.array([2, 0, 2, 2, 2, 3, 2, 2, 0, 2]), numbers(10, 30)
    there = sent(total)
    rows.add_rows(there, *sent([ids, more]))
    np.add.at(total, ids, more)
    np.testing.assert_array_equal(fetched(there), total)


def random():
    args = -7, 3, [5, 2**32 - 1], np.array([0, 9]), 9
    like = numbers(1)
    np.testing.assert_array_equal(
        fetched(noise.uniform(*args, sent(like))), noise.uniform(*args, like)
    )


def clipped():
    arrays = [numbers(5000), numbers(300), numbers(3)]
    there, root = sent(arrays), np.sqrt((np.concatenate(arrays) ** 2).sum())
    assert float(in_all_orders(lambda: [update.norm(there)])[0]) == pytest.approx(root, rel=1e-14)
    large = [array * 1e200 for array in there]
    assert float(update.norm(large)) == pytest.approx(root * 1e200, rel=1e-14)
    update.clip(there, 2.0)
    all_close(fetched(there), [array * (2 / root) for array in arrays], 1)


def found_rows():
    x = np.zeros((9, 40))
    x[4, 39] = x[7, 0] = 1
    assert fetched(update.touched(sent(x))).nonzero()[0].tolist() == [4, 7]


def pooled():
    x = numbers(2, 3, 9, 16)
    windows = Windows((2, 1), ((1, 0), (0, 1)), (1, 1))
    g = numbers(2, 3, 4, 15)

    def found():
        y, at = pooling.max_pool(sent(x), (3, 3), windows)
        return [y, at, pooling.max_pool_input(sent(g), at, x.shape[2:])]

    y, at = of_pooling.max_pool(x, (3, 3), windows)
    same_bits(in_all_orders(found), [y, at, of_pooling.max_pool_input(g, at, x.shape[2:])])


CHECKS = (
    scores,
    gradients,
    single,
    weights,
    standardized,
    added,
    random,
    clipped,
    found_rows,
    pooled,
)
MUTANTS = [
    (scores, "attention", "h = lane; h < H", "h = lane + 1; h < H"),
    (scores, "attention", "wanted[i] ? score : 0", "score + 1"),
    (gradients, "attention", "    parts[warp][lane] = by_vector;\n    __syncthreads();",
     "    parts[warp][lane] = by_vector;"),
    (gradients, "attention", "t += warps", "t += warps + 1"),
    (gradients, "attention", "int i = 0; i < warps; i++) sum", "int i = 1; i < warps; i++) sum"),
    (gradients, "attention", "d_key[place * H + h] +=", "d_key[place * H + h] ="),
    (gradients, "attention", "by_key += weight * (1 - z * z)", "by_key += weight * (1 - z)"),
    (single, "attention", "    __syncthreads();\n    Real top", "    Real top"),
    (single, "attention", "    __syncthreads();\n    EACH_IN_BLOCK(v, V)",
     "    EACH_IN_BLOCK(v, V)"),
    (single, "attention", "own[s] - top", "own[s]"),
    (single, "attention", "s < S; s += warps", "s < S - 1; s += warps"),
    (weights, "attention", "y[r * S + s];\n        sum = warp_sum(sum);", "y[r * S + s];"),
    (weights, "attention", "r / period * inner + r % inner", "r"),
    (standardized, "normalization", "block_sum(sum_gy)", "block_sum(sum_g)"),
    (standardized, "normalization", "+ eps", "- eps"),
    (added, "rows", "place += 4", "place += 3"),
    (added, "rows", "(((sum + a) + b) + c) + d", "sum + ((a + b) + (c + d))"),
    (random, "_threefry", "r % 4 == 3", "r % 4 == 2"),
    (random, "noise", "unit < width", "unit < width - 1"),
    (random, "_threefry", "words.low >> 8", "words.high >> 8"),
    (clipped, "update", "        __syncthreads();\n        for (int way", "        for (int way"),
    (clipped, "update", "half > 0", "half > 1"),
    (clipped, "update", "starts[middle] <= block", "starts[middle] < block"),
    (clipped, "update", "x[i] *= Real(*factor)", "x[i] *= Real(factor[-1])"),
    (clipped, "update", "plain == INFINITY", "plain != INFINITY"),
    (found_rows, "update", "c = lane; c < width", "c = lane; c < width - 1"),
    (found_rows, "update", "__any_sync(WHOLE_WARP, any)", "any"),
    (pooled, "pooling", "number > best", "number >= best || number > best - 1"),
    (pooled, "pooling", "c >= W", "c >= W - 1"),
    (pooled, "pooling", "other < lane", "other == lane"),
    (pooled, "pooling", "            __syncwarp();", ""),
]  # fmt: skip

BEYOND = [(added, "rows", "place == 0 || ", "")]  # what is read beyond changes no number here


@pytest.mark.parametrize("check", CHECKS)
def test_the_checks_hold_for_the_sources_as_they_are(machine, check):
    check()


@pytest.mark.parametrize(
    ("check", "family", "right", "wrong"), MUTANTS, ids=lambda part: getattr(part, "__name__", "")
)
def test_a_wrong_source_is_noticed(machine, monkeypatch, check, family, right, wrong):
    spoiled(monkeypatch.setattr, family, right, wrong)
    with pytest.raises((AssertionError, DeviceError)):  # wrong numbers, or a failed launch
        check()


def spoiled(put, family, right, wrong):
    """Put a wrong source in the place of a family's, or of what several share."""
    path = ROOT / f"{family}.cuh" if family.startswith("_") else ROOT / family / f"{family}.cu"
    text, joined = path.read_text(), _cuda.joined
    assert right in text

    def as_spoiled(*paths):
        whole = joined(*paths)
        return whole.replace(text, text.replace(right, wrong)) if path in paths else whole

    put(_cuda, "joined", as_spoiled)


def sanitized(check, *mutant):
    """What a process says that runs a check under the address sanitizer."""
    code = f"""
        from tests.kernels import test_cuda_mutants as here
        from tests.standin import installed
        with installed():
            here.spoiled(setattr, *{mutant})
            here.{check.__name__}()
    """
    return cuda.run_sanitized(textwrap.dedent(code))


@pytest.mark.parametrize("mutant", BEYOND, ids=lambda mutant: mutant[0].__name__)
def test_a_source_that_reads_beyond_an_array_is_noticed(machine, mutant):
    check, *change = mutant
    assert "AddressSanitizer" in sanitized(check, *change).stderr
