"""Intervals: over users, because users differ more than minutes do, and over seeds."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from seqdetect.metrics.segments import Floats

RESAMPLES = 500
LEVEL = 0.95


def resampled_weights(users: int, rng: np.random.Generator, resamples: int = RESAMPLES) -> Floats:
    """How often each user is drawn in each resample of ``users`` with replacement [resample, user]."""
    return rng.multinomial(users, np.full(users, 1 / users), size=resamples).astype(np.float64)


def ratio_interval(
    numerator: npt.ArrayLike,
    denominator: npt.ArrayLike,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> tuple[float, float]:
    """Percentile interval over users for the mean over columns of ``sum(numerator) / sum(denominator)``.

    Both are [user] or [user, column]. With ones below it is a mean per user, with exposure a rate, with
    found and all incidents per kind a macro recall. A column that a resample misses is left out of that
    resample's mean. NaN, NaN where there are no users or nothing is below the line.
    """
    top, bottom = _columns(numerator), _columns(denominator)
    if not bottom.any():
        return float("nan"), float("nan")
    weights = resampled_weights(len(bottom), rng, resamples)
    total = weights @ bottom
    ratio = np.divide(weights @ top, total, out=np.zeros_like(total), where=total > 0)
    columns = (total > 0).sum(axis=1)
    return percentile_interval(ratio.sum(axis=1)[columns > 0] / columns[columns > 0], level)


def _columns(values: npt.ArrayLike) -> Floats:
    table = np.asarray(values, dtype=np.float64)
    return table[:, None] if table.ndim == 1 else table


def percentile_interval(values: npt.ArrayLike, level: float = LEVEL) -> tuple[float, float]:
    """The central ``level`` share of resampled values."""
    low, high = np.quantile(np.asarray(values, float), [(1 - level) / 2, (1 + level) / 2]).tolist()
    return float(low), float(high)


def seeds_interval(values: npt.ArrayLike, level: float = LEVEL) -> tuple[float, float]:
    """Student's t interval for the mean over seeds [seed]; NaN, NaN for fewer than two."""
    seeds = np.asarray(values, dtype=np.float64)
    if seeds.size < 2:
        return float("nan"), float("nan")
    mean, error = float(seeds.mean()), float(seeds.std(ddof=1)) / math.sqrt(seeds.size)
    half = _student_quantile((1 + level) / 2, seeds.size - 1) * error
    return mean - half, mean + half


def _student_quantile(probability: float, freedom: int) -> float:
    """The t that Student's distribution with ``freedom`` degrees stays below; by bisection on the angle."""
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _student_below(middle, freedom) < probability else (low, middle)
    return math.sqrt(freedom) * math.tan((low + high) / 2)


def _student_below(angle: float, freedom: int) -> float:
    """P(T <= sqrt(freedom) tan(angle)): the finite series of Abramowitz and Stegun, 26.7.3 and 26.7.4."""
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term, total = (cosine if odd else 1.0), 0.0
    for step in range(2 + odd, freedom + 1, 2):
        total += term
        term *= cosine * cosine * (step - 1) / step
    middle = (angle + sine * total) * 2 / math.pi if odd else sine * total
    return 0.5 + middle / 2
