"""Which incidents were found, and how fast.

Alerts are taken from ticks, not from the grid, because seconds count here. An incident row is found at a
threshold if and only if its peak, the highest score in (start, end + 5 min], reaches it. So peaks are
computed once and every threshold is a comparison.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from seqdetect.events import MICROSECONDS
from seqdetect.incidents import is_benign
from seqdetect.metrics.grid import MINUTE_US, codes, with_times
from seqdetect.metrics.segments import Bools, Floats, Ints
from seqdetect.metrics.ticks import Ticks

GRACE_US = 5 * MINUTE_US
"""An alert this long after an incident still counts: its last events are scored and seen by then."""


@dataclass(frozen=True)
class Peaks:
    """Incident rows, attacks alone or benign alone, with the highest score in each.

    ``rows`` has int64 µs times and a clean index; ``user`` [row] is the position in ``ticks.users`` or -1;
    ``peak`` [row] is minus infinity where the user sent nothing.
    """

    ticks: Ticks
    rows: pd.DataFrame
    user: Ints
    until: Ints
    peak: Floats

    @property
    def kind(self) -> np.ndarray:
        """Kind of each row, as strings."""
        return self.rows["kind"].astype(str).to_numpy(dtype=object)

    @property
    def start(self) -> Ints:
        """Start of each row in µs."""
        return self.rows["start"].to_numpy(dtype=np.int64)

    def found(self, threshold: float) -> Bools:
        """Rows in which an alert falls at ``threshold``."""
        return np.asarray(self.peak >= threshold)

    def seconds_to_detect(self, threshold: float) -> Floats:
        """Seconds from each row's start to the end of the first alerting tick, NaN where not found [row]."""
        seconds = np.full(self.peak.shape, np.nan)
        for row in np.flatnonzero(self.found(threshold)):
            user, window = int(self.user[row]), slice(row, row + 1)
            low, high = self.ticks.between(user, self.start[window], self.until[window])
            first = low[0] + np.argmax(self.ticks.score[low[0] : high[0]] >= threshold)
            seconds[row] = (self.ticks.time_us[first] - self.start[row]) / MICROSECONDS
        return seconds


def attack_peaks(ticks: Ticks, incidents: pd.DataFrame) -> Peaks:
    """Peaks of all rows but the benign ones, in (start, end + 5 min]."""
    return _peaks(ticks, with_times(incidents[~is_benign(incidents["kind"])]), GRACE_US)


def benign_peaks(ticks: Ticks, incidents: pd.DataFrame) -> Peaks:
    """Peaks of the benign rows, in (start, end]: no grace, for what follows isn't theirs to answer for."""
    return _peaks(ticks, with_times(incidents[is_benign(incidents["kind"])]), 0)


def _peaks(ticks: Ticks, rows: pd.DataFrame, grace_us: int) -> Peaks:
    user = codes(ticks.users, rows["user_id"])
    start = rows["start"].to_numpy(dtype=np.int64)
    until = rows["end"].to_numpy(dtype=np.int64) + grace_us
    peak = [ticks.peaks(int(u), start[i : i + 1], until[i : i + 1])[0] for i, u in enumerate(user)]
    return Peaks(ticks, rows, user, until, np.array(peak, dtype=np.float64))


def event_recall(scores: pd.DataFrame, incidents: pd.DataFrame, threshold: float) -> dict[str, Any]:
    """Share of incident rows found at ``threshold``; see ``recall_table`` for what comes back."""
    return recall_table(attack_peaks(Ticks.of(scores), incidents), threshold)


def recall_table(peaks: Peaks, threshold: float) -> dict[str, Any]:
    """``macro`` (mean over kinds, None without rows), ``kinds`` and, given a strength column, ``strengths``.

    A cell is ``{"recall", "found", "rows"}``; ``strengths`` is a table of them by kind and strength.
    """
    found = peaks.found(threshold)
    kinds = {kind: _cell(found[peaks.kind == kind]) for kind in sorted(set(peaks.kind))}
    table: dict[str, Any] = {"macro": macro_recall(peaks, threshold), "kinds": kinds}
    if "strength" in peaks.rows.columns:
        table["strengths"] = _by_strength(peaks, found)
    return table


def macro_recall(peaks: Peaks, threshold: float) -> float | None:
    """Mean over kinds of the share of rows found, None without rows."""
    found, kind = peaks.found(threshold), peaks.kind
    return float(np.mean([found[kind == name].mean() for name in sorted(set(kind))])) if kind.size else None


def _by_strength(peaks: Peaks, found: Bools) -> dict[str, dict[str, dict[str, Any]]]:
    strength = peaks.rows["strength"].astype(str).to_numpy(dtype=object)
    table: dict[str, dict[str, dict[str, Any]]] = {}
    for kind, name in sorted(set(zip(peaks.kind, strength, strict=True))):
        table.setdefault(kind, {})[name] = _cell(found[(peaks.kind == kind) & (strength == name)])
    return table


def _cell(found: Bools) -> dict[str, Any]:
    return {"recall": float(found.mean()), "found": int(found.sum()), "rows": int(found.size)}


def benign_alerts(peaks: Peaks, threshold: float) -> dict[str, dict[str, Any]]:
    """Per benign kind the share of rows that alerted at ``threshold``: ``{"rate", "alerted", "rows"}``."""
    alerted = peaks.found(threshold)
    table = {}
    for kind in sorted(set(peaks.kind)):
        own = alerted[peaks.kind == kind]
        table[kind] = {"rate": float(own.mean()), "alerted": int(own.sum()), "rows": int(own.size)}
    return table


def time_to_detect(peaks: Peaks, threshold: float) -> dict[str, Any]:
    """Seconds to detect over the rows found: median, 90th percentile and count; overall and in ``kinds``."""
    seconds, kind = peaks.seconds_to_detect(threshold), peaks.kind
    kinds = {name: _seconds(seconds[kind == name]) for name in sorted(set(kind))}
    return {**_seconds(seconds), "kinds": kinds}


def _seconds(seconds: Floats) -> dict[str, Any]:
    known = seconds[~np.isnan(seconds)]
    if not known.size:
        return {"median_s": None, "p90_s": None, "found": 0}
    median, p90 = np.quantile(known, [0.5, 0.9]).tolist()
    return {"median_s": median, "p90_s": p90, "found": int(known.size)}
