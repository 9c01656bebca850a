"""Incidents: labelled intervals, the ground truth that calibration and measures read."""

from __future__ import annotations

import numpy as np
import pandas as pd

COLUMNS = ["incident_id", "user_id", "start", "end", "kind"]
"""``start`` and ``end`` are int64 microseconds since the Unix epoch, UTC; the interval is half open."""

ATTACK_KINDS = (
    "flood",
    "wallet",
    "scrape",
    "takeover",
    "drip",
    "stuffing",
    "agent_loop",
    "offhours",
    "botnet",
    "credential_sharing",
    "degradation",
    "inflation",
)
BENIGN_KINDS = ("benign_campaign", "benign_onboarding", "benign_migration", "benign_batch_job")


def empty() -> pd.DataFrame:
    """An incident table without rows."""
    return pd.DataFrame(
        {name: pd.Series(dtype="int64" if name in ("start", "end") else "str") for name in COLUMNS}
    )


def is_benign(kind: pd.Series) -> np.ndarray:
    """Which rows are confounders that must not alert: every kind that starts with ``benign_``."""
    return kind.astype(str).str.startswith("benign_").to_numpy(dtype=bool)
