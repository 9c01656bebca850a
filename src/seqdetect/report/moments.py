"""Which users to show: found and missed attacks, a false alert, a benign confounder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from seqdetect.attack import STRENGTHS
from seqdetect.events import MICROSECONDS
from seqdetect.metrics.grid import microseconds
from seqdetect.metrics.recall import Peaks, attack_peaks, benign_peaks
from seqdetect.metrics.segments import Bools
from seqdetect.metrics.ticks import Ticks
from seqdetect.report import Timeline

HOUR_US = 3600 * MICROSECONDS
AROUND_US = 6 * HOUR_US
"""What is shown before and after, where the data go that far."""
LONGEST_US = 48 * HOUR_US
"""A longer window would hide single ticks."""
AFTERMATH_US = 35 * 60 * MICROSECONDS
"""Alerts this soon after an incident are nobody's fault (``metrics``)."""

Verdict = Literal["found", "missed", "false alert", "confounder", "highest score"]


@dataclass(frozen=True)
class Moment:
    """A user and a window in microseconds; ``kind``, ``strength`` and ``incident`` (start, end) tell of the label,
    ``peak`` is the score that made an unlabelled moment worth showing."""

    verdict: Verdict
    user_id: str
    start: int
    end: int
    kind: str = ""
    strength: str = ""
    incident: tuple[int, int] | None = None
    peak: float | None = None


def choose(timeline: Timeline) -> list[Moment]:
    """Up to six moments: two attacks found, one or two missed, a false alert, a confounder.

    Without labels, the three users with the highest scores.
    """
    scores = timeline.user_scores
    if not len(scores):
        return []
    ticks = Ticks.of(scores)
    times = microseconds(scores["timestamp"])
    span = int(times.min()), int(times.max())
    if not len(timeline.incidents):
        return _highest(ticks, span)
    critical = timeline.thresholds.get("critical", np.inf)
    began = timeline.incidents["start"]
    inside = timeline.incidents[(began >= span[0]) & (began < span[1])]
    attacks, benign = attack_peaks(ticks, inside), benign_peaks(ticks, inside)
    moments = [*_found(attacks, critical, span), *_missed(attacks, critical, span)]
    moments += _false_alert(timeline, ticks, critical, span)
    moments += _confounder(benign, critical, span)
    return moments or _highest(ticks, span)


def _window(start: int, end: int, span: tuple[int, int]) -> tuple[int, int]:
    first = max(span[0], start - AROUND_US)
    return first, min(span[1], end + AROUND_US, first + LONGEST_US)


def _moment(verdict: Verdict, peaks: Peaks, row: int, span: tuple[int, int]) -> Moment:
    one = peaks.rows.iloc[row]
    at = int(one["start"]), int(one["end"])
    strength = str(one["strength"]) if "strength" in peaks.rows.columns and pd.notna(one["strength"]) else ""
    return Moment(verdict, str(one["user_id"]), *_window(*at, span), str(one["kind"]), strength, at)


def _strength_rank(peaks: Peaks) -> np.ndarray:
    """0 for blatant up to 3 for subtle [row]; 0 for all where strengths are unknown."""
    if "strength" not in peaks.rows.columns:
        return np.zeros(len(peaks.rows))
    return peaks.rows["strength"].map({name: i for i, name in enumerate(STRENGTHS)}).fillna(0).to_numpy(float)


def _distinct(peaks: Peaks, order: np.ndarray, most: int) -> list[int]:
    """The first rows in ``order`` of different kinds and users."""
    taken: list[int] = []
    for row in order.tolist():
        if all(peaks.kind[row] != peaks.kind[one] and peaks.user[row] != peaks.user[one] for one in taken):
            taken.append(row)
        if len(taken) == most:
            break
    return taken


def _found(attacks: Peaks, critical: float, span: tuple[int, int]) -> list[Moment]:
    """Two finds of different kinds, the subtlest first: they show most of what the detector can do."""
    rows = np.flatnonzero(attacks.found(critical))
    order = rows[np.lexsort((-attacks.peak[rows], -_strength_rank(attacks)[rows]))]
    return [_moment("found", attacks, row, span) for row in _distinct(attacks, order, 2)]


def _missed(attacks: Peaks, critical: float, span: tuple[int, int]) -> list[Moment]:
    """The strongest attack that was missed: the most to learn from."""
    rows = np.flatnonzero(~attacks.found(critical) & np.isfinite(attacks.peak))
    order = rows[np.lexsort((attacks.peak[rows], _strength_rank(attacks)[rows]))]
    return [_moment("missed", attacks, row, span) for row in _distinct(attacks, order, 1)]


def _confounder(benign: Peaks, critical: float, span: tuple[int, int]) -> list[Moment]:
    """A benign surge, one that alerted where there is one."""
    order = np.lexsort((-benign.peak, ~benign.found(critical)))
    return [_moment("confounder", benign, row, span) for row in _distinct(benign, order, 1)]


def _false_alert(timeline: Timeline, ticks: Ticks, critical: float, span: tuple[int, int]) -> list[Moment]:
    """The highest critical score outside every incident; of a user without any, where there is one."""
    rows = np.flatnonzero(_clean(timeline.incidents, ticks) & (ticks.score >= critical))
    place = np.searchsorted(ticks.bounds, rows, side="right") - 1
    calm = ~np.isin(
        np.array(ticks.users)[place], timeline.incidents["user_id"].astype(str).to_numpy(dtype=str)
    )
    rows = rows[calm] if calm.any() else rows
    return _at_row(ticks, int(rows[np.argmax(ticks.score[rows])]), "false alert", span) if rows.size else []


def _clean(incidents: pd.DataFrame, ticks: Ticks) -> Bools:
    """Scored ticks that lie in no incident nor just after one [tick]."""
    clean = np.ones(ticks.score.size, dtype=np.bool_)
    bounds = incidents[["start", "end"]].to_numpy(dtype=np.int64)
    for user, (start, end) in zip(incidents["user_id"].astype(str), bounds, strict=True):
        if user in ticks.users:
            place = ticks.users.index(user)
            rows = slice(int(ticks.bounds[place]), int(ticks.bounds[place + 1]))
            inside = (ticks.time_us[rows] > start) & (ticks.time_us[rows] <= end + AFTERMATH_US)
            clean[rows] &= ~inside
    return clean


def _at_row(ticks: Ticks, row: int, verdict: Verdict, span: tuple[int, int]) -> list[Moment]:
    user = ticks.users[int(np.searchsorted(ticks.bounds, row, side="right")) - 1]
    time = int(ticks.time_us[row])
    return [Moment(verdict, user, *_window(time, time, span), peak=float(ticks.score[row]))]


def _highest(ticks: Ticks, span: tuple[int, int]) -> list[Moment]:
    moments = []
    for first, last in zip(ticks.bounds[:-1].tolist(), ticks.bounds[1:].tolist(), strict=True):
        if last > first:
            moments.append(
                (float(ticks.score[first:last].max()), first + int(np.argmax(ticks.score[first:last])))
            )
    return [
        one
        for _, row in sorted(moments, reverse=True)[:3]
        for one in _at_row(ticks, row, "highest score", span)
    ]
