"""Everything that is reported about one scorer on one span, as one dictionary."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from seqdetect import incidents as incident_table
from seqdetect.metrics.bootstrap import ratio_interval
from seqdetect.metrics.chance import Chance
from seqdetect.metrics.episodes import EpisodeCurve, false_alert_episodes
from seqdetect.metrics.grid import Grid, make_grid, microseconds
from seqdetect.metrics.minutes import mean_vus, pooled_auc_pr, pooled_pr_curve
from seqdetect.metrics.recall import (
    Peaks,
    attack_peaks,
    benign_alerts,
    benign_peaks,
    macro_recall,
    recall_table,
    time_to_detect,
)
from seqdetect.metrics.ticks import Ticks

CURVE_BUDGETS = tuple(np.geomspace(0.1, 70, 25).tolist())
"""False alerts per user-week at which recall is drawn."""
RULE_OF_THREE = 3.0
"""Expected alerts below which even zero alerts prove no bound (95 %)."""


def evaluate(
    scores: pd.DataFrame,
    incidents: pd.DataFrame | None,
    span: tuple[int, int],
    thresholds: Mapping[str, float],
    budgets: Mapping[str, float],
    rng: np.random.Generator,
    users: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Measure ``scores`` (user_id, timestamp, score) against ``incidents`` on ``span`` = [start, end) µs.

    ``budgets`` are false alerts per user-week by tier name, ``thresholds`` the ones shipped for the same
    names; ``users`` adds users who were watched and never scored. Only incident rows that start inside the
    span are searched for; rows that began earlier just label minutes. What can't be measured is None, with
    a sentence in ``note``; the dictionary is plain JSON. A threshold under ``best`` is chosen on these very
    data, to compare rankings: never ship it.
    """
    case, notes = _case(scores, incidents, span, rng, users)
    curve = EpisodeCurve.of(case.grid)
    vus = mean_vus(case.grid, rng)
    tiers = {name: _tier(case, curve, budget, thresholds.get(name), rng) for name, budget in budgets.items()}
    weeks = curve.exposure_user_weeks
    short = [name for name, budget in budgets.items() if budget * weeks < RULE_OF_THREE]
    notes += [f"{name}: {weeks:.2f} clean user-weeks are too few to bound its false alerts" for name in short]
    notes += [f"{name}: no shipped threshold was given" for name in budgets if name not in thresholds]
    measured = {
        "span": {"start_us": span[0], "end_us": span[1]},
        "counts": _counts(case),
        "exposure_user_weeks": weeks,
        "auc_pr": pooled_auc_pr(case.grid, rng),
        "vus_pr": vus and {"users": vus["users"], "window_minutes": vus["window_minutes"], **vus["pr"]},
        "vus_roc": vus and {"users": vus["users"], "window_minutes": vus["window_minutes"], **vus["roc"]},
        "budgets": tiers,
        "recall_curve": _recall_curve(case, curve),
        "pr_curve": pooled_pr_curve(case.grid),
        "note": notes,
    }
    plain: dict[str, Any] = _plain(measured)
    return plain


def random_scores(scores: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """The same rows with uniform random scores: the scorer that every measure is shown beside."""
    return scores[["user_id", "timestamp"]].assign(score=rng.random(len(scores)))


@dataclass(frozen=True)
class _Case:
    """One scorer's span, prepared once for all thresholds."""

    grid: Grid
    attacks: Peaks
    benign: Peaks
    chance: Chance


def _case(
    scores: pd.DataFrame,
    incidents: pd.DataFrame | None,
    span: tuple[int, int],
    rng: np.random.Generator,
    users: Sequence[str] | None,
) -> tuple[_Case, list[str]]:
    times = microseconds(scores["timestamp"])
    inside = scores[(times >= span[0]) & (times < span[1])]
    labelled = incident_table.empty() if incidents is None else incidents
    began = microseconds(labelled["start"])
    searched = labelled[(began >= span[0]) & (began < span[1])]
    grid = make_grid(scores, incidents, span, users)
    ticks = Ticks.of(inside, grid.users)
    attacks = attack_peaks(ticks, searched)
    notes = [] if len(inside) else ["no scores in the span"]
    if not len(attacks.rows):
        notes.append(
            "no incident starts in the span: recall is not measured, and every alert counts as false"
        )
    chance = Chance.of(attacks, grid, rng)
    return _Case(grid, attacks, benign_peaks(ticks, searched), chance), notes


def _counts(case: _Case) -> dict[str, int]:
    return {
        "users": len(case.grid.users),
        "ticks": case.attacks.ticks.score.size,
        "minutes": case.grid.score.size,
        "scored_minutes": int((~np.isnan(case.grid.score)).sum()),
        "positive_minutes": int(case.grid.positive.sum()),
        "negative_minutes": int(case.grid.negative.sum()),
        "attack_rows": len(case.attacks.rows),
        "benign_rows": len(case.benign.rows),
    }


def _tier(
    case: _Case, curve: EpisodeCurve, budget: float, shipped: float | None, rng: np.random.Generator
) -> dict[str, Any]:
    return {
        "per_user_week": budget,
        "best": _point(case, curve.best_threshold(budget), rng),
        "shipped": None if shipped is None else _point(case, shipped, rng),
    }


def _point(case: _Case, threshold: float, rng: np.random.Generator) -> dict[str, Any]:
    """What a user gets at one threshold."""
    low, high = _recall_interval(case, threshold, rng)
    return {
        "threshold": threshold,
        "recall": {**recall_table(case.attacks, threshold), "low": low, "high": high},
        "chance_recall": case.chance.recall(threshold),
        "time_to_detect": time_to_detect(case.attacks, threshold),
        "false_alerts": _false_alerts(case.grid, threshold, rng),
        "benign": benign_alerts(case.benign, threshold),
    }


def _recall_interval(case: _Case, threshold: float, rng: np.random.Generator) -> tuple[float, float]:
    """Interval over users of the macro recall: users who were attacked are drawn again."""
    names, kind = np.unique(case.attacks.kind.astype(str), return_inverse=True)
    attacked, user = np.unique(case.attacks.user, return_inverse=True)
    rows = np.zeros((attacked.size, names.size))
    found = np.zeros_like(rows)
    np.add.at(rows, (user, kind), 1.0)
    np.add.at(found, (user, kind), case.attacks.found(threshold).astype(np.float64))
    return ratio_interval(found, rows, rng)


def _false_alerts(grid: Grid, threshold: float, rng: np.random.Generator) -> dict[str, Any]:
    episodes, weeks = false_alert_episodes(grid, threshold), grid.exposure_user_weeks()
    low, high = ratio_interval(episodes, weeks, rng)
    total = float(weeks.sum())
    rate = float(episodes.sum()) / total if total else None
    return {
        "episodes": int(episodes.sum()),
        "users": int((episodes > 0).sum()),
        "per_user_week": rate,
        "low": low,
        "high": high,
    }


def _recall_curve(case: _Case, curve: EpisodeCurve) -> list[dict[str, Any]]:
    """Macro recall at the best threshold within each of ``CURVE_BUDGETS``, with what luck would get."""
    rows = []
    for budget in CURVE_BUDGETS:
        threshold = curve.best_threshold(budget)
        rows.append(
            {
                "per_user_week": budget,
                "threshold": threshold,
                "recall": macro_recall(case.attacks, threshold),
                "chance_recall": case.chance.recall(threshold),
            }
        )
    return rows


def _plain(value: Any) -> Any:
    """``value`` with numbers that JSON lacks (NaN, infinity) as None."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
