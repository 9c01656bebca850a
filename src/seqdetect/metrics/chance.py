"""How many incidents would have been found by luck: alerts that were on anyway."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seqdetect.metrics.grid import MINUTE_US, Grid, codes
from seqdetect.metrics.recall import Peaks
from seqdetect.metrics.segments import Floats

SHIFTS = 20


@dataclass(frozen=True)
class Chance:
    """Per incident row the highest scores of equally long clean spans of its user; empty where none fits."""

    kinds: tuple[str, ...]
    peaks: tuple[Floats, ...]

    @classmethod
    def of(cls, peaks: Peaks, grid: Grid, rng: np.random.Generator, shifts: int = SHIFTS) -> Chance:
        """Move each row, with its grace, to ``shifts`` random places that touch negative minutes alone."""
        where = codes(grid.users, peaks.rows["user_id"])
        moved = tuple(_moved(peaks, row, grid, int(user), rng, shifts) for row, user in enumerate(where))
        return cls(tuple(peaks.kind), moved)

    def recall(self, threshold: float) -> float | None:
        """Macro mean over kinds of the share of clean spans with an alert; None without spans."""
        by_kind: dict[str, list[float]] = {}
        for kind, moved in zip(self.kinds, self.peaks, strict=True):
            if moved.size:
                by_kind.setdefault(kind, []).append(float(np.mean(moved >= threshold)))
        return float(np.mean([np.mean(shares) for shares in by_kind.values()])) if by_kind else None


def chance_recall(
    peaks: Peaks, grid: Grid, threshold: float, rng: np.random.Generator, shifts: int = SHIFTS
) -> float | None:
    """``Chance.of(...).recall(threshold)``, for one threshold."""
    return Chance.of(peaks, grid, rng, shifts).recall(threshold)


def _moved(peaks: Peaks, row: int, grid: Grid, user: int, rng: np.random.Generator, shifts: int) -> Floats:
    """Highest scores in ``shifts`` clean spans of one row's user and length; empty where none fits."""
    length_us = int(peaks.until[row] - peaks.start[row])
    # A span that starts on a minute and lasts n minutes may be scored at its very end, in minute n.
    minutes = length_us // MINUTE_US + 1
    if user < 0 or minutes > grid.minutes:
        return np.empty(0)
    dirty = np.concatenate([[0], np.cumsum(~grid.negative[user])])
    places = np.flatnonzero(dirty[minutes:] == dirty[:-minutes])
    if not places.size:
        return np.empty(0)
    start = (grid.first_minute + rng.choice(places, size=shifts)) * MINUTE_US
    return peaks.ticks.peaks(int(peaks.user[row]), start, start + length_us)
