"""What is true of everybody: integer histograms that add up over workers, read one tick late."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from seqdetect.sequence.features import INDEX, Steps

BINS: Final = 24
COUNTS: Final = ("steps", "requests", "stated", "failed", "new_addresses")
WIDTH: Final = len(COUNTS) + 3 * BINS
WINDOW_TICKS: Final = 30
"""The trailing ticks that a population vector describes: five minutes at the default tick."""

NAMES: Final = (
    "active_users",
    "requests",
    "prompt_mean",
    "completion_mean",
    "latency",
    "errors",
    "new_addresses",
)
UNITS: Final = (
    "log(1 + active users per tick)",
    "log(1 + requests per tick)",
    "mean log2(1 + tokens per request)",
    "mean log2(1 + tokens per request)",
    "mean log2(1 + ms)",
    "share of requests with status >= 400",
    "log(1 + addresses new to their user, per tick)",
)
"""The population vector ``[P]``; zero where nothing is known."""


def histograms(
    batch: NDArray[np.void], steps: Steps, tick: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of the active ticks ``[t]`` and the integer counts of each ``[t, WIDTH]``.

    ``batch`` are the requests that ``steps`` were made of, ``tick`` is its length in microseconds. The counts
    of several workers are simply added.
    """
    numbers, row = np.unique(steps.tick // tick - 1, return_inverse=True)
    place = np.searchsorted(numbers, batch["time"] // tick)
    out = np.zeros((len(numbers), WIDTH), np.int64)
    ticks = len(numbers)
    out[:, 0] = np.bincount(row, minlength=ticks)
    out[:, 1] = np.bincount(place, minlength=ticks)
    out[:, 2] = np.bincount(place[batch["error"] >= 0], minlength=ticks)
    out[:, 3] = np.bincount(place[batch["error"] > 0], minlength=ticks)
    new = np.rint(np.expm1(steps.features[:, INDEX["new_addresses"]].astype(np.float64)))
    out[:, 4] = np.bincount(row, weights=new, minlength=ticks)
    for i, name in enumerate(("prompt", "completion", "latency")):
        known = batch[name] >= 0
        bins = np.minimum(np.frexp(batch[name][known].astype(np.float64) + 1.0)[1] - 1, BINS - 1)
        start = len(COUNTS) + i * BINS
        counted = np.bincount(place[known] * BINS + bins, minlength=ticks * BINS)
        out[:, start : start + BINS] = counted.reshape(ticks, BINS)
    return numbers, out


class Population:
    """The sum of the last ``WINDOW_TICKS`` ticks' histograms, for the tick that follows them."""

    def __init__(self) -> None:
        self.ring: NDArray[np.int64] = np.zeros((WINDOW_TICKS, WIDTH), np.int64)
        self.ticks: NDArray[np.int64] = np.full(WINDOW_TICKS, -1, np.int64)
        """[WINDOW_TICKS] number of the tick that each slot holds."""

    def add(self, number: int, counts: NDArray[np.int64]) -> None:
        """Take in the histogram of tick ``number`` (ticks since the epoch)."""
        slot = number % WINDOW_TICKS
        self.ring[slot] = counts
        self.ticks[slot] = number

    def before(self, number: int) -> NDArray[np.float32]:
        """The population vector ``[P]`` that tick ``number`` is scored with."""
        recent = (self.ticks >= number - WINDOW_TICKS) & (self.ticks < number)
        return vector(self.ring[recent].sum(axis=0))


def vector(counts: NDArray[np.int64]) -> NDArray[np.float32]:
    """``[P]`` from summed histograms ``[WIDTH]``."""
    steps, requests, stated, failed, new = (int(value) for value in counts[: len(COUNTS)])
    centres = np.arange(BINS) + 0.5
    means = []
    for i in range(3):
        bins = counts[len(COUNTS) + i * BINS : len(COUNTS) + (i + 1) * BINS]
        means.append(float((bins * centres).sum() / max(int(bins.sum()), 1)))
    return np.array(
        [
            np.log1p(steps / WINDOW_TICKS),
            np.log1p(requests / WINDOW_TICKS),
            *means,
            failed / max(stated, 1),
            np.log1p(new / WINDOW_TICKS),
        ],
        np.float32,
    )
