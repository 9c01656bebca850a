"""False alerts as a person counts them: one call for one stretch of alerting, not one per minute."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from seqdetect.metrics.grid import Grid
from seqdetect.metrics.segments import Bools, Floats, Ints

Count = TypeVar("Count", int, Ints)

MERGED_GAP_MINUTES = 60
"""Alert minutes with up to this many minutes between them are one episode: nobody has gone home yet."""
EPISODE_MINUTES = 6 * 60
"""An episode counts once per started stretch of this length: about every shift handles it anew."""


def false_alert_episodes(grid: Grid, threshold: float) -> Ints:
    """Episodes per user [user] of alerts (``score >= threshold``) in negative minutes."""
    counts = np.zeros(len(grid.users), dtype=np.int64)
    user, minute = np.nonzero(grid.negative & (grid.score >= threshold))
    if not user.size:
        return counts
    begins = np.diff(user, prepend=-1) != 0
    begins[1:] |= np.diff(minute) > MERGED_GAP_MINUTES + 1
    first = np.flatnonzero(begins)
    last = np.append(first[1:], user.size) - 1
    np.add.at(counts, user[first], _calls(minute[last] - minute[first] + 1))
    return counts


def best_threshold(grid: Grid, budget_per_user_week: float) -> float:
    """Smallest score from which on every threshold keeps false-alert episodes within the budget.

    Infinite when the grid holds no score. See ``EpisodeCurve.best_threshold``.
    """
    return EpisodeCurve.of(grid).best_threshold(budget_per_user_week)


@dataclass(frozen=True)
class EpisodeCurve:
    """Total false-alert episodes at every distinct score of the negatives, highest score first.

    The count isn't monotone: a lower threshold can join two episodes into one.
    """

    thresholds: Floats
    episodes: Ints
    levels: Floats
    """Distinct scores of all minutes, positive ones included, rising: the thresholds to choose from."""
    exposure_user_weeks: float

    @classmethod
    def of(cls, grid: Grid) -> EpisodeCurve:
        """Count episodes at all thresholds in one pass: minutes join from the highest score down.

        Cost: about a microsecond per scored negative minute.
        """
        clean = grid.negative & ~np.isnan(grid.score)
        line = _spaced(clean)
        where = np.flatnonzero(line)
        values = grid.score[clean]
        order = np.argsort(-values, kind="stable")
        ranked = values[order]
        counts = np.fromiter(_growing_counts(where[order], line.size), np.int64, ranked.size)
        last = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), ranked.size - 1)[: ranked.size]
        levels = np.unique(grid.score[~np.isnan(grid.score)])
        return cls(ranked[last], counts[last], levels, float(grid.exposure_user_weeks().sum()))

    def best_threshold(self, budget_per_user_week: float) -> float:
        """Smallest level ``t`` such that every threshold from ``t`` up stays within the budget.

        Just above the highest score when even that breaks the budget; infinite when there is no score at all.
        """
        if not self.levels.size:
            return float("inf")
        # The tolerance keeps 7 / 7 user-weeks of budget 7 at 7 episodes, not 6.
        broken = np.flatnonzero(self.episodes > budget_per_user_week * self.exposure_user_weeks + 1e-9)
        if not broken.size:
            return float(self.levels[0])
        above = np.searchsorted(self.levels, self.thresholds[broken[0]], side="right")
        if above < self.levels.size:
            return float(self.levels[above])
        return float(np.nextafter(self.levels[-1], np.inf))


def _calls(minutes: Count) -> Count:
    return -(-minutes // EPISODE_MINUTES)


def _spaced(cells: Bools) -> Bools:
    """Users one after the other, so far apart that episodes of different users never merge."""
    return np.pad(cells, ((0, 0), (0, MERGED_GAP_MINUTES + 1))).ravel()


def _growing_counts(minutes: Ints, size: int) -> Iterator[int]:
    """Total episodes after each of ``minutes`` begins to alert, in that order, on a line of ``size``.

    ``covered`` marks everything between an episode's first and last minute, so a minute's neighbours are
    found by a byte search and joining two episodes costs only the gap between them.
    """
    covered = bytearray(size)
    other_end: dict[int, int] = {}
    reach = MERGED_GAP_MINUTES + 1
    total = 0
    for minute in minutes.tolist():
        if not covered[minute]:
            first = last = minute
            left = covered.rfind(1, max(minute - reach, 0), minute)
            right = covered.find(1, minute + 1, minute + reach + 1)
            if left >= 0:
                first = other_end[left]
                total -= _calls(left - first + 1)
            if right >= 0:
                last = other_end[right]
                total -= _calls(last - right + 1)
            total += _calls(last - first + 1)
            low, high = left if left >= 0 else minute, right if right >= 0 else minute
            covered[low : high + 1] = b"\x01" * (high - low + 1)
            other_end[first], other_end[last] = last, first
        yield total
