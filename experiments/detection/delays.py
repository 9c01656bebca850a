"""Seconds to detect per incident row, from a job's scores: what no single job's ``metrics.json`` can compare."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from seqdetect.benchmark import Finished
from seqdetect.metrics.grid import microseconds
from seqdetect.metrics.recall import attack_peaks
from seqdetect.metrics.ticks import Ticks
from seqdetect.rundir import INCIDENTS, SCORES

KEY = ["seed", "incident_id", "user_id"]
BLATANT = ("flood", "wallet")


def delays(jobs: Sequence[Finished]) -> pd.DataFrame:
    """Seconds from the start of each attack row of the test span to the alert, at the critical thresholds.

    Indexed by ``KEY``; columns kind, strength, best, shipped (NaN where not found). Jobs that left no scores
    (research-only detectors) give no rows.
    """
    known = [_delays(job) for job in jobs if (job.folder / SCORES).exists()]
    return pd.concat(known) if known else pd.DataFrame(columns=["kind", "strength", "best", "shipped"])


def _delays(job: Finished) -> pd.DataFrame:
    test = job.metrics["test"]
    start, end = test["span"]["start_us"], test["span"]["end_us"]
    scores = pd.read_parquet(job.folder / SCORES, columns=["user_id", "timestamp", "score"])
    incidents = pd.read_csv(job.folder / INCIDENTS, dtype={"user_id": str, "incident_id": str})
    times, began = microseconds(scores["timestamp"]), microseconds(incidents["start"])
    ticks = Ticks.of(scores[(times >= start) & (times < end)])
    peaks = attack_peaks(ticks, incidents[(began >= start) & (began < end)])
    rows = peaks.rows.reindex(columns=[*KEY[1:], "kind", "strength"]).assign(seed=job.metrics["seed"])
    for name in ("best", "shipped"):
        threshold = test["budgets"]["critical"][name]["threshold"]
        rows[name] = peaks.seconds_to_detect(math.inf if threshold is None else threshold)
    return rows.set_index(KEY)


def common(own: pd.DataFrame, plain: Sequence[pd.DataFrame]) -> dict[str, float | int | None]:
    """Over the rows that ``own`` and all of ``plain`` found at their best thresholds: count, medians.

    ``fastest_plain`` is the median of each row's fastest plain detector: the sets differ from detector to
    detector, so a median means something only beside another on the same rows.
    """
    others = pd.concat([one["best"] for one in plain], axis=1, join="inner").dropna()
    met = others.join(own["best"].rename("own"), how="inner").dropna()
    fastest = met.drop(columns="own").min(axis=1)
    return {
        "common_found": len(met),
        "common_from_start_median_s": _median(met["own"]),
        "common_fastest_plain_from_start_median_s": _median(fastest),
    }


def blatant(own: pd.DataFrame) -> dict[str, float | int | None]:
    """Rows, rows found and median seconds of blatant floods and wallets, pooled over seeds.

    From the incident's start, its first added request: a job's folder does not keep the third one's time.
    """
    row: dict[str, float | int | None] = {}
    for kind in BLATANT:
        rows = own[(own["kind"] == kind) & (own["strength"] == "blatant")]
        row[f"blatant_{kind}_rows"] = len(rows)
        for name in ("best", "shipped"):
            row[f"blatant_{kind}_{name}_found"] = int(rows[name].notna().sum())
            row[f"blatant_{kind}_{name}_from_start_median_s"] = _median(rows[name])
    return row


def _median(seconds: pd.Series) -> float | None:
    return float(seconds.median()) if seconds.notna().any() else None
