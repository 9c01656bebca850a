"""The level that a user's values seldom pass: an upper quantile that moves slowly."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from seqdetect.detector.block.decay import lost
from seqdetect.detector.graph import Graph, Value

QUANTILE: Final = 0.98
MEMORY_S: Final = 2 * 86_400.0
START_WEIGHT: Final = 30.0
LEAST_WEIGHT: Final = 10.0
LEAST_SHARE: Final = 0.002
PACE: Final = 12.0
"""Deviations that the level would move in all, at a share of one: about the whole range of the values."""


def upper(
    graph: Graph,
    name: str,
    values: Value,
    elapsed: Value,
    start: NDArray[np.float32],
    deviation: NDArray[np.float32],
) -> Value:
    """[n, width] the level before the step that ``values [n, width]`` pass about once in fifty steps.

    Stochastic approximation of a quantile (Robbins and Monro 1951): up by a little when passed, down by a fiftieth
    of that when not. One step moves it by the same whatever its size, so an attack is learned slowly. ``start``
    and ``deviation`` [width] are the level and the spread of a user never seen.
    """
    level = graph.state(name, start)
    weight = graph.state(f"{name}_weight", [START_WEIGHT])
    grown = (weight - weight * lost(elapsed, MEMORY_S)).clip(low=LEAST_WEIGHT) + 1.0
    graph.update(f"{name}_weight", grown)
    share = (1.0 / grown).clip(low=LEAST_SHARE)
    passed = (values > level).number()
    graph.update(name, level + (passed - (1.0 - QUANTILE)) * share * (PACE * deviation)[None, :])
    return level
