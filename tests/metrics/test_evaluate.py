"""The whole dictionary: what it holds, what may be missing, and that random scores look random."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pandas as pd
import pytest

from seqdetect.metrics.evaluate import evaluate, random_scores
from seqdetect.metrics.grid import MINUTE_US

from .frames import incidents_of, minutes, scores_of

DAY = minutes(1440)
BUDGETS = {"critical": 1.0, "warning": 7.0}


def day_of_scores(users: int, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """``users`` who send something in a third of the ticks; every second one is attacked or surges."""
    parts, rows = [], []
    for user in range(users):
        tick = np.flatnonzero(rng.random(8640) < 0.3) + 1
        score = rng.gumbel(size=tick.size)
        if user % 2 == 0:
            start = int(rng.integers(0, 1300))
            kind = ("flood", "drip", "benign_campaign")[user // 2 % 3]
            score[(tick > start * 6) & (tick <= start * 6 + 180)] += 5 if kind == "benign_campaign" else 12
            rows.append((f"u{user}", start, start + 30, kind))
        parts.append(
            pd.DataFrame({"user_id": f"u{user}", "timestamp": tick * MINUTE_US // 6, "score": score})
        )
    strengths = [("subtle", "strong")[i % 2] for i in range(len(rows))]
    return pd.concat(parts, ignore_index=True), incidents_of(*rows).assign(strength=strengths)


def measured(scores: pd.DataFrame, rows: pd.DataFrame | None, **thresholds: float) -> dict[str, Any]:
    result = evaluate(scores, rows, DAY, thresholds, BUDGETS, np.random.default_rng(1))
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    return result


def test_a_good_scorer_is_told_from_a_random_one() -> None:
    rng = np.random.default_rng(0)
    scores, rows = day_of_scores(24, rng)
    good, luck = measured(scores, rows, critical=5.0), measured(random_scores(scores, rng), rows)
    assert good["auc_pr"]["value"] > 0.8
    assert luck["auc_pr"]["value"] < 3 * luck["auc_pr"]["base_rate"]
    assert good["vus_pr"]["value"] > 5 * luck["vus_pr"]["value"]
    assert good["auc_pr"]["low"] <= good["auc_pr"]["value"] <= good["auc_pr"]["high"]
    best = good["budgets"]["critical"]["best"]
    assert best["recall"]["macro"] == 1.0
    assert best["false_alerts"]["per_user_week"] <= 1.0
    assert set(best["recall"]["strengths"]["drip"]) <= {"subtle", "strong"}
    assert best["benign"]["benign_campaign"]["rows"] == 4
    assert luck["budgets"]["critical"]["best"]["recall"]["macro"] < 0.5
    assert good["budgets"]["critical"]["shipped"]["threshold"] == 5.0
    assert good["budgets"]["critical"]["shipped"]["benign"]["benign_campaign"]["rate"] == 1.0
    assert good["budgets"]["warning"]["shipped"] is None


def test_the_curves_are_short_and_recall_rises_with_the_budget() -> None:
    scores, rows = day_of_scores(12, np.random.default_rng(2))
    result = measured(scores, rows)
    recall = [point["recall"] for point in result["recall_curve"]]
    assert recall == sorted(recall)
    assert len(result["pr_curve"]["recall"]) <= 200


def test_without_incidents_nothing_is_measured_and_nothing_fails() -> None:
    scores, _ = day_of_scores(4, np.random.default_rng(0))
    for rows in (None, incidents_of()):
        result = measured(scores, rows, critical=3.0)
        assert result["auc_pr"] is result["vus_pr"] is result["vus_roc"] is result["pr_curve"] is None
        assert result["budgets"]["critical"]["shipped"]["recall"]["macro"] is None
        assert result["budgets"]["critical"]["shipped"]["false_alerts"]["episodes"] > 0
        assert any("no incident starts" in note for note in result["note"])


def test_without_scores_nothing_fails() -> None:
    nothing = scores_of()
    assert measured(nothing, None, critical=1.0)["counts"]["users"] == 0
    result = measured(nothing, incidents_of(("u", 10, 20, "flood")), critical=1.0)
    assert result["budgets"]["critical"]["best"]["threshold"] is None
    assert result["budgets"]["critical"]["shipped"]["recall"]["macro"] == 0.0
    assert "no scores in the span" in result["note"]


def test_only_incidents_that_start_in_the_span_are_searched_for() -> None:
    rows = incidents_of(("u", -20, 10, "flood"), ("u", 2000, 2010, "flood"), ("u", 100, 110, "flood"))
    result = measured(scores_of(u=[(5, 3.0), (105, 3.0), (300, 1.0)]), rows, critical=2.0)
    assert result["counts"]["attack_rows"] == 1
    assert result["counts"]["positive_minutes"] == 20


def test_too_little_exposure_is_said() -> None:
    scores, rows = day_of_scores(4, np.random.default_rng(0))
    notes = measured(scores, rows)["note"]
    assert any(note.startswith("critical: ") and "too few" in note for note in notes)


def test_watched_users_add_exposure() -> None:
    scores = scores_of(u=[(5, 3.0)])
    rng = np.random.default_rng(0)
    result = evaluate(scores, None, DAY, {}, BUDGETS, rng, users=["u", "silent"])
    assert result["exposure_user_weeks"] == pytest.approx(2 / 7)


def test_random_scores_keep_the_rows() -> None:
    scores = scores_of(u=[(1, 5.0), (2, 6.0)])
    drawn = random_scores(scores, np.random.default_rng(0))
    pd.testing.assert_frame_equal(drawn[["user_id", "timestamp"]], scores[["user_id", "timestamp"]])
    assert drawn["score"].between(0, 1).all()


def test_a_hundred_users_for_a_day_take_at_most_two_seconds() -> None:
    scores, rows = day_of_scores(100, np.random.default_rng(0))
    begun = time.process_time()
    measured(scores, rows, critical=8.0, warning=6.0)
    assert time.process_time() - begun < 2.0
