"""Small scores and incidents frames, written in minutes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from seqdetect.metrics.grid import MINUTE_US, Grid


def scores_of(**ticks: Sequence[tuple[float, float]]) -> pd.DataFrame:
    """A scores frame from ``user=[(minute, score), ...]``."""
    rows = [
        (user, round(minute * MINUTE_US), score) for user, pairs in ticks.items() for minute, score in pairs
    ]
    return pd.DataFrame(rows, columns=["user_id", "timestamp", "score"]).astype({"score": "float64"})


def incidents_of(*rows: tuple[str, float, float, str]) -> pd.DataFrame:
    """An incidents frame from (user, start minute, end minute, kind)."""
    table = [
        (f"i{number}", user, round(start * MINUTE_US), round(end * MINUTE_US), kind)
        for number, (user, start, end, kind) in enumerate(rows)
    ]
    return pd.DataFrame(table, columns=["incident_id", "user_id", "start", "end", "kind"])


def grid_of(rows: Sequence[Sequence[float]]) -> Grid:
    """A grid with these scores [user, minute], every minute negative."""
    score = np.array(rows, dtype=np.float64)
    negative = np.ones(score.shape, dtype=np.bool_)
    return Grid(tuple(f"u{i}" for i in range(len(score))), 0, score, ~negative, negative)


def minutes(count: int) -> tuple[int, int]:
    """The span of the first ``count`` minutes, in µs."""
    return 0, count * MINUTE_US
