"""Intervals over users and seeds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from seqdetect.metrics.bootstrap import ratio_interval, resampled_weights, seeds_interval


def test_every_resample_draws_as_many_users_as_there_are() -> None:
    weights = resampled_weights(7, np.random.default_rng(0), 50)
    assert weights.shape == (50, 7)
    assert (weights.sum(axis=1) == 7).all()


def test_equal_users_have_no_spread() -> None:
    assert ratio_interval([2.0, 2.0, 2.0], [4.0, 4.0, 4.0], np.random.default_rng(0)) == (0.5, 0.5)


def test_the_interval_of_a_mean_is_about_as_wide_as_theory_says() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=400)
    low, high = ratio_interval(values, np.ones(400), rng, resamples=2000)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


def test_columns_are_averaged_and_missing_ones_left_out() -> None:
    # Two kinds, each on one user alone: a resample may miss a kind, and then the other one is the mean.
    found, rows = np.array([[1.0, 0.0], [0.0, 0.0]]), np.eye(2)
    assert ratio_interval(found, rows, np.random.default_rng(0)) == (0.0, 1.0)


def test_nothing_below_the_line_is_no_number() -> None:
    for empty in (np.zeros(3), np.zeros(0), np.zeros((2, 0))):
        assert all(math.isnan(edge) for edge in ratio_interval(empty, empty, np.random.default_rng(0)))


@pytest.mark.parametrize("count", [2, 3, 4, 5, 10, 31])
def test_seeds_interval_is_students(count: int) -> None:
    values = np.random.default_rng(count).normal(size=count)
    expected = stats.t.interval(0.95, count - 1, loc=values.mean(), scale=stats.sem(values))
    assert seeds_interval(values) == pytest.approx(expected, abs=1e-9)


def test_one_seed_has_no_interval() -> None:
    assert all(math.isnan(edge) for edge in seeds_interval([0.5]))
