"""The one-minute grid: when a score is known, how long it is current, what a minute is labelled."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from seqdetect.metrics.grid import make_grid

from .frames import incidents_of, minutes, scores_of


def test_a_tick_on_the_boundary_belongs_to_the_minute_that_begins() -> None:
    grid = make_grid(scores_of(u=[(2.0, 5.0)]), None, minutes(4))
    assert np.isnan(grid.score[0, :2]).all()
    assert grid.score[0, 2] == 5.0


def test_a_minute_takes_its_largest_score() -> None:
    grid = make_grid(scores_of(u=[(1.2, 1.0), (1.5, 3.0), (1.9, 2.0)]), None, minutes(3))
    assert grid.score[0, 1:].tolist() == [3.0, 3.0]


def test_a_score_stays_current_for_ten_minutes() -> None:
    grid = make_grid(scores_of(u=[(3.5, 2.0)]), None, minutes(20))
    assert np.flatnonzero(~np.isnan(grid.score[0])).tolist() == list(range(3, 14))


def test_a_newer_score_replaces_an_older_larger_one() -> None:
    grid = make_grid(scores_of(u=[(0.5, 9.0), (2.5, 1.0)]), None, minutes(4))
    assert grid.score[0].tolist() == [9.0, 9.0, 1.0, 1.0]


def test_labels_around_an_incident() -> None:
    grid = make_grid(scores_of(u=[(0.5, 1.0)]), incidents_of(("u", 10.5, 12.5, "flood")), minutes(60))
    assert np.flatnonzero(grid.positive[0]).tolist() == [10, 11, 12]
    ignored = ~grid.positive[0] & ~grid.negative[0]
    assert np.flatnonzero(ignored).tolist() == list(range(13, 48))


def test_an_incident_that_ends_on_a_boundary_does_not_touch_the_next_minute() -> None:
    grid = make_grid(scores_of(u=[(0.5, 1.0)]), incidents_of(("u", 10, 12, "flood")), minutes(60))
    assert np.flatnonzero(grid.positive[0]).tolist() == [10, 11]
    assert np.flatnonzero(grid.negative[0])[[9, 10]].tolist() == [9, 47]


def test_positive_beats_ignored() -> None:
    rows = incidents_of(("u", 10, 12, "flood"), ("u", 20, 21, "drip"))
    grid = make_grid(scores_of(u=[(0.5, 1.0)]), rows, minutes(70))
    assert np.flatnonzero(grid.positive[0]).tolist() == [10, 11, 20]
    assert not (grid.positive & grid.negative).any()
    assert np.flatnonzero(grid.negative[0]).tolist() == [*range(10), *range(56, 70)]


def test_benign_kinds_and_other_users_stay_negative() -> None:
    rows = incidents_of(("u", 10, 12, "benign_campaign"), ("v", 10, 12, "flood"))
    grid = make_grid(scores_of(u=[(0.5, 1.0)], v=[(0.5, 1.0)]), rows, minutes(60))
    assert grid.negative[0].all()
    assert grid.positive.sum(axis=1).tolist() == [0, 2]


def test_incidents_reach_over_the_edges_of_the_span() -> None:
    rows = incidents_of(("u", 70, 110, "flood"), ("u", 155, 300, "flood"), ("u", 10, 20, "flood"))
    grid = make_grid(scores_of(u=[(100.5, 1.0)]), rows, (minutes(100)[1], minutes(160)[1]))
    assert np.flatnonzero(grid.positive[0]).tolist() == [*range(10), *range(55, 60)]
    assert np.flatnonzero(grid.negative[0]).tolist() == list(range(45, 55))


def test_an_incident_that_ended_before_the_span_is_still_ignored_for_a_while() -> None:
    rows = incidents_of(("u", 70, 80, "flood"))
    grid = make_grid(scores_of(u=[(100.5, 1.0)]), rows, (minutes(100)[1], minutes(160)[1]))
    assert np.flatnonzero(~grid.negative[0]).tolist() == list(range(15))


def test_watched_users_without_scores_count_as_exposure() -> None:
    rows = incidents_of(("attacked", 1, 2, "flood"))
    grid = make_grid(scores_of(u=[(0.5, 1.0)]), rows, minutes(10), users=["silent"])
    assert grid.users == ("attacked", "silent", "u")
    assert np.isnan(grid.score[:2]).all()
    assert grid.exposure_user_weeks() == pytest.approx([1 / 10080, 10 / 10080, 10 / 10080])


def test_datetimes_and_integers_give_the_same_grid() -> None:
    scores = scores_of(u=[(0.5, 1.0), (7.25, 2.0)])
    rows = incidents_of(("u", 2, 3, "flood"))
    stamped = scores.assign(timestamp=pd.to_datetime(scores["timestamp"], unit="us", utc=True))
    dated = rows.assign(**{name: pd.to_datetime(rows[name], unit="us") for name in ("start", "end")})
    one, other = make_grid(scores, rows, minutes(30)), make_grid(stamped, dated, minutes(30))
    np.testing.assert_array_equal(one.score, other.score)
    np.testing.assert_array_equal(one.positive, other.positive)


def test_scores_outside_the_span_are_left_out() -> None:
    grid = make_grid(
        scores_of(u=[(9.9, 1.0), (12.0, 2.0), (20.0, 3.0)]), None, (minutes(10)[1], minutes(20)[1])
    )
    assert np.nanmax(grid.score) == 2.0
    assert np.isnan(grid.score[0, :2]).all()


def test_refuses_an_empty_span_and_scores_that_are_not_finite() -> None:
    with pytest.raises(ValueError, match="span must end"):
        make_grid(scores_of(u=[(0.5, 1.0)]), None, (10, 10))
    with pytest.raises(ValueError, match="1 scores in the span are not finite"):
        make_grid(scores_of(u=[(0.5, float("nan"))]), None, minutes(1))
