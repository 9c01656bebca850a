"""The one-minute grid: what each user's score was in every minute, and what it should have said.

Scores come once per user and tick, at irregular times; measures need equal shares of time. A score becomes
known at its tick's end: one that ends exactly on the boundary of a minute belongs to the minute that begins
there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from seqdetect.events import MICROSECONDS
from seqdetect.incidents import is_benign
from seqdetect.metrics.segments import Bools, Floats, Ints

MINUTE_US = 60 * MICROSECONDS
CURRENT_MINUTES = 10
"""A score stands for this long where no newer one follows: alerts outlive the request by about as much."""
IGNORED_MINUTES = 35
"""After an incident evidence decays and the attacker may linger, so neither verdict on an alert is fair."""


@dataclass(frozen=True)
class Grid:
    """Scores and labels per user and minute.

    ``score`` [user, minute] is NaN where no score is current. A minute is ``positive``, ``negative`` or,
    where both are false, ignored. ``first_minute`` counts minutes since the Unix epoch.
    """

    users: tuple[str, ...]
    first_minute: int
    score: Floats
    positive: Bools
    negative: Bools

    @property
    def minutes(self) -> int:
        """Minutes per user."""
        return int(self.score.shape[1])

    def exposure_user_weeks(self) -> Floats:
        """Clean time per user [user], in weeks; silent minutes count, as budgets are per clock week."""
        return np.asarray(self.negative.sum(axis=1) / (7 * 24 * 60))


def make_grid(
    scores: pd.DataFrame,
    incidents: pd.DataFrame | None,
    span: tuple[int, int],
    users: Sequence[str] | None = None,
) -> Grid:
    """Lay ``scores`` (user_id, timestamp, score) and ``incidents`` on ``span`` = [start, end) µs.

    ``timestamp`` is the tick's end, as int64 µs or as datetimes. Rows outside the span are left out.
    Incidents of benign kinds stay negative. ``users`` adds users who were watched but never scored: they
    count as exposure. Raises ``ValueError`` when the span is empty or a score is not finite.
    """
    start, end = span
    if end <= start:
        raise ValueError(f"the span must end after it starts; got [{start}, {end})")
    known = scores["user_id"].astype(str).unique().tolist()
    names = tuple(sorted({*known, *(users or ()), *_attacked_users(incidents, span)}))
    first = start // MINUTE_US
    shape = len(names), -(-end // MINUTE_US) - first
    positive, ignored = _labels(incidents, names, first, shape)
    return Grid(
        users=names,
        first_minute=first,
        score=_carried(_largest_per_minute(scores, names, span, shape)),
        positive=positive,
        negative=~(positive | ignored),
    )


def microseconds(times: pd.Series) -> Ints:
    """Times as int64 µs since the Unix epoch, UTC; integers are taken to be that already."""
    if pd.api.types.is_integer_dtype(times):
        return times.to_numpy(dtype=np.int64)
    stamps = pd.DatetimeIndex(pd.to_datetime(times, utc=True))
    return np.asarray(stamps.as_unit("us").asi8, dtype=np.int64)


def codes(names: tuple[str, ...], user_id: pd.Series) -> Ints:
    """Position of each row's user in ``names``, -1 for others."""
    known, wanted = pd.Index(names, dtype=object), pd.Index(user_id.astype(str), dtype=object)
    return known.get_indexer(wanted).astype(np.int64)


def attack_rows(incidents: pd.DataFrame | None) -> pd.DataFrame:
    """Incident rows whose kind is not benign, with times in µs and every incident at least 1 µs long."""
    if incidents is None or incidents.empty:
        return pd.DataFrame(columns=["incident_id", "user_id", "start", "end", "kind"])
    return with_times(incidents[~is_benign(incidents["kind"])])


def with_times(incidents: pd.DataFrame) -> pd.DataFrame:
    """The rows, renumbered, with ``start`` and ``end`` in int64 µs; one without length gets 1 µs."""
    start = microseconds(incidents["start"])
    end = np.maximum(microseconds(incidents["end"]), start + 1)
    return incidents.reset_index(drop=True).assign(start=start, end=end)


def _attacked_users(incidents: pd.DataFrame | None, span: tuple[int, int]) -> Iterable[str]:
    rows = attack_rows(incidents)
    inside = (rows["start"] < span[1]) & (rows["end"] > span[0])
    return [str(user) for user in rows.loc[inside, "user_id"]]


def _largest_per_minute(
    scores: pd.DataFrame, names: tuple[str, ...], span: tuple[int, int], shape: tuple[int, int]
) -> Floats:
    """Largest score that became known in each minute [user, minute], NaN where none did."""
    times = microseconds(scores["timestamp"])
    values = scores["score"].to_numpy(dtype=np.float64)
    inside = (times >= span[0]) & (times < span[1])
    if not np.isfinite(values[inside]).all():
        raise ValueError(f"{int((~np.isfinite(values[inside])).sum())} scores in the span are not finite")
    minute = times[inside] // MINUTE_US - span[0] // MINUTE_US
    cells = codes(names, scores["user_id"])[inside] * shape[1] + minute
    largest = np.full(shape[0] * shape[1], -np.inf)
    np.maximum.at(largest, cells, values[inside])
    largest[np.isneginf(largest)] = np.nan
    return largest.reshape(shape)


def _carried(score: Floats) -> Floats:
    """Each silent minute takes the latest score that is at most ``CURRENT_MINUTES`` old."""
    minutes = np.arange(score.shape[1])
    latest = np.maximum.accumulate(np.where(np.isnan(score), -1, minutes), axis=1)
    carried = np.take_along_axis(score, np.maximum(latest, 0), axis=1)
    carried[(latest < 0) | (minutes - latest > CURRENT_MINUTES)] = np.nan
    return carried


def _labels(
    incidents: pd.DataFrame | None, names: tuple[str, ...], first: int, shape: tuple[int, int]
) -> tuple[Bools, Bools]:
    """Minutes that an incident overlaps, and others that one ended shortly before, both [user, minute]."""
    positive, ignored = np.zeros(shape, dtype=np.bool_), np.zeros(shape, dtype=np.bool_)
    rows = attack_rows(incidents)
    begin = (rows["start"].to_numpy(dtype=np.int64) // MINUTE_US - first).clip(0, shape[1])
    stop = ((rows["end"].to_numpy(dtype=np.int64) - 1) // MINUTE_US + 1 - first).clip(
        -IGNORED_MINUTES, shape[1]
    )
    for user, low, high in zip(codes(names, rows["user_id"]), begin, stop, strict=True):
        if user >= 0:
            positive[user, low : max(high, 0)] = True
            ignored[user, max(high, 0) : high + IGNORED_MINUTES] = True
    return positive, ignored & ~positive
