"""What incidents were taken for: their true kind beside the kind guessed at their highest-scoring step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from seqdetect.metrics.grid import microseconds
from seqdetect.metrics.recall import Peaks, attack_peaks, benign_peaks
from seqdetect.metrics.ticks import Ticks
from seqdetect.score.kind import UNKNOWN


@dataclass(frozen=True)
class Guesses:
    """What a scorer took its steps at warning or above for."""

    kinds: Sequence[str]
    """Those that its bundle can name, and ``UNKNOWN``."""
    steps: Mapping[tuple[str, int], str]
    """Kind by user and tick's end (microseconds)."""


class Named(NamedTuple):
    """An incident row, its highest score and what the step of that score was taken for."""

    kind: str
    guess: str
    peak: float


def confusions(
    scores: pd.DataFrame,
    incidents: pd.DataFrame,
    span: tuple[int, int],
    thresholds: Mapping[str, float],
    guesses: Guesses,
) -> dict[str, dict[str, Any]]:
    """``confusion`` by tier, of the rows, benign ones too, that start within ``span`` = [start, end) µs."""
    times, began = microseconds(scores["timestamp"]), microseconds(incidents["start"])
    ticks = Ticks.of(scores[(times >= span[0]) & (times < span[1])])
    searched = incidents[(began >= span[0]) & (began < span[1])]
    rows = [
        one
        for peaks in (attack_peaks(ticks, searched), benign_peaks(ticks, searched))
        for one in name_rows(peaks, guesses)
    ]
    return {tier: confusion(rows, guesses.kinds, threshold) for tier, threshold in thresholds.items()}


def name_rows(peaks: Peaks, guesses: Guesses) -> list[Named]:
    """Every incident row with a score in it; of equal scores the first step speaks, as in an alert."""
    rows, ticks = [], peaks.ticks
    for row, kind in enumerate(peaks.kind):
        window = slice(row, row + 1)
        (first,), (stop,) = ticks.between(int(peaks.user[row]), peaks.start[window], peaks.until[window])
        if stop > first:
            top = first + int(ticks.score[first:stop].argmax())
            step = ticks.users[peaks.user[row]], int(ticks.time_us[top])
            rows.append(Named(kind, guesses.steps.get(step, UNKNOWN), float(peaks.peak[row])))
    return rows


def confusion(rows: Sequence[Named], kinds: Sequence[str], threshold: float) -> dict[str, Any]:
    """``counts`` {true kind: {guess: rows}} of the rows found at ``threshold``, and how many are named right.

    ``right`` of ``known`` rows are, ``accuracy`` is their ratio; rows of a kind that is not among ``kinds``,
    which nobody could name, are counted and left out of it. None where there are no others.
    """
    found = [row for row in rows if row.peak >= threshold]
    known = [row for row in found if row.kind in kinds and row.kind != UNKNOWN]
    right = sum(row.guess == row.kind for row in known)
    counts = {
        kind: dict(sorted(Counter(row.guess for row in found if row.kind == kind).items()))
        for kind in sorted({row.kind for row in found})
    }
    accuracy = right / len(known) if known else None
    return {"counts": counts, "right": right, "known": len(known), "accuracy": accuracy}
