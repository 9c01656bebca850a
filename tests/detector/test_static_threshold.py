"""The five-minute window and the running mean of the rule everybody starts with."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from detector.stepping import walk
from seqdetect.detector import Rows
from seqdetect.detector.graph import Graph
from seqdetect.detector.static_threshold import StaticThreshold


def test_window_across_silence_and_midnight() -> None:
    rng = np.random.default_rng(0)
    elapsed = rng.choice([10.0, 10.0, 20.0, 290.0, 300.0, 310.0, 4_000.0], 400)
    tick = 80_000.0 + np.cumsum(elapsed)
    tokens = rng.integers(1, 5_000, 400).astype(float)
    detector = StaticThreshold()
    detector.mean, detector.variance = 5_000.0, 4e6
    g = Graph(3, 1)
    context: Any = SimpleNamespace(graph=g)
    score = detector.score(context, g.features)
    rows = np.column_stack([tokens, elapsed, tick % 86_400])
    found = walk(g, rows[:, None, :], score=(score, 1))["score"][:, 0, 0]
    mean, variance, count = 5_000.0, 4e6, 30.0
    for i in range(400):
        total = tokens[: i + 1][tick[: i + 1] > tick[i] - 300.0].sum()
        np.testing.assert_allclose(found[i], (total - mean) / np.sqrt(variance), rtol=1e-3, atol=1e-4)
        variance += ((total - mean) ** 2 * count / (count + 1) - variance) / (count + 1)
        mean += (total - mean) / (count + 1)
        count += 1
    stream = Rows(
        rows.astype(np.float32), np.zeros(400, np.int32), (tick * 1e6).astype(np.int64), np.ones(400, bool)
    )
    np.testing.assert_allclose(detector.reference(stream), found, rtol=1e-4, atol=1e-5)
