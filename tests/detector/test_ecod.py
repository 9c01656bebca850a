"""ECOD's frozen tails against PyOD's, and the search trees that stand for step functions."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from pyod.models.copod import COPOD
from pyod.models.ecod import ECOD

from detector.stepping import as_rows, graph_score, hard_rows
from seqdetect.detector.copod import Copod
from seqdetect.detector.ecod import Ecod, Staircase, larger_tail, skew_sign, tail_staircase

PAIRS = [(Ecod, ECOD), (Copod, COPOD)]


def pyod_scores(model: Any, values: np.ndarray) -> np.ndarray:
    with warnings.catch_warnings():
        # scipy warns that the skewness of a constant column means nothing; PyOD takes it for 0, as we do
        warnings.filterwarnings("ignore", message="Precision loss occurred", category=RuntimeWarning)
        return np.asarray(model.fit(values.astype(np.float64)).decision_scores_)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_on_the_training_rows_it_is_pyod(ours: Any, theirs: Any) -> None:
    """Ties count fully on both sides there too, so that nothing differs but the order of summing."""
    values = hard_rows(3_000, 0)
    detector = ours(resolution=0.0)
    detector.fit(as_rows(values), 0)
    wanted = pyod_scores(theirs(), values)
    np.testing.assert_allclose(detector.reference(as_rows(values)), wanted, rtol=1e-9)
    np.testing.assert_allclose(graph_score(detector, values), wanted, rtol=1e-6)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_resolution_bounds_the_difference_to_pyod(ours: Any, theirs: Any) -> None:
    values = hard_rows(3_000, 0)
    detector = ours(resolution=0.05)
    detector.fit(as_rows(values), 0)
    difference = np.abs(detector.reference(as_rows(values)) - pyod_scores(theirs(), values))
    assert difference.max() <= 0.05 * values.shape[1] / 2
    assert difference.mean() <= 0.15
    assert max(len(column.bound) for column in detector.columns) < 1_000


def test_who_else_is_scored_does_not_matter() -> None:
    values = hard_rows(2_000, 3)
    detector = Ecod()
    detector.fit(as_rows(values[:1_000]), 0)
    alone = detector.reference(as_rows(values[1_500:1_501]))
    assert detector.reference(as_rows(values[1_000:]))[500] == alone[0]


def test_tails_by_hand() -> None:
    """Values 1, 2, 2, 5: skewed to the right, so that a column's part is at least the right tail's."""
    stairs = tail_staircase(np.array([2, 5, 1, 2], np.float32), larger_tail, 0.0)
    at = np.array([0, 1, 1.5, 2, 3, 5, 6], np.float32)
    left = [1 / 5, 1 / 4, 1 / 4, 3 / 4, 3 / 4, 1, 1]
    right = [1, 1, 3 / 4, 3 / 4, 1 / 4, 1 / 4, 1 / 5]
    np.testing.assert_allclose(stairs(at), -np.log(np.minimum(left, right)))


def test_a_constant_column_says_nothing_until_it_moves() -> None:
    stairs = tail_staircase(np.zeros(99, np.float32), larger_tail, 0.05)
    assert skew_sign(np.full(9, 0.1, np.float32)) == 0
    np.testing.assert_allclose(
        stairs(np.array([-1e-3, 0.0, 1e-3], np.float32)), [np.log(100), 0, np.log(100)]
    )


def test_a_tree_finds_every_piece() -> None:
    rng = np.random.default_rng(0)
    columns = []
    for pieces in (2, 3, 8, 257):
        bound = np.sort(rng.choice(np.arange(1_000), pieces - 1, replace=False)).astype(np.float32)
        columns.append(Staircase(bound, rng.integers(0, 9, pieces).astype(np.float64)))
    values = rng.integers(-1, 1_001, (5_000, 4)).astype(np.float32)
    values += rng.choice(np.array([-1e-4, 0.0, 1e-4], np.float32), values.shape)
    detector = Ecod()
    detector.columns = columns
    np.testing.assert_array_equal(graph_score(detector, values), detector.reference(as_rows(values)))
