"""How much faster is our VUS than evaluating its definition directly, and do the two agree?

    OPENBLAS_NUM_THREADS=1 .venv/bin/python experiments/vus-speed/run.py

Writes ``results.csv`` and prints it. About half a minute. Times are CPU seconds of one thread: on a shared
machine the clock on the wall measures the neighbours too.
"""

from __future__ import annotations

import csv
import time
from pathlib import Path

import numpy as np

from seqdetect.metrics.segments import segments
from seqdetect.metrics.vus import vus

REFERENCE_S = 12.8
"""TSB-AD's own time for 100,000 samples, as stated in the project's issue; its machine is not known to us."""
SAMPLES, WINDOW, THRESHOLDS, SEGMENTS, SEED, REPEATS = 100_000, 100, 250, 100, 0, 5


def series(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Labels with ``SEGMENTS`` anomalies of 10 to 200 samples, and noise raised by 1 inside them."""
    labels = np.zeros(SAMPLES, dtype=np.int64)
    for start in rng.integers(0, SAMPLES - 200, SEGMENTS):
        labels[start : start + rng.integers(10, 201)] = 1
    return labels, rng.normal(size=SAMPLES) + labels


def direct(labels: np.ndarray, score: np.ndarray, window: int) -> tuple[float, float]:
    """VUS-ROC and VUS-PR as defined: every width, every threshold, the whole series each time."""
    starts, stops = segments(labels)
    falling = np.sort(score)[::-1]
    cuts = falling[np.linspace(0, score.size - 1, THRESHOLDS).astype(int)]
    areas = []
    for width in range(window + 1):
        weight, grown = _grow(labels, starts, stops, width)
        points = [_point(labels, weight, grown, score >= cut) for cut in cuts]
        areas.append(_areas(np.array(points)))
    roc, pr = np.mean(areas, axis=0).tolist()
    return roc, pr


def _grow(
    labels: np.ndarray, starts: np.ndarray, stops: np.ndarray, width: int
) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Weight of every sample at one width, and the grown segments, joined where they overlap."""
    weight, reach = labels.astype(np.float64), width // 2
    grown: list[tuple[int, int]] = []
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        for distance in range(1, reach + 1):
            for place in (start - distance, stop - 1 + distance):
                if 0 <= place < weight.size:
                    weight[place] += np.sqrt(1 - distance / width)
        low, high = start - reach, stop - 1 + reach
        if grown and grown[-1][1] >= low:
            low = grown.pop()[0]
        grown.append((low, high))
    return np.minimum(weight, 1), grown


def _point(
    labels: np.ndarray, weight: np.ndarray, grown: list[tuple[int, int]], alerts: np.ndarray
) -> tuple[float, float, float]:
    """Recall times the share of segments hit, false-positive rate and precision at one threshold."""
    true = float(weight @ alerts)
    positives = labels.sum() + float((weight * alerts)[labels == 0].sum()) / 2
    hits = sum(bool(alerts[max(low, 0) : high + 1].any()) for low, high in grown)
    recall = min(true / positives, 1.0) * hits / len(grown)
    predicted = int(alerts.sum())
    return recall, (predicted - true) / (labels.size - positives), true / predicted


def _areas(points: np.ndarray) -> tuple[float, float]:
    recall, false_rate, precision = points.T
    x, y = np.concatenate([[0.0], false_rate, [1.0]]), np.concatenate([[0.0], recall, [1.0]])
    return float(np.trapezoid(y, x)), float(np.diff(recall, prepend=0.0) @ precision)


def main() -> None:
    labels, score = series(np.random.default_rng(SEED))
    ours = []
    for _ in range(REPEATS):
        begun = time.process_time()
        fast = vus(labels, score, WINDOW)
        ours.append(time.process_time() - begun)
    begun = time.process_time()
    slow = direct(labels, score, WINDOW)
    direct_s = time.process_time() - begun
    worst = max(ours)
    row = {
        "samples": SAMPLES,
        "window": WINDOW,
        "thresholds": THRESHOLDS,
        "segments": segments(labels)[0].size,
        "seed": SEED,
        "ours_median_s": round(float(np.median(ours)), 4),
        "ours_worst_s": round(worst, 4),
        "direct_s": round(direct_s, 2),
        "direct_over_ours_worst": round(direct_s / worst),
        "reference_s": REFERENCE_S,
        "reference_over_ours_worst": round(REFERENCE_S / worst),
        "largest_difference": f"{max(abs(a - b) for a, b in zip(fast, slow, strict=True)):.1e}",
    }
    with (Path(__file__).parent / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, row)
        writer.writeheader()
        writer.writerow(row)
    print("\n".join(f"{name}: {value}" for name, value in row.items()))


if __name__ == "__main__":
    main()
