"""What a week's alerts were worth: false ones by user-tick and by episode, incidents found, delays."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
from chaos import Arrivals
from numpy.typing import NDArray

from seqdetect.events import MICROSECONDS

Changes = Sequence[dict[str, Any]]
Hot = set[tuple[str, int]]
"""Users and the ends of ticks (microseconds) that were scored at a level or above."""
TICK_US: Final = 10 * MICROSECONDS
LATENESS_US: Final = 10 * MICROSECONDS
AFTERMATH_US: Final = 35 * 60 * MICROSECONDS
FOUND_US: Final = 5 * 60 * MICROSECONDS
MERGED_US: Final = 3600 * MICROSECONDS
LONG_US: Final = 6 * 3600 * MICROSECONDS
EVERYBODY: Final = "*"


@dataclass(frozen=True)
class Spell:
    """One stretch that an alert was open for, microseconds."""

    user: str
    start: int
    end: int
    critical: bool
    muted: bool
    kind: str
    known: int
    """The tick's end at which it opened."""


def spells(changes: Changes, week_end: int) -> list[Spell]:
    """Every stretch from an ``open`` to the ``resolve`` after it; severities are the last ones."""
    found: list[Spell] = []
    begun: dict[tuple[str, str], int] = {}
    last: dict[tuple[str, str], dict[str, Any]] = {}

    def done(key: tuple[str, str], end: int) -> None:
        change = last.pop(key)
        critical = change["severity"] == "critical"
        found.append(
            Spell(
                change["user_id"], begun[key], end, critical, change["muted"], change["kind"], opened.pop(key)
            )
        )

    opened: dict[tuple[str, str], int] = {}
    for change in changes:
        key = (change["model"], change["alert_id"])
        if key not in last:
            opened[key] = micros(change["at"])
            begun[key] = micros(change["start"]) if not change["reopened"] else opened[key] - TICK_US
        last[key] = change
        if change["change"] == "resolve":
            done(key, micros(change["end"]))
    for key in list(last):
        done(key, week_end)
    return found


def micros(iso: str) -> int:
    return round(datetime.fromisoformat(iso).timestamp() * MICROSECONDS)


@dataclass(frozen=True)
class Ticks:
    """Active user-ticks ``[n]``, by user: the tick's end, and whether an attack on that user touches it or has just ended."""

    by_user: dict[str, NDArray[np.int64]]
    attacked: dict[str, NDArray[np.bool_]]

    @classmethod
    def of(cls, events: pa.Table, labels: pd.DataFrame) -> Ticks:
        frame = pd.DataFrame(
            {
                "user": events.column("user_id").to_pylist(),
                "tick": (events.column("timestamp").cast(pa.int64()).to_numpy() // TICK_US + 1) * TICK_US,
            }
        ).drop_duplicates()
        harmful = attacks(labels)
        by_user, attacked = {}, {}
        for user, rows in frame.groupby("user"):
            ticks = np.sort(rows["tick"].to_numpy())
            hit = np.zeros(len(ticks), bool)
            own = harmful[harmful["user_id"] == user]
            for start, end in zip(own["start"], own["end"], strict=True):
                hit |= (ticks > start) & (ticks - TICK_US < end + AFTERMATH_US)
            by_user[str(user)], attacked[str(user)] = ticks, hit
        return cls(by_user, attacked)

    def false_share(self, found: Iterable[Spell]) -> tuple[int, int]:
        """Clean user-ticks at which an alert of that user was open, and all clean user-ticks."""
        covered = {user: np.zeros(len(ticks), bool) for user, ticks in self.by_user.items()}
        for spell in found:
            if spell.user in covered:
                ticks = self.by_user[spell.user]
                covered[spell.user] |= (ticks > spell.start) & (ticks <= spell.end)
        false = sum(int((covered[user] & ~self.attacked[user]).sum()) for user in covered)
        return false, sum(int((~hit).sum()) for hit in self.attacked.values())

    def clean(self, hot: Hot) -> int:
        """How many of the user-ticks in ``hot`` are clean."""
        return sum(
            len(
                {tick for user, tick in hot if user == name}.intersection(
                    ticks[~self.attacked[name]].tolist()
                )
            )
            for name, ticks in self.by_user.items()
        )


def attacks(labels: pd.DataFrame) -> pd.DataFrame:
    return labels[~labels["kind"].str.startswith("benign_")]


def false_episodes(found: Sequence[Spell], labels: pd.DataFrame) -> int:
    """Stretches of one user's false alerts, gaps up to an hour merged; one counts once per started six hours."""
    harmful = attacks(labels)
    episodes = 0
    for user in {spell.user for spell in found} - {EVERYBODY}:
        own = harmful[harmful["user_id"] == user]
        spans = [
            (spell.start, spell.end)
            for spell in found
            if spell.user == user
            and not ((own["start"] < spell.end) & (own["end"] + AFTERMATH_US > spell.start)).any()
        ]
        merged: list[list[int]] = []
        for start, end in sorted(spans):
            if merged and start - merged[-1][1] <= MERGED_US:
                merged[-1][1] = max(merged[-1][1], end)
            else:
                merged.append([start, end])
        episodes += sum(max(1, math.ceil((end - start) / LONG_US)) for start, end in merged)
    return episodes


def hits(found: Sequence[Spell], labels: pd.DataFrame) -> pd.DataFrame:
    """Each incident row with whether its user (``own``) or everybody (``shared``) had an alert opened or open in it."""

    def touched(user: str, row: Any) -> bool:
        return any(s.user == user and s.end > row.start and s.start <= row.end + FOUND_US for s in found)

    rows = [(touched(row.user_id, row), touched(EVERYBODY, row)) for row in labels.itertuples()]
    return labels.assign(own=[own for own, _ in rows], shared=[shared for _, shared in rows])


def first_alert(found: Sequence[Spell], user: str, start: int, end: int) -> Spell | None:
    """The first alert of ``user`` that opened within an incident."""
    within = [s for s in found if s.user == user and start < s.known <= end + FOUND_US]
    return min(within, key=lambda spell: spell.known, default=None)


class Closing:
    """When, in simulated time, the event arrived that completed a tick."""

    def __init__(self, arrivals: Arrivals) -> None:
        stamped = arrivals.table.column("timestamp").cast(pa.int64()).to_numpy()
        believed = np.where(stamped - arrivals.arrival > 60 * MICROSECONDS, 0, stamped)
        self._reached = np.maximum.accumulate(believed)
        self._arrival = arrivals.arrival

    def of(self, tick: int) -> int:
        place = int(np.searchsorted(self._reached, tick + LATENESS_US))
        return int(self._arrival[min(place, len(self._arrival) - 1)])


class Tipping:
    """The first event of a user in a tick: the one that tipped the evidence came no sooner."""

    def __init__(self, clean: pa.Table) -> None:
        frame = pd.DataFrame(
            {
                "user": clean.column("user_id").to_pylist(),
                "time": clean.column("timestamp").cast(pa.int64()).to_numpy(),
            }
        )
        self._times = {str(user): np.sort(rows["time"].to_numpy()) for user, rows in frame.groupby("user")}

    def of(self, user: str, tick: int) -> int:
        times = self._times[user]
        return int(times[min(int(np.searchsorted(times, tick - TICK_US)), len(times) - 1)])


def last_states(changes: Changes) -> dict[tuple[str, str], dict[str, Any]]:
    """The last change of every alert."""
    return {(change["model"], change["alert_id"]): change for change in changes}
