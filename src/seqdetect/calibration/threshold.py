"""From a false-alert budget to a threshold, with what it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pandas as pd
from scipy.stats import chi2

from seqdetect.bundle.schema import Threshold
from seqdetect.metrics.episodes import EpisodeCurve, false_alert_episodes
from seqdetect.metrics.grid import make_grid

CONFIDENCE: Final = 0.95
RULE_OF_THREE: Final = 3.0
"""Expected alerts in the exposure below which even zero alerts bound nothing (Hanley and Lippman-Hand 1983)."""


def set_thresholds(
    scores: pd.DataFrame, incidents: pd.DataFrame | None, span: tuple[int, int], budgets: Mapping[str, float]
) -> dict[str, Threshold]:
    """The lowest threshold per tier that, with ``CONFIDENCE``, keeps false alerts within the budget.

    So many episodes are allowed in the clean calibration minutes that even their upper bound is within it: what held
    on one day by luck does not hold on the next. Where so little time is known that not even a day without an alert
    would prove the budget, none is allowed: the strictest threshold that the data can speak for.

    ``scores`` has the columns user_id, timestamp (the tick's end), score; ``span`` is [start, end) in
    microseconds; ``budgets`` are false alerts per user-week. Raises ``ValueError`` where nothing was scored.
    """
    grid = make_grid(scores, incidents, span)
    curve = EpisodeCurve.of(grid)
    if not len(curve.levels):
        raise ValueError(
            "the calibration span holds no scored step: move split.train_end or split.calibration_end"
        )
    out = {}
    for name, budget in budgets.items():
        weeks = curve.exposure_user_weeks
        value = curve.best_threshold(allowed_episodes(budget * weeks) / weeks)
        episodes = int(false_alert_episodes(grid, value).sum())
        bound = poisson_upper_bound(episodes) / curve.exposure_user_weeks
        out[name] = Threshold(
            value=value,
            budget_per_user_week=budget,
            episodes=episodes,
            exposure_user_weeks=curve.exposure_user_weeks,
            confidence=CONFIDENCE,
            upper_bound_per_user_week=bound,
            statement=_statement(episodes, curve.exposure_user_weeks, budget, bound),
        )
    return out


def allowed_episodes(expected: float, confidence: float = CONFIDENCE) -> int:
    """The most events whose upper bound is at most ``expected``; 0 where there is none."""
    most = 0
    while poisson_upper_bound(most + 1, confidence) <= expected:
        most += 1
    return most


def poisson_upper_bound(events: int, confidence: float = CONFIDENCE) -> float:
    """One-sided upper bound of a Poisson mean of which ``events`` were seen (Garwood 1936)."""
    return float(chi2.ppf(confidence, 2 * (events + 1)) / 2)


def _statement(episodes: int, weeks: float, budget: float, bound: float) -> str:
    seen = f"{episodes} false-alert episodes in {weeks:.3g} clean user-weeks"
    if budget * weeks < RULE_OF_THREE:
        return (
            f"{seen}: too little clean time to bound {budget:g} per user-week "
            f"({RULE_OF_THREE / budget:.1f} user-weeks are needed even with no alert)"
        )
    return f"{seen}; with {CONFIDENCE:.0%} confidence at most {bound:.2f} per user-week (asked: {budget:g})"
