"""Event recall, time to detect, benign alerts and chance recall on hand-made ticks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqdetect.metrics.chance import Chance, chance_recall
from seqdetect.metrics.grid import make_grid
from seqdetect.metrics.recall import (
    attack_peaks,
    benign_alerts,
    benign_peaks,
    event_recall,
    macro_recall,
    recall_table,
    time_to_detect,
)
from seqdetect.metrics.ticks import Ticks

from .frames import incidents_of, minutes, scores_of


@pytest.mark.parametrize(
    ("minute", "found"), [(9.9, 0), (10.0, 0), (10.1, 1), (12.0, 1), (17.0, 1), (17.1, 0)]
)
def test_an_alert_counts_after_the_start_and_up_to_five_minutes_late(minute: float, found: int) -> None:
    table = event_recall(scores_of(u=[(minute, 2.0)]), incidents_of(("u", 10, 12, "flood")), 2.0)
    assert table["kinds"]["flood"] == {"recall": float(found), "found": found, "rows": 1}


def test_another_users_alert_does_not_count() -> None:
    table = event_recall(scores_of(v=[(11, 2.0)]), incidents_of(("u", 10, 12, "flood")), 1.0)
    assert table["macro"] == 0.0


def test_macro_recall_weighs_kinds_alike_and_leaves_benign_out() -> None:
    rows = incidents_of(
        ("u", 10, 12, "flood"),
        ("u", 30, 32, "flood"),
        ("u", 50, 52, "drip"),
        ("u", 70, 72, "benign_campaign"),
    )
    table = event_recall(scores_of(u=[(11, 2.0), (51, 2.0), (71, 2.0)]), rows, 1.0)
    assert table["macro"] == pytest.approx((0.5 + 1.0) / 2)
    assert sorted(table["kinds"]) == ["drip", "flood"]
    assert "strengths" not in table


def test_strengths_are_told_apart_where_known() -> None:
    rows = incidents_of(("u", 10, 12, "flood"), ("u", 30, 32, "flood")).assign(strength=["subtle", "blatant"])
    table = event_recall(scores_of(u=[(31, 2.0)]), rows, 1.0)
    assert table["strengths"]["flood"]["blatant"] == {"recall": 1.0, "found": 1, "rows": 1}
    assert table["strengths"]["flood"]["subtle"]["found"] == 0


def test_each_row_of_an_incident_counts() -> None:
    rows = incidents_of(("u", 10, 12, "botnet"), ("v", 10, 12, "botnet")).assign(incident_id="one")
    assert event_recall(scores_of(u=[(11, 2.0)]), rows, 1.0)["kinds"]["botnet"]["rows"] == 2


def test_time_to_detect_runs_to_the_end_of_the_first_alerting_tick() -> None:
    rows = incidents_of(("u", 10, 20, "flood"), ("u", 40, 50, "drip"), ("u", 70, 80, "drip"))
    scores = scores_of(u=[(10.5, 1.0), (12, 3.0), (13, 9.0), (41, 3.0)])
    times = time_to_detect(attack_peaks(Ticks.of(scores), rows), 2.0)
    assert times["kinds"]["flood"] == {"median_s": 120.0, "p90_s": 120.0, "found": 1}
    assert times["kinds"]["drip"]["found"] == 1
    assert times["median_s"] == 90.0
    assert time_to_detect(attack_peaks(Ticks.of(scores), rows), 10.0)["median_s"] is None


def test_benign_rows_get_no_grace() -> None:
    rows = incidents_of(
        ("u", 10, 12, "benign_campaign"), ("v", 10, 12, "benign_campaign"), ("u", 0, 9, "flood")
    )
    peaks = benign_peaks(Ticks.of(scores_of(u=[(12.0, 2.0)], v=[(12.1, 2.0)])), rows)
    assert benign_alerts(peaks, 2.0) == {"benign_campaign": {"rate": 0.5, "alerted": 1, "rows": 2}}


def test_no_incidents_are_no_number() -> None:
    table = event_recall(scores_of(u=[(1, 2.0)]), incidents_of(), 1.0)
    assert table == {"macro": None, "kinds": {}}


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 1000), st.floats(-3, 3), st.floats(0, 3))
def test_recall_never_rises_with_the_threshold(seed: int, threshold: float, step: float) -> None:
    rng = np.random.default_rng(seed)
    scores = scores_of(u=[(m, float(rng.normal())) for m in range(100)], v=[(5, 0.0)])
    starts = rng.integers(0, 95, 6)
    rows = incidents_of(*[("uv"[i % 2], s, s + 3, ["flood", "drip"][i % 2]) for i, s in enumerate(starts)])
    peaks = attack_peaks(Ticks.of(scores), rows)
    low, high = macro_recall(peaks, threshold), macro_recall(peaks, threshold + step)
    assert low is not None
    assert high is not None
    assert low >= high
    assert recall_table(peaks, threshold)["macro"] == low


def chance_case(scores: pd.DataFrame, rows: pd.DataFrame, size: int, threshold: float) -> float | None:
    grid = make_grid(scores, rows, minutes(size))
    peaks = attack_peaks(Ticks.of(scores), rows)
    return chance_recall(peaks, grid, threshold, np.random.default_rng(0))


def test_chance_recall_is_one_where_alerts_are_always_on_and_zero_where_never() -> None:
    scores = scores_of(u=[(m, 2.0) for m in range(500)])
    rows = incidents_of(("u", 100, 110, "flood"))
    assert chance_case(scores, rows, 500, 1.0) == 1.0
    assert chance_case(scores, rows, 500, 3.0) == 0.0


def test_chance_recall_looks_at_clean_time_alone() -> None:
    scores = scores_of(u=[(m, 5.0 if 100 <= m < 145 else 0.0) for m in range(500)])
    assert chance_case(scores, incidents_of(("u", 100, 110, "flood")), 500, 1.0) == 0.0


def test_chance_recall_is_none_where_nothing_fits() -> None:
    scores = scores_of(u=[(m, 2.0) for m in range(60)])
    assert chance_case(scores, incidents_of(("u", 10, 50, "flood")), 60, 1.0) is None
    assert chance_case(scores, incidents_of(("u", 10, 500, "flood")), 60, 1.0) is None


def test_chance_recall_estimates_the_share_of_spans_hit() -> None:
    # One alert in 1,000 clean minutes; a span of 10 + 5 minutes meets it in about 15 of 985 places.
    scores = scores_of(u=[(500.5, 2.0)], v=[(0, 0.0)])
    grid = make_grid(scores, None, minutes(1000))
    rows = incidents_of(("u", 0, 10, "flood"))
    chance = Chance.of(attack_peaks(Ticks.of(scores), rows), grid, np.random.default_rng(0), shifts=20_000)
    assert chance.recall(1.0) == pytest.approx(15 / 985, abs=0.003)


def test_ticks_find_the_peak_of_each_window() -> None:
    ticks = Ticks.of(scores_of(u=[(3, 7.0), (1, 5.0)], v=[(2, 9.0)]))
    after, until = np.array([0, 1, 3]) * 60_000_000, np.array([1, 3, 9]) * 60_000_000
    assert ticks.peaks(0, after, until).tolist() == [5.0, 7.0, -np.inf]
    assert ticks.peaks(-1, after, until).tolist() == [-np.inf] * 3
    assert Ticks.of(scores_of(u=[(1, 1.0)], v=[(1, 2.0)]), ("v",)).score.tolist() == [2.0]
