"""Affiliation precision and recall: how near predictions are to incidents, against a random prediction.

Huet et al., "Local evaluation of time series anomaly detection algorithms", KDD 2022. The time axis is cut
half-way between labelled segments into one zone each. Within a zone a distance is turned into the probability
that a uniformly drawn point of the zone is at least that far away; 1 is exact, and a random prediction gets
values well above 0. So: for diagnosis beside a random scorer, never as a headline.

Samples are unit intervals of a continuous axis, and every integral has a closed form, because a distance
grows linearly from the edge it is measured to.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from seqdetect.metrics.ranges import with_f1
from seqdetect.metrics.segments import Bools, Floats, checked_labels, segments


def affiliation_scores(labels: npt.ArrayLike, predicted: npt.ArrayLike) -> tuple[float, float, float]:
    """Precision, recall and F1 of 0/1 ``predicted`` [time] against 0/1 ``labels`` [time].

    Precision is the mean over zones that hold a prediction, and NaN (with F1) where none does; recall is the
    mean over all zones. Raises ``ValueError`` when the labels hold one class alone or lengths differ.
    """
    truth = checked_labels(labels)
    alerts = np.asarray(predicted).astype(np.bool_)
    if alerts.shape != truth.shape:
        raise ValueError(f"labels have shape {truth.shape}, predictions {alerts.shape}; they must be equal")
    zones = _zones(truth, alerts)
    precisions = np.array([_precision(*zone) for zone in zones])
    recall = float(np.mean([_recall(*zone) for zone in zones]))
    known = precisions[~np.isnan(precisions)]
    return with_f1(float(known.mean()) if known.size else float("nan"), recall)


_Zone = tuple[tuple[float, float], tuple[float, float], Floats, Floats]
"""Bounds of zone and labelled segment; starts and stops of the predictions, cut at the zone's bounds."""


def _zones(truth: Bools, alerts: Bools) -> list[_Zone]:
    starts, stops = (edge.astype(np.float64) for edge in segments(truth))
    first, last = (edge.astype(np.float64) for edge in segments(alerts))
    cuts = np.concatenate([[0.0], (stops[:-1] + starts[1:]) / 2, [float(truth.size)]])
    zones = []
    for zone, (low, high) in enumerate(itertools.pairwise(cuts.tolist())):
        met = slice(np.searchsorted(last, low, side="right"), np.searchsorted(first, high))
        held = np.maximum(first[met], low), np.minimum(last[met], high)
        zones.append(((low, high), (float(starts[zone]), float(stops[zone])), *held))
    return zones


def _precision(zone: tuple[float, float], segment: tuple[float, float], first: Floats, last: Floats) -> float:
    """Mean over predicted time of the chance that a random point of the zone is no nearer to the segment."""
    if not first.size:
        return float("nan")
    left, right = segment[0] - zone[0], zone[1] - segment[1]
    size = zone[1] - zone[0]
    inside = np.maximum(np.minimum(last, segment[1]) - np.maximum(first, segment[0]), 0)
    far = size - (segment[1] - segment[0])
    outside = 0.0
    before = np.maximum(segment[0] - last, 0), np.maximum(segment[0] - first, 0)
    after = np.maximum(first - segment[1], 0), np.maximum(last - segment[1], 0)
    for nearest, farthest in (before, after):
        nearer = sum(_capped(farthest, side) - _capped(nearest, side) for side in (left, right))
        outside += float(np.sum((farthest - nearest) * far - nearer)) / size
    return (float(inside.sum()) + outside) / float(np.sum(last - first))


def _capped(distance: Floats, side: float) -> Floats:
    """Integral of ``min(d, side)`` for ``d`` from 0 to ``distance``."""
    near = np.minimum(distance, side)
    return np.asarray(near * near / 2 + side * (distance - near))


def _recall(zone: tuple[float, float], segment: tuple[float, float], first: Floats, last: Floats) -> float:
    """Mean over the segment's time of the chance that a random point is no nearer than a prediction."""
    if not first.size:
        return 0.0
    # Each point of a gap between predictions is measured to the nearer edge: gaps are cut in the middle.
    opens, closes = np.append(-np.inf, last), np.append(first, np.inf)
    middle = np.concatenate([[-np.inf], (last[:-1] + first[1:]) / 2, [np.inf]])
    near_left = _missed(opens, np.minimum(middle, closes), segment, zone[1])
    mirrored = _missed(-closes, np.minimum(-middle, -opens), (-segment[1], -segment[0]), -zone[0])
    return 1 - (near_left + mirrored) / ((zone[1] - zone[0]) * (segment[1] - segment[0]))


def _missed(edge: Floats, stop: Floats, segment: tuple[float, float], bound: float) -> float:
    """Zone length nearer than the prediction's ``edge``, integrated over the segment's points up to ``stop``.

    A point at distance ``t`` from the edge is that near to ``t`` on the edge's side, and to ``min(t,
    rest)`` on the other, where ``rest`` is what the zone still holds there.
    """
    held = np.isfinite(edge)
    edge, start = edge[held], np.clip(edge[held], *segment)
    stop = np.maximum(np.clip(stop[held], *segment), start)
    room = bound - edge
    return float(np.sum(_both_sides(stop - edge, room) - _both_sides(start - edge, room)))


def _both_sides(distance: Floats, room: Floats) -> Floats:
    """Integral of ``t + min(t, room - t)`` for ``t`` from 0 to ``distance``."""
    half = distance * distance / 2
    return np.asarray(half + np.where(distance <= room / 2, half, room * distance - half - room * room / 4))
