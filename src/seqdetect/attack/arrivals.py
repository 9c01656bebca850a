"""When added requests arrive: how many, and at which microseconds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seqdetect.events import MICROSECONDS


def load(
    rate: float,
    start: int,
    end: int,
    bounds: tuple[float, float],
    rng: np.random.Generator,
    shortest: float = 0.5,
) -> tuple[int, int]:
    """How many requests to add from ``start`` at ``rate`` (requests/s), and where they end, microseconds.

    ``bounds`` (least, most) are requests: the floor makes a blatant attack on a quiet user blatant, the
    ceiling keeps one on a busy user practical. Above the ceiling the attack first gets shorter, down to the
    share ``shortest`` of its length, so that the rate stays what it should be; only then it gets thinner.
    """
    least, most = bounds
    expected = rate * (end - start) / MICROSECONDS
    if expected > most:
        kept = max(shortest, most / expected)
        end = start + max(1, int((end - start) * kept))
        expected *= kept
    # Beyond the ceiling the exact mean no longer matters, and a Poisson draw of a huge mean overflows.
    count = int(rng.poisson(min(expected, 2 * most)))
    floor = round(least * float(rng.uniform(0.85, 1.15)))
    return int(min(max(count, floor, 1), most)), end


def scattered(count: int, start: int, end: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """``count`` Poisson arrivals in [start, end) microseconds, ascending; the rate ramps up at the onset.

    The ramp takes up to a third of the time, drawn anew for every incident.
    """
    onset = float(rng.uniform(0.0, 0.33))
    area = rng.uniform(0.0, 1.0 - onset / 2, size=count)
    place = np.where(area < onset / 2, np.sqrt(2 * onset * area), area + onset / 2)
    return _within(start + place * (end - start), start, end)


def steady(count: int, start: int, end: int, rng: np.random.Generator, spread: float) -> NDArray[np.int64]:
    """``count`` arrivals of a machine in [start, end) microseconds, ascending.

    Gaps are gamma distributed; ``spread`` is their coefficient of variation (1 would be Poisson).
    """
    shape = 1.0 / spread**2
    passed = np.cumsum(rng.gamma(shape, size=count + 1))
    return _within(start + passed[:-1] / passed[-1] * (end - start), start, end)


def echoed(
    times: NDArray[np.int64],
    extra: NDArray[np.float64],
    reach: int,
    bounds: tuple[int, int],
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Copies of events at ``times`` [event]: on average ``extra[i]`` of event i, up to ``reach`` away.

    Returns the copies' times within ``bounds`` (start, end), ascending, and the index of the event each
    copies; all in microseconds. What grows so keeps its composition and its hours.
    """
    copied = np.repeat(np.arange(len(times)), rng.poisson(extra))
    moved = times[copied] + rng.integers(-reach, reach + 1, size=len(copied))
    inside = (moved >= bounds[0]) & (moved < bounds[1])
    copied, moved = copied[inside], moved[inside]
    order = np.argsort(moved, kind="stable")
    return moved[order], copied[order]


def _within(times: NDArray[np.float64], start: int, end: int) -> NDArray[np.int64]:
    return np.sort(np.clip(times.astype(np.int64), start, end - 1))
