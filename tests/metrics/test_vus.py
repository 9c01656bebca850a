"""VUS against its definition, evaluated sample by sample on small series with awkward gaps."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqdetect.metrics.segments import segments
from seqdetect.metrics.vus import THRESHOLDS, vus


def by_definition(labels: np.ndarray, score: np.ndarray, window: int) -> tuple[float, float]:
    """Mean ROC and PR area over widths, written as the paper and the benchmark's quirks have it."""
    cuts = -np.sort(-score)[np.linspace(0, score.size - 1, THRESHOLDS).astype(int)]
    starts, stops = segments(labels)
    roc, pr = [], []
    for width in range(window + 1):
        place, reach = np.arange(labels.size), width // 2
        weight = labels.astype(float)
        for start, stop in zip(starts, stops, strict=True):
            distance = np.maximum(start - place, place - stop + 1)
            near = (distance > 0) & (distance <= reach)
            weight[near] += np.sqrt(1 - distance[near] / max(width, 1))
        weight = np.minimum(weight, 1)
        apart = np.flatnonzero(stops[:-1] - 1 + reach < starts[1:] - reach)
        heads, tails = starts[np.append(0, apart + 1)], stops[np.append(apart, stops.size - 1)]
        points, precisions = [(0.0, 0.0)], []
        for cut in cuts:
            alerts = score >= cut
            true = weight[alerts].sum()
            positives = labels.sum() + weight[alerts & (labels == 0)].sum() / 2
            hit = [
                alerts[max(low - reach, 0) : high + reach].any()
                for low, high in zip(heads, tails, strict=True)
            ]
            false_rate = (alerts.sum() - true) / (labels.size - positives)
            points.append((false_rate, min(true / positives, 1) * np.mean(hit)))
            precisions.append(true / alerts.sum())
        x, y = np.array([*points, (1.0, 1.0)]).T
        roc.append(np.trapezoid(y, x))
        pr.append(np.diff(y[:-1]) @ precisions)
    return float(np.mean(roc)), float(np.mean(pr))


@settings(deadline=None, max_examples=40)
@given(
    labels=st.lists(st.booleans(), min_size=2, max_size=40).filter(lambda flags: len(set(flags)) == 2),
    window=st.integers(0, 17),
    seed=st.integers(0, 1000),
    coarse=st.booleans(),
)
def test_agrees_with_the_definition(labels: list[bool], window: int, seed: int, coarse: bool) -> None:
    flags = np.array(labels, dtype=int)
    score = np.random.default_rng(seed).random(flags.size)
    if coarse:
        score = np.round(score * 3)
    assert vus(flags, score, window) == pytest.approx(by_definition(flags, score, window), abs=1e-9)


def test_only_the_order_of_scores_matters() -> None:
    rng = np.random.default_rng(0)
    labels, score = np.repeat([0, 1, 0], [60, 20, 60]), rng.normal(size=140)
    assert vus(labels, score, 20) == vus(labels, np.exp(score) + 7, 20)


def test_a_late_alert_is_worth_more_than_none() -> None:
    labels = np.repeat([0, 1, 0], [60, 20, 60])
    late, never = np.zeros(140), np.zeros(140)
    late[82:85], never[120:123] = 1, 1
    assert vus(labels, late, 20)[1] > vus(labels, never, 20)[1]


def test_refuses_scores_that_are_not_finite_and_odd_shapes() -> None:
    with pytest.raises(ValueError, match="1 scores are not finite"):
        vus([0, 1], [0.0, np.nan], 2)
    with pytest.raises(ValueError, match="must be equal"):
        vus([0, 1], [0.0], 2)
    with pytest.raises(ValueError, match="0 and 1"):
        vus([0, 2], [0.0, 1.0], 2)
    with pytest.raises(ValueError, match="window"):
        vus([0, 1], [0.0, 1.0], -1)


def test_a_hundred_thousand_samples_take_a_fraction_of_a_second() -> None:
    rng = np.random.default_rng(0)
    labels = np.zeros(100_000, dtype=int)
    for start in rng.integers(0, 99_000, 50):
        labels[start : start + 100] = 1
    begun = time.process_time()
    vus(labels, rng.random(100_000), 100)
    # Twenty times what it takes here: a slow machine passes, a return to looping over thresholds does not.
    assert time.process_time() - begun < 0.5
