"""Cells that are planted are found, and judged as counting says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_rnn import inspect
from tinygrad_rnn.errors import ArgumentError, ShapeError
from tinygrad_rnn.inspect.cells import correlations

pytestmark = pytest.mark.usefixtures("reference")
T = 200
C, H = inspect.Row(0, "forward", "c"), inspect.Row(1, "forward", "h")
GATE = inspect.Row(0, "forward", "f")


def planted(seed=0):
    """Activations of noise, but for a unit that follows each feature, and the features."""
    rng = np.random.default_rng(seed)
    rows = {
        C: rng.standard_normal((T, 7)),
        H: rng.standard_normal((T, 5)),
        GATE: rng.random((T, 7)),
    }
    features = {
        "quote": rng.random(T) < 0.3,
        "depth": rng.integers(0, 5, T),
        "never": np.zeros(T, bool),
    }
    rows[C][:, 3] = 0.5 - features["quote"] * 2.0
    rows[H][:, 2] = features["depth"] + 0.1 * rng.standard_normal(T)
    rows[C][:, 0] = 1.5  # dead
    return inspect.Activations(rows, [C, H]), features


def test_planted_cells_are_found():
    found, features = planted()
    cells = inspect.find_cells(found, features, k=3)
    assert list(cells) == ["quote", "depth"]
    best = cells["quote"][0]
    assert (best.row, best.unit, best.above) == (C, 3, False)
    assert (best.f1, best.precision, best.recall, best.accuracy) == (1, 1, 1, 1)
    assert best.correlation == pytest.approx(-1)
    assert best.threshold == pytest.approx(-0.5)
    assert str(best) == "quote: layer 0 · c[3], r = -1.00, F1 1.00"
    best = cells["depth"][0]
    assert (best.row, best.unit, best.f1, best.threshold) == (H, 2, None, None)
    assert best.correlation > 0.99
    for ranked in cells.values():
        sizes = [abs(cell.correlation) for cell in ranked]
        assert len(ranked) == 3
        assert sizes == sorted(sizes, reverse=True)
    assert all(
        cell.row == GATE for cell in inspect.find_cells(found, features, rows=["f"])["quote"]
    )


@given(st.integers(0, 10**6))
def test_correlations_are_those_of_numpy(seed):
    rng = np.random.default_rng(seed)
    units = rng.standard_normal((50, 6)) * 10.0 ** rng.integers(-3, 4, 6) + rng.integers(-9, 9, 6)
    units[:, 1] = units[0, 1]
    features = {"a": rng.random(50) < 0.5, "b": rng.random(50), "c": np.ones(50)}
    got = correlations(units, features)
    with np.errstate(invalid="ignore"):
        want = np.corrcoef(units.T, np.stack(list(features.values())))[:6, 6:]
    np.testing.assert_allclose(got, np.nan_to_num(want), atol=2e-5)


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=30))
def test_the_cut_is_the_best_of_all(pairs):
    values, feature = (np.array(side) for side in zip(*pairs, strict=True))
    if np.ptp(values) == 0 or feature.all() or not feature.any():
        return
    found = inspect.Activations({C: values[:, None].astype(float)}, [C])
    cells = inspect.find_cells(found, {"x": feature})
    if abs(np.corrcoef(values, feature)[0, 1]) < 1e-6:
        return
    (cell,) = cells["x"]
    best = 0
    for cut in np.unique(values):
        said = values >= cut if cell.above else values <= cut
        best = max(best, 2 * (said & feature).sum() / (said.sum() + feature.sum()))
    said = values >= cell.threshold if cell.above else values <= cell.threshold
    hits = (said & feature).sum()
    assert cell.f1 == pytest.approx(best)
    assert cell.f1 == pytest.approx(2 * hits / (said.sum() + feature.sum()))
    assert cell.accuracy == pytest.approx((said == feature).mean())
    assert cell.precision == pytest.approx(hits / said.sum())
    assert cell.recall == pytest.approx(hits / feature.sum())


def test_features_of_characters_count_at_the_end_of_a_piece():
    found = inspect.Activations({C: np.array([[0.0], [1], [0], [1]])}, [C], ["ab", "c", "d ", "e"])
    by_letter = np.array([1, 0, 1, 1, 0, 1], bool)
    (cell,) = inspect.find_cells(found, {"x": by_letter})["x"]
    assert cell.f1 == 1
    with pytest.raises(
        ShapeError, match=r"'x' has shape \(3,\), expected \(4,\).*or \(6,\), one for"
    ):
        inspect.find_cells(found, {"x": by_letter[:3]})


def test_nothing_to_find_and_wrong_arguments():
    found, features = planted()
    assert inspect.find_cells(found, {"never": features["never"]}) == {}
    with pytest.raises(ArgumentError, match="k is 0, expected a whole number from 1 up"):
        inspect.find_cells(found, features, 0)
    with pytest.raises(KeyError, match="'q' is none of them"):
        inspect.find_cells(found, features, rows=["q"])


def test_nowhere_to_look_is_told():
    rows = {inspect.Row(0, "forward", "h"): np.arange(4.0)[:, None]}
    found = inspect.Activations(rows, list(rows))
    with pytest.raises(ArgumentError, match="rows is empty, expected one row at least"):
        inspect.find_cells(found, {"half": np.arange(4) > 1}, rows=[])
