"""Which users are shown, and how they are drawn."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd

from report.made_up import START_US, THRESHOLDS
from seqdetect.report import Timeline, causes, timeline
from seqdetect.report.moments import choose

MINUTE = 60_000_000
HOUR = 60 * MINUTE


def made(peaks: dict[str, float]) -> Timeline:
    """A day in which each user is quiet but for hour 10, when the score is as given."""
    rows = []
    for user, peak in peaks.items():
        for minute in range(0, 1440, 5):
            end = START_US + (minute + 1) * MINUTE
            score = peak if 600 <= minute < 660 else 0.5
            level = "critical" if score >= 4 else "warning" if score >= 3.2 else "none"
            rows.append((user, pd.Timestamp(end, unit="us", tz="UTC"), score, level, None))
    scores = pd.DataFrame(rows, columns=["user_id", "timestamp", "score", "level", "top_feature"])
    usage = scores[["user_id"]].assign(minute=scores["timestamp"].dt.floor("min"), requests=2, tokens=900)
    return Timeline(scores, usage, labels({}), [], THRESHOLDS)


def labels(kinds: dict[str, tuple[str, str]]) -> pd.DataFrame:
    """An incident in hour 10 per user: kind and strength."""
    rows = [
        (f"i-{user}", user, START_US + 10 * HOUR, START_US + 11 * HOUR, kind, strength)
        for user, (kind, strength) in kinds.items()
    ]
    return pd.DataFrame(rows, columns=["incident_id", "user_id", "start", "end", "kind", "strength"])


def test_one_moment_of_every_sort() -> None:
    line = made({"a": 6.0, "b": 5.0, "c": 2.0, "d": 1.0, "e": 4.5, "f": 7.0, "g": 0.5})
    known = {
        "a": ("flood", "blatant"),
        "b": ("drip", "subtle"),
        "c": ("scrape", "strong"),
        "d": ("wallet", "subtle"),
        "f": ("benign_campaign", "strong"),
    }
    moments = choose(replace(line, incidents=labels(known)))
    assert [(one.verdict, one.user_id, one.kind) for one in moments] == [
        ("found", "b", "drip"),
        ("found", "a", "flood"),
        ("missed", "c", "scrape"),
        ("false alert", "e", ""),
        ("confounder", "f", "benign_campaign"),
    ]
    assert all(one.start < START_US + 10 * HOUR < one.end for one in moments)


def test_without_labels_the_highest_scores_are_shown() -> None:
    moments = choose(made({"a": 6.0, "b": 1.0, "c": 2.0, "d": 3.0}))
    assert [(one.verdict, one.user_id) for one in moments] == [(("highest score"), user) for user in "adc"]
    assert choose(replace(made({"a": 1.0}), user_scores=made({"a": 1.0}).user_scores.iloc[:0])) == []


def test_a_panel_tells_when_it_became_critical_and_draws_it() -> None:
    line = replace(made({"a": 6.0, "b": 0.5}), incidents=labels({"a": ("flood", "strong")}))
    alert = {
        "alert_id": "x",
        "user_id": "a",
        "start": START_US + 10 * HOUR,
        "severity": "critical",
        "score": 6.0,
        "threshold": 4.0,
        "top_features": [{"name": "requests", "value": 132.0, "expected": 4.0, "contribution": 1.0}],
    }
    panel, *_ = timeline.panels(line, causes.told([alert], line.incidents))
    assert (
        panel.told
        == "It lasted 1 h; the score reached 6.00 (critical from 4.00), first critical 1 min after its start."
    )
    figure = json.loads(panel.plot.json)
    named = {trace["name"]: trace for trace in figure["data"]}
    assert "requests 132 instead of 4" in named["alert (hover for causes)"]["hovertext"][0]
    assert len(named["critical"]["x"]) == 12
    assert any("flood" in note["text"] for note in figure["layout"]["annotations"])


def test_columns_read_as_categories_are_drawn_too() -> None:
    line = made({"a": 6.0})
    coded = line.user_scores.assign(level=line.user_scores["level"].where(lambda level: level != "none"))
    coded = coded.astype({"user_id": "category", "level": "category"})
    (panel,) = timeline.panels(replace(line, user_scores=coded), [])
    assert panel.moment.verdict == "highest score"


def test_long_series_are_thinned_to_their_peaks() -> None:
    time = START_US + np.arange(20_000) * 1_000_000
    score = np.zeros(20_000)
    score[12_345] = 9.0
    own = pd.DataFrame({"time_us": time, "score": score})
    thinned = timeline._thinned(own)
    assert len(thinned) == timeline.POINTS
    assert thinned["score"].max() == 9.0


def test_axis_ticks_are_apart_and_include_zero() -> None:
    axis = timeline._Axis(3.0)
    places, names = axis.ticks(-0.5, 400.0)
    assert "0" in names
    assert np.all(np.diff(places) > 0)
    assert 3 <= len(names) <= 9
