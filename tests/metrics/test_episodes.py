"""Counting false-alert episodes, and the threshold that keeps them within a budget."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqdetect.metrics.episodes import EpisodeCurve, best_threshold, false_alert_episodes
from seqdetect.metrics.grid import Grid

from .frames import grid_of


def alerting(*at: int, size: int = 2000) -> Grid:
    """One user with score 1 in these minutes and 0 elsewhere."""
    row = np.zeros(size)
    row[list(at)] = 1
    return grid_of([row.tolist()])


def episodes(grid: Grid) -> int:
    return int(false_alert_episodes(grid, 1.0).sum())


def test_sixty_silent_minutes_merge_and_sixty_one_do_not() -> None:
    assert episodes(alerting(100, 161)) == 1
    assert episodes(alerting(100, 162)) == 2


def test_a_long_episode_counts_once_per_started_six_hours() -> None:
    assert episodes(alerting(*range(100, 460))) == 1
    assert episodes(alerting(*range(100, 461))) == 2
    assert episodes(alerting(*range(100, 820))) == 2
    assert episodes(alerting(*range(100, 821))) == 3
    assert episodes(alerting(*range(0, 721, 60))) == 3


def test_users_never_merge() -> None:
    last, first = np.zeros(10), np.zeros(10)
    last[9], first[0] = 1, 1
    grid = grid_of([last.tolist(), first.tolist()])
    assert false_alert_episodes(grid, 1.0).tolist() == [1, 1]
    assert EpisodeCurve.of(grid).episodes[0] == 2


def test_positive_and_ignored_minutes_are_no_false_alerts() -> None:
    grid = alerting(100, 300, size=400)
    negative = grid.negative.copy()
    negative[0, 100] = False
    assert episodes(dataclasses.replace(grid, negative=negative)) == 1


def test_silent_minutes_never_alert() -> None:
    assert false_alert_episodes(grid_of([[np.nan, np.nan]]), -np.inf).tolist() == [0]


def test_best_threshold_of_a_hand_made_week() -> None:
    row = np.zeros(10_080)
    row[[100, 1000, 2000]] = 5, 4, 3
    grid = grid_of([row.tolist()])
    assert best_threshold(grid, 1.0) == 5.0
    assert best_threshold(grid, 2.0) == 4.0
    assert best_threshold(grid, 3.0) == 3.0
    assert best_threshold(grid, 0.5) > 5.0
    assert best_threshold(grid, 100.0) == 0.0


def test_a_count_that_falls_again_does_not_tempt() -> None:
    # From 4 up there are two episodes; a 3 between them joins them to one, which the budget would allow.
    row = np.full(10_080, np.nan)
    row[[100, 170, 135]] = 5, 4, 3
    grid = grid_of([row.tolist()])
    assert EpisodeCurve.of(grid).episodes.tolist() == [1, 2, 1]
    assert best_threshold(grid, 1.0) == 5.0


def test_thresholds_between_positive_scores_can_be_chosen() -> None:
    row = np.zeros(10_080)
    row[[100, 1000, 2000]] = 5, 3, 4
    grid = grid_of([row.tolist()])
    negative = grid.negative.copy()
    negative[0, 2000] = False
    assert best_threshold(dataclasses.replace(grid, negative=negative), 1.5) == 4.0


def test_without_scores_nothing_alerts() -> None:
    assert best_threshold(grid_of([[np.nan] * 5]), 1.0) == float("inf")


GRIDS = st.tuples(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 900), st.integers(2, 40))


def random_grid(seed: int, users: int, size: int, levels: int) -> Grid:
    rng = np.random.default_rng(seed)
    score = rng.integers(0, levels, (users, size)).astype(float)
    score[rng.random(score.shape) < rng.random()] = np.nan
    negative = rng.random(score.shape) < 0.8
    return dataclasses.replace(grid_of(score.tolist()), negative=negative)


@settings(deadline=None, max_examples=60)
@given(GRIDS)
def test_one_pass_counts_what_counting_at_each_threshold_counts(shape: tuple[int, int, int, int]) -> None:
    grid = random_grid(*shape)
    curve = EpisodeCurve.of(grid)
    direct = [int(false_alert_episodes(grid, threshold).sum()) for threshold in curve.thresholds]
    assert curve.episodes.tolist() == direct
    assert min(direct, default=0) >= 0


@settings(deadline=None, max_examples=60)
@given(GRIDS, st.floats(0, 300))
def test_the_best_threshold_and_all_above_respect_the_budget(
    shape: tuple[int, int, int, int], budget: float
) -> None:
    grid = random_grid(*shape)
    allowed = budget * grid.exposure_user_weeks().sum() + 1e-6
    best = best_threshold(grid, budget)
    levels = np.unique(grid.score[~np.isnan(grid.score)])
    assert all(false_alert_episodes(grid, t).sum() <= allowed for t in [best, *levels[levels >= best]])
    below = levels[levels < best]
    if below.size:
        assert false_alert_episodes(grid, below[-1]).sum() > allowed - 2e-6


def test_exposure_is_in_weeks() -> None:
    assert EpisodeCurve.of(grid_of([[0.0] * 10_080] * 2)).exposure_user_weeks == pytest.approx(2.0)
