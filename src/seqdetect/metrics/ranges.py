"""Precision and recall of predicted against labelled samples and ranges, for diagnosis at one threshold.

All functions take 0/1 labels and predictions [time], and return (precision, recall, F1). They raise
``ValueError`` when the labels hold one class alone. When nothing is predicted, precision counts as 0.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from seqdetect.metrics.segments import Bools, Floats, Ints, checked_labels, segments

EXISTENCE_WEIGHT = 0.2
"""Share of a range's recall that is paid for touching it at all; the rest is overlap (TSB-AD's setting)."""


def pointwise_scores(labels: npt.ArrayLike, predicted: npt.ArrayLike) -> tuple[float, float, float]:
    """Every sample counts alike."""
    truth, alerts = _checked(labels, predicted)
    hits = int((truth & alerts).sum())
    precision = hits / int(alerts.sum()) if hits else 0.0
    return with_f1(precision, hits / int(truth.sum()))


def range_scores(labels: npt.ArrayLike, predicted: npt.ArrayLike) -> tuple[float, float, float]:
    """Every range counts alike (Tatbul et al., "Precision and recall for time series", NeurIPS 2018).

    No position in a range is favoured, a range met by ``n`` ranges of the other side gets 1/n of its overlap,
    recall rewards existence with ``EXISTENCE_WEIGHT``, precision doesn't.
    """
    truth, alerts = _checked(labels, predicted)
    if not alerts.any():
        return 0.0, 0.0, 0.0
    covered, existing = _overlap(truth, alerts)
    recall = EXISTENCE_WEIGHT * existing + (1 - EXISTENCE_WEIGHT) * covered
    precision, _ = _overlap(alerts, truth)
    return with_f1(float(precision.mean()), float(recall.mean()))


def with_f1(precision: float, recall: float) -> tuple[float, float, float]:
    """Precision, recall and their harmonic mean; 0 when both are 0, NaN when one is NaN."""
    total = precision + recall
    return precision, recall, 0.0 if total == 0 else 2 * precision * recall / total


def _checked(labels: npt.ArrayLike, predicted: npt.ArrayLike) -> tuple[Bools, Bools]:
    truth = checked_labels(labels)
    alerts = np.asarray(predicted).astype(np.bool_)
    if alerts.shape != truth.shape:
        raise ValueError(f"labels have shape {truth.shape}, predictions {alerts.shape}; they must be equal")
    return truth, alerts


def _overlap(ranges: Bools, others: Bools) -> tuple[Floats, Floats]:
    """Per range: its share covered by ``others``, split among them; and 1.0 where any touches it."""
    starts, stops = segments(ranges)
    other_starts, other_stops = segments(others)
    covered = _between(others, starts, stops) / (stops - starts)
    met = np.searchsorted(other_starts, stops) - np.searchsorted(other_stops, starts, side="right")
    return covered / np.maximum(met, 1), (met > 0).astype(np.float64)


def _between(flags: Bools, starts: Ints, stops: Ints) -> Ints:
    total = np.concatenate([[0], np.cumsum(flags)])
    return np.asarray(total[stops] - total[starts], dtype=np.int64)
