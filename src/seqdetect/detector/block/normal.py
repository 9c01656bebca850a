"""A user's usual: running mean and variance per column, forgetting slowly, deaf to outliers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seqdetect.detector.block.decay import lost
from seqdetect.detector.graph import Graph, Value

LEAST_WEIGHT: Final = 10.0
"""Steps that a user's past counts for at least, however long ago: one step must never become the whole norm."""


@dataclass(frozen=True)
class Prior:
    """What is usual for everybody, where a new user starts: ``mean`` and ``variance`` [D]."""

    mean: NDArray[np.float32]
    variance: NDArray[np.float32]
    weight: float = 30.0
    """Steps of the user's own that weigh as much as the prior."""

    @classmethod
    def of(cls, values: NDArray[np.float32], user: NDArray[np.int32]) -> Prior:
        """From rows ``[n, D]`` with every user weighing the same, so that the largest does not set the norm."""
        _, row, count = np.unique(user, return_inverse=True, return_counts=True)
        weight = 1.0 / count[row] / len(count)
        mean = weight @ values.astype(np.float64)
        variance = weight @ (values.astype(np.float64) - mean) ** 2
        return cls(mean.astype(np.float32), variance.astype(np.float32))


@dataclass(frozen=True)
class Normal:
    """Columns against their usual: ``z [n, D]`` standardised, ``mean`` and ``deviation`` before the step."""

    z: Value
    mean: Value
    deviation: Value


def normalise(
    graph: Graph,
    name: str,
    values: Value,
    elapsed: Value,
    prior: Prior,
    memory_s: float,
    floor: ArrayLike,
    winsor: float = 3.0,
    relative_floor: float = 0.0,
) -> Normal:
    """Standardise ``values [n, D]`` by the user's own history, then let the history learn the step.

    The mean follows values only up to ``winsor`` deviations away, so an attack moves it slowly. ``floor`` [D] is
    the least deviation that counts, ``relative_floor`` the same as a share of the mean; ``memory_s`` is the time
    constant of forgetting (seconds).
    """
    weight = graph.state(f"{name}_weight", [prior.weight])
    mean = graph.state(f"{name}_mean", prior.mean)
    variance = graph.state(f"{name}_variance", prior.variance)
    deviation = variance.sqrt().clip(low=graph.constant(np.asarray(floor, np.float32)[None, :]))
    if relative_floor:
        deviation = deviation.clip(low=mean.abs() * relative_floor)
    distance = values - mean
    bound = deviation * winsor
    heard = distance.clip(low=-bound, high=bound)
    grown = (weight - weight * lost(elapsed, memory_s)).clip(low=LEAST_WEIGHT) + 1.0
    share = 1.0 / grown
    graph.update(f"{name}_weight", grown)
    graph.update(f"{name}_mean", mean + heard * share)
    graph.update(f"{name}_variance", variance + (heard * heard - variance) * share)
    return Normal(distance / deviation, mean, deviation)
