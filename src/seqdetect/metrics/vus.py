"""Volume under the surface: range-aware ROC and PR areas, averaged over buffer widths.

Paparrizos et al., "Volume Under the Surface", VLDB 2022. Values agree with the TSB-AD benchmark's
evaluation, quirks included; the computation differs. There every width and threshold walks the series. Here
two facts keep the series out of the inner loop:

- A sample beside an anomaly weighs ``sqrt(1 - d / w)``, which depends on the distance ``d`` to the nearest
  segment alone. If a second segment is within reach too, two weights of at least ``sqrt(1/2)`` add up to
  more than 1 and are capped. So samples are counted once per (distance, threshold), and a width is a
  weighted sum of those counts.
- Growing all segments by one sample adds one sample per side, so the highest score inside each is kept up to
  date with two look-ups.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seqdetect.metrics.segments import Bools, Floats, Ints, checked_pair, segments

THRESHOLDS = 250
"""Thresholds on the score axis, at equally spaced ranks: the benchmark's setting."""


def vus(labels: npt.ArrayLike, score: npt.ArrayLike, window: int) -> tuple[float, float]:
    """VUS-ROC and VUS-PR of ``score`` [time] against 0/1 ``labels`` [time], widths 0 to ``window`` samples.

    A width ``w`` grows every segment by ``w // 2`` samples on each side. Surprises: a constant score gets a
    VUS-PR above the anomaly rate, so show a random scorer beside it; and only 250 thresholds are looked at.
    Raises ``ValueError`` when only one class is present or a score is not finite.
    """
    if window < 0:
        raise ValueError(f"window must be 0 or more samples, not {window}")
    flags, values = checked_pair(labels, score)
    first_alert, alerts = _thresholds(values)
    starts, stops = segments(flags)
    buffers, hit_share = _growth(_Series(flags, first_alert, starts, stops), window)
    inside = np.cumsum(np.bincount(first_alert[flags], minlength=THRESHOLDS))
    return _volume(inside + buffers, flags.sum() + buffers / 2, hit_share, alerts, flags.size)


@dataclass(frozen=True)
class _Series:
    """One labelled series: ``first_alert`` [time] is the first threshold index at which a sample alerts."""

    flags: Bools
    first_alert: Ints
    starts: Ints
    stops: Ints


def _thresholds(values: Floats) -> tuple[Ints, Floats]:
    """Per sample the first threshold that it reaches, and per threshold the number of alerting samples."""
    falling = np.sort(-values)
    cuts = falling[np.linspace(0, values.size - 1, THRESHOLDS).astype(np.int64)]
    first_alert = np.searchsorted(cuts, -values, side="left").astype(np.int64)
    return first_alert, np.searchsorted(falling, cuts, side="right").astype(np.float64)


def _growth(series: _Series, window: int) -> tuple[Floats, Floats]:
    """For every width: weight of the alerting buffer samples, and share of grown segments that hold an alert.

    Both are [width, threshold].
    """
    reach = window // 2
    counts, moves = _buffer_counts(series, reach)
    capped = np.zeros(THRESHOLDS)
    buffers = np.zeros((window + 1, THRESHOLDS))
    hit_share = np.zeros((window + 1, THRESHOLDS))
    nearest = _first_alert_inside(series)
    for growth in range(reach + 1):
        distance, threshold = moves[growth]
        np.add.at(capped, threshold, 1.0)
        np.add.at(counts, (distance, threshold), -1.0)
        nearest = np.minimum(nearest, _first_alert_at_edges(series, growth))
        share = _hit_share(series, nearest, growth)
        for width in range(2 * growth, min(2 * growth + 1, window) + 1):
            weights = np.sqrt(1 - np.arange(1, growth + 1) / max(width, 1))
            buffers[width] = weights @ counts[1 : growth + 1] + capped
            hit_share[width] = share
    return np.cumsum(buffers, axis=1), hit_share


def _buffer_counts(series: _Series, reach: int) -> tuple[Floats, list[tuple[Ints, Ints]]]:
    """Buffer samples counted by distance to the nearest segment and first alerting threshold.

    Also, per growth, the samples that come within reach of a second segment there, as (distance, threshold).
    """
    where = np.flatnonzero(~series.flags)
    nearest, second = _distances(where, series.starts, series.stops)
    near = nearest <= reach
    threshold, nearest, second = series.first_alert[where[near]], nearest[near], second[near]
    flat = np.bincount(nearest * THRESHOLDS + threshold, minlength=(reach + 1) * THRESHOLDS)
    twice = np.flatnonzero(second <= reach)
    twice = twice[np.argsort(second[twice], kind="stable")]
    bounds = np.searchsorted(second[twice], np.arange(1, reach + 1))
    moves = [(nearest[rows], threshold[rows]) for rows in np.split(twice, bounds)]
    return flat.reshape(reach + 1, THRESHOLDS).astype(np.float64), moves


def _distances(where: Ints, starts: Ints, stops: Ints) -> tuple[Ints, Ints]:
    """Samples from each index in ``where``, all normal, to the nearest and second nearest segment."""
    far = np.iinfo(np.int64).max // 4
    ends = np.concatenate([[-far, -far], stops - 1])
    heads = np.concatenate([starts, [far, far]])
    following = np.searchsorted(starts, where)
    left, left_second = where - ends[following + 1], where - ends[following]
    right, right_second = heads[following] - where, heads[following + 1] - where
    second = np.minimum(np.maximum(left, right), np.minimum(left_second, right_second))
    return np.minimum(left, right), second


def _first_alert_inside(series: _Series) -> Ints:
    """First threshold at which each segment, not grown, holds an alert [segment]."""
    bounds = np.stack([series.starts, series.stops], axis=1).ravel()
    padded = np.append(series.first_alert, THRESHOLDS)
    return np.asarray(np.minimum.reduceat(padded, bounds)[::2], dtype=np.int64)


def _first_alert_at_edges(series: _Series, growth: int) -> Ints:
    """First threshold at which a sample ``growth`` beside each segment alerts; 250 beyond the series."""
    size = series.flags.size
    before, after = series.starts - growth, series.stops - 1 + growth
    left = np.where(before >= 0, series.first_alert[np.maximum(before, 0)], THRESHOLDS)
    right = np.where(after < size, series.first_alert[np.minimum(after, size - 1)], THRESHOLDS)
    return np.minimum(left, right)


def _hit_share(series: _Series, first_alert: Ints, growth: int) -> Floats:
    """Share of segments with an alert at each threshold, segments that overlap when grown counting as one."""
    apart = series.starts[1:] - (series.stops[:-1] - 1) > 2 * growth
    heads = np.append(0, np.flatnonzero(apart) + 1)
    merged = np.minimum.reduceat(first_alert, heads)
    return np.asarray(np.cumsum(np.bincount(merged, minlength=THRESHOLDS)) / heads.size)


def _volume(
    true: Floats, positives: Floats, hit_share: Floats, alerts: Floats, size: int
) -> tuple[float, float]:
    """Mean ROC and PR area over widths; the first three are [width, threshold]."""
    recall = np.minimum(true / positives, 1) * hit_share
    false_rate = (alerts - true) / (size - positives)
    edge = np.zeros((recall.shape[0], 1))
    x = np.concatenate([edge, false_rate, edge + 1], axis=1)
    y = np.concatenate([edge, recall, edge + 1], axis=1)
    roc = np.sum(np.diff(x, axis=1) * (y[:, 1:] + y[:, :-1]) / 2, axis=1)
    pr = np.sum(np.diff(y[:, :-1], axis=1) * (true / alerts), axis=1)
    return float(roc.mean()), float(pr.mean())
