"""From a raw score to a calibrated one: minus the decimal logarithm of its tail probability on clean data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

LEVELS: Final = (1.0, 0.75, 0.5, 0.25, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 5e-4, 2e-4, 1e-4)
"""Tail probabilities that a knot is set at, as far as the data reach."""
LEAST_BEYOND: Final = 20
"""Clean rows that must lie beyond a knot for it to be believed; further out the tail is extrapolated."""


@dataclass(frozen=True)
class Tail:
    """A piecewise linear, increasing map: ``value[i]`` at ``knot[i]``, ``slope`` beyond the last, 0 below the first.

    A score of 3 says that one clean step in a thousand scores as high. Beyond the last knot the tail is taken
    as exponential in the raw score, with the mean excess of the rows there.
    """

    knot: NDArray[np.float64]
    value: NDArray[np.float64]
    slope: float

    def __call__(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrated scores of raw ones, any shape."""
        inner = np.interp(raw, self.knot, self.value)
        return np.asarray(inner + self.slope * np.maximum(raw - self.knot[-1], 0.0))


def fit_tail(raw: NDArray[np.float64]) -> Tail:
    """Learn the map from raw scores [n] of clean calibration rows. ``ValueError`` when they do not vary."""
    ordered = np.sort(raw[np.isfinite(raw)])
    if len(ordered) < 2 or ordered[0] == ordered[-1]:
        raise ValueError(
            f"the detector gives all {len(ordered)} clean steps of the calibration span the same score, so there is "
            "no tail to fit: it needs more traffic, or another detector"
        )
    levels = [level for level in LEVELS if level * len(ordered) >= LEAST_BEYOND] or [1.0]
    places = [min(int((1.0 - level) * len(ordered)), len(ordered) - 1) for level in levels]
    knot, first = np.unique(ordered[places].astype(np.float32), return_index=True)
    value = -np.log10(np.array(levels)[first])
    beyond = ordered[ordered > knot[-1]] - float(knot[-1])
    spread = float(beyond.mean()) if len(beyond) else float(ordered[-1] - ordered[0])
    slope = 1.0 / (np.log(10.0) * max(spread, 1e-6 * float(ordered[-1] - ordered[0]), 1e-30))
    return Tail(knot.astype(np.float64), value, slope)
