"""The benchmark report: one HTML file that tells what a benchmark found, readable without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Run:
    """One detector trained with one seed; ``metrics`` is what its ``metrics.json`` holds.

    Any value in ``metrics`` may be None or absent: the page then says that it was not measured.
    """

    detector: str
    seed: int
    metrics: Mapping[str, Any]


@dataclass(frozen=True)
class Timeline:
    """What the champion said on the test span (one seed), beside what happened.

    ``user_scores``: user_id, timestamp (the tick's end, UTC), score, level, top_feature. ``usage``: user_id,
    minute (its start, UTC), requests, tokens. ``incidents``: ``seqdetect.incidents.COLUMNS``, perhaps with
    strength. ``alerts`` are payloads as sinks get them, in order; of several with one id the last counts.
    ``thresholds``: score by tier.
    """

    user_scores: pd.DataFrame
    usage: pd.DataFrame
    incidents: pd.DataFrame
    alerts: Sequence[Mapping[str, Any]]
    thresholds: Mapping[str, float]
