"""Measures of the ranking of minutes: pooled AUC-PR and per-user VUS, with intervals over users."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqdetect.metrics.bootstrap import percentile_interval, ratio_interval, resampled_weights
from seqdetect.metrics.grid import Grid
from seqdetect.metrics.ranking import auc_pr, pr_curve
from seqdetect.metrics.segments import Floats, Ints
from seqdetect.metrics.vus import vus

VUS_WINDOW_MINUTES = 30
RANK_BINS = 400


def pooled_auc_pr(grid: Grid, rng: np.random.Generator) -> dict[str, Any] | None:
    """AUC-PR over all users' minutes: ``value``, ``low``, ``high`` and the ``base_rate`` of positives.

    Ignored minutes are left out and minutes without a score rank last. The interval comes from scores in rank
    bins, fine at the top; the value does not. None unless both classes are present.
    """
    labels, score, user = _pooled(grid)
    if labels.all() or not labels.any():
        return None
    low, high = _auc_pr_interval(labels, score, user, len(grid.users), rng)
    return {"value": auc_pr(labels, score), "low": low, "high": high, "base_rate": float(labels.mean())}


def pooled_pr_curve(grid: Grid, points: int = 200) -> dict[str, list[float]] | None:
    """Precision, recall and threshold over all users' minutes; None unless both classes are present."""
    labels, score, _ = _pooled(grid)
    return None if labels.all() or not labels.any() else pr_curve(labels, score, points)


def mean_vus(grid: Grid, rng: np.random.Generator, window: int = VUS_WINDOW_MINUTES) -> dict[str, Any] | None:
    """``roc`` and ``pr``, each with ``value``, ``low``, ``high``: mean over ``users`` with both classes.

    Minutes without a score rank last. So do ignored ones, which can't be left out without moving what lies
    beside them: they never alert. None when no user has both classes.
    """
    able = np.flatnonzero(grid.positive.any(axis=1) & ~grid.positive.all(axis=1))
    if not able.size:
        return None
    score = np.where(grid.positive | grid.negative, grid.score, np.nan)[able]
    filled = np.where(np.isnan(score), _below(grid.score), score)
    values = np.array([vus(grid.positive[user], filled[i], window) for i, user in enumerate(able)])
    names = zip(("roc", "pr"), values.T, strict=True)
    return {
        "users": int(able.size),
        "window_minutes": window,
        **{n: _mean(column, rng) for n, column in names},
    }


def _mean(values: Floats, rng: np.random.Generator) -> dict[str, float]:
    low, high = ratio_interval(values, np.ones_like(values), rng)
    return {"value": float(values.mean()), "low": low, "high": high}


def _below(score: Floats) -> float:
    """A score under all known ones."""
    known = score[~np.isnan(score)]
    return float(np.nextafter(known.min(), -np.inf)) if known.size else 0.0


def _pooled(grid: Grid) -> tuple[np.ndarray, Floats, Ints]:
    """Label, score and user of every minute that isn't ignored, user by user."""
    counted = grid.positive | grid.negative
    score = np.where(np.isnan(grid.score), _below(grid.score), grid.score)[counted]
    return grid.positive[counted], score, np.nonzero(counted)[0].astype(np.int64)


def _auc_pr_interval(
    labels: np.ndarray, score: Floats, user: Ints, users: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Percentile interval over users of the average precision of rank-binned scores."""
    falling = np.sort(-score)
    ranks = np.unique(np.geomspace(1, falling.size, RANK_BINS).astype(np.int64)) - 1
    cuts = np.unique(falling[ranks])
    cell = user * cuts.size + np.searchsorted(cuts, -score)
    shape = users, cuts.size
    alerts = np.bincount(cell, minlength=users * cuts.size).reshape(shape)
    hits = np.bincount(cell[labels], minlength=users * cuts.size).reshape(shape)
    weights = resampled_weights(users, rng)
    true = np.cumsum(weights @ hits, axis=1)
    precision = true / np.maximum(np.cumsum(weights @ alerts, axis=1), 1)
    drawn = true[:, -1] > 0
    gained = np.diff(true, prepend=0.0, axis=1)[drawn]
    return percentile_interval(np.sum(gained * precision[drawn], axis=1) / true[drawn, -1])
