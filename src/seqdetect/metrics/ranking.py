"""Threshold-free measures of a ranking of independent samples."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from seqdetect.metrics.segments import Floats, checked_pair


def auc_pr(labels: npt.ArrayLike, score: npt.ArrayLike) -> float:
    """Average precision: precision at every distinct score, weighted by the recall gained there.

    Equal scores are one threshold, so the order of tied samples does not matter. Raises ``ValueError`` when
    only one class is present.
    """
    _, true_positives, alerts = confusion_curve(labels, score)
    gained = np.diff(true_positives, prepend=0.0)
    return float(np.sum(gained * true_positives / alerts) / true_positives[-1])


def auc_roc(labels: npt.ArrayLike, score: npt.ArrayLike) -> float:
    """Chance that a random anomaly scores above a random normal sample, ties counting half.

    Kept for comparison with published tables; random scores get a flattering value on grown labels, so
    nothing is chosen by it. Raises ``ValueError`` when only one class is present.
    """
    _, true_positives, alerts = confusion_curve(labels, score)
    false_positives = alerts - true_positives
    height = true_positives - np.diff(true_positives, prepend=0.0) / 2
    area = np.sum(np.diff(false_positives, prepend=0.0) * height)
    return float(area / (true_positives[-1] * false_positives[-1]))


def pr_curve(labels: npt.ArrayLike, score: npt.ArrayLike, points: int = 200) -> dict[str, list[float]]:
    """Precision, recall and threshold at up to ``points`` distinct scores, highest score first.

    The points kept are equally spaced in recall, where the curve is read, not in rank. Raises ``ValueError``
    when only one class is present.
    """
    thresholds, true_positives, alerts = confusion_curve(labels, score)
    recall = true_positives / true_positives[-1]
    wanted = np.linspace(recall[0], 1.0, points)
    kept = np.unique(np.minimum(np.searchsorted(recall, wanted - 1e-12), recall.size - 1))
    precision = true_positives[kept] / alerts[kept]
    return {
        "threshold": thresholds[kept].tolist(),
        "precision": precision.tolist(),
        "recall": recall[kept].tolist(),
    }


def confusion_curve(labels: npt.ArrayLike, score: npt.ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Distinct scores, highest first, with the true positives and all alerts at ``score >= threshold``."""
    flags, values = checked_pair(labels, score)
    order = np.argsort(-values, kind="stable")
    ranked = values[order]
    last = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), ranked.size - 1)
    true_positives = np.cumsum(flags[order], dtype=np.float64)[last]
    return ranked[last], true_positives, (last + 1).astype(np.float64)
